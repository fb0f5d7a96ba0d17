//! The rider's token: a JWT that lives about seven days.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Longest token read, in bytes; real ones have about 1,000.
const MAX_BYTES: usize = 16 * 1024;

/// Longest member id, in characters; real ones are numbers.
const MAX_MEMBER: usize = 64;

/// The number of an account within its region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(String);

impl MemberId {
    /// Reads a member id: letters, digits, `-` and `_`, at most 64.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = (1..=MAX_MEMBER).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a token of iGPSport. Never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing but white space, quotes or `Bearer`.
    #[error("it is empty")]
    Empty,
    /// Longer than any token is.
    #[error("it is longer than any token")]
    TooLong,
    /// Not three parts with dots between.
    #[error("it has {0} parts where a token has 3; was it copied whole?")]
    Parts(usize),
    /// A part is no base64url, or the middle one no JSON object.
    #[error("it cannot be decoded; was it copied whole?")]
    Encoding,
    /// Neither `memberid` nor `sub`.
    #[error("it names no member")]
    NoMember,
    /// `exp` or `nbf` is not a time.
    #[error("its {0} is not a time")]
    BadTime(&'static str),
}

/// A token. It shows itself in no output.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

/// What a token says of itself. The signature is not checked: nobody but the issuer could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// The account, from the claim `memberid`, else `sub`.
    pub member: MemberId,
    /// When it ends (`exp`), where it says.
    pub expires_at: Option<Timestamp>,
    /// When it begins (`nbf`), where it says.
    pub not_before: Option<Timestamp>,
}

impl Token {
    /// Reads a token as people paste it: with white space, line breaks, quotes, `Bearer` or
    /// `Authorization:` around it. What it claims is read by [`Token::decode`].
    ///
    /// # Errors
    /// When it is not three base64url parts.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() > MAX_BYTES {
            return Err(TokenError::TooLong);
        }
        let mut rest = unquote(text);
        for prefix in ["authorization:", "bearer"] {
            if let Some(head) = rest.get(..prefix.len())
                && head.eq_ignore_ascii_case(prefix)
            {
                rest = unquote(&rest[prefix.len()..]);
            }
        }
        let compact: String = rest.chars().filter(|c| !c.is_whitespace()).collect();
        if compact.is_empty() {
            return Err(TokenError::Empty);
        }
        let parts: Vec<&str> = compact.split('.').collect();
        if parts.len() != 3 {
            return Err(TokenError::Parts(parts.len()));
        }
        let is_base64url =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        // The signature may be missing in tokens of tests and simulators.
        if !is_base64url(parts[0]) || !is_base64url(parts[1]) || !(parts[2].is_empty() || is_base64url(parts[2])) {
            return Err(TokenError::Encoding);
        }
        Ok(Self(compact.into()))
    }

    /// Reads what the token claims.
    ///
    /// # Errors
    /// When its middle part is no JSON object, names no member, or has an unreadable time.
    pub fn decode(&self) -> Result<TokenFacts, TokenError> {
        let payload = self.0.expose_secret().split('.').nth(1).unwrap_or_default();
        let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Encoding)?;
        let claims: serde_json::Map<String, Value> = serde_json::from_slice(&json).map_err(|_| TokenError::Encoding)?;
        let member = ["memberid", "memberId", "sub"]
            .iter()
            .filter_map(|claim| claims.get(*claim))
            .find_map(member_of)
            .ok_or(TokenError::NoMember)?;
        Ok(TokenFacts { member, expires_at: time_of(&claims, "exp")?, not_before: time_of(&claims, "nbf")? })
    }

    /// The token itself, for the one header it belongs into.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

fn unquote(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`'))
}

fn member_of(claim: &Value) -> Option<MemberId> {
    match claim {
        Value::Number(number) => MemberId::new(&number.to_string()),
        Value::String(text) => MemberId::new(text),
        _ => None,
    }
}

fn time_of(claims: &serde_json::Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, TokenError> {
    let seconds = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        // Beyond 2^53 it is no time anyway.
        Some(value) => value.as_i64().or_else(|| value.as_f64().map(|f| f as i64)),
    };
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).map(Some).ok_or(TokenError::BadTime(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part("{\"alg\":\"RS256\"}"), part(claims), part("sig"))
    }

    fn decode(claims: &str) -> Result<TokenFacts, TokenError> {
        Token::parse(&jwt(claims)).unwrap().decode()
    }

    #[test]
    fn claims_are_read_in_each_spelling() {
        for claims in [
            r#"{"memberid":1234567,"exp":1700604800,"nbf":1700000000,"sub":"9"}"#,
            r#"{"memberid":"1234567","exp":1700604800.0,"nbf":"1700000000"}"#,
            r#"{"sub":"1234567","exp":1700604800,"nbf":1700000000,"memberid":null}"#,
        ] {
            let facts = decode(claims).unwrap();
            assert_eq!(facts.member.as_str(), "1234567");
            assert_eq!(facts.expires_at, Some(Timestamp::from_second(1_700_604_800).unwrap()));
            assert_eq!(facts.not_before, Some(Timestamp::from_second(1_700_000_000).unwrap()));
        }
        let bare = decode(r#"{"sub":7}"#).unwrap();
        assert_eq!((bare.expires_at, bare.not_before), (None, None));
    }

    #[test]
    fn tokens_are_read_as_people_paste_them() {
        let bare = jwt(r#"{"memberid":1}"#);
        let (front, back) = bare.split_at(20);
        for pasted in [
            bare.clone(),
            format!("  {bare}\r\n"),
            format!("Bearer {bare}"),
            format!("\"bearer {bare}\""),
            format!("Authorization: Bearer {bare}"),
            format!("'{bare}'"),
            format!("{front}\n {back}"),
        ] {
            let token = Token::parse(&pasted).unwrap();
            assert_eq!(token.secret().expose_secret(), bare, "{pasted:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_told() {
        let fails = |text: &str| Token::parse(text).unwrap_err();
        assert_eq!(fails(""), TokenError::Empty);
        assert_eq!(fails(" Bearer \n"), TokenError::Empty);
        assert_eq!(fails("abc"), TokenError::Parts(1));
        assert_eq!(fails("a.b.c.d"), TokenError::Parts(4));
        assert_eq!(fails("a..c"), TokenError::Encoding);
        assert_eq!(fails("a.b\u{e4}.c"), TokenError::Encoding);
        assert_eq!(fails("ä"), TokenError::Parts(1));
        assert_eq!(fails(&"a".repeat(MAX_BYTES + 1)), TokenError::TooLong);
        assert_eq!(Token::parse("a.b.c").unwrap().decode(), Err(TokenError::Encoding));
        assert_eq!(decode("[1]"), Err(TokenError::Encoding));
        assert_eq!(decode("{}"), Err(TokenError::NoMember));
        assert_eq!(decode(r#"{"memberid":"a/b"}"#), Err(TokenError::NoMember));
        assert_eq!(decode(r#"{"sub":"1","exp":"soon"}"#), Err(TokenError::BadTime("exp")));
        assert_eq!(decode(r#"{"sub":"1","nbf":1e300}"#), Err(TokenError::BadTime("nbf")));
    }

    #[test]
    fn a_token_shows_itself_nowhere() {
        let bare = jwt(r#"{"memberid":1}"#);
        let shown = format!("{:?}", Token::parse(&bare).unwrap());
        assert!(!shown.contains(&bare[..10]), "{shown}");
    }
}
