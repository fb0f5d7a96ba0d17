//! The two kinds of client.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder};
use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_platform_verifier::BuilderVerifierExt;
use url::Url;

use crate::guard::{GuardError, UrlGuard};
use crate::resolve::{Lookup, PublicResolver, SystemLookup};

/// What our requests call themselves.
pub const USER_AGENT: &str = concat!("fitbridge/", env!("CARGO_PKG_VERSION"));

/// A client could not be built: the platform's TLS or certificates are not usable.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built: {0}")]
pub struct BuildError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl From<reqwest::Error> for BuildError {
    fn from(error: reqwest::Error) -> Self {
        Self(error.into())
    }
}

impl From<rustls::Error> for BuildError {
    fn from(error: rustls::Error) -> Self {
        Self(error.into())
    }
}

/// How long a connection is kept that nobody uses. Shorter than the minute between two ticks: a function is frozen
/// meanwhile, and does not see that the other side has closed it.
const KEPT_IDLE: Duration = Duration::from_secs(20);

/// Settings of a client for an API whose host the program names itself.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Longest time until connected.
    pub connect_timeout: Duration,
    /// Longest time of a whole call, from connecting to the last byte of the answer.
    pub total_timeout: Duration,
    /// Idle connections kept for each host.
    pub pool_per_host: usize,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), total_timeout: Duration::from_secs(30), pool_per_host: 16 }
    }
}

/// Builds a client for an API: no redirects followed, no proxy taken from the environment, answers
/// decompressed (bound them with [`read_bounded`](crate::read_bounded)).
///
/// # Errors
/// [`BuildError`] when TLS cannot be set up.
pub fn api_client(options: &ApiOptions) -> Result<Client, BuildError> {
    Ok(base(options.connect_timeout, options.total_timeout)?
        .pool_max_idle_per_host(options.pool_per_host)
        .gzip(true)
        .build()?)
}

/// The clients of one API, with the same settings.
#[derive(Debug, Clone)]
pub struct ApiClients {
    /// Keeps its connections for the next calls.
    pub kept: Client,
    /// Makes a connection of its own for each call: for what must not be sent on one that may be dead without
    /// anybody having noticed.
    pub fresh: Client,
}

/// Builds the clients of an API, each as [`api_client`] does.
///
/// # Errors
/// [`BuildError`] when TLS cannot be set up.
pub fn api_clients(options: &ApiOptions) -> Result<ApiClients, BuildError> {
    let fresh = ApiOptions { pool_per_host: 0, ..options.clone() };
    Ok(ApiClients { kept: api_client(options)?, fresh: api_client(&fresh)? })
}

/// Builds a client for a store whose files are taken as they are: as [`api_client`], but nothing is
/// decompressed.
///
/// # Errors
/// [`BuildError`] when TLS cannot be set up.
pub fn store_client(options: &ApiOptions) -> Result<Client, BuildError> {
    Ok(base(options.connect_timeout, options.total_timeout)?
        .pool_max_idle_per_host(options.pool_per_host)
        .no_gzip()
        .build()?)
}

/// Settings of a client for addresses from outside.
#[derive(Debug, Clone)]
pub struct GuardedOptions {
    /// Longest time until connected.
    pub connect_timeout: Duration,
    /// Longest time of a whole call; a single request may set its own.
    pub total_timeout: Duration,
}

impl Default for GuardedOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), total_timeout: Duration::from_secs(30) }
    }
}

/// A client for addresses from outside: each request passes the [`UrlGuard`], redirects are not
/// followed, bodies are not decompressed.
///
/// Trusted hosts have a connection pool and resolver of their own, so trust in `nas.local:8080`
/// opens no other port of that machine.
#[derive(Debug, Clone)]
pub struct GuardedClient {
    guard: Arc<UrlGuard>,
    public: Client,
    trusted: Client,
}

/// Builds a client for addresses from outside.
///
/// # Errors
/// [`BuildError`] when TLS cannot be set up.
pub fn guarded_client(guard: Arc<UrlGuard>, options: &GuardedOptions) -> Result<GuardedClient, BuildError> {
    guarded_with(guard, options, SystemLookup)
}

pub(crate) fn guarded_with<L: Lookup>(
    guard: Arc<UrlGuard>,
    options: &GuardedOptions,
    lookup: L,
) -> Result<GuardedClient, BuildError> {
    let plain = || Ok::<_, BuildError>(base(options.connect_timeout, options.total_timeout)?.no_gzip());
    let public = plain()?.https_only(true).dns_resolver(PublicResolver(lookup)).build()?;
    let trusted = plain()?.build()?;
    Ok(GuardedClient { guard, public, trusted })
}

impl GuardedClient {
    /// Starts a request, when the guard admits the address.
    ///
    /// # Errors
    /// Why the address is refused.
    pub fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, GuardError> {
        self.guard.check(url)?;
        let client = if self.guard.is_trusted(url) { &self.trusted } else { &self.public };
        Ok(client.request(method, url.clone()))
    }

    /// The guard in force.
    #[must_use]
    pub fn guard(&self) -> &UrlGuard {
        &self.guard
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where clients are built")]
fn base(connect_timeout: Duration, total_timeout: Duration) -> Result<ClientBuilder, BuildError> {
    Ok(Client::builder()
        .user_agent(USER_AGENT)
        .tls_backend_preconfigured(tls()?)
        .redirect(Policy::none())
        .referer(false)
        // A proxy would resolve names itself and see what the guard must decide.
        .no_proxy()
        .connect_timeout(connect_timeout)
        .timeout(total_timeout)
        .pool_idle_timeout(KEPT_IDLE)
        .tcp_nodelay(true))
}

/// TLS as all clients have it, with the platform's trust. Made once: the trust store is read and understood
/// each time, which costs a millisecond or more, and a function has half a dozen clients.
fn tls() -> Result<ClientConfig, rustls::Error> {
    static TLS: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(tls.clone());
    }
    let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TLS.get_or_init(|| tls).clone())
}
