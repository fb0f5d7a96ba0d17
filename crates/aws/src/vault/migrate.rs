//! Moving riders' secrets from one vault to another.

use std::sync::Arc;

use fitbridge_core::{
    domain::{Contact, UserId, notice::secret_id},
    ports::{Key, SealedKey, Vault, VaultError},
    store::{Store, StoreError, Stored},
};
use secrecy::{ExposeSecret, SecretString};

/// A secret that keeps being renewed while it is moved is read this often.
const TRIES: usize = 5;

/// One of the two vaults between which secrets are moved.
#[derive(Debug, Clone)]
pub struct Side {
    vault: Arc<dyn Vault>,
    in_use: bool,
}

impl Side {
    /// This vault; `in_use` says whether the service runs on it. What lies there is then the newest there is.
    pub fn new(vault: Arc<dyn Vault>, in_use: bool) -> Self {
        Self { vault, in_use }
    }

    /// Whether this copy stays as it is. The service renews tokens in the vault that it runs on, so that a
    /// copy there may be newer than its original, and the old token works no more.
    fn keeps(&self, copy: &SecretString, original: &SecretString) -> bool {
        self.in_use || copy.expose_secret() == original.expose_secret()
    }
}

/// What becomes of the secrets in the vault that they are moved from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Originals {
    /// They stay, until the service runs on the new vault; then move again with [`Originals::Forget`].
    Keep,
    /// Each is forgotten once its copy was read back.
    Forget,
}

/// What moving a user's secrets did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Migrated {
    /// Written into the new vault.
    pub moved: usize,
    /// There already: the same, or as the service keeps it there since it runs on the new vault.
    pub already_there: usize,
    /// In neither vault, or no longer to be opened: such a rider has to connect again anyway.
    pub missing: usize,
}

impl Migrated {
    fn add(&mut self, other: Self, count_missing: bool) {
        self.moved += other.moved;
        self.already_there += other.already_there;
        self.missing += if count_missing { other.missing } else { 0 };
    }
}

/// Why moving stopped. Nothing is lost: run it again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MigrateError {
    /// There is no such user.
    #[error("there is no user {0}")]
    NoUser(UserId),
    /// The ledger failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The secret changed each time it was read back.
    #[error("the secret of {0} changes while it is moved: stop the service first")]
    Changing(fitbridge_core::domain::ConnectionId),
}

/// Moves the secrets of all of a user's connections, and of the ways in which the user is told. It can be run any number of times, and again after it
/// was interrupted. With the service running, a secret that was renewed between the two vaults is moved
/// again; one that is renewed in the old vault afterwards is not seen, so stop the service, move once more,
/// and start it with the new vault. From then on nothing that opens in the new vault is sealed again.
pub async fn migrate(
    store: &Store,
    user: &UserId,
    from: &Side,
    to: &Side,
    originals: Originals,
) -> Result<Migrated, MigrateError> {
    let mut migrated = Migrated::default();
    for Place { key, always } in places(store, user).await? {
        let mut one = Migrated::default();
        migrate_one(&key, from, to, originals, &mut one).await?;
        migrated.add(one, always);
    }
    Ok(migrated)
}

/// What [`migrate`] would do; nothing is written.
pub async fn survey(store: &Store, user: &UserId, from: &Side, to: &Side) -> Result<Migrated, MigrateError> {
    let mut migrated = Migrated::default();
    for Place { key, always } in places(store, user).await? {
        let mut one = Migrated::default();
        match (opened(from, &key).await?, opened(to, &key).await?) {
            (None, None) => one.missing += 1,
            (None, Some(_)) => one.already_there += 1,
            (Some(original), Some(copy)) if to.keeps(&copy, &original) => one.already_there += 1,
            (Some(_), _) => one.moved += 1,
        }
        migrated.add(one, always);
    }
    Ok(migrated)
}

/// Where a secret of a user may lie.
struct Place {
    key: SealedKey,
    /// There has to be one. A way to be told may need none: mail of the service has no password.
    always: bool,
}

async fn places(store: &Store, user: &UserId) -> Result<Vec<Place>, MigrateError> {
    let stored = store.user(user).await?.ok_or_else(|| MigrateError::NoUser(user.clone()))?;
    let contact: Option<Stored<Contact>> = store.read(&Key::contact(user)).await?;
    let channels = contact.map(|contact| contact.doc.channels).unwrap_or_default();
    let connections = stored.doc.connections.iter().cloned().map(|id| (id, true));
    let all = connections.chain(channels.iter().map(|channel| (secret_id(&channel.via), false)));
    Ok(all.map(|(connection, always)| Place { key: SealedKey { user: user.clone(), connection }, always }).collect())
}

async fn migrate_one(
    key: &SealedKey,
    from: &Side,
    to: &Side,
    originals: Originals,
    migrated: &mut Migrated,
) -> Result<(), MigrateError> {
    let mut written = false;
    for _ in 0..TRIES {
        let Some(original) = opened(from, key).await? else {
            match opened(to, key).await? {
                Some(_) if written => migrated.moved += 1,
                Some(_) => migrated.already_there += 1,
                None => migrated.missing += 1,
            }
            return Ok(());
        };
        if opened(to, key).await?.is_some_and(|copy| to.keeps(&copy, &original)) {
            if originals == Originals::Forget {
                from.vault.forget(key).await?;
            }
            if written {
                migrated.moved += 1;
            } else {
                migrated.already_there += 1;
            }
            return Ok(());
        }
        to.vault.seal(key, &original).await?;
        written = true;
    }
    Err(MigrateError::Changing(key.connection.clone()))
}

/// A secret; `None` where there is none that opens.
async fn opened(side: &Side, key: &SealedKey) -> Result<Option<SecretString>, VaultError> {
    match side.vault.open(key).await {
        Ok(secret) => Ok(Some(secret)),
        Err(VaultError::Missing(_) | VaultError::Unsealable(_)) => Ok(None),
        Err(error @ VaultError::Unavailable(_)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fitbridge_core::{
        domain::{Channel, ConnectionId, Service, User},
        testkit::{MemoryLedger, MemoryVault},
    };

    async fn store_with(user: &UserId, connections: &[&str]) -> Store {
        let store = Store::new(Arc::new(MemoryLedger::default()));
        let connections = connections.iter().map(|id| ConnectionId::new(*id).unwrap()).collect();
        let doc = User { connections, ..User::new(user.clone(), "2026-01-01T00:00:00Z".parse().unwrap()) };
        assert!(store.commit(vec![store.create(&doc, None, None).unwrap()]).await.unwrap());
        store
    }

    /// Two empty vaults, with the service on the first.
    fn vaults() -> (MemoryVault, MemoryVault, Side, Side) {
        let (from, to) = (MemoryVault::default(), MemoryVault::default());
        let (old, new) = (Side::new(Arc::new(from.clone()), true), Side::new(Arc::new(to.clone()), false));
        (from, to, old, new)
    }

    fn key(user: &UserId, connection: &str) -> SealedKey {
        SealedKey { user: user.clone(), connection: ConnectionId::new(connection).unwrap() }
    }

    #[tokio::test]
    async fn secrets_move_once_and_again_without_harm() {
        let user = UserId::new("rider").unwrap();
        let store = store_with(&user, &["igpsport-global-1", "intervals-i1", "folder-1"]).await;
        let (from, to, old, new) = vaults();
        for connection in ["igpsport-global-1", "intervals-i1"] {
            from.seal(&key(&user, connection), &SecretString::from(connection)).await.unwrap();
        }
        let planned = survey(&store, &user, &old, &new).await.unwrap();
        assert!(
            matches!(to.open(&key(&user, "intervals-i1")).await, Err(VaultError::Missing(_))),
            "nothing is written"
        );
        let moved = migrate(&store, &user, &old, &new, Originals::Keep).await.unwrap();
        assert_eq!(moved, Migrated { moved: 2, already_there: 0, missing: 1 });
        assert_eq!(planned, moved);
        let planned = survey(&store, &user, &old, &new).await.unwrap();
        assert_eq!(planned, Migrated { moved: 0, already_there: 2, missing: 1 });
        // Renewed meanwhile, then the last run.
        let source = key(&user, "igpsport-global-1");
        from.seal(&source, &SecretString::from("renewed")).await.unwrap();
        let moved = migrate(&store, &user, &old, &new, Originals::Forget).await.unwrap();
        assert_eq!(moved, Migrated { moved: 1, already_there: 1, missing: 1 });
        assert_eq!(to.open(&source).await.unwrap().expose_secret(), "renewed");
        assert!(matches!(from.open(&source).await, Err(VaultError::Missing(_))));
        let moved = migrate(&store, &user, &old, &new, Originals::Forget).await.unwrap();
        assert_eq!(moved, Migrated { moved: 0, already_there: 2, missing: 1 }, "what was moved is counted as there");
    }

    #[tokio::test]
    async fn what_was_renewed_in_the_new_vault_is_not_overwritten() {
        let user = UserId::new("rider").unwrap();
        let store = store_with(&user, &["igpsport-global-1", "intervals-i1"]).await;
        let (from, to, old, new) = vaults();
        let (renewed, left) = (key(&user, "igpsport-global-1"), key(&user, "intervals-i1"));
        from.seal(&renewed, &SecretString::from("first")).await.unwrap();
        migrate(&store, &user, &old, &new, Originals::Keep).await.unwrap();
        // The service runs on the new vault, and renews a token there. One secret was not copied.
        let (old, new) = (Side { in_use: false, ..old }, Side { in_use: true, ..new });
        to.seal(&renewed, &SecretString::from("second")).await.unwrap();
        from.seal(&left, &SecretString::from("left")).await.unwrap();
        for originals in [Originals::Keep, Originals::Forget] {
            let planned = survey(&store, &user, &old, &new).await.unwrap();
            let moved = migrate(&store, &user, &old, &new, originals).await.unwrap();
            assert_eq!(planned, moved);
            assert_eq!(to.open(&renewed).await.unwrap().expose_secret(), "second");
            assert_eq!(to.open(&left).await.unwrap().expose_secret(), "left");
        }
        for key in [&renewed, &left] {
            assert!(matches!(from.open(key).await, Err(VaultError::Missing(_))), "it is forgotten in the old vault");
        }
    }

    #[tokio::test]
    async fn secrets_of_the_ways_to_be_told_move_too() {
        let user = UserId::new("rider").unwrap();
        let store = store_with(&user, &["igpsport-global-1"]).await;
        let via = |name: &str| Channel {
            via: Service::new(name).unwrap(),
            label: name.into(),
            settings: serde_json::Value::Null,
        };
        let contact = Contact { user: user.clone(), channels: vec![via("webhook"), via("email")], quiet: None };
        assert!(store.commit(vec![store.create(&contact, None, None).unwrap()]).await.unwrap());
        let (from, to, old, new) = vaults();
        let keys = [key(&user, "igpsport-global-1"), key(&user, "notify-webhook")];
        for key in &keys {
            from.seal(key, &SecretString::from(key.connection.as_str())).await.unwrap();
        }
        let planned = survey(&store, &user, &old, &new).await.unwrap();
        let moved = migrate(&store, &user, &old, &new, Originals::Forget).await.unwrap();
        assert_eq!(moved, Migrated { moved: 2, already_there: 0, missing: 0 }, "mail may have no secret");
        assert_eq!(planned, moved);
        for key in &keys {
            assert_eq!(to.open(key).await.unwrap().expose_secret(), key.connection.as_str());
            assert!(matches!(from.open(key).await, Err(VaultError::Missing(_))), "it is forgotten in the old vault");
        }
    }

    #[tokio::test]
    async fn a_vault_that_is_away_stops_it_with_nothing_forgotten() {
        let user = UserId::new("rider").unwrap();
        let store = store_with(&user, &["intervals-i1"]).await;
        let (from, to, old, new) = vaults();
        let key = key(&user, "intervals-i1");
        from.seal(&key, &SecretString::from("s")).await.unwrap();
        to.set_away(true);
        let stopped = migrate(&store, &user, &old, &new, Originals::Forget).await;
        assert!(matches!(stopped, Err(MigrateError::Vault(VaultError::Unavailable(_)))));
        assert_eq!(from.open(&key).await.unwrap().expose_secret(), "s");
        let nobody = UserId::new("nobody").unwrap();
        let stopped = migrate(&store, &nobody, &old, &new, Originals::Keep).await;
        assert_eq!(stopped, Err(MigrateError::NoUser(nobody)));
    }
}
