//! What iGPSport's API answers.

use fitbridge_igpsport::fuzzing;

use super::{Target, text, texts};

const WORDS: &[&[u8]] = &[
    b"\"code\":0",
    b"\"code\":401",
    b"\"data\":",
    b"\"rows\":[",
    b"\"rideId\":",
    b"18446744073709551616",
    b"-1",
    b"1e999",
    b"null",
    b"[]",
    b"{}",
    b"\\ud800",
    b"\"fitUrl\":\"https://x/y.fit\"",
    b"\"access_token\":\"",
    b"eyJ",
    b"<html>",
    b"<Error>",
    b"\xef\xbb\xbf",
];

/// All of them. The first byte of an input chooses the HTTP status.
pub(super) const ALL: [Target; 5] = [
    Target {
        name: "igpsport_list",
        seeds: || {
            texts(&[
                r#"0{"code":0,"message":"success","data":{"pageNo":1,"pageSize":20,"totalPage":1,"totalRows":1,"rows":[{"rideId":31827705,"title":"Morning","startTime":"2026.05.01","rideDistance":20123.5,"totalMovingTime":3600,"avgSpeed":5.5,"totalAscent":120,"exerciseType":0}]}}"#,
                r#"0{"code":0,"data":null}"#,
                r#"1{"code":401,"message":"Unauthorized"}"#,
                "3<html>blocked</html>",
            ])
        },
        corpus: None,
        words: WORDS,
        check: fuzzing::list,
    },
    Target {
        name: "igpsport_detail",
        seeds: || {
            texts(&[
                r#"0{"code":0,"data":{"memberId":"1234","title":"x","startTime":"2026-05-01 07:30:05","endTime":"2026-05-01 09:30:05","totalTime":7200,"rideDistance":40000,"avgSpeed":5.5,"exerciseType":0,"fitUrl":"https://files.example/x.fit"}}"#,
                r#"0{"code":0,"data":"https://files.example/x.fit"}"#,
                r#"0{"code":404}"#,
            ])
        },
        corpus: None,
        words: WORDS,
        check: fuzzing::detail,
    },
    Target {
        name: "igpsport_login",
        seeds: || {
            texts(&[
                r#"0{"code":0,"data":{"access_token":"eyJhbGciOiJub25lIn0.eyJtZW1iZXJpZCI6IjEyMzQiLCJleHAiOjE3OTAwMDAwMDB9.","expires_in":604800}}"#,
                r#"1{"code":1002,"message":"wrong"}"#,
            ])
        },
        corpus: None,
        words: WORDS,
        check: fuzzing::login,
    },
    Target {
        name: "igpsport_redaction",
        seeds: || {
            texts(&[
                r#"{"code":0,"message":"ok ada@example.org eyJhbGciOi","data":{"rows":[{"rideId":31827705,"title":"Ada's","startTime":"2025.06.02","productName":"BSC200 eyJx","fitUrl":"https://files.example/a/x.fit?sig=1"},{},{}],"ada@example.org":1}}"#,
                r#"{"eyJhbGciOiJub25lIn0":{"access_token":"eyJhbGciOiJub25lIn0.e30."}}"#,
                r#"{"label":"\\u0041 \u0001","data":"x://eyJhbGci/","phone":"tel://13912345678"}"#,
                "<html>ada@example.org</html>",
            ])
        },
        corpus: None,
        words: &[
            b"\"message\":",
            b"\"label\":",
            b"ada@example.org",
            b"eyJ",
            b"https://",
            b"\\u0001",
            b"\"id\":",
            b"{",
            b"[",
        ],
        check: fuzzing::redaction,
    },
    Target {
        name: "igpsport_token",
        seeds: || {
            texts(&[
                "Bearer eyJhbGciOiJub25lIn0.eyJtZW1iZXJpZCI6IjEyMzQiLCJleHAiOjE3OTAwMDAwMDB9.sig",
                "\"eyJ9.eyJzdWIiOiIxIn0.\"",
                "eyJ9.eyJleHAiOjFlOTk5fQ.",
            ])
        },
        corpus: None,
        words: &[b"Bearer ", b"Authorization:", b"\"", b".", b"=", b"eyJ", b"\n", b"-", b"_"],
        check: |bytes| fuzzing::token(&text(bytes)),
    },
];
