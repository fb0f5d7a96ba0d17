//! Name resolution that only gives public addresses.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::addr::is_public;

/// Where addresses come from; a seam, so that tests can play a hostile name server.
pub(crate) trait Lookup: Send + Sync + 'static {
    /// All addresses of a name, port 0.
    fn lookup(&self, name: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }
}

/// A name led only to addresses that are not public.
#[derive(Debug)]
pub(crate) struct NoPublicAddress;

impl fmt::Display for NoPublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to no public address")
    }
}

impl std::error::Error for NoPublicAddress {}

/// Drops every address that is not public. The client connects to what this returns and asks
/// nobody else, so a second, different DNS answer changes nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublicResolver<L>(pub(crate) L);

impl<L: Lookup> Resolve for PublicResolver<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.lookup(name.as_str().to_owned());
        Box::pin(async move {
            let public: Vec<SocketAddr> = found.await?.into_iter().filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(NoPublicAddress.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<SocketAddr>);

    impl Lookup for Fixed {
        fn lookup(&self, _: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>> {
            let addresses = self.0.clone();
            Box::pin(async move { Ok(addresses) })
        }
    }

    async fn resolve(addresses: &[&str]) -> Option<Vec<String>> {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let resolver = PublicResolver(Fixed(addresses));
        let found = resolver.resolve("rebind.example".parse().unwrap()).await;
        found.ok().map(|list| list.map(|a| a.to_string()).collect())
    }

    #[tokio::test]
    async fn private_answers_are_dropped() {
        let mixed = resolve(&["10.0.0.1:0", "8.8.8.8:0", "[::1]:0"]).await;
        assert_eq!(mixed, Some(vec!["8.8.8.8:0".to_owned()]));
        assert_eq!(resolve(&["127.0.0.1:0", "[fd00::1]:0"]).await, None);
        assert_eq!(resolve(&[]).await, None);
    }
}
