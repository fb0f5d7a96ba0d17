//! `admin vault`: filling the keyrings and turning their keys, and moving riders' secrets from one vault to the
//! other.

use fitbridge_aws::{
    context::VaultChoice,
    vault::{Dropped, MigrateError, Migrated, Originals, migrate, survey},
};
use fitbridge_core::{Code, Failure, domain::UserId, engine::EngineError, ports::Clock};
use fitbridge_local::SystemClock;
use serde_json::json;

use super::{
    Act, Desk, changed,
    desk::{Cloud, Going},
};
use crate::{
    args::admin::{Vault, VaultKind},
    exit::{Exit, Stop},
};

/// Does it.
pub(super) async fn run(desk: &Desk, what: Vault) -> Result<Exit, Stop> {
    let cloud = desk.cloud("the vault")?;
    match what {
        Vault::Init { keyring_secret } => init(desk, cloud, &keyrings(cloud, keyring_secret)).await,
        Vault::Rotate { keyring_secret, drop } => rotate(desk, cloud, &keyrings(cloud, keyring_secret), drop).await,
        Vault::Migrate { to, user, keyring_secret, forget, dry_run } => {
            let keyring = VaultChoice::Keyring { secret: keyrings(cloud, keyring_secret) };
            let (from, to, word) = match to {
                VaultKind::Keyring => (VaultChoice::PerUserSecret, keyring, "keyring"),
                VaultKind::PerUserSecret => (keyring, VaultChoice::PerUserSecret, "per-user-secret"),
            };
            let how =
                How { from, to, word, originals: if forget { Originals::Forget } else { Originals::Keep }, dry_run };
            move_all(desk, cloud, user.as_ref(), &how).await
        }
    }
}

/// What the names of both keyrings start with: as typed, as deployed, else as the template would name them.
fn keyrings(cloud: &Cloud, typed: Option<String>) -> String {
    let environment = &cloud.parts.environment;
    typed.unwrap_or_else(|| match &environment.vault {
        VaultChoice::Keyring { secret } => secret.clone(),
        VaultChoice::PerUserSecret => format!("{}/keyring", environment.secret_prefix),
    })
}

async fn init(desk: &Desk, cloud: &Cloud, secret: &str) -> Result<Exit, Stop> {
    let mut count = 0;
    for (role, keys) in cloud.parts.clients.keyrings(secret) {
        let name = format!("{secret}/{role}");
        let act = Act { verb: "vault init", user: None, detail: &name };
        let made = desk.act(act, async { Ok(keys.init().await.map_err(EngineError::from)?) }).await?;
        count += usize::from(made);
        desk.out.record(&json!({ "type": "keyring", "secret": name, "new": made }));
        desk.out
            .line(format!("{name}: {}", if made { "a keyring with one key is made" } else { "there is one already" }));
    }
    Ok(changed(desk, count))
}

/// Turns the keys. Every step can be done again: what is sealed with any key of a ring opens.
async fn rotate(desk: &Desk, cloud: &Cloud, secret: &str, drop: bool) -> Result<Exit, Stop> {
    if !drop {
        for (role, keys) in cloud.parts.clients.keyrings(secret) {
            let name = format!("{secret}/{role}");
            let act = Act { verb: "vault rotate", user: None, detail: &name };
            let ring = desk.act(act, async { Ok(keys.add_key().await.map_err(EngineError::from)?) }).await?;
            desk.out.record(&json!({ "type": "key", "secret": name, "added": ring.current() }));
            desk.out.line(format!("{name}: key {} is added and seals from now on", ring.current()));
        }
    }
    let resealed = reseal(desk, cloud, secret).await?;
    let (mut dropped, mut exit) = (0, Exit::Done);
    if drop {
        for (role, keys) in cloud.parts.clients.keyrings(secret) {
            let name = format!("{secret}/{role}");
            let act = Act { verb: "vault rotate --drop", user: None, detail: &name };
            let now = SystemClock.now();
            let kids = desk.act(act, async { Ok(keys.drop_old_keys(now).await.map_err(EngineError::from)?) }).await?;
            match kids {
                Dropped::Keys(kids) => {
                    dropped += kids.len();
                    desk.out.record(&json!({ "type": "key", "secret": name, "dropped": kids }));
                    let said = if kids.is_empty() { "there is one key only".to_owned() } else { kids.join(", ") };
                    desk.out.line(format!("{name}: dropped: {said}"));
                }
                Dropped::NotBefore(at) => {
                    exit = Exit::Unfinished;
                    desk.out.record(&json!({ "type": "key", "secret": name, "not_before": at.to_string() }));
                    desk.out.line(format!(
                        "{name}: nothing is dropped before {at:.0}, because a function may still seal with an older key; run this again then"
                    ));
                }
            }
        }
    }
    desk.out.line(format!("{resealed} secrets are sealed anew"));
    desk.out.record(&json!({ "type": "summary", "resealed": resealed, "dropped": dropped }));
    Ok(exit)
}

/// Seals every rider's secrets with the newest keys; says how many were not.
async fn reseal(desk: &Desk, cloud: &Cloud, secret: &str) -> Result<usize, Stop> {
    let vault = cloud.parts.keyring(secret);
    let mut resealed = 0;
    desk.each_rider(None, async |user| {
        resealed += vault.rotate_user(user).await.map_err(EngineError::from)?;
        Ok(Going::On)
    })
    .await?;
    Ok(resealed)
}

/// How secrets are moved.
struct How {
    from: VaultChoice,
    to: VaultChoice,
    word: &'static str,
    originals: Originals,
    dry_run: bool,
}

async fn move_all(desk: &Desk, cloud: &Cloud, only: Option<&UserId>, how: &How) -> Result<Exit, Stop> {
    let (from, to) = (cloud.parts.vault_of(how.from.clone()), cloud.parts.vault_of(how.to.clone()));
    let (mut riders, mut sum) = (0_usize, Migrated::default());
    desk.each_rider(only, async |user| {
        let store = desk.engine.store();
        let moved = if how.dry_run {
            survey(store, user, &from, &to).await.map_err(stop)?
        } else {
            let act = Act { verb: "vault migrate", user: Some(user), detail: how.word };
            desk.act(act, async { migrate(store, user, &from, &to, how.originals).await.map_err(stop) }).await?
        };
        desk.out.record(&json!({
            "type": "migrated", "rider": user, "moved": moved.moved, "already_there": moved.already_there,
            "missing": moved.missing,
        }));
        if moved.missing > 0 {
            desk.out.line(format!("{user}: {} in neither vault; the rider has to connect again", moved.missing));
        }
        riders += 1;
        sum.moved += moved.moved;
        sum.already_there += moved.already_there;
        sum.missing += moved.missing;
        Ok(Going::On)
    })
    .await?;
    let Migrated { moved, already_there, missing } = sum;
    let verb = if how.dry_run { "would be moved" } else { "moved" };
    desk.out.line(format!(
        "{riders} riders: {moved} secrets {verb} to {}, {already_there} there already, {missing} missing",
        how.word
    ));
    desk.out.record(&json!({
        "type": "summary", "dry_run": how.dry_run, "riders": riders, "moved": moved,
        "already_there": already_there, "missing": missing,
    }));
    Ok(Exit::Done)
}

fn stop(error: MigrateError) -> Stop {
    match error {
        MigrateError::NoUser(user) => Stop::of(Failure::new(Code::NoSuchRider, user.as_str())),
        MigrateError::Store(error) => error.into(),
        MigrateError::Vault(error) => EngineError::from(error).into(),
        MigrateError::Changing(connection) => Stop::of(Failure::new(Code::SecretChanging, connection.as_str())),
    }
}
