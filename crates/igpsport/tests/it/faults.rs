//! Answers other than the hoped-for ones.

use fitbridge_igpsport::{ApiError, ErrorClass, Region, Resolution, RideId, WalkEnd};

use crate::support::{Reply, Seen, Server, data, gzip, json_reply, token};

/// A way to answer, and what is expected of it.
type Case = (fn(&Seen) -> Reply, &'static str, ErrorClass);

fn is_detail(seen: &Seen) -> bool {
    seen.path.contains("queryActivityDetail")
}

async fn resolve(answers: fn(&Seen) -> Reply) -> (Result<Resolution, ApiError>, usize) {
    let server = Server::start(answers).await;
    let result = server.client(Region::Global).resolve(&token(1), RideId(5)).await;
    let calls = server.seen().len();
    (result, calls)
}

#[tokio::test]
async fn a_failed_detail_does_not_lose_the_ride() {
    let failures: [fn(&Seen) -> Reply; 6] = [
        |seen| if is_detail(seen) { json_reply(500, "") } else { data("\"https://h/x\"") },
        |seen| if is_detail(seen) { json_reply(404, "") } else { data("\"https://h/x\"") },
        |seen| if is_detail(seen) { json_reply(200, r#"{"code":500}"#) } else { data("\"https://h/x\"") },
        |seen| if is_detail(seen) { json_reply(200, "nonsense") } else { data("\"https://h/x\"") },
        |seen| if is_detail(seen) { data("null") } else { data("\"https://h/x\"") },
        |seen| if is_detail(seen) { data("[]") } else { data(r#"{"url":"https://h/x"}"#) },
    ];
    for answers in failures {
        let (result, calls) = resolve(answers).await;
        assert!(matches!(result, Ok(Resolution::Ready { detail: None, .. })), "{result:?}");
        assert_eq!(calls, 2);
    }
}

#[tokio::test]
async fn no_url_yet_is_not_ready() {
    let empty: [fn(&Seen) -> Reply; 4] = [
        |seen| if is_detail(seen) { data(r#"{"memberId":1}"#) } else { data("null") },
        |seen| if is_detail(seen) { data(r#"{"fitUrl":null}"#) } else { data("\"\"") },
        |seen| if is_detail(seen) { data(r#"{"fitUrl":""}"#) } else { data("{}") },
        |seen| if is_detail(seen) { data("{}") } else { json_reply(404, "") },
    ];
    for answers in empty {
        let (result, _) = resolve(answers).await;
        assert!(matches!(result, Ok(Resolution::NotReady { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_ride_that_is_gone_is_told_by_the_detail() {
    let (gone, _) = resolve(|_| json_reply(404, "")).await;
    assert_eq!(gone.unwrap_err(), ApiError::NotFound);
    let (coded, _) =
        resolve(
            |seen| if is_detail(seen) { json_reply(200, r#"{"code":500,"message":"none"}"#) } else { data("null") },
        )
        .await;
    assert_eq!(coded.unwrap_err().to_string(), "the service answered code 500: none");
}

#[tokio::test]
async fn after_a_refusal_nothing_more_is_asked() {
    let answers: [Case; 4] = [
        (|_| json_reply(401, ""), "token_refused", ErrorClass::Reauthorise),
        (|_| json_reply(429, ""), "provider_throttled", ErrorClass::Transient),
        (
            |_| json_reply(403, r#"{"code":1,"message":"signature missing"}"#),
            "signature_required",
            ErrorClass::Permanent,
        ),
        (|_| data(r#"{"memberId":2,"fitUrl":"https://h/x"}"#), "member_mismatch", ErrorClass::Reauthorise),
    ];
    for (answers, code, class) in answers {
        let (result, calls) = resolve(answers).await;
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.class(), calls), (code, class, 1));
    }
    let (late, calls) = resolve(|seen| if is_detail(seen) { json_reply(503, "") } else { json_reply(401, "") }).await;
    assert_eq!((late.unwrap_err().code(), calls), ("token_refused", 2));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_| data("null")).await;
    let target = format!("http://{}/service/x", elsewhere.host);
    let server = Server::start(move |_| Reply(302, vec![("location", target.clone())], vec![])).await;
    let error = server.client(Region::Global).list_page(&token(1), 1).await.unwrap_err();
    assert_eq!(error, ApiError::Redirected { status: 302 });
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn pauses_asked_for_are_kept() {
    let server = Server::start(|seen| {
        let status = if seen.path.contains("queryMyActivity") { 429 } else { 503 };
        Reply(status, vec![("retry-after", "90".into())], vec![])
    })
    .await;
    let client = server.client(Region::Global);
    let throttled = client.list_page(&token(1), 1).await.unwrap_err();
    assert_eq!(throttled.retry_after().map(|d| d.as_secs()), Some(90));
    let away = client.reachable().await.unwrap_err();
    assert_eq!(away.retry_after().map(|d| d.as_secs()), Some(90));
}

#[tokio::test]
async fn a_refusing_user_info_says_nothing_about_the_token() {
    let server = Server::start(|seen| {
        if seen.path.ends_with("UserInfo") {
            json_reply(403, r#"{"code":403,"message":"invalid token"}"#)
        } else {
            data(r#"{"rows":[{"rideId":5}]}"#)
        }
    })
    .await;
    let client = server.client(Region::Global);
    let error = client.user_info(&token(1)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    let account = client.account(&token(1)).await.unwrap();
    assert_eq!((account.nickname, account.latest.rows.len()), (None, 1));
}

#[tokio::test]
async fn an_account_of_another_member_is_refused() {
    let server = Server::start(|_| data(r#"{"memberId":2,"rows":[]}"#)).await;
    let error = server.client(Region::Global).account(&token(1)).await.unwrap_err();
    assert_eq!(error.code(), "member_mismatch");
}

#[tokio::test]
async fn a_walk_over_a_shifting_list_brings_each_ride_once() {
    let server = Server::start(|seen| {
        let rows = match seen.query.as_deref().unwrap() {
            query if query.starts_with("pageNo=1&") => r#"{"rideId":9},{"rideId":8},{"title":"no id"}"#,
            query if query.starts_with("pageNo=2&") => "{\"rideId\":8,\"title\":\"a\u{1}b\"},{\"rideId\":7}",
            _ => r#"{"rideId":"6"},{"rideId":9}"#,
        };
        data(&format!(r#"{{"totalPage":3,"totalRows":5,"rows":[{rows}]}}"#))
    })
    .await;
    let (client, token) = (server.client(Region::Global), token(1));
    let mut walk = client.list_all(&token);
    let mut ids = Vec::new();
    while let Some(page) = walk.next().await.unwrap() {
        ids.extend(page.rows.into_iter().map(|row| row.ride_id.0));
    }
    assert_eq!(ids, [9, 8, 7, 6]);
    let summary = walk.summary();
    assert_eq!((summary.pages, summary.distinct_rows, summary.undecodable), (3, 4, 1));
    assert_eq!(summary.end, Some(WalkEnd::LastPage));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn nobody_there_is_an_error_of_its_own() {
    // Bound, so that nobody else is given the port; and not listening.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("http://{}/", nobody.local_addr().unwrap());
    let endpoints = fitbridge_igpsport::Endpoints::with_api(Region::Global, base.parse().unwrap()).unwrap();
    let client = fitbridge_igpsport::Client::new(endpoints).unwrap();
    let error = client.list_page(&token(1), 1).await.unwrap_err();
    assert_eq!(error.code(), "provider_unreachable");
    assert!(!format!("{error:?}{error}").contains("http://"), "{error:?}");
}

#[tokio::test]
async fn compressed_answers_are_read() {
    let server = Server::start(|_| {
        let Reply(status, _, body) = data(r#"{"rows":[{"rideId":5}]}"#);
        Reply(status, vec![("content-encoding", "gzip".into())], gzip(&body))
    })
    .await;
    let page = server.client(Region::Global).list_page(&token(1), 1).await.unwrap();
    assert_eq!(page.rows[0].ride_id, RideId(5));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let server = Server::start(|_| json_reply(200, &" ".repeat(8 * 1024 * 1024 + 1))).await;
    let error = server.client(Region::Global).list_page(&token(1), 1).await.unwrap_err();
    assert_eq!(error.to_string(), "the answer cannot be read: it is larger than 8388608 bytes");
}
