//! The first-contact calls, and that nothing personal is in what they report.

use std::time::Duration;

use fitbridge_igpsport::{FirstContactOptions, Region, first_contact};

use crate::support::{Reply, Server, data, json_reply, jwt, token};

async fn host() -> Server {
    Server::start(|seen| {
        let body = if seen.method == "HEAD" { vec![] } else { b"\x0e\x10\xd9\x07\0\0\0\0.FIT\0\0".to_vec() };
        Reply(200, vec![("etag", "\"SECRETETAG\"".into()), ("accept-ranges", "bytes".into())], body)
    })
    .await
}

async fn service(files: &Server) -> Server {
    let url = format!("http://{}/secret-guid", files.host);
    let bearer = format!("Bearer {}", jwt(7_654_321));
    Server::start(move |seen| {
        let query = seen.query.clone().unwrap_or_default();
        let name = seen.path.rsplit('/').find(|part| part.parse::<u64>().is_err()).unwrap();
        match name {
            "GetDefaultConfig" => json_reply(200, r#"{"code":0,"message":"","data":"x"}"#),
            "login" if seen.body.contains("right") => data(&format!(r#"{{"access_token":"{}"}}"#, jwt(7_654_321))),
            "login" => json_reply(403, r#"{"code":1002,"message":"Password error"}"#),
            _ if seen.header("authorization") != Some(&bearer) => json_reply(401, ""),
            "queryMyActivity" if query.starts_with("pageNo=1") => data(
                r#"{"pageNo":1,"pageSize":20,"totalPage":2,"totalRows":21,"rows":[{"rideId":31827705,
                "title":"Ada's secret ride","startTime":"2025.06.02","rideDistance":12345.6}]}"#,
            ),
            "queryMyActivity" => data("null"),
            "UserInfo" => data(r#"{"memberId":7654321,"nickName":"Ada","email":"ada@example.org"}"#),
            "queryActivityDetail" if seen.path.ends_with("/31827705") => data(&format!(
                r#"{{"rideId":31827705,"memberId":7654321,"startTime":"2025-06-02 13:56:49","fitUrl":"{url}"}}"#
            )),
            "getDownloadUrl" => data(&format!("\"{url}\"")),
            _ => json_reply(404, ""),
        }
    })
    .await
}

#[tokio::test]
async fn a_dozen_calls_report_forms_and_no_values() {
    let files = host().await;
    let api = service(&files).await;
    let options = FirstContactOptions {
        pause: Duration::ZERO,
        credentials: Some(("ada@example.org".into(), "right".to_owned().into())),
        try_bad_password: true,
    };
    let contact = first_contact(&api.client(Region::Global), &files.files(), &token(7_654_321), &options).await;
    let outcome: Vec<_> = contact.answers.iter().map(|a| (a.probe, a.status, a.error)).collect();
    assert_eq!(
        outcome,
        [
            ("reachable", Some(200), None),
            ("bad_password", Some(403), Some("bad_password")),
            ("login", Some(200), None),
            ("list", Some(200), None),
            ("list_timezone", Some(200), None),
            ("list_page_size", Some(200), None),
            ("list_beyond", Some(200), None),
            ("list_window", Some(200), None),
            ("user_info", Some(200), None),
            ("detail", Some(200), None),
            ("download_url", Some(200), None),
            ("file", Some(200), None),
            ("unknown_ride", Some(404), Some("ride_gone")),
            ("bad_token", Some(401), Some("token_refused")),
        ]
    );
    assert_eq!(contact.latest_file.unwrap().len(), 14);
    assert_eq!(contact.local_start.unwrap().to_string(), "2025-06-02T13:56:49");
    let notes = |probe: &str| contact.answers.iter().find(|a| a.probe == probe).unwrap().notes.join("; ");
    assert!(notes("list_timezone").contains("start times are the same: true"));
    assert_eq!(notes("detail"), "the member is the token's: true");
    assert_eq!(notes("download_url"), "the same as the detail's: true");
    assert_eq!(notes("file"), "GET brought 14 bytes of FIT");

    let report = serde_json::to_string(&contact.answers).unwrap();
    for secret in [
        "eyJ",
        "7654321",
        "31827705",
        "Ada",
        "ada@",
        "example.org",
        "secret",
        "SECRETETAG",
        "right",
        "2025.06",
        "2025-06",
        "12345",
    ] {
        assert!(!report.contains(secret), "{secret} in {report}");
    }
    for seen in files.seen() {
        assert_eq!(seen.header("authorization"), None);
    }
    let windows: Vec<String> = api.lines().into_iter().filter(|line| line.contains("beginTime")).collect();
    assert!(windows[0].ends_with("&sort=1&reqType=0&beginTime=2025-06-02&endTime=2025-06-02"), "{windows:?}");
}

#[tokio::test]
async fn a_refused_token_ends_it_and_no_login_is_tried_unasked() {
    let files = host().await;
    let api = service(&files).await;
    let options = FirstContactOptions { pause: Duration::ZERO, ..FirstContactOptions::default() };
    let contact = first_contact(&api.client(Region::Global), &files.files(), &token(5), &options).await;
    let probes: Vec<_> = contact.answers.iter().map(|answer| answer.probe).collect();
    assert_eq!(probes, ["reachable", "list"]);
    assert_eq!(api.seen().len(), 2);
    assert!(files.seen().is_empty());
}
