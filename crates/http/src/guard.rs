//! The guard that every URL from outside passes.

use std::collections::HashSet;
use std::net::IpAddr;

use url::{Host, Url};

use crate::addr::is_public;

/// Longest URL that is considered at all, in bytes; presigned links stay well below.
const MAX_URL_BYTES: usize = 8 * 1024;

/// Endings of names that never mean a host on the public Internet (RFC 6761, RFC 6762, RFC 8375,
/// and what home routers and clouds use).
const LOCAL_SUFFIXES: [&str; 10] =
    ["localhost", "local", "localdomain", "internal", "intranet", "home.arpa", "lan", "home", "corp", "onion"];

/// Admits https URLs of public hosts, and the hosts that the operator trusts by name and port.
///
/// The guard sees names; where a name leads is checked when it is resolved (see
/// [`GuardedClient`](crate::GuardedClient)). Only both together keep a request out of a private
/// network.
#[derive(Debug, Clone, Default)]
pub struct UrlGuard {
    trusted: HashSet<(Host<String>, u16)>,
}

/// Why a URL was refused. Never carries the URL, which may hold secrets in path and query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// It is not a URL, or one that parsers read differently.
    #[error("not a valid URL: {0}")]
    Invalid(&'static str),
    /// Anything but https, for a host that is not trusted.
    #[error("only https addresses are admitted, this one is {0}")]
    Scheme(String),
    /// A user name or password inside the URL.
    #[error("addresses with a user name or password are not admitted")]
    UserInfo,
    /// A URL without a host.
    #[error("the address names no host")]
    NoHost,
    /// A literal address that is loopback, private, reserved or wraps such a one.
    #[error("{0} is not a public address")]
    NotPublic(IpAddr),
    /// A name that only means something inside a network.
    #[error("`{0}` is a name of a local network")]
    LocalName(String),
}

/// An entry of the list of trusted hosts that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is not a trusted host: write host:port, for example 127.0.0.1:8080")]
pub struct TrustedHostError {
    /// The entry as it was given.
    pub entry: String,
}

impl UrlGuard {
    /// A guard that additionally admits each of the `host:port` pairs, also over plain http.
    ///
    /// # Errors
    /// The first entry that is not `host:port`.
    pub fn new(trusted: &[String]) -> Result<Self, TrustedHostError> {
        let trusted = trusted.iter().map(|entry| host_and_port(entry.trim())).collect::<Result<_, _>>()?;
        Ok(Self { trusted })
    }

    /// Reads a URL from outside and checks it.
    ///
    /// # Errors
    /// What is wrong with it; also white space, control characters and backslashes, which parsers
    /// are known to read differently.
    pub fn parse(&self, text: &str) -> Result<Url, GuardError> {
        if text.len() > MAX_URL_BYTES {
            return Err(GuardError::Invalid("too long"));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(GuardError::Invalid("white space, control character or backslash"));
        }
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::EmptyHost => GuardError::NoHost,
            url::ParseError::RelativeUrlWithoutBase => GuardError::Invalid("no scheme"),
            url::ParseError::InvalidPort => GuardError::Invalid("bad port"),
            _ => GuardError::Invalid("bad host"),
        })?;
        self.check(&url)?;
        Ok(url)
    }

    /// Checks a URL.
    ///
    /// # Errors
    /// What is wrong with it. `Ok` does not yet mean that the name leads to a public address.
    pub fn check(&self, url: &Url) -> Result<(), GuardError> {
        if !matches!(url.scheme(), "https" | "http") {
            return Err(GuardError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(GuardError::UserInfo);
        }
        if self.is_trusted(url) {
            return Ok(());
        }
        if url.scheme() != "https" {
            return Err(GuardError::Scheme(url.scheme().to_owned()));
        }
        match url.host().ok_or(GuardError::NoHost)? {
            Host::Ipv4(address) => public(address.into()),
            Host::Ipv6(address) => public(address.into()),
            Host::Domain(name) => public_name(name),
        }
    }

    /// Whether the URL's host and port are in the list of trusted hosts.
    #[must_use]
    pub fn is_trusted(&self, url: &Url) -> bool {
        match (url.host(), url.port_or_known_default()) {
            (Some(host), Some(port)) => self.trusted.contains(&(host.to_owned(), port)),
            _ => false,
        }
    }
}

fn host_and_port(entry: &str) -> Result<(Host<String>, u16), TrustedHostError> {
    let refuse = || TrustedHostError { entry: entry.to_owned() };
    let (host, port) = entry.rsplit_once(':').ok_or_else(refuse)?;
    let port = port.parse().map_err(|_| refuse())?;
    let host = Host::parse(host).map_err(|_| refuse())?;
    Ok((host, port))
}

fn public(address: IpAddr) -> Result<(), GuardError> {
    if is_public(address) { Ok(()) } else { Err(GuardError::NotPublic(address)) }
}

fn public_name(name: &str) -> Result<(), GuardError> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.is_empty() {
        return Err(GuardError::NoHost);
    }
    // Resolvers read a name such as `printer..` each in its own way.
    if bare.split('.').any(str::is_empty) {
        return Err(GuardError::Invalid("an empty part in the host's name"));
    }
    let local = !bare.contains('.')
        || LOCAL_SUFFIXES
            .iter()
            .any(|suffix| bare.strip_suffix(suffix).is_some_and(|front| front.is_empty() || front.ends_with('.')));
    if local { Err(GuardError::LocalName(bare.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn guard(trusted: &[&str]) -> UrlGuard {
        let trusted: Vec<String> = trusted.iter().map(ToString::to_string).collect();
        UrlGuard::new(&trusted).unwrap()
    }

    #[test]
    fn public_https_passes() {
        let guard = guard(&[]);
        for url in [
            "https://example.org/a/b?c=d#e",
            "https://example.org:8443/",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/",
            "https://example.org./",
        ] {
            assert!(guard.parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn each_refusal_says_why() {
        let guard = guard(&[]);
        for (url, starts) in [
            ("http://example.org/", "only https"),
            ("ftp://example.org/", "only https"),
            ("file:///etc/passwd", "only https"),
            ("https://user@example.org/", "addresses with a user name"),
            ("https://user:pw@example.org/", "addresses with a user name"),
            ("https://:pw@example.org/", "addresses with a user name"),
            ("https://", "the address names no host"),
            ("example.org/x", "not a valid URL"),
            ("https://exa mple.org/", "not a valid URL"),
            ("https://example.org\\@10.0.0.1/", "not a valid URL"),
            ("https://example.org:99999/", "not a valid URL"),
            ("https://localhost/", "`localhost` is a name"),
            ("https://LOCALHOST./", "`localhost` is a name"),
            ("https://a.localhost/", "`a.localhost` is a name"),
            ("https://printer/", "`printer` is a name"),
            ("https://printer\u{ff0e}\u{ff0e}/", "not a valid URL: an empty part"),
            ("https://example..org/", "not a valid URL: an empty part"),
            ("https://nas.local/", "`nas.local` is a name"),
            ("https://metadata.google.internal/", "`metadata.google.internal` is a name"),
            ("https://169.254.169.254/latest/meta-data", "169.254.169.254 is not a public"),
            ("https://2130706433/", "127.0.0.1 is not a public"),
            ("https://0x7f.1/", "127.0.0.1 is not a public"),
            ("https://0177.0.0.1/", "127.0.0.1 is not a public"),
            ("https://127.1/", "127.0.0.1 is not a public"),
            ("https://①②⑦.0.0.1/", "127.0.0.1 is not a public"),
            ("https://[::ffff:10.0.0.1]/", "::ffff:10.0.0.1 is not a public"),
            ("https://0/", "0.0.0.0 is not a public"),
        ] {
            let error = guard.parse(url).unwrap_err().to_string();
            assert!(error.starts_with(starts), "{url}: {error}");
        }
        let long = format!("https://example.org/{}", "a".repeat(MAX_URL_BYTES));
        assert!(matches!(guard.parse(&long), Err(GuardError::Invalid(_))));
    }

    #[test]
    fn trust_is_by_host_and_port() {
        let guard = guard(&["127.0.0.1:8080", "[::1]:9090", "nas.local:443", "plain:80"]);
        for url in [
            "http://127.0.0.1:8080/x",
            "https://127.0.0.1:8080/x",
            "http://[::1]:9090/",
            "https://nas.local/",
            "http://plain/",
        ] {
            assert!(guard.parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://127.0.0.1:8081/",
            "http://127.0.0.1/",
            "http://nas.local/",
            "https://plain/",
            "http://user@127.0.0.1:8080/",
            "ftp://127.0.0.1:8080/",
        ] {
            assert!(guard.parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_bad_trusted_entry_is_named() {
        for entry in ["", "host", "host:", "host:x", "::1:80", "http://h:80", "h:70000"] {
            let error = UrlGuard::new(&[entry.to_owned()]).unwrap_err();
            assert_eq!(error.entry, entry);
        }
    }

    /// The ranges as networks, independent of how `is_public` is written.
    const NOT_PUBLIC: [(Ipv4Addr, u32); 14] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),
        (Ipv4Addr::new(10, 0, 0, 0), 8),
        (Ipv4Addr::new(100, 64, 0, 0), 10),
        (Ipv4Addr::new(127, 0, 0, 0), 8),
        (Ipv4Addr::new(169, 254, 0, 0), 16),
        (Ipv4Addr::new(172, 16, 0, 0), 12),
        (Ipv4Addr::new(192, 0, 0, 0), 24),
        (Ipv4Addr::new(192, 0, 2, 0), 24),
        (Ipv4Addr::new(192, 168, 0, 0), 16),
        (Ipv4Addr::new(198, 18, 0, 0), 15),
        (Ipv4Addr::new(198, 51, 100, 0), 24),
        (Ipv4Addr::new(203, 0, 113, 0), 24),
        (Ipv4Addr::new(224, 0, 0, 0), 4),
        (Ipv4Addr::new(240, 0, 0, 0), 4),
    ];

    proptest! {
        #[test]
        fn no_spelling_of_a_private_address_passes(pick in 0..NOT_PUBLIC.len(), low: u32) {
            let (network, prefix) = NOT_PUBLIC[pick];
            let bits = u32::from(network) | (low & u32::MAX.checked_shr(prefix).unwrap_or(0));
            let address = Ipv4Addr::from(bits);
            let [a, b, c, d] = address.octets();
            let (high, small) = ((bits >> 16) as u16, bits as u16);
            let wrapped = [
                address.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, small),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, small),
                Ipv6Addr::new(0x2002, high, small, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, high, small, 0, 0, !high, !small),
            ];
            let guard = UrlGuard::default();
            let spellings = [
                format!("https://{address}/"),
                format!("https://{bits}/"),
                format!("https://{bits:#x}/"),
                format!("https://0{bits:o}/"),
                format!("https://{a:#x}.{b:#x}.{c:#x}.{d:#x}/"),
                format!("https://0{a:o}.0{b:o}.0{c:o}.0{d:o}/"),
                format!("https://{a}.{}/", bits & 0xff_ffff),
            ].into_iter().chain(wrapped.iter().map(|v6| format!("https://[{v6}]/")));
            for url in spellings {
                prop_assert!(guard.parse(&url).is_err(), "{}", url);
            }
        }

        #[test]
        fn an_admitted_literal_is_public(text in "https://[0-9a-fx:.\\[\\]]{1,24}/") {
            if let Ok(url) = UrlGuard::default().parse(&text) {
                match url.host() {
                    Some(Host::Ipv4(v4)) => prop_assert!(is_public(v4.into())),
                    Some(Host::Ipv6(v6)) => prop_assert!(is_public(v6.into())),
                    _ => {}
                }
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,64}") {
            let _ = UrlGuard::default().parse(&text);
        }
    }
}
