//! Identifiers. A bare `String` never crosses a port.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest identifier that is accepted, in bytes.
pub const MAX_ID_LEN: usize = 128;

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} must be 1 to {MAX_ID_LEN} letters, digits, '.', '_' or '-'")]
pub struct IdError {
    kind: &'static str,
    text: String,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text: 1 to 128 of `[A-Za-z0-9._-]`.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
                if text.is_empty() || text.len() > MAX_ID_LEN || !text.bytes().all(plain) {
                    let text = text.chars().take(40).collect();
                    return Err(IdError { kind: $kind, text });
                }
                Ok(Self(text))
            }

            /// An identifier for any text: the text itself where it is one, else a digest of it.
            pub fn from_any(text: &str) -> Self {
                Self::new(text).unwrap_or_else(|_| Self(format!("x{}", short_digest(text.as_bytes()))))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

text_id!(
    /// A rider of this installation.
    UserId, "user"
);
text_id!(
    /// One connection of a rider. It follows from the remote account, so that connecting the same account
    /// again finds the same connection and sends nothing twice.
    ConnectionId, "connection"
);
text_id!(
    /// One ride of a rider. It follows from where the ride came from (connection and ride id, or the digest
    /// of an imported file), so that the record's key is also what makes it unique.
    ActivityId, "activity"
);
text_id!(
    /// One notice of a rider. It follows from its cause, so that a cause has one record.
    NoticeId, "notice"
);
text_id!(
    /// What tells a rider's events of one moment apart.
    EventTag, "event tag"
);
text_id!(
    /// A worker process that claims work.
    OwnerId, "owner"
);
text_id!(
    /// A service by its short name: `igpsport`, `intervals`, `folder`, `webhook`.
    Service, "service"
);

/// What a sink calls the ride it stored; opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemoteId(pub String);

impl fmt::Display for RemoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The source's number of a ride. 0 is a valid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RideId(pub u64);

impl fmt::Display for RideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A slice of the users that one tick works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(pub u16);

impl Shard {
    /// The shard of a user among `count` (at least 1).
    pub fn of(user: &UserId, count: u16) -> Self {
        let hash = stable_hash(user.as_str());
        Self(u16::try_from(hash % u64::from(count.max(1))).unwrap_or(0))
    }
}

/// A hash of a text that is the same on every machine and in every release.
pub fn stable_hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// The first 80 bits of the SHA-256 of some bytes, as 20 hex digits.
pub fn short_digest(bytes: &[u8]) -> String {
    let mut text = hex::encode(Sha256::digest(bytes));
    text.truncate(20);
    text
}

/// The SHA-256 of a file's bytes: what the file is, wherever it lies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentId([u8; 32]);

impl ContentId {
    /// Digests the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for ContentId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(IdError { kind: "content", text: text.chars().take(40).collect() }),
        }
    }
}

impl From<ContentId> for String {
    fn from(id: ContentId) -> Self {
        id.to_string()
    }
}

/// Whose account a connection opens, as the service itself names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RemoteAccount {
    /// The service.
    pub service: Service,
    /// A part of the service with accounts of its own: iGPSport's region. Empty where there is one only.
    pub realm: String,
    /// The account: member id, athlete id, folder, URL.
    pub account: String,
}

impl RemoteAccount {
    /// The connection that stands for this account.
    pub fn connection_id(&self) -> ConnectionId {
        let parts = [self.service.as_str(), &self.realm, &self.account];
        let text = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("-");
        ConnectionId::new(text).unwrap_or_else(|_| {
            // A path or a URL is no identifier; its digest is one.
            ConnectionId::from_any(&format!("{}-{}", self.service, short_digest(parts.join("\n").as_bytes())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_could_leave_their_key() {
        for bad in ["", "a/b", "a b", "ä", "a\n", &"x".repeat(129)] {
            assert!(UserId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(UserId::new("me.2-x_y").unwrap().as_str(), "me.2-x_y");
        assert!(serde_json::from_str::<UserId>("\"a/b\"").is_err());
    }

    #[test]
    fn a_content_id_is_the_sha256_in_hex() {
        let id = ContentId::of(b"");
        assert_eq!(id.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(ContentId::try_from(id.to_string()), Ok(id));
        assert!(ContentId::try_from("e3b0".to_owned()).is_err());
    }

    #[test]
    fn the_same_account_is_the_same_connection() {
        let account = |realm: &str, account: &str| RemoteAccount {
            service: Service::new("igpsport").unwrap(),
            realm: realm.into(),
            account: account.into(),
        };
        assert_eq!(account("global", "12").connection_id().as_str(), "igpsport-global-12");
        assert_ne!(account("global", "12").connection_id(), account("china", "12").connection_id());
        let path = account("", "/home/me/rides").connection_id();
        assert_eq!(path, account("", "/home/me/rides").connection_id());
        assert!(path.as_str().starts_with("igpsport-"));
    }

    #[test]
    fn shards_cover_their_range_and_stay_put() {
        let shards: std::collections::BTreeSet<_> =
            (0..200).map(|n| Shard::of(&UserId::new(format!("rider{n}")).unwrap(), 4).0).collect();
        assert_eq!(shards, [0, 1, 2, 3].into());
        assert_eq!(Shard::of(&UserId::new("me").unwrap(), 1), Shard(0));
    }
}
