//! One secret of Secrets Manager per connection.

use async_trait::async_trait;
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        create_secret::CreateSecretError, delete_secret::DeleteSecretError, get_secret_value::GetSecretValueError,
        put_secret_value::PutSecretValueError, restore_secret::RestoreSecretError,
    },
};
use fitbridge_core::ports::{SealedKey, Vault, VaultError};
use secrecy::{ExposeSecret, SecretString};

use super::Role;
use crate::failure::describe;

/// Most bytes of a secret's text; a quota of Secrets Manager.
const MAX_BYTES: usize = 65_536;
/// Stands before a text that Secrets Manager would not take (it takes no empty one), or that starts with it.
const ESCAPE: char = '~';
/// A seal may find the secret missing, then made by another, then deleted, then restored.
const STEPS: usize = 6;

/// For how long a forgotten secret can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// So many days, 7 to 30; the secret is not charged for meanwhile.
    Days(u8),
    /// Not at all: it is deleted at once.
    None,
}

impl Recovery {
    /// From a number of days; 0 is not at all. Others than 7 to 30 are moved to the nearest of them.
    pub fn days(days: u8) -> Self {
        if days == 0 { Self::None } else { Self::Days(days.clamp(7, 30)) }
    }
}

/// The vault with a secret per connection, named `{prefix}/{role}/{user}/{connection}`.
///
/// Nothing is cached: a token that was renewed a second ago by another function must be seen. Secrets are
/// asked for by name, never by a part of an ARN, so that names ending with a hyphen and six digits (member
/// ids do) are not taken for others. The current version is asked for by its stage, never by default.
#[derive(Debug, Clone)]
pub struct PerUserSecretVault {
    client: Client,
    prefix: String,
    recovery: Recovery,
}

/// How the state of a secret stands in the way.
enum Obstacle {
    /// There is none of this name.
    Missing,
    /// It was deleted and can still be restored.
    Deleted,
    /// It was made meanwhile.
    Exists,
    /// Anything else.
    Failed(VaultError),
}

impl PerUserSecretVault {
    /// A vault whose secrets' names start with `prefix`.
    pub fn new(client: Client, prefix: impl Into<String>, recovery: Recovery) -> Self {
        Self { client, prefix: prefix.into(), recovery }
    }

    /// The name of a connection's secret.
    pub fn name(&self, key: &SealedKey) -> String {
        format!("{}/{}/{}/{}", self.prefix, Role::of(&key.connection), key.user, key.connection)
    }

    /// Puts a value and looks whether it can be read. A secret in its recovery window should refuse the
    /// value, but one that takes it all the same would be lost with the window's end.
    async fn replace(&self, name: &str, text: &str) -> Result<(), Obstacle> {
        self.put(name, text).await?;
        match self.get(name).await {
            Err(Obstacle::Deleted) => Err(Obstacle::Deleted),
            // The value was taken; what else there is, the next one to open it meets.
            _ => Ok(()),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<SecretString>, Obstacle> {
        let got = self.client.get_secret_value().secret_id(name).version_stage("AWSCURRENT").send().await;
        let got = got.map_err(|error| match error.as_service_error() {
            Some(GetSecretValueError::ResourceNotFoundException(_)) => Obstacle::Missing,
            Some(GetSecretValueError::InvalidRequestException(why)) if says_deleted(why) => Obstacle::Deleted,
            // A key of KMS that is disabled or out of reach is the operator's to mend, not the rider's.
            _ => failed(&error),
        })?;
        Ok(got.secret_string().map(unescaped))
    }

    async fn put(&self, name: &str, text: &str) -> Result<(), Obstacle> {
        let put = self.client.put_secret_value().secret_id(name).secret_string(text).send().await;
        put.map(drop).map_err(|error| match error.as_service_error() {
            Some(PutSecretValueError::ResourceNotFoundException(_)) => Obstacle::Missing,
            Some(PutSecretValueError::InvalidRequestException(why)) if says_deleted(why) => Obstacle::Deleted,
            _ => failed(&error),
        })
    }

    async fn create(&self, name: &str, text: &str) -> Result<(), Obstacle> {
        let created = self.client.create_secret().name(name).secret_string(text).send().await;
        created.map(drop).map_err(|error| match error.as_service_error() {
            Some(CreateSecretError::ResourceExistsException(_)) => Obstacle::Exists,
            Some(CreateSecretError::InvalidRequestException(why)) if says_deleted(why) => Obstacle::Deleted,
            _ => failed(&error),
        })
    }

    async fn restore(&self, name: &str) -> Result<(), Obstacle> {
        let restored = self.client.restore_secret().secret_id(name).send().await;
        restored.map(drop).map_err(|error| match error.as_service_error() {
            Some(RestoreSecretError::ResourceNotFoundException(_)) => Obstacle::Missing,
            _ => failed(&error),
        })
    }

    async fn delete(&self, key: &SealedKey, recovery: Recovery) -> Result<(), VaultError> {
        let delete = self.client.delete_secret().secret_id(self.name(key));
        let delete = match recovery {
            Recovery::Days(days) => delete.recovery_window_in_days(i64::from(days)),
            Recovery::None => delete.force_delete_without_recovery(true),
        };
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(DeleteSecretError::ResourceNotFoundException(_)) => Ok(()),
                Some(DeleteSecretError::InvalidRequestException(why))
                    if recovery != Recovery::None && says_deleted(why) =>
                {
                    Ok(())
                }
                _ => Err(VaultError::Unavailable(describe(&error))),
            },
        }
    }
}

fn failed<E, R>(error: &SdkError<E, R>) -> Obstacle
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    Obstacle::Failed(VaultError::Unavailable(describe(error)))
}

/// Whether a request was refused because the secret is in its recovery window. `InvalidRequestException`
/// has other reasons too, and only its text tells them apart.
fn says_deleted(error: &impl ProvideErrorMetadata) -> bool {
    error.message().is_some_and(|text| text.to_ascii_lowercase().contains("delet"))
}

/// The text as Secrets Manager takes it. JSON, which all real secrets are, stays as it is.
fn escaped(secret: &SecretString) -> SecretString {
    let text = secret.expose_secret();
    if text.is_empty() || text.starts_with(ESCAPE) {
        SecretString::from(format!("{ESCAPE}{text}"))
    } else {
        secret.clone()
    }
}

fn unescaped(text: &str) -> SecretString {
    SecretString::from(text.strip_prefix(ESCAPE).unwrap_or(text))
}

#[async_trait]
impl Vault for PerUserSecretVault {
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError> {
        match self.get(&self.name(key)).await {
            Ok(Some(secret)) => Ok(secret),
            Ok(None) => Err(VaultError::Unsealable(key.connection.clone())),
            Err(Obstacle::Failed(error)) => Err(error),
            Err(_) => Err(VaultError::Missing(key.connection.clone())),
        }
    }

    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        let name = self.name(key);
        let text = escaped(secret);
        let text = text.expose_secret();
        if text.len() > MAX_BYTES {
            return Err(VaultError::Unavailable(format!(
                "a secret of {} bytes is longer than the {MAX_BYTES} that Secrets Manager takes",
                text.len()
            )));
        }
        // Most seals renew a token, so that is tried first.
        let mut done = self.replace(&name, text).await;
        for _ in 0..STEPS {
            done = match done {
                Ok(()) => return Ok(()),
                Err(Obstacle::Failed(error)) => return Err(error),
                Err(Obstacle::Missing) => self.create(&name, text).await,
                Err(Obstacle::Exists) => self.replace(&name, text).await,
                Err(Obstacle::Deleted) => match self.restore(&name).await {
                    Ok(()) => self.put(&name, text).await,
                    Err(obstacle) => Err(obstacle),
                },
            };
        }
        match done {
            Ok(()) => Ok(()),
            Err(Obstacle::Failed(error)) => Err(error),
            Err(_) => Err(VaultError::Unavailable("the secret is made and deleted again and again".into())),
        }
    }

    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.delete(key, self.recovery).await
    }

    /// Also what was forgotten and is in its recovery window.
    async fn destroy(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.delete(key, Recovery::None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_none_is_empty() {
        for text in ["", "~", "~~x", "{\"token\":\"t\"}", "plain"] {
            let sealed = escaped(&SecretString::from(text));
            assert!(!sealed.expose_secret().is_empty(), "{text:?}");
            assert_eq!(unescaped(sealed.expose_secret()).expose_secret(), text);
        }
        assert_eq!(escaped(&SecretString::from("{}")).expose_secret(), "{}", "JSON stays readable");
    }

    #[test]
    fn recovery_is_what_secrets_manager_allows() {
        assert_eq!(
            [0, 3, 7, 200].map(Recovery::days),
            [Recovery::None, Recovery::Days(7), Recovery::Days(7), Recovery::Days(30)]
        );
    }
}
