//! The shapes of sealed secrets. They are JSON texts inside the vault and `secrecy` types outside.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::ports::Login;

/// The secret of a source connection.
#[derive(Debug, Clone)]
pub struct SourceSecret {
    /// The bearer token.
    pub token: SecretString,
    /// What to sign in with once the token has ended, if the rider chose to stay signed in.
    pub login: Option<Login>,
}

#[derive(Deserialize)]
struct Sealed {
    token: SecretString,
    #[serde(default)]
    login: Option<SealedLogin>,
}

#[derive(Deserialize)]
struct SealedLogin {
    username: String,
    password: SecretString,
}

impl SourceSecret {
    /// As it is sealed.
    pub fn to_sealed(&self) -> SecretString {
        let mut json = serde_json::json!({ "token": self.token.expose_secret() });
        if let Some(login) = &self.login {
            json["login"] =
                serde_json::json!({ "username": login.username, "password": login.password.expose_secret() });
        }
        SecretString::from(json.to_string())
    }

    /// As it was sealed; `None` when it is something else.
    pub fn from_sealed(sealed: &SecretString) -> Option<Self> {
        let sealed: Sealed = serde_json::from_str(sealed.expose_secret()).ok()?;
        let login = sealed.login.map(|login| Login { username: login.username, password: login.password });
        Some(Self { token: sealed.token, login })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_secret_survives_and_does_not_show() {
        let login = Login { username: "a@b.c".into(), password: SecretString::from("pä\"ss") };
        let secret = SourceSecret { token: SecretString::from("tok.en"), login: Some(login) };
        let back = SourceSecret::from_sealed(&secret.to_sealed()).unwrap();
        assert_eq!(back.token.expose_secret(), "tok.en");
        assert_eq!(back.login.as_ref().unwrap().password.expose_secret(), "pä\"ss");
        let shown = format!("{secret:?} {back:?}");
        assert!(!shown.contains("tok.en") && !shown.contains("ss\\\""), "{shown}");
        assert!(SourceSecret::from_sealed(&SecretString::from("{}")).is_none());
    }
}
