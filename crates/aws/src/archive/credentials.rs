//! The SDK's credentials for `object_store`, so that S3 is asked as whoever asks the other services.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::config::{ProvideCredentials, SharedCredentialsProvider};
use object_store::{CredentialProvider, Error, Result, aws::AwsCredential};
use tokio::sync::Mutex;

/// Credentials that end this soon are fetched anew.
const AHEAD: Duration = Duration::from_secs(60);

/// The chain of providers of an SDK configuration.
#[derive(Debug)]
pub(super) struct SdkCredentials {
    config: SdkConfig,
    provider: Option<SharedCredentialsProvider>,
    /// The last ones that have an end. Others (environment, profile) cost nothing to ask for again.
    kept: Mutex<Option<(SystemTime, Arc<AwsCredential>)>>,
}

impl SdkCredentials {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self { config: config.clone(), provider: config.credentials_provider(), kept: Mutex::default() }
    }

    /// By the SDK's clock, which its own cache of credentials goes by too.
    fn is_fresh(&self, end: SystemTime) -> bool {
        self.config.time_source().unwrap_or_default().now() + AHEAD < end
    }
}

#[async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        if let Some((end, credential)) = &*kept
            && self.is_fresh(*end)
        {
            return Ok(Arc::clone(credential));
        }
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Generic { store: "S3", source };
        let provider = self.provider.as_ref().ok_or_else(|| failed("there are no AWS credentials".into()))?;
        let given = provider.provide_credentials().await.map_err(|error| failed(error.into()))?;
        let credential = Arc::new(AwsCredential {
            key_id: given.access_key_id().to_owned(),
            secret_key: given.secret_access_key().to_owned(),
            token: given.session_token().map(str::to_owned),
        });
        *kept = given.expiry().map(|end| (end, Arc::clone(&credential)));
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::config::Credentials;

    use super::*;

    fn credentials(token: Option<&str>, end: Option<u64>) -> SdkCredentials {
        let end = end.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let given = Credentials::new("id", "secret", token.map(str::to_owned), end, "test");
        let provider = SharedCredentialsProvider::new(given);
        SdkCredentials::new(&SdkConfig::builder().credentials_provider(provider).build())
    }

    #[tokio::test]
    async fn the_sdks_credentials_are_handed_on() {
        let credential = credentials(Some("session"), None).get_credential().await.unwrap();
        let parts = (credential.key_id.as_str(), credential.secret_key.as_str(), credential.token.as_deref());
        assert_eq!(parts, ("id", "secret", Some("session")));
        let none = SdkCredentials::new(&SdkConfig::builder().build());
        assert!(none.get_credential().await.unwrap_err().to_string().contains("no AWS credentials"));
    }

    #[tokio::test]
    async fn what_has_ended_is_fetched_anew() {
        // The end of the year 2099, and a moment long gone.
        for (end, kept) in [(Some(4_102_444_799), true), (Some(1), false), (None, false)] {
            let credentials = credentials(None, end);
            let first = credentials.get_credential().await.unwrap();
            let second = credentials.get_credential().await.unwrap();
            assert_eq!(Arc::ptr_eq(&first, &second), kept, "{end:?}");
        }
    }
}
