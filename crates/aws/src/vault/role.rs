//! Which function a secret is for.

use std::fmt;

use fitbridge_core::domain::ConnectionId;

/// Services that are sources; all others are sinks. A connection's id starts with its service
/// ([`fitbridge_core::domain::RemoteAccount::connection_id`]), so the id tells the role, and a key of the
/// vault needs no field for it.
const SOURCES: &[&str] = &["igpsport"];

/// The side of a connection, which decides the function that may open its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Rides come from there: for the poller.
    Source,
    /// Rides go there: for the sink.
    Sink,
}

impl Role {
    /// The role of a connection.
    pub fn of(connection: &ConnectionId) -> Self {
        let service = connection.as_str().split('-').next().unwrap_or_default();
        if SOURCES.contains(&service) { Self::Source } else { Self::Sink }
    }

    /// As it stands in the names of secrets.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use fitbridge_core::domain::{RemoteAccount, Service};

    use super::*;

    #[test]
    fn the_service_decides() {
        let role = |service: &str, account: &str| {
            let service = Service::new(service).unwrap();
            Role::of(&RemoteAccount { service, realm: "global".into(), account: account.into() }.connection_id())
        };
        assert_eq!(role("igpsport", "12"), Role::Source);
        assert_eq!(role("igpsport", "no id/at all"), Role::Source);
        assert_eq!(role("intervals", "i12"), Role::Sink);
        assert_eq!(role("webhook", "https://igpsport-x.example/"), Role::Sink);
        assert_eq!(role("igpsports", "12"), Role::Sink);
    }
}
