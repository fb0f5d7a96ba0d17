//! What sinks answer, and the templates that riders write.

use fitbridge_sinks::fuzzing;

use super::{Target, text, texts};

/// All of them.
pub(super) const ALL: [Target; 3] = [
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
];
