//! Reading JSON that is not to be relied on: each field on its own, so that one bad value costs one
//! value.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Longest text taken over, in characters.
const MAX_TEXT: usize = 512;

/// The fields of an object, each still as text. Of repeated names the last one counts.
#[derive(Debug, Default)]
pub(crate) struct Fields(BTreeMap<String, Box<RawValue>>);

/// An integer that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdFault {
    Missing,
    Negative,
    TooLarge,
    NotANumber,
}

impl Fields {
    /// Reads an object; `null` is one without fields.
    pub(crate) fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let fields: Option<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(json)?;
        Ok(Self(fields.unwrap_or_default()))
    }

    /// The JSON text of a field; absent where it is missing or `null`.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        let raw = self.0.get(name)?.get();
        (raw != "null").then_some(raw)
    }

    /// A text without control characters, shortened; absent where there is none or it is blank.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let text: String = serde_json::from_str(self.raw(name)?).ok()?;
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect();
        let clean = clean.trim();
        (!clean.is_empty()).then(|| clean.to_owned())
    }

    /// The text of a field that may be a number or a text.
    fn scalar(&self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        let unquoted: Option<String> = serde_json::from_str(raw).ok();
        Some(unquoted.unwrap_or_else(|| raw.to_owned()).trim().to_owned())
    }

    /// A finite number, also where it is written as text.
    pub(crate) fn float(&self, name: &str) -> Option<f64> {
        let number: f64 = self.scalar(name)?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// A whole number, also where it is written as text.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        whole(&self.scalar(name)?)?.parse().ok()
    }

    /// An id: exact up to `u64::MAX`, also where it is written as text.
    pub(crate) fn id(&self, name: &str) -> Result<u64, IdFault> {
        let text = self.scalar(name).ok_or(IdFault::Missing)?;
        let digits = whole(&text).ok_or(IdFault::NotANumber)?;
        match digits.strip_prefix('-') {
            Some(zero) if zero.bytes().all(|b| b == b'0') => Ok(0),
            Some(_) => Err(IdFault::Negative),
            None => digits.parse().map_err(|_| IdFault::TooLarge),
        }
    }

    /// Whether a field is there and true, or absent where it is neither true nor false.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.raw(name)?).ok()
    }
}

/// The integer digits (and sign) of a number without a fraction.
fn whole(text: &str) -> Option<&str> {
    let integer = match text.split_once('.') {
        Some((integer, zeros)) if zeros.bytes().all(|b| b == b'0') => integer,
        Some(_) => return None,
        None => text,
    };
    let digits = integer.strip_prefix('-').unwrap_or(integer);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(json: &str) -> Fields {
        Fields::parse(&format!("{{\"f\":{json}}}")).unwrap()
    }

    #[test]
    fn ids_are_exact_and_their_faults_are_named() {
        for (json, id) in [
            ("0", Ok(0)),
            ("\"31827705\"", Ok(31_827_705)),
            ("9007199254740993", Ok(9_007_199_254_740_993)),
            ("9223372036854775808", Ok(1 << 63)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("\" 7 \"", Ok(7)),
            ("7.0", Ok(7)),
            ("-0", Ok(0)),
            ("18446744073709551616", Err(IdFault::TooLarge)),
            ("-1", Err(IdFault::Negative)),
            ("7.5", Err(IdFault::NotANumber)),
            ("1e3", Err(IdFault::NotANumber)),
            ("\"\"", Err(IdFault::NotANumber)),
            ("\"x\"", Err(IdFault::NotANumber)),
            ("true", Err(IdFault::NotANumber)),
            ("[1]", Err(IdFault::NotANumber)),
            ("null", Err(IdFault::Missing)),
        ] {
            assert_eq!(field(json).id("f"), id, "{json}");
        }
        assert_eq!(field("1").id("g"), Err(IdFault::Missing));
    }

    #[test]
    fn a_bad_value_costs_itself_only() {
        let fields = Fields::parse(r#"{"a":1e999,"b":"\ud800","c":{"d":[]},"c":2,"e":"x\u0007y"}"#).unwrap();
        assert_eq!(fields.float("a"), None);
        assert_eq!(fields.text("b"), None);
        assert_eq!(fields.int("c"), Some(2));
        assert_eq!(fields.text("e").as_deref(), Some("x y"));
        assert_eq!(field("\"12.5\"").float("f"), Some(12.5));
        assert_eq!(field("\" \"").text("f"), None);
        assert_eq!(field("true").flag("f"), Some(true));
        assert!(Fields::parse("null").unwrap().raw("f").is_none());
        assert!(Fields::parse("[]").is_err());
    }
}
