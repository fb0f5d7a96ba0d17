//! The secret of an Intervals.icu connection.

use fitbridge_core::{Code, Failure};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

/// The user name that goes with a personal key; the key is the password.
const KEY_USER: &str = "API_KEY";

/// How a call is authorised.
#[derive(Debug, Clone)]
pub(super) enum Auth {
    /// A rider's own key.
    Key(SecretString),
    /// A token granted to an app.
    Bearer(SecretString),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Sealed {
    ApiKey(SecretString),
    Bearer(SecretString),
}

impl Auth {
    /// Reads a sealed secret. The failure says what is wrong with it and quotes nothing.
    pub(super) fn open(secret: Option<&SecretString>) -> Result<Self, Failure> {
        let refuse = |why: &str| Failure::new(Code::SinkReconnect, why);
        let secret = secret.ok_or_else(|| refuse("no key is sealed for it"))?;
        let sealed = serde_json::from_str(secret.expose_secret())
            .map_err(|_| refuse("the sealed secret is neither an API key nor a bearer token"))?;
        let auth = match sealed {
            Sealed::ApiKey(key) => Self::Key(trimmed(&key)),
            Sealed::Bearer(token) => Self::Bearer(trimmed(&token)),
        };
        // Anything else can be no key, and could not stand in a header.
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain(auth.expose()) { Ok(auth) } else { Err(refuse("the key is empty or has characters no key has")) }
    }

    /// Authorises a request.
    pub(super) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Key(key) => request.basic_auth(KEY_USER, Some(key.expose_secret())),
            Self::Bearer(token) => request.bearer_auth(token.expose_secret()),
        }
    }

    /// The key or token, to keep it out of texts.
    pub(super) fn expose(&self) -> &str {
        let (Self::Key(secret) | Self::Bearer(secret)) = self;
        secret.expose_secret()
    }
}

fn trimmed(secret: &SecretString) -> SecretString {
    SecretString::from(secret.expose_secret().trim())
}

/// The secret of a connection with a rider's own API key, as it is sealed.
pub fn api_key_secret(key: &SecretString) -> SecretString {
    SecretString::from(json!({ "api_key": key.expose_secret().trim() }).to_string())
}

/// The secret of a connection with an OAuth token, as it is sealed.
pub fn bearer_secret(token: &SecretString) -> SecretString {
    SecretString::from(json!({ "bearer": token.expose_secret().trim() }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_open_and_nothing_shows() {
        let key = api_key_secret(&SecretString::from(" k3y\n"));
        let auth = Auth::open(Some(&key)).unwrap();
        assert!(matches!(&auth, Auth::Key(key) if key.expose_secret() == "k3y"));
        assert!(!format!("{auth:?}").contains("k3y"));
        let token = bearer_secret(&SecretString::from("t0ken"));
        assert!(matches!(Auth::open(Some(&token)).unwrap(), Auth::Bearer(_)));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_quoted() {
        let bad =
            ["", "{}", "hush", r#"{"api_key":""}"#, r#"{"api_key":"hu sh"}"#, r#"{"api_key":"a","bearer":"hush"}"#];
        for text in bad {
            let failure = Auth::open(Some(&SecretString::from(text))).unwrap_err();
            assert_eq!(failure.code, Code::SinkReconnect, "{text}");
            assert!(!failure.to_string().contains("hush"), "{failure}");
        }
        assert_eq!(Auth::open(None).unwrap_err().code, Code::SinkReconnect);
    }
}
