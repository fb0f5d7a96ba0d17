//! The client behind the engine's port.

use fitbridge_core::domain::{FileLocation, RemoteAccount, RideId, Service};
use fitbridge_core::ports::{Access, FileError, Files, Login, Source, SourceError};
use fitbridge_igpsport::{IgpsportSource, Region};
use secrecy::{ExposeSecret, SecretString};

use crate::support::{Reply, Server, data, json_reply, jwt};

fn account(realm: &str, member: &str) -> RemoteAccount {
    RemoteAccount { service: Service::new("igpsport").unwrap(), realm: realm.into(), account: member.into() }
}

fn source(global: &Server, china: &Server) -> IgpsportSource {
    IgpsportSource::over([global.client(Region::Global), china.client(Region::China)])
}

#[tokio::test]
async fn a_page_carries_rows_and_problems() {
    let global = Server::start(|_| {
        data(
            r#"{"totalPage":2,"totalRows":21,"rows":[{"rideId":5,"title":"T","startTime":"2025.06.02",
            "rideDistance":1000.5,"productName":"iGS800"},{"rideId":-1},{"rideId":-2}]}"#,
        )
    })
    .await;
    let china = Server::start(|_| json_reply(500, "")).await;
    let source = source(&global, &china);
    let (account, token) = (account("global", "1"), SecretString::from(jwt(1)));
    let access = Access { account: &account, token: &token };
    let page = source.list_page(access, 1).await.unwrap();
    assert_eq!((page.total_pages, page.total_rows), (Some(2), Some(21)));
    assert_eq!(page.rows[0].ride_id, RideId(5));
    assert_eq!(page.rows[0].facts.date, Some(jiff::civil::date(2025, 6, 2)));
    assert_eq!(page.rows[0].facts.device.as_deref(), Some("iGS800"));
    assert_eq!(page.problems.len(), 2);
    assert_ne!(page.problems[0].digest, page.problems[1].digest);
    let beyond = source.list_page(access, 3).await.unwrap();
    assert!(beyond.rows.is_empty() && beyond.problems.is_empty());
    assert!(china.seen().is_empty());
}

#[tokio::test]
async fn a_token_of_another_member_is_not_used() {
    let server = Server::start(|_| data("null")).await;
    let source = source(&server, &server);
    let (account, token) = (account("global", "2"), SecretString::from(jwt(1)));
    let access = Access { account: &account, token: &token };
    let error = source.list_page(access, 1).await.unwrap_err();
    assert_eq!(error, SourceError::WrongMember { expected: "2".into(), got: "1".into() });
    let bad = SecretString::from("nonsense".to_owned());
    let access = Access { account: &account, token: &bad };
    assert!(matches!(source.resolve(access, RideId(1)).await, Err(SourceError::BadToken(_))));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_ride_is_resolved_and_fetched_or_the_port_says_why_not() {
    let files = Server::start(|seen| match seen.path.as_str() {
        "/good" => Reply(200, vec![], b"\x0e\x10\xd9\x07\x00\x00\x00\x00.FIT\x00\x00".to_vec()),
        "/html" => Reply(200, vec![], b"<html>".to_vec()),
        _ => Reply(404, vec![], vec![]),
    })
    .await;
    let host = files.host.clone();
    let api = Server::start(move |seen| match seen.path.rsplit('/').next().unwrap() {
        "1" => data(&format!(r#"{{"memberId":1,"title":"T","totalTime":60,"fitUrl":"http://{host}/good"}}"#)),
        "2" => data(r#"{"memberId":1}"#),
        _ => json_reply(404, ""),
    })
    .await;
    let source = source(&api, &api);
    let (account, token) = (account("global", "1"), SecretString::from(jwt(1)));
    let access = Access { account: &account, token: &token };
    let found = source.resolve(access, RideId(1)).await.unwrap();
    assert_eq!(found.detail.unwrap().elapsed_s, Some(60.0));
    let host = files.files();
    assert_eq!(host.open(&found.location).await.unwrap().len(), 14);
    assert_eq!(source.resolve(access, RideId(2)).await, Err(SourceError::NotReady));
    assert!(matches!(source.resolve(access, RideId(3)).await, Err(SourceError::NotFound(_))));
    let open = |path: &str| {
        let location = FileLocation(format!("http://{}{path}", files.host));
        let host = host.clone();
        async move { host.open(&location).await.unwrap_err() }
    };
    assert!(matches!(open("/html").await, FileError::Again { .. }));
    assert!(matches!(open("/gone").await, FileError::Gone(_)));
    let inside = FileLocation("https://10.0.0.1/x".into());
    assert!(matches!(host.open(&inside).await, Err(FileError::Never(_))));
}

#[tokio::test]
async fn identification_tells_refusal_from_absence() {
    let knows = Server::start(|seen| {
        if seen.path.ends_with("UserInfo") {
            data(r#"{"memberId":1,"nickName":"Ada"}"#)
        } else {
            data(r#"{"totalRows":1,"totalPage":1,"rows":[{"rideId":5}]}"#)
        }
    })
    .await;
    let refuses = Server::start(|_| json_reply(401, "")).await;
    let away = Server::start(|_| json_reply(503, "")).await;
    let token = SecretString::from(jwt(1));

    let both = source(&knows, &knows).identify(&token, None).await.unwrap();
    let accounts: Vec<_> = both.iter().map(|found| found.account.clone()).collect();
    assert_eq!(accounts, [account("global", "1"), account("china", "1")]);
    assert_eq!(both[0].nickname.as_deref(), Some("Ada"));
    assert_eq!(both[0].latest.rows.len(), 1);

    let one = source(&knows, &knows).identify(&token, Some("china")).await.unwrap();
    assert_eq!(one[0].account, account("china", "1"));
    assert_eq!(source(&refuses, &refuses).identify(&token, None).await.unwrap(), []);
    assert_eq!(source(&knows, &away).identify(&token, None).await.unwrap().len(), 1);
    let unsure = source(&refuses, &away).identify(&token, None).await;
    assert!(matches!(unsure, Err(SourceError::Away(_))), "{unsure:?}");
    let nowhere = source(&knows, &knows).identify(&token, Some("mars")).await;
    assert!(matches!(nowhere, Err(SourceError::Away(_))), "{nowhere:?}");
}

#[tokio::test]
async fn a_login_gives_a_token_and_a_token_its_facts() {
    let server = Server::start(|seen| {
        if seen.body.contains("right") {
            data(&format!(r#"{{"access_token":"{}"}}"#, jwt(1)))
        } else {
            json_reply(403, r#"{"code":1002,"message":"Password error"}"#)
        }
    })
    .await;
    let source = source(&server, &server);
    let login = |password: &str| Login { username: "ada@example.org".into(), password: password.to_owned().into() };
    let token = source.log_in("global", &login("right")).await.unwrap();
    assert_eq!(token.expose_secret(), jwt(1));
    let facts = source.token_facts(&token).unwrap();
    assert_eq!(facts.member, "1");
    assert_eq!(facts.ends_at.unwrap().as_second(), 1_700_604_800);
    let wrong = source.log_in("global", &login("wrong")).await;
    assert!(matches!(wrong, Err(SourceError::BadPassword(_))));
}

#[tokio::test]
async fn a_login_is_called_not_attempted_only_where_that_is_certain() {
    let server = Server::start(|seen| {
        let status = ["500", "502", "503", "504", "404", "429"].into_iter().find(|status| seen.body.contains(status));
        Reply(status.and_then(|status| status.parse().ok()).unwrap_or(200), vec![("retry-after", "7".into())], vec![])
    })
    .await;
    let source = source(&server, &server);
    // "200" is an answer without a token.
    for (status, certain) in
        [("500", false), ("502", false), ("504", false), ("503", false), ("200", false), ("429", true)]
    {
        let login = Login { username: "ada@example.org".into(), password: status.to_owned().into() };
        let error = source.log_in("global", &login).await.unwrap_err();
        assert_eq!(error.did_nothing(), certain, "{status}: {error:?}");
    }
}
