//! Taking everything personal out of an answer, and leaving its form.

use std::collections::{BTreeMap, HashMap};

use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

/// Fields whose values say something about the service and nothing about the rider.
const HARMLESS: [&str; 28] = [
    "analysisstatus",
    "boundphone",
    "code",
    "datastatus",
    "datasyncstravastatus",
    "errortype",
    "exercisetype",
    "expires_in",
    "fitfixed",
    "hidestartandend",
    "isopen",
    "label",
    "manufacturer",
    "openstatus",
    "pageno",
    "pagesize",
    "product",
    "productname",
    "scope",
    "softwareversion",
    "sporttype",
    "status",
    "timezone",
    "token_type",
    "totalpage",
    "totalrows",
    "unread",
    "devicename",
];

/// Headers whose values are kept.
const HEADERS: [&str; 12] = [
    "accept-ranges",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "expires",
    "retry-after",
    "server",
    "vary",
    "x-oss-object-type",
];

/// Headers of which only the form of the value is kept.
const HEADER_FORMS: [&str; 3] = ["etag", "last-modified", "www-authenticate"];

/// Array elements kept; the rest is counted.
const KEPT_ELEMENTS: usize = 2;

/// Replaces values by their form. The same id or path gets the same stand-in throughout, so that one
/// answer can be compared with another.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    stand_ins: HashMap<String, usize>,
}

impl Redactor {
    /// The redacted body; a body that is no JSON is described.
    pub(super) fn body(&mut self, body: &[u8]) -> Value {
        let clean: Vec<u8> = body.iter().map(|b| (*b).max(b' ')).collect();
        match serde_json::from_slice(&clean) {
            Ok(json) => self.value("", &json),
            Err(_) => json!({
                "not_json": format!("{:?}", fitbridge_http::sniff(body)).to_lowercase(),
                "bytes": body.len(),
            }),
        }
    }

    /// The headers worth knowing.
    pub(super) fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
        let mut kept = BTreeMap::new();
        for (name, value) in headers {
            let value = value.to_str().unwrap_or("?");
            if HEADERS.contains(&name.as_str()) {
                kept.insert(name.to_string(), value.to_owned());
            } else if HEADER_FORMS.contains(&name.as_str()) {
                kept.insert(name.to_string(), form(value));
            }
        }
        kept
    }

    fn value(&mut self, name: &str, value: &Value) -> Value {
        let name = name.to_ascii_lowercase();
        let harmless = HARMLESS.contains(&name.as_str());
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (field_name(name), self.value(name, value)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Value::Array(elements) => {
                let kept = elements.iter().take(KEPT_ELEMENTS);
                let mut kept: Vec<Value> = kept.map(|element| self.value(&name, element)).collect();
                if elements.len() > KEPT_ELEMENTS {
                    kept.push(json!(format!("… {} more", elements.len() - KEPT_ELEMENTS)));
                }
                Value::Array(kept)
            }
            Value::Number(number) if is_id(&name) => json!(format!("number {}", self.id(number))),
            Value::Number(_) if harmless => value.clone(),
            Value::Number(number) => json!(number_form(&number.to_string())),
            Value::String(text) if text.is_empty() => value.clone(),
            Value::String(text) if harmless => json!(words(text, |_| false)),
            Value::String(text) if name == "message" => json!(words(text, is_a_number)),
            Value::String(text) => json!(self.text(&name, text)),
        }
    }

    fn text(&mut self, name: &str, text: &str) -> String {
        if name.contains("token") || text.starts_with("eyJ") {
            return "a token".into();
        }
        if let Ok(url) = url::Url::parse(text)
            && ["http", "https"].contains(&url.scheme())
            && let Some(host) = url.host_str()
        {
            let path = self.stand_in("path", url.path());
            let query = if url.query().is_some() { "?…" } else { "" };
            return format!("{}://{host}/{path}{query}", url.scheme());
        }
        if is_id(name) {
            return format!("text {}", self.id(text));
        }
        form(text)
    }

    fn id(&mut self, id: &(impl ToString + ?Sized)) -> String {
        self.stand_in("id", &id.to_string())
    }

    fn stand_in(&mut self, kind: &str, original: &str) -> String {
        let next = self.stand_ins.len() + 1;
        let number = self.stand_ins.entry(format!("{kind} {original}")).or_insert(next);
        format!("{kind}-{number}")
    }
}

/// `rideId`, `memberId`, `strMemberId`, `id`, …
fn is_id(name: &str) -> bool {
    name.ends_with("id")
}

/// A number's kind and size: `integer of 5 digits`.
fn number_form(number: &str) -> String {
    let sign = if number.starts_with('-') { "negative " } else { "" };
    let digits = |part: &str| part.bytes().filter(u8::is_ascii_digit).count();
    match number.split_once('.') {
        Some((whole, fraction)) => format!("{sign}decimal of {}.{} digits", digits(whole), digits(fraction)),
        None => format!("{sign}integer of {} digits", digits(number)),
    }
}

/// Dates and times keep their form, as `9999.99.99`; of anything else only the length stays.
fn form(text: &str) -> String {
    let is_time = text.len() <= 40
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b" .:-/TZ+".contains(&b));
    if is_time {
        text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect()
    } else {
        format!("text of {} characters", text.chars().count())
    }
}

/// A text that is kept, without the words that could be personal whatever it should be about.
fn words(text: &str, is_personal: impl Fn(&str) -> bool) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).map(|word| {
        let shows = word.contains('@') || word.contains("eyJ") || word.contains("://") || word.len() > 40;
        if shows || is_personal(word) { "…" } else { word }
    });
    words.collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

fn is_a_number(word: &str) -> bool {
    word.bytes().filter(u8::is_ascii_digit).count() > 4
}

/// A field's name, where it can be one: an answer may be a map from whatever people typed.
fn field_name(name: &str) -> String {
    let is_name = name.len() <= 40
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && !is_a_number(name)
        && !name.contains("eyJ");
    if is_name { name.to_owned() } else { form(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_personal_stays_and_the_form_does() {
        let body = br#"{"code":0,"message":"hello ada@example.org 13912345678","data":{
            "memberId":7654321,"strMemberId":"7654321","nickName":"Ada L","email":"ada@example.org",
            "phone":"13912345678","avatar":"https://h.example/secret/path.png?sig=abc","timeZone":28800,
            "access_token":"eyJhbGciOiJIUzI1NiJ9.e30.x","refresh_token":"r3fr3sh","lat":47.123456,
            "rows":[{"rideId":31827705,"startTime":"2025.06.02","title":"Morning at home"},
                    {"rideId":31827706,"title":""},{"rideId":3}]}}"#;
        let redacted = Redactor::default().body(body);
        let text = redacted.to_string();
        for secret in [
            "7654321",
            "Ada",
            "example.org",
            "139123",
            "secret",
            "abc",
            "eyJ",
            "r3fr3sh",
            "47.1",
            "31827705",
            "2025",
            "home",
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        let data = &redacted["data"];
        assert_eq!(redacted["message"], "hello … …");
        assert_eq!(data["memberId"], "number id-2");
        assert_eq!(data["strMemberId"], "text id-2");
        assert_eq!(data["avatar"], "https://h.example/path-1?…");
        assert_eq!(data["timeZone"], 28800);
        assert_eq!(data["lat"], "decimal of 2.6 digits");
        assert_eq!(data["rows"][0]["startTime"], "9999.99.99");
        assert_eq!(data["rows"][0]["title"], "text of 15 characters");
        assert_eq!(data["rows"][1]["title"], "");
        assert_eq!(data["rows"][2], "… 1 more");
    }

    #[test]
    fn what_is_no_json_is_described_only() {
        let page = Redactor::default().body(b"<html>Ada</html>");
        assert_eq!(page, json!({"not_json": "html", "bytes": 16}));
        let data = Redactor::default().body(br#"{"data":"https://h.example/guid"}"#);
        assert_eq!(data["data"], "https://h.example/path-1");
    }

    #[test]
    fn headers_are_chosen() {
        let headers = HeaderMap::from_iter([
            (reqwest::header::SERVER, "nginx".parse().unwrap()),
            (reqwest::header::SET_COOKIE, "session=1".parse().unwrap()),
            (reqwest::header::ETAG, "\"ABCDEF\"".parse().unwrap()),
        ]);
        let kept = Redactor::headers(&headers);
        assert_eq!(kept.len(), 2);
        assert_eq!(kept["etag"], "text of 8 characters");
    }
}
