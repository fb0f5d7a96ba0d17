//! Putting the adapters of a function together.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fitbridge_core::{
    Engine, Policy,
    domain::{OwnerId, Service},
    engine::Ports,
    ports::{Archive, Clock, Entropy, Files, Ledger, Notifier, Sink, Source, Vault, WorkQueue},
};
use fitbridge_fit::port::FitScanner;
use fitbridge_host::{Paced, SystemClock, SystemEntropy};
use fitbridge_http::{ApiOptions, UrlGuard, api_clients};
use fitbridge_igpsport::{Client, Endpoints, FileHost, IgpsportSource};
use fitbridge_sinks::{
    intervals,
    registry::{Options, all_sinks, webhook_notices},
};
use tokio::time::Instant;
use url::Url;

use super::{Absent, Poller, SinkWorker};
use crate::{
    DynamoLedger,
    context::{Clients, ConnectError, Environment, Problems, VaultChoice, warm},
    ledger::DEFAULT_BUCKETS,
    logs,
    metrics::{Metric, Metrics, MetricsObserver},
    notify::{self, Ses},
    queue::{InProcessQueue, RoutedQueue, SinkQueue},
    vault::{KeyringVault, OpenOnly, OperatorVault, Role, ServiceVault, Side},
};

/// Longest time of a call to a sink; uploads of large files get more, in proportion.
const SINK_TIMEOUT: Duration = Duration::from_secs(40);
/// Polls and resolves at a time, where no rate is set: at 250 ms each, a thousand a second. Each may hold two
/// connections, and a function may have 1,024.
const POLLS_AT_A_TIME: usize = 256;

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment does not do.
    #[error(transparent)]
    Environment(#[from] Problems),
    /// The clients of AWS cannot be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A setting that only its user can judge does not do.
    #[error("{0}")]
    Setting(String),
    /// TLS, or a client, cannot be set up.
    #[error("a client cannot be made: {0}")]
    Client(String),
}

fn client(error: impl std::fmt::Display) -> StartError {
    StartError::Client(error.to_string())
}

/// What every program over the service's storage is made from.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The settings.
    pub environment: Environment,
    /// The clients of AWS.
    pub clients: Clients,
    /// The ledger.
    pub ledger: DynamoLedger,
    /// The vault.
    pub vault: ServiceVault,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    owner: OwnerId,
    guard: Arc<UrlGuard>,
    begun: Instant,
}

impl Parts {
    /// Starts a function: understands these variables, begins its log, and makes its clients. No call is
    /// made.
    pub fn start(function: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, StartError> {
        let variables: BTreeMap<_, _> = variables.into_iter().collect();
        let parsed = Environment::parse(variables.clone());
        logs::init(parsed.as_ref().map_or(tracing::Level::INFO, |environment| environment.log));
        let started = match parsed {
            Ok(environment) => Self::over(function, environment, Clients::of_function(&variables)?),
            Err(problems) => Err(problems.into()),
        };
        match &started {
            Ok(parts) => parts.environment.warnings().iter().for_each(|warning| tracing::warn!("{warning}")),
            Err(error) => tracing::error!("{function} cannot start: {error}"),
        }
        started
    }

    /// From settings and clients that exist.
    pub fn over(function: &str, environment: Environment, clients: Clients) -> Result<Self, StartError> {
        let begun = Instant::now();
        let ledger = DynamoLedger::new(&clients.dynamodb, &environment.table, DEFAULT_BUCKETS);
        let vault = clients.vault(&environment, Arc::new(ledger.clone()), Arc::new(SystemClock));
        let guard = UrlGuard::new(&environment.trusted_hosts);
        let guard = guard.map_err(|error| StartError::Setting(format!("FITBRIDGE_TRUSTED_HOSTS: {error}")))?;
        // Alarms are set on the whole name, so that two services of one account are told apart.
        let metrics = Arc::new(Metrics::new(environment.function.as_deref().unwrap_or(function)));
        metrics.count(Metric::ColdStart);
        // Unique enough: an owner only tells its own claims from those of others.
        let owner =
            OwnerId::from_any(&format!("{function}-{:013x}", (SystemEntropy.fraction() * 2_f64.powi(52)) as u64));
        Ok(Self { environment, clients, ledger, vault, metrics, owner, guard: Arc::new(guard), begun })
    }

    /// The poller function, warmed.
    pub async fn poller(self) -> Result<Poller, StartError> {
        let (local, jobs) = InProcessQueue::new();
        let queue = RoutedQueue::new(Arc::new(local), Arc::new(self.clients.queue(&self.environment)));
        let rate = self.environment.requests_per_second_of_a_shard();
        let source: Arc<dyn Source> = Arc::new(self.source()?);
        let source = match rate {
            Some(rate) => Arc::new(Paced::new(source, rate)),
            None => source,
        };
        // Calls of two seconds keep the pace; more at a time would only wait for their turn.
        let at_a_time = rate.map_or(POLLS_AT_A_TIME, |rate| ((rate * 2.0).ceil() as usize).clamp(2, POLLS_AT_A_TIME));
        let ports = Ports { source, ..self.ports(Arc::new(queue)) };
        let engine = Arc::new(self.engine(ports, self.policy()));
        self.warm(Role::Source).await;
        Ok(Poller::new(engine, jobs, self.metrics, at_a_time, rate))
    }

    /// The sink function, warmed.
    pub async fn sink(self) -> Result<SinkWorker, StartError> {
        let queue = SinkQueue::new(Arc::new(self.clients.queue(&self.environment)));
        let ports = Ports {
            archive: self.archive()?,
            files: self.files()?,
            sinks: self.sinks()?,
            notifiers: self.notifiers()?,
            ..self.ports_with(Arc::new(OpenOnly::new(self.vault.clone())), Arc::new(queue))
        };
        let policy = Policy { calls_source: false, ..self.policy() };
        let engine = Arc::new(self.engine(ports, policy));
        self.warm(Role::Sink).await;
        Ok(SinkWorker::new(engine, self.metrics))
    }

    /// An operator's engine: it may connect riders to anything that the functions can reach, and hands over
    /// what the sink may do. Polls and resolves are left to the poller. Whose account it deletes leaves nothing that can
    /// be restored in bucket and vaults.
    pub fn operator(&self) -> Result<Engine, StartError> {
        let queue = SinkQueue::new(Arc::new(self.clients.queue(&self.environment)));
        let vault = OperatorVault::new(self.vault.clone(), self.clients.per_user_vault(&self.environment));
        let ports = Ports {
            source: Arc::new(self.source()?),
            archive: Arc::new(self.clients.operator_archive(&self.environment).map_err(client)?),
            sinks: self.sinks()?,
            notifiers: self.notifiers()?,
            ..self.ports_with(Arc::new(vault), Arc::new(queue))
        };
        Ok(self.engine(ports, Policy { calls_source: false, ..self.policy() }))
    }

    /// The other vault than the one the environment chose, or the same: for moving secrets between them.
    pub fn vault_of(&self, choice: VaultChoice) -> Side {
        let in_use = choice == self.environment.vault;
        let environment = Environment { vault: choice, ..self.environment.clone() };
        let vault = self.clients.vault(&environment, Arc::new(self.ledger.clone()), Arc::new(SystemClock));
        Side::new(Arc::new(vault), in_use)
    }

    /// The vault over the keyrings of this name, with no ring fetched yet: for turning their keys.
    pub fn keyring(&self, secret: &str) -> KeyringVault {
        self.clients.keyring_vault(secret, Arc::new(self.ledger.clone()), Arc::new(SystemClock))
    }

    /// The first calls, made while the function starts.
    async fn warm(&self, role: Role) {
        warm(&self.ledger, &self.vault, role).await;
        self.metrics.value(Metric::InitMs, self.begun.elapsed().as_secs_f64() * 1000.0);
    }

    /// Ports without source, files, archive and sinks: what a program needs of these it adds.
    pub fn ports(&self, queue: Arc<dyn WorkQueue>) -> Ports {
        self.ports_with(Arc::new(self.vault.clone()), queue)
    }

    fn ports_with(&self, vault: Arc<dyn Vault>, queue: Arc<dyn WorkQueue>) -> Ports {
        let ledger: Arc<dyn Ledger> = Arc::new(self.ledger.clone());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        Ports {
            ledger,
            vault,
            archive: Arc::new(Absent),
            queue,
            source: Arc::new(Absent),
            files: Arc::new(Absent),
            scanner: Arc::new(FitScanner),
            notifiers: BTreeMap::new(),
            sinks: BTreeMap::new(),
            clock,
            entropy,
            observer: Arc::new(MetricsObserver::new(Arc::clone(&self.metrics))),
        }
    }

    /// An engine over these ports, whose claims carry this program's name.
    pub fn engine(&self, ports: Ports, policy: Policy) -> Engine {
        Engine::new(ports, policy, self.owner.clone())
    }

    /// The engine's times and bounds, as the environment has them.
    pub fn policy(&self) -> Policy {
        let rate = self.environment.requests_per_second_of_a_shard();
        Policy {
            shards: self.environment.shards,
            poll_class: self.environment.poll_class,
            adaptive: self.environment.adaptive,
            backfill_per_minute: rate.map(Policy::backfill_share),
            ..Policy::default()
        }
    }

    /// iGPSport, at its own pace.
    pub fn source(&self) -> Result<IgpsportSource, StartError> {
        let environment = &self.environment;
        let endpoints =
            Endpoints::from_texts(environment.igpsport_url.as_deref(), environment.igpsport_china_url.as_deref());
        let endpoints = endpoints.map_err(|error| StartError::Setting(error.to_string()))?;
        // As many connections as are used at a time stay open: each new one would be a handshake of TLS.
        let options = ApiOptions { pool_per_host: POLLS_AT_A_TIME, ..ApiOptions::default() };
        let http = api_clients(&options).map_err(client)?;
        Ok(IgpsportSource::over(endpoints.into_iter().map(|endpoints| Client::over(http.clone(), endpoints))))
    }

    /// The file host.
    pub fn files(&self) -> Result<Arc<dyn Files>, StartError> {
        Ok(Arc::new(FileHost::new(Arc::clone(&self.guard)).map_err(client)?))
    }

    /// The archive.
    pub fn archive(&self) -> Result<Arc<dyn Archive>, StartError> {
        Ok(Arc::new(self.clients.archive(&self.environment).map_err(client)?))
    }

    /// The ways to tell riders: by webhook, and by mail where a sender is set.
    pub fn notifiers(&self) -> Result<BTreeMap<Service, Arc<dyn Notifier>>, StartError> {
        let webhook = webhook_notices(Arc::clone(&self.guard), Arc::new(SystemClock), SINK_TIMEOUT).map_err(client)?;
        let webhook: Arc<dyn Notifier> = Arc::new(webhook);
        let mut notifiers = BTreeMap::from([(Service::from_any(fitbridge_sinks::webhook::SERVICE), webhook)]);
        if let Some(sender) = &self.environment.mail_sender {
            let endpoint = self.environment.ses_endpoint.as_deref();
            let ses = Ses::new(self.clients.config(), sender, endpoint).map_err(client)?;
            notifiers.insert(Service::from_any(notify::CHANNEL), Arc::new(ses));
        }
        Ok(notifiers)
    }

    /// The sinks that a function can reach: all but a folder, which would be gone with the function.
    pub fn sinks(&self) -> Result<BTreeMap<Service, Arc<dyn Sink>>, StartError> {
        let intervals = self.environment.intervals_url.as_deref().unwrap_or(intervals::DEFAULT_URL);
        let options = Options {
            intervals_url: Url::parse(intervals).map_err(client)?,
            guard: Arc::clone(&self.guard),
            clock: Arc::new(SystemClock),
            timeout: SINK_TIMEOUT,
        };
        let mut sinks = all_sinks(options).map_err(client)?;
        sinks.remove(&Service::from_any(fitbridge_sinks::folder::SERVICE));
        Ok(sinks)
    }
}
