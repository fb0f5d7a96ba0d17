//! What sinks answer, and the templates that riders write.

use fitbridge_core::domain::{ListedFacts, NameTemplate, Ride, template::Facts};
use fitbridge_sinks::fuzzing;

use super::{Target, text, texts};

/// All of them.
pub(super) const ALL: [Target; 5] = [
    Target {
        name: "intervals_answer",
        seeds: || {
            texts(&[
                r#"{"id":"i123","name":"Rider"}"#,
                r#"{"icu_athlete_id":"i1","id":"i5","activities":[{"icu_athlete_id":"i1","id":"i77"}]}"#,
                r#"[{"id":"i9","start_date_local":"2026-05-01T07:30:05","source":"STRAVA","elapsed_time":3600,"distance":20123.4,"external_id":"x"}]"#,
                "[]",
                "<html>",
            ])
        },
        corpus: None,
        words: &[
            b"\"id\":",
            b"\"activities\":[",
            b"STRAVA",
            b"1e999",
            b"-1",
            b"null",
            b"\"start_date_local\":",
            b"Z\"",
        ],
        check: fuzzing::intervals,
    },
    Target {
        name: "sink_refusal",
        seeds: || {
            texts(&[r#"{"error":"no s3cret-of-the-rider here","message":"m","detail":"d"}"#, "<Error/>", "", "\u{1}"])
        },
        corpus: None,
        words: &[b"s3cret-of-the-rider", b"\"error\":", b"\\n", b"\\u0000", b"\\u001b"],
        check: fuzzing::refusal,
    },
    Target {
        name: "folder_template",
        seeds: || {
            texts(&[
                "{year}/{month}/{date}-{title}.fit",
                "{date}_{time}_{sport}_{device}_{distance_km}",
                "../{title}",
                "{unknown}",
                "{title}/{title}",
                "CON",
                "{",
            ])
        },
        corpus: None,
        words: &[
            b"{title}",
            b"{date}",
            b"{",
            b"}",
            b"{{",
            b"..",
            b"/",
            b"\\",
            b"\0",
            b"CON",
            b".fit",
            b"\xf0\x9f\x9a\xb4",
            b"\xcc\x81",
        ],
        check: |bytes| fuzzing::template(&text(bytes)),
    },
    Target {
        name: "name_template",
        seeds: || {
            texts(&["{title} {date} {time}", "{sport}, {distance_km} km in {duration}", "{unknown}", "{", "}}{{", ""])
        },
        corpus: None,
        words: &[b"{title}", b"{date}", b"{", b"}", b"{{", b"}}", b"\0", b"\xe2\x80\xae", b"\xf0\x9f\x9a\xb4", b" "],
        check: |bytes| named(&text(bytes)),
    },
    Target {
        name: "sink_secret",
        seeds: || {
            texts(&[
                r#"{"api_key":"k3y-of-the-rider"}"#,
                r#"{"bearer":"t0ken-of-the-rider"}"#,
                r#"{"secrets":["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]}"#,
                r#"{"secrets":["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD","C2FVsBQIhrscChlQIMV+b5sSYspob7o="]}"#,
                "",
            ])
        },
        corpus: None,
        words: &[b"\"api_key\":", b"\"bearer\":", b"\"secrets\":[", b"whsec_", b"=", b"\\n", b"null", b"[]"],
        check: |bytes| fuzzing::secret(&text(bytes)),
    },
];

/// A template for the names of rides, and the name of a ride with an ugly title under it.
fn named(template: &str) -> String {
    let template = match NameTemplate::new(template) {
        Ok(template) => template,
        Err(refused) => return refused.to_string().split_whitespace().take(4).collect::<Vec<_>>().join(" "),
    };
    assert_eq!(NameTemplate::new(template.as_str()).as_ref(), Ok(&template));
    let listed =
        ListedFacts { title: Some("\u{0}\u{202e}tit\nle ".into()), distance_m: Some(1e12), ..ListedFacts::default() };
    let ride = Ride { listed: Some(listed), ..Ride::default() };
    let name = template.render(&Facts::of_ride(&ride, "igpsport", "7"));
    if let Some(name) = &name {
        assert!(!name.trim().is_empty() && !name.chars().any(char::is_control), "{name:?}");
    }
    format!("{:?}", name.map(|name| name.len().min(40)))
}
