//! The clients of AWS, made once from one configuration, and the adapters over them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_sqs::{
    config::{ProvideCredentials, SharedCredentialsProvider},
    error::DisplayErrorContext,
};
use fitbridge_core::{
    domain::Shard,
    ports::{ArchiveError, Clock, Key, Ledger},
};
use fitbridge_http::BuildError;

use super::{
    environment::{Environment, VaultChoice},
    http::{SdkHttp, unwatched},
};
use crate::{
    archive::{OperatorArchive, S3Archive},
    queue::SqsQueue,
    vault::{KeySource, KeyringVault, PerUserSecretVault, Recovery, Role, SecretsManagerKeys, ServiceVault},
};

/// Why there are no clients.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No region is configured.
    #[error("no AWS region is configured: set AWS_REGION, or a region in the profile")]
    NoRegion,
    /// Nobody is signed in, or what signed in does not do any more.
    #[error(
        "no AWS credentials are to be had: run `aws sso login` (for a profile with a name, `export AWS_PROFILE=NAME` \
         first), or, however you sign in, eval \"$(aws configure export-credentials --format env)\" ({0})"
    )]
    NoCredentials(String),
    /// TLS cannot be set up.
    #[error("a client cannot be made: {0}")]
    Tls(#[from] BuildError),
}

/// The clients. They share one configuration and with it their connections and credentials. Where they ask
/// is decided by the environment as the SDKs read it (`AWS_REGION`, `AWS_ENDPOINT_URL`,
/// `AWS_ENDPOINT_URL_DYNAMODB`, …), never here.
#[derive(Debug, Clone)]
pub struct Clients {
    config: SdkConfig,
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Secrets Manager.
    pub secrets: aws_sdk_secretsmanager::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
}

impl Clients {
    /// For programs of people: reads the SDKs' configuration (environment, profile, metadata service), makes the
    /// clients, and looks whether anybody is signed in: said here it names the way out, and not at the first call
    /// of whatever service that happens to be. Profiles of `aws configure sso` need the feature `profiles`.
    ///
    /// # Errors
    /// [`ConnectError`], with what is missing.
    pub async fn connect() -> Result<Self, ConnectError> {
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(SdkHttp::new()?)
            .stalled_stream_protection(unwatched())
            .retry_config(retries())
            .timeout_config(timeouts())
            .load()
            .await;
        if config.region().is_none() {
            return Err(ConnectError::NoRegion);
        }
        let nobody = || ConnectError::NoCredentials("no provider of credentials is configured".to_owned());
        let provider = config.credentials_provider().ok_or_else(nobody)?;
        let given = provider.provide_credentials().await;
        given.map_err(|error| ConnectError::NoCredentials(DisplayErrorContext(error).to_string()))?;
        Ok(Self::new(config))
    }

    /// For functions: region, credentials and endpoints from the variables that Lambda sets. No profile, no
    /// metadata service and no other role is looked for, and nothing of that is in the program, which would
    /// only make a cold start longer. No call is made.
    pub fn of_function(variables: &BTreeMap<String, String>) -> Result<Self, ConnectError> {
        let given = |name: &str| variables.get(name).filter(|text| !text.is_empty()).cloned();
        let region = given("AWS_REGION").or_else(|| given("AWS_DEFAULT_REGION")).ok_or(ConnectError::NoRegion)?;
        let http = SdkHttp::new()?;
        let config = |service: &str| {
            let endpoint = given(&format!("AWS_ENDPOINT_URL{service}")).or_else(|| given("AWS_ENDPOINT_URL"));
            let mut config = SdkConfig::builder();
            config.set_endpoint_url(endpoint);
            config
                .behavior_version(BehaviorVersion::v2026_01_12())
                .http_client(http.clone())
                .stalled_stream_protection(unwatched())
                .region(Region::new(region.clone()))
                .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
                .retry_config(retries())
                .timeout_config(timeouts())
                .build()
        };
        Ok(Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&config("_DYNAMODB")),
            secrets: aws_sdk_secretsmanager::Client::new(&config("_SECRETS_MANAGER")),
            sqs: aws_sdk_sqs::Client::new(&config("_SQS")),
            config: config(""),
        })
    }

    /// The clients of a configuration.
    pub fn new(config: SdkConfig) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            config,
        }
    }

    /// The configuration they were made from.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The vault that the environment chose. `ledger` and `clock` are what a keyring's ciphertext and age
    /// need.
    pub fn vault(&self, environment: &Environment, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> ServiceVault {
        match &environment.vault {
            VaultChoice::PerUserSecret => ServiceVault::PerUserSecret(self.per_user_vault(environment)),
            VaultChoice::Keyring { secret } => ServiceVault::Keyring(self.keyring_vault(secret, ledger, clock)),
        }
    }

    /// The vault with a secret per connection.
    pub fn per_user_vault(&self, environment: &Environment) -> PerUserSecretVault {
        let recovery = Recovery::days(environment.secret_recovery_days);
        PerUserSecretVault::new(self.secrets.clone(), environment.secret_prefix.as_str(), recovery)
    }

    /// The vault over the keyrings of both roles.
    pub fn keyring_vault(&self, secret: &str, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> KeyringVault {
        let rings = self.keyrings(secret).into_iter().map(|(role, keys)| {
            let source: Arc<dyn KeySource> = Arc::new(keys);
            (role, source)
        });
        KeyringVault::new(ledger, clock, rings)
    }

    /// The keyrings of both roles, in the secrets `{secret}/source` and `{secret}/sink`. Which of them a
    /// function can read is decided by its rights.
    pub fn keyrings(&self, secret: &str) -> BTreeMap<Role, SecretsManagerKeys> {
        let keys = |role: Role| SecretsManagerKeys::new(self.secrets.clone(), format!("{secret}/{role}"));
        [Role::Source, Role::Sink].map(|role| (role, keys(role))).into()
    }

    /// The queue of jobs.
    pub fn queue(&self, environment: &Environment) -> SqsQueue {
        SqsQueue::new(self.sqs.clone(), &environment.queue_url)
    }

    /// The archive.
    pub fn archive(&self, environment: &Environment) -> Result<S3Archive, ArchiveError> {
        S3Archive::new(&self.config, &environment.bucket, environment.s3_endpoint.as_deref())
    }

    /// The archive of an operator, who ends accounts.
    pub fn operator_archive(&self, environment: &Environment) -> Result<OperatorArchive, ArchiveError> {
        OperatorArchive::new(&self.config, &environment.bucket, environment.s3_endpoint.as_deref())
    }
}

/// Longest time that a function warms itself for. Lambda gives it ten seconds to start, and kills it then.
const WARMING: Duration = Duration::from_secs(3);

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3)
}

/// Shorter than the functions' own time, so that a call that hangs leaves room for another.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(15))
        .build()
}

/// Makes the first calls of a function while it starts, side by side, since the first connection is what a
/// cold start costs most: a read of the ledger (a cursor that need not be there) and, where there is one,
/// the keyring. What fails here is only logged; the work itself meets it again. SQS and S3 are not warmed:
/// their first call shares what is slow (trust store, random numbers) with these.
pub async fn warm(ledger: &dyn Ledger, vault: &ServiceVault, role: Role) {
    let cursor = Key::cursor(Shard(0));
    let calls = async { futures::join!(ledger.get(&cursor), vault.warm(role)) };
    let Ok((read, ring)) = tokio::time::timeout(WARMING, calls).await else {
        tracing::warn!("neither ledger nor vault may be warm: they did not answer in time");
        return;
    };
    if let Err(error) = read {
        tracing::warn!(%error, "the ledger could not be warmed: {error}");
    }
    if let Err(error) = ring {
        tracing::warn!(%error, "the vault could not be warmed: {error}");
    }
}
