//! The one place where HTTP clients are built.
//!
//! Two kinds of client leave this crate, and the difference is who chose the address:
//!
//! - [`api_client`] talks to hosts that the program itself names. It follows no redirects, reads no
//!   proxy variables and has bounded time.
//! - [`GuardedClient`] talks to addresses that came from outside (a file's location, a webhook).
//!   Every URL passes the [`UrlGuard`], and name resolution drops addresses that are not public, so
//!   the address that was checked is the address that is connected to.
//!
//! [`download()`] builds on the second: redirects by hand and guarded, bounded bytes, bounded time,
//! and no credentials whatever.

mod addr;
mod body;
mod client;
mod download;
mod guard;
mod resolve;
mod transport;

pub use addr::is_public;
pub use body::{BodyError, BodyKind, read_bounded, retry_after, sniff};
pub use client::{
    ApiClients, ApiOptions, BuildError, GuardedClient, GuardedOptions, USER_AGENT, api_client, api_clients,
    guarded_client, store_client,
};
pub use download::{Download, DownloadError, DownloadLimits, RedirectProblem, download};
pub use guard::{GuardError, TrustedHostError, UrlGuard};
pub use transport::TransportError;
