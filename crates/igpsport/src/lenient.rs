//! Reading JSON that is not to be relied on: each field on its own, so that one bad value costs one
//! value.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Longest text taken over, in characters.
const MAX_TEXT: usize = 512;

/// Fields of a row, about; room for them is made at once.
const EXPECTED_FIELDS: usize = 20;

/// The fields of an object, each still as text. Of repeated names the last one counts. Nothing is copied:
/// most of what a page of the list says is never asked for.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Name<'a>, &'a RawValue)>);

/// A field's name; a copy only where it is written with escapes.
#[derive(Debug)]
struct Name<'a>(Cow<'a, str>);

/// An integer that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdFault {
    Missing,
    Negative,
    TooLarge,
    NotANumber,
}

impl<'a> Fields<'a> {
    /// Reads an object; `null` is one without fields.
    pub(crate) fn parse(json: &'a str) -> Result<Self, serde_json::Error> {
        let fields: Option<Self> = serde_json::from_str(json)?;
        Ok(fields.unwrap_or_default())
    }

    /// The JSON of a field; absent where it is missing or `null`.
    pub(crate) fn value(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.iter().rev().find(|(known, _)| known.0 == name)?;
        (value.get() != "null").then_some(value)
    }

    /// The JSON text of a field; absent where it is missing or `null`.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.value(name).map(RawValue::get)
    }

    /// A text without control characters, shortened; absent where there is none or it is blank.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let text = unquoted(self.raw(name)?)?;
        let mut clean = String::with_capacity(text.len().min(MAX_TEXT));
        clean.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT));
        clean.truncate(clean.trim_end().len());
        clean.drain(..clean.len() - clean.trim_start().len());
        (!clean.is_empty()).then_some(clean)
    }

    /// The text of a field that may be a number or a text.
    fn scalar(&self, name: &str) -> Option<Cow<'a, str>> {
        let raw = self.raw(name)?;
        Some(match unquoted(raw) {
            Some(Cow::Borrowed(text)) => Cow::Borrowed(text.trim()),
            Some(Cow::Owned(text)) => Cow::Owned(text.trim().to_owned()),
            None => Cow::Borrowed(raw),
        })
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

/// What a JSON text stands for; absent for all other JSON.
fn unquoted(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(EXPECTED_FIELDS);
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
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

    fn ask<T>(json: &str, question: impl FnOnce(&Fields<'_>) -> T) -> T {
        question(&Fields::parse(&format!("{{\"f\":{json}}}")).unwrap())
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
            assert_eq!(ask(json, |fields| fields.id("f")), id, "{json}");
        }
        assert_eq!(ask("1", |fields| fields.id("g")), Err(IdFault::Missing));
    }

    #[test]
    fn a_bad_value_costs_itself_only() {
        let fields = Fields::parse(r#"{"a":1e999,"b":"\ud800","c":{"d":[]},"c":2,"e":"x\u0007y"}"#).unwrap();
        assert_eq!(fields.float("a"), None);
        assert_eq!(fields.text("b"), None);
        assert_eq!(fields.int("c"), Some(2));
        assert_eq!(fields.text("e").as_deref(), Some("x y"));
        assert_eq!(ask("\"12.5\"", |fields| fields.float("f")), Some(12.5));
        assert_eq!(ask("\" \"", |fields| fields.text("f")), None);
        assert_eq!(ask("true", |fields| fields.flag("f")), Some(true));
        assert!(Fields::parse("null").unwrap().raw("f").is_none());
        assert!(Fields::parse("[]").is_err());
    }

    #[test]
    fn texts_are_cleaned_and_shortened_and_names_may_be_escaped() {
        assert_eq!(ask(r#"" a\u0000 b\n""#, |fields| fields.text("f")).as_deref(), Some("a  b"));
        assert_eq!(ask(r#""\u00e9\"x""#, |fields| fields.text("f")).as_deref(), Some("é\"x"));
        let long = format!("\"{}\"", "é".repeat(MAX_TEXT + 1));
        assert_eq!(ask(&long, |fields| fields.text("f")).map(|text| text.chars().count()), Some(MAX_TEXT));
        assert_eq!(ask(r#"1,"\u0066":2"#, |fields| fields.int("f")), Some(2));
        assert_eq!(ask(r#"1,"f":null"#, |fields| fields.int("f")), None);
    }
}
