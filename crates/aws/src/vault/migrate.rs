//! Moving riders' secrets from one vault to another.

use fitbridge_core::{
    domain::{Contact, UserId, notice::secret_id},
    ports::{Key, SealedKey, Vault, VaultError},
    store::{Store, StoreError, Stored},
};
use secrecy::ExposeSecret;

/// A secret that keeps being renewed while it is moved is read this often.
const TRIES: usize = 5;

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
    /// There already, the same.
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
/// and start it with the new vault.
pub async fn migrate(
    store: &Store,
    user: &UserId,
    from: &dyn Vault,
    to: &dyn Vault,
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
pub async fn survey(store: &Store, user: &UserId, from: &dyn Vault, to: &dyn Vault) -> Result<Migrated, MigrateError> {
    let mut migrated = Migrated::default();
    for Place { key, always } in places(store, user).await? {
        let mut one = Migrated::default();
        match (opened(from, &key).await?, opened(to, &key).await?) {
            (None, None) => one.missing += 1,
            (None, Some(_)) => one.already_there += 1,
            (Some(original), Some(copy)) if copy.expose_secret() == original.expose_secret() => {
                one.already_there += 1;
            }
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
    from: &dyn Vault,
    to: &dyn Vault,
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
        let same = |copy: &secrecy::SecretString| copy.expose_secret() == original.expose_secret();
        if opened(to, key).await?.is_some_and(|copy| same(&copy)) {
            if originals == Originals::Forget {
                from.forget(key).await?;
            }
            if written {
                migrated.moved += 1;
            } else {
                migrated.already_there += 1;
            }
            return Ok(());
        }
        to.seal(key, &original).await?;
        written = true;
    }
    Err(MigrateError::Changing(key.connection.clone()))
}

/// A secret; `None` where there is none that opens.
async fn opened(vault: &dyn Vault, key: &SealedKey) -> Result<Option<secrecy::SecretString>, VaultError> {
    match vault.open(key).await {
        Ok(secret) => Ok(Some(secret)),
        Err(VaultError::Missing(_) | VaultError::Unsealable(_)) => Ok(None),
        Err(error @ VaultError::Unavailable(_)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fitbridge_core::{
        domain::{Channel, ConnectionId, Service, User},
        testkit::{MemoryLedger, MemoryVault},
    };
    use secrecy::SecretString;

    use super::*;

    async fn store_with(user: &UserId, connections: &[&str]) -> Store {
        let store = Store::new(Arc::new(MemoryLedger::default()));
        let connections = connections.iter().map(|id| ConnectionId::new(*id).unwrap()).collect();
        let doc = User { connections, ..User::new(user.clone(), "2026-01-01T00:00:00Z".parse().unwrap()) };
        assert!(store.commit(vec![store.create(&doc, None, None).unwrap()]).await.unwrap());
        store
    }

    fn key(user: &UserId, connection: &str) -> SealedKey {
        SealedKey { user: user.clone(), connection: ConnectionId::new(connection).unwrap() }
    }

    #[tokio::test]
    async fn secrets_move_once_and_again_without_harm() {
        let user = UserId::new("rider").unwrap();
        let store = store_with(&user, &["igpsport-global-1", "intervals-i1", "folder-1"]).await;
        let (from, to) = (MemoryVault::default(), MemoryVault::default());
        for connection in ["igpsport-global-1", "intervals-i1"] {
            from.seal(&key(&user, connection), &SecretString::from(connection)).await.unwrap();
        }
        let planned = survey(&store, &user, &from, &to).await.unwrap();
        assert!(
            matches!(to.open(&key(&user, "intervals-i1")).await, Err(VaultError::Missing(_))),
            "nothing is written"
        );
        let moved = migrate(&store, &user, &from, &to, Originals::Keep).await.unwrap();
        assert_eq!(moved, Migrated { moved: 2, already_there: 0, missing: 1 });
        assert_eq!(planned, moved);
        let planned = survey(&store, &user, &from, &to).await.unwrap();
        assert_eq!(planned, Migrated { moved: 0, already_there: 2, missing: 1 });
        // Renewed meanwhile, then the last run.
        let source = key(&user, "igpsport-global-1");
        from.seal(&source, &SecretString::from("renewed")).await.unwrap();
        let moved = migrate(&store, &user, &from, &to, Originals::Forget).await.unwrap();
        assert_eq!(moved, Migrated { moved: 1, already_there: 1, missing: 1 });
        assert_eq!(to.open(&source).await.unwrap().expose_secret(), "renewed");
        assert!(matches!(from.open(&source).await, Err(VaultError::Missing(_))));
        let moved = migrate(&store, &user, &from, &to, Originals::Forget).await.unwrap();
        assert_eq!(moved, Migrated { moved: 0, already_there: 2, missing: 1 }, "what was moved is counted as there");
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
        let (from, to) = (MemoryVault::default(), MemoryVault::default());
        let keys = [key(&user, "igpsport-global-1"), key(&user, "notify-webhook")];
        for key in &keys {
            from.seal(key, &SecretString::from(key.connection.as_str())).await.unwrap();
        }
        let planned = survey(&store, &user, &from, &to).await.unwrap();
        let moved = migrate(&store, &user, &from, &to, Originals::Forget).await.unwrap();
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
        let (from, to) = (MemoryVault::default(), MemoryVault::default());
        let key = key(&user, "intervals-i1");
        from.seal(&key, &SecretString::from("s")).await.unwrap();
        to.set_away(true);
        let stopped = migrate(&store, &user, &from, &to, Originals::Forget).await;
        assert!(matches!(stopped, Err(MigrateError::Vault(VaultError::Unavailable(_)))));
        assert_eq!(from.open(&key).await.unwrap().expose_secret(), "s");
        let nobody = UserId::new("nobody").unwrap();
        let stopped = migrate(&store, &nobody, &from, &to, Originals::Keep).await;
        assert_eq!(stopped, Err(MigrateError::NoUser(nobody)));
    }
}
