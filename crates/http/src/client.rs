//! The two kinds of client.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder};
use url::Url;

use crate::guard::{GuardError, UrlGuard};
use crate::resolve::{Lookup, PublicResolver, SystemLookup};

/// What our requests call themselves.
pub const USER_AGENT: &str = concat!("fitbridge/", env!("CARGO_PKG_VERSION"));

/// A client could not be built: the platform's TLS or certificates are not usable.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built: {0}")]
pub struct BuildError(#[source] reqwest::Error);

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
    base(options.connect_timeout, options.total_timeout)
        .pool_max_idle_per_host(options.pool_per_host)
        .gzip(true)
        .build()
        .map_err(BuildError)
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
    let plain = || base(options.connect_timeout, options.total_timeout).no_gzip();
    let public = plain().https_only(true).dns_resolver(PublicResolver(lookup)).build().map_err(BuildError)?;
    let trusted = plain().build().map_err(BuildError)?;
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
fn base(connect_timeout: Duration, total_timeout: Duration) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .referer(false)
        // A proxy would resolve names itself and see what the guard must decide.
        .no_proxy()
        .connect_timeout(connect_timeout)
        .timeout(total_timeout)
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
}
