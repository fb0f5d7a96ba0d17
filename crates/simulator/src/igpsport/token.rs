//! Tokens: minted, looked up, ended.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{MemberClaim, MemberId, Region};
use crate::rng::digest;

/// What the issuer, common to both regions, remembers of a token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) region: Region,
    pub(crate) member: MemberId,
    pub(crate) expires: Timestamp,
    pub(crate) revoked: bool,
    /// A refresh token opens nothing but a new access token.
    pub(crate) refresh: bool,
}

/// All tokens ever minted.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: HashMap<String, Token>,
    minted: u64,
}

impl Tokens {
    pub(crate) fn get(&self, text: &str) -> Option<&Token> {
        self.known.get(text)
    }

    /// The token, if it is good now.
    pub(crate) fn good(&self, text: &str, refresh: bool, now: Timestamp) -> Option<&Token> {
        self.known.get(text).filter(|token| token.refresh == refresh && !token.revoked && now < token.expires)
    }

    pub(crate) fn revoke(&mut self, text: &str) -> bool {
        match self.known.get_mut(text) {
            Some(token) => {
                token.revoked = true;
                true
            }
            None => false,
        }
    }

    pub(crate) fn expire(&mut self, text: &str, now: Timestamp) {
        if let Some(token) = self.known.get_mut(text) {
            token.expires = token.expires.min(now);
        }
    }

    /// Revokes all of a member's tokens of a region, and says how many that were.
    pub(crate) fn revoke_all(&mut self, region: Region, member: MemberId) -> usize {
        let mut revoked = 0;
        for token in self.known.values_mut() {
            if token.region == region && token.member == member && !token.revoked {
                token.revoked = true;
                revoked += 1;
            }
        }
        revoked
    }
}

/// Mints a token in the shape of iGPSport's: 7 days between `nbf` and `exp`, signed by nobody.
pub(crate) fn mint(
    tokens: &mut Tokens,
    seed: u64,
    (region, member): (Region, MemberId),
    claim: MemberClaim,
    now: Timestamp,
    life: SignedDuration,
    refresh: bool,
) -> String {
    tokens.minted += 1;
    let serial = tokens.minted.to_string();
    let expires = now.checked_add(life).unwrap_or(Timestamp::MAX);
    let mut claims = json!({
        "nbf": now.as_second(),
        "exp": expires.as_second(),
        "iss": "http://authserver",
        "client_id": "qiwu.mobile",
        "sub": member.to_string(),
        "jti": &digest(seed, &["jti", &serial])[..32],
    });
    match claim {
        MemberClaim::Text => claims["memberid"] = json!(member.to_string()),
        MemberClaim::Number => claims["memberid"] = json!(member),
        MemberClaim::SubOnly => {}
    }
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let text = format!(
        "{}.{}.{}",
        encode(r#"{"alg":"RS256","kid":"simulated","typ":"at+jwt"}"#),
        encode(&claims.to_string()),
        URL_SAFE_NO_PAD.encode(digest(seed, &["signature", &serial])),
    );
    tokens.known.insert(text.clone(), Token { region, member, expires, revoked: false, refresh });
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_minted_token_reads_like_the_real_one_and_ends() {
        let mut tokens = Tokens::default();
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().expect("a timestamp");
        let owner = (Region::China, MemberId(42));
        let life = SignedDuration::from_hours(168);
        let text = mint(&mut tokens, 1, owner, MemberClaim::Number, now, life, false);
        let middle = text.split('.').nth(1).expect("three parts");
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(middle).expect("base64")).expect("JSON");
        assert_eq!(claims["memberid"], 42);
        assert_eq!(claims["iss"], "http://authserver");
        assert_eq!(claims["exp"].as_i64().zip(claims["nbf"].as_i64()).map(|(e, n)| e - n), Some(604_800));
        assert!(tokens.good(&text, false, now).is_some());
        assert!(tokens.good(&text, true, now).is_none(), "no refresh token");
        let end = now.checked_add(life).expect("in range");
        assert!(tokens.good(&text, false, end).is_none());
        let other = mint(&mut tokens, 1, owner, MemberClaim::Text, now, life, false);
        assert_ne!(text, other);
        assert_eq!(tokens.revoke_all(Region::Global, MemberId(42)), 0);
        assert_eq!(tokens.revoke_all(Region::China, MemberId(42)), 2);
        assert!(tokens.good(&other, false, now).is_none());
    }
}
