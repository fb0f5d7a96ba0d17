//! Addresses and headers from outside.

use std::{net::IpAddr, time::Duration};

use fitbridge_http::{UrlGuard, retry_after};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER as HEADER};
use url::{Host, Url};

use super::{Target, text, texts};

/// The guard of every address that somebody else chose.
pub(super) const GUARD: Target = Target {
    name: "url_guard",
    seeds: || {
        texts(&[
            "https://example.org/rides?x=1#y",
            "https://example.org:8443/",
            "https://127.0.0.1/",
            "https://[::ffff:10.0.0.1]:443/a",
            "http://trusted.example:8080/",
            "https://user:pw@example.org/",
            "https://0x7f.1/",
            "https://nas.local./",
        ])
    },
    corpus: None,
    words: &[
        b"https://",
        b"http://",
        b"@",
        b"\\",
        b"%2e",
        b"[::1]",
        b"0x7f.1",
        b"2130706433",
        b"169.254.169.254",
        b"localhost",
        b".local",
        b"\xe3\x80\x82",
        b"\xef\xbc\x8e",
        b"\xc2\xad",
        b"\t",
        b":0",
    ],
    check: guarded,
};

/// The pause that a server asks for.
pub(super) const RETRY_AFTER: Target = Target {
    name: "retry_after",
    seeds: || texts(&["120", "Wed, 21 Oct 2026 07:28:00 GMT", "1.5", "-1", "99999999999999999999"]),
    corpus: None,
    words: &[b"GMT", b"Mon, ", b"0", b"18446744073709551615"],
    check: paused,
};

fn guarded(bytes: &[u8]) -> String {
    let text = text(bytes);
    let guard = UrlGuard::new(&["trusted.example:8080".to_owned()]).unwrap_or_default();
    let url = match guard.parse(&text) {
        Ok(url) => url,
        Err(error) => {
            let told = error.to_string();
            return told.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
        }
    };
    assert!(url.username().is_empty() && url.password().is_none());
    let again = Url::parse(url.as_str());
    assert_eq!(again.as_ref(), Ok(&url), "read again it is another address");
    let is_trusted = url.host_str() == Some("trusted.example") && url.port_or_known_default() == Some(8080);
    assert!(url.scheme() == "https" || (is_trusted && url.scheme() == "http"), "{url}");
    let kind = match url.host() {
        Some(Host::Ipv4(address)) => literal(address.into()),
        Some(Host::Ipv6(address)) => literal(address.into()),
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            assert!(!name.is_empty() && !name.ends_with('.') && !name.contains(".."), "{name}");
            assert!(is_trusted || name.contains('.'), "{name} is a name of a local network");
            let last = name.rsplit('.').next().unwrap_or_default();
            assert!(!matches!(last, "local" | "localhost" | "internal" | "lan"), "{name}");
            "name"
        }
        None => panic!("admitted without a host: {url}"),
    };
    format!("admitted {kind} {} {}", url.port().is_some(), url.query().is_some())
}

fn literal(address: IpAddr) -> &'static str {
    let bad = match address {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.to_ipv4_mapped().is_some()
        }
    };
    assert!(!bad, "{address} is not public");
    "address"
}

fn paused(bytes: &[u8]) -> String {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return "no header".into() };
    let headers = HeaderMap::from_iter([(HEADER, value)]);
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    match retry_after(&headers, Some(now)) {
        None => "none".into(),
        Some(pause) => format!("{} digits", pause.as_secs().checked_ilog10().unwrap_or(0)),
    }
}
