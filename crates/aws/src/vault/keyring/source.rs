//! Where a keyring comes from.

use async_trait::async_trait;
use aws_sdk_secretsmanager::{
    Client,
    operation::{
        create_secret::CreateSecretError, get_secret_value::GetSecretValueError, put_secret_value::PutSecretValueError,
    },
};
use fitbridge_core::ports::VaultError;
use secrecy::{ExposeSecret, SecretString};

use super::ring::{Keyring, KeyringError};
use crate::failure::describe;

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

    /// Adds a key, which seals from now on. Running functions learn of it when they meet it or within five
    /// minutes; until then they seal with the one before, so rotate riders' secrets after that.
    pub async fn add_key(&self) -> Result<Keyring, VaultError> {
        let ring = self.fetch().await?.with_new_key().map_err(|error| self.broken(&error))?;
        self.replace(&ring).await?;
        Ok(ring)
    }

    /// Drops a key that nothing is sealed with any longer (first rotate every user, see [`Self::add_key`]).
    /// What is still sealed with it never opens again, and its rider has to connect again.
    pub async fn drop_key(&self, kid: &str) -> Result<Keyring, VaultError> {
        let ring = self.fetch().await?.without(kid).map_err(|error| self.broken(&error))?;
        self.replace(&ring).await?;
        Ok(ring)
    }

    async fn replace(&self, ring: &Keyring) -> Result<(), VaultError> {
        let put = self.client.put_secret_value().secret_id(&self.secret);
        let put = put.secret_string(ring.to_secret().expose_secret()).send().await;
        put.map(drop).map_err(|error| self.unavailable(&describe(&error)))
    }

    /// The secret's text; `None` where there is no secret, or one without a value.
    async fn text(&self) -> Result<Option<SecretString>, VaultError> {
        let answer = self.client.get_secret_value().secret_id(&self.secret).version_stage("AWSCURRENT").send().await;
        match answer {
            Ok(answer) => Ok(answer.secret_string().map(SecretString::from)),
            Err(error) => match error.as_service_error() {
                Some(GetSecretValueError::ResourceNotFoundException(_)) => Ok(None),
                _ => Err(self.unavailable(&describe(&error))),
            },
        }
    }

    fn broken(&self, error: &KeyringError) -> VaultError {
        self.unavailable(&error.to_string())
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
        let missing = || self.unavailable("there is none: make it with `fitbridge admin vault init`");
        let text = self.text().await?.ok_or_else(missing)?;
        Keyring::parse(&text).map_err(|error| self.broken(&error))
    }
}
