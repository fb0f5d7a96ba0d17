//! Where a keyring comes from.

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_secretsmanager::{
    Client,
    operation::{
        create_secret::CreateSecretError,
        get_secret_value::{GetSecretValueError, GetSecretValueOutput},
        put_secret_value::PutSecretValueError,
    },
};
use fitbridge_core::ports::VaultError;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::ring::{Keyring, KeyringError};
use crate::failure::describe;

/// The stages of a secret's versions.
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// So long after a change of the ring no function seals with a key that is not its current one: each fetches its
/// ring again within five minutes, and then finishes what it has in hand.
pub const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// What became of a ring's old keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// These are dropped; there may have been none.
    Keys(Vec<String>),
    /// None is dropped yet: before this time a function may still seal with one of them.
    NotBefore(Timestamp),
}

/// A ring as it was read.
struct Read {
    ring: Keyring,
    /// The id of the version that follows it.
    next: String,
    /// When this version was written.
    since: Timestamp,
}

/// Gives a keyring as it is now.
#[async_trait]
pub trait KeySource: Send + Sync + std::fmt::Debug {
    /// Fetches the ring. `Unavailable` means to try later, or that an operator has to mend something; no
    /// other error is told, since no rider can help a missing keyring.
    async fn fetch(&self) -> Result<Keyring, VaultError>;
}

/// A keyring in a secret of Secrets Manager.
#[derive(Debug, Clone)]
pub struct SecretsManagerKeys {
    client: Client,
    secret: String,
}

impl SecretsManagerKeys {
    /// The keyring in the secret of this name.
    pub fn new(client: Client, secret: impl Into<String>) -> Self {
        Self { client, secret: secret.into() }
    }

    /// Makes sure that there is a ring: a secret that is not there, or has no value yet (as a template
    /// leaves it), gets a ring with one new key. `true` when it was made. A ring that is there is never
    /// replaced.
    pub async fn init(&self) -> Result<bool, VaultError> {
        if self.text().await?.is_some() {
            self.fetch().await?;
            return Ok(false);
        }
        let ring = Keyring::generate().map_err(|error| self.broken(&error))?.to_secret();
        // Two that start at once must not overwrite each other's ring: the first version has the same id for
        // both, and Secrets Manager refuses another text under it.
        let create = self.client.create_secret().name(&self.secret).client_request_token(FIRST_RING);
        match create.secret_string(ring.expose_secret()).send().await {
            Ok(_) => return Ok(true),
            Err(error) => match error.as_service_error() {
                Some(CreateSecretError::ResourceExistsException(_)) => {}
                _ => return Err(self.unavailable(&describe(&error))),
            },
        }
        let put = self.client.put_secret_value().secret_id(&self.secret).client_request_token(FIRST_RING);
        match put.secret_string(ring.expose_secret()).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(PutSecretValueError::ResourceExistsException(_)) => self.fetch().await.map(|_| false),
                _ => Err(self.unavailable(&describe(&error))),
            },
        }
    }

    /// Adds a key, which seals from now on. Running functions learn of it when they meet it, or within five
    /// minutes; until then they seal with the one before.
    pub async fn add_key(&self) -> Result<Keyring, VaultError> {
        let read = self.read().await?;
        let ring = read.ring.with_new_key().map_err(|error| self.broken(&error))?;
        self.replace(&read, &ring).await?;
        Ok(ring)
    }

    /// Drops all keys but the current one. First rotate every user ([`super::KeyringVault::rotate_user`]): what
    /// is still sealed with another key never opens again, and its rider has to connect again. Nothing is done
    /// sooner than [`SETTLED_AFTER`] the ring was changed, because a function may still seal with an older key.
    pub async fn drop_old_keys(&self, now: Timestamp) -> Result<Dropped, VaultError> {
        let read = self.read().await?;
        let ring = read.ring.only_current();
        if ring.kids() == read.ring.kids() {
            return Ok(Dropped::Keys(Vec::new()));
        }
        let settled = read.since.checked_add(SETTLED_AFTER).unwrap_or(Timestamp::MAX);
        if now < settled {
            return Ok(Dropped::NotBefore(settled));
        }
        self.replace(&read, &ring).await?;
        Ok(Dropped::Keys(read.ring.kids().difference(&ring.kids()).map(|kid| (*kid).to_owned()).collect()))
    }

    /// The ring as it is now, and what the next version of it needs.
    async fn read(&self) -> Result<Read, VaultError> {
        let (current, before) = (self.version(CURRENT).await?, self.version(PREVIOUS).await?);
        let current = current.ok_or_else(|| self.missing())?;
        // What another put between the two would be overwritten: nothing would tell its version from this one's.
        let again = self.version(CURRENT).await?.ok_or_else(|| self.missing())?;
        if again.version_id() != current.version_id() {
            return Err(self.changing());
        }
        let text = current.secret_string().map(SecretString::from).ok_or_else(|| self.missing())?;
        let ring = Keyring::parse(&text).map_err(|error| self.broken(&error))?;
        let id = |of: &GetSecretValueOutput| of.version_id().unwrap_or_default().to_owned();
        // Both ids, so that a ring that was put back to the one before has other successors than it had.
        let ids = format!("{}|{}", id(&current), before.as_ref().map(id).unwrap_or_default());
        let next = hex::encode(digest(&SHA256, ids.as_bytes()));
        let since = current.created_date().and_then(|date| Timestamp::from_second(date.secs()).ok());
        Ok(Read { ring, next, since: since.unwrap_or(Timestamp::MAX) })
    }

    /// Writes the ring that follows another. Two that do so at once would lose the key of one, and with it what
    /// was sealed meanwhile: both ask for the same version, and Secrets Manager refuses the second.
    async fn replace(&self, before: &Read, ring: &Keyring) -> Result<(), VaultError> {
        let put = self.client.put_secret_value().secret_id(&self.secret).client_request_token(&before.next);
        match put.secret_string(ring.to_secret().expose_secret()).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.as_service_error() {
                Some(PutSecretValueError::ResourceExistsException(_)) => self.changing(),
                _ => self.unavailable(&describe(&error)),
            }),
        }
    }

    /// The secret's text; `None` where there is no secret, or one without a value.
    async fn text(&self) -> Result<Option<SecretString>, VaultError> {
        Ok(self.version(CURRENT).await?.and_then(|version| version.secret_string().map(SecretString::from)))
    }

    /// A version of the secret; `None` where there is no secret, or none of this stage.
    async fn version(&self, stage: &str) -> Result<Option<GetSecretValueOutput>, VaultError> {
        match self.client.get_secret_value().secret_id(&self.secret).version_stage(stage).send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match error.as_service_error() {
                Some(GetSecretValueError::ResourceNotFoundException(_)) => Ok(None),
                _ => Err(self.unavailable(&describe(&error))),
            },
        }
    }

    fn missing(&self) -> VaultError {
        self.unavailable("there is none: make it with `fitbridge admin vault init`")
    }

    fn broken(&self, error: &KeyringError) -> VaultError {
        self.unavailable(&error.to_string())
    }

    fn changing(&self) -> VaultError {
        self.unavailable("somebody else changes it at this moment; look, and try again")
    }

    fn unavailable(&self, why: &str) -> VaultError {
        VaultError::Unavailable(format!("keyring {}: {why}", self.secret))
    }
}

/// The version id of a ring that is put into an empty secret; 32 to 64 characters.
const FIRST_RING: &str = "fitbridge-first-ring-of-this-secret";

#[async_trait]
impl KeySource for SecretsManagerKeys {
    async fn fetch(&self) -> Result<Keyring, VaultError> {
        let text = self.text().await?.ok_or_else(|| self.missing())?;
        Keyring::parse(&text).map_err(|error| self.broken(&error))
    }
}
