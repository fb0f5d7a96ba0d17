//! Every call, pinned: method, path, query in its order, headers, body.

use fitbridge_igpsport::{
    Client, Location, Region, Resolution, ResolvedBy, RideId, SignError, Signer, Unsigned, probe_regions,
};
use std::sync::Arc;

use crate::support::{Seen, Server, data, json_reply, jwt, token};

const LIST: &str = "GET /service/web-gateway/web-analyze/activity/queryMyActivity";
const DETAIL: &str = "GET /service/web-gateway/web-analyze/activity/queryActivityDetail";
const DOWNLOAD: &str = "GET /service/web-gateway/web-analyze/activity/getDownloadUrl";

fn check_headers(seen: &Seen, region: Region, bearer: bool) {
    let (origin, version) = match region {
        Region::Global => ("https://app.igpsport.com", "8.07.06"),
        Region::China => ("https://app.igpsport.cn", "8.07.08"),
    };
    let user_agent = format!("fitbridge/{}", env!("CARGO_PKG_VERSION"));
    let bearer = bearer.then(|| format!("Bearer {}", jwt(1)));
    for (name, value) in [
        ("accept", Some("application/json, text/plain, */*")),
        ("accept-encoding", Some("gzip")),
        ("accept-language", Some("en")),
        ("origin", Some(origin)),
        ("referer", Some(&*format!("{origin}/"))),
        ("user-agent", Some(&user_agent)),
        ("qiwu-app-version", Some(version)),
        ("timezone", Some("UTC")),
        ("authorization", bearer.as_deref()),
        ("cookie", None),
        ("x-platform", None),
        ("x-signature", None),
    ] {
        assert_eq!(seen.header(name), value, "{name} of {}", seen.line());
    }
}

fn everything(seen: &Seen) -> crate::support::Reply {
    match seen.path.rsplit('/').find(|part| part.parse::<u64>().is_err()).unwrap() {
        "queryMyActivity" => data(r#"{"pageNo":1,"pageSize":20,"totalPage":1,"totalRows":1,"rows":[{"rideId":5}]}"#),
        "queryActivityDetail" => data(r#"{"rideId":5,"memberId":1}"#),
        "getDownloadUrl" => data("\"https://files.example/x\""),
        "GetDefaultConfig" => json_reply(200, r#"{"code":0,"message":"","data":"x"}"#),
        "UserInfo" => json_reply(
            200,
            r#"{"code":0,"message":"","data":{"memberId":1,"nickName":"Ada","rideNum":7,"timeZone":28800}}"#,
        ),
        "login" => data(&format!(r#"{{"access_token":"{}","expires_in":604800}}"#, jwt(1))),
        other => panic!("nobody asked for {other}"),
    }
}

#[tokio::test]
async fn reading_calls_are_as_documented() {
    for region in Region::ALL {
        let server = Server::start(everything).await;
        let (client, token) = (server.client(region), token(1));
        let page = client.list_page(&token, 3).await.unwrap();
        assert_eq!((page.total_rows, page.rows.len()), (Some(1), 1));
        client.probe(&token).await.unwrap();
        client.detail(&token, RideId(u64::MAX)).await.unwrap();
        let url = client.download_url(&token, RideId(0)).await.unwrap();
        assert_eq!(url, Some(Location("https://files.example/x".into())));
        let info = client.user_info(&token).await.unwrap();
        assert_eq!(info.nickname.as_deref(), Some("Ada"));
        assert_eq!((info.rides, info.utc_offset_s), (Some(7), Some(28800)));
        assert_eq!(
            server.lines(),
            [
                format!("{LIST}?pageNo=3&pageSize=20&sort=1&reqType=0"),
                format!("{LIST}?pageNo=1&pageSize=1&sort=1&reqType=0"),
                format!("{DETAIL}/18446744073709551615"),
                format!("{DOWNLOAD}/0"),
                "GET /service/mobile/api/User/UserInfo".into(),
            ]
        );
        for seen in server.seen() {
            check_headers(&seen, region, true);
            assert_eq!((seen.body.as_str(), seen.header("content-type")), ("", None));
        }
    }
}

#[tokio::test]
async fn calls_without_a_token_send_none() {
    let server = Server::start(everything).await;
    let client = server.client(Region::Global);
    client.reachable().await.unwrap();
    let answer = client.login("ada@example.org", &"p\"ä w".to_owned().into()).await.unwrap();
    assert_eq!(answer.expires_in_s, Some(604_800));
    assert_eq!(answer.token.decode().unwrap().member.as_str(), "1");
    assert_eq!(
        server.lines(),
        ["GET /service/mobile/api/Config/GetDefaultConfig?type=0", "POST /service/auth/account/login"]
    );
    let seen = server.seen();
    check_headers(&seen[0], Region::Global, false);
    check_headers(&seen[1], Region::Global, false);
    assert_eq!(seen[1].header("content-type"), Some("application/json"));
    assert_eq!(seen[1].body, r#"{"username":"ada@example.org","password":"p\"ä w","appId":"igpsport-web"}"#);
}

#[tokio::test]
async fn a_file_is_found_by_the_detail_or_else_by_its_download_url() {
    let by_detail = Server::start(|_| data(r#"{"memberId":1,"title":"T","fitUrl":"https://files.example/d"}"#)).await;
    let found = by_detail.client(Region::Global).resolve(&token(1), RideId(5)).await.unwrap();
    let Resolution::Ready { location, by, detail } = found else { panic!("{found:?}") };
    assert_eq!((location.0.as_str(), by), ("https://files.example/d", ResolvedBy::Detail));
    assert_eq!(detail.unwrap().title.as_deref(), Some("T"));
    assert_eq!(by_detail.lines(), [format!("{DETAIL}/5")]);

    let by_url = Server::start(everything).await;
    let found = by_url.client(Region::Global).resolve(&token(1), RideId(5)).await.unwrap();
    assert!(matches!(found, Resolution::Ready { by: ResolvedBy::DownloadUrl, detail: Some(_), .. }));
    assert_eq!(by_url.lines(), [format!("{DETAIL}/5"), format!("{DOWNLOAD}/5")]);
}

#[tokio::test]
async fn the_file_host_sees_no_token() {
    let files =
        Server::start(|_| crate::support::Reply(200, vec![], b"\x0e\x10\xd9\x07\x00\x00\x00\x00.FIT\x00\x00".to_vec()))
            .await;
    let location = format!("http://{}/{{guid}}", files.host);
    let api = Server::start(move |_| data(&format!(r#"{{"memberId":1,"fitUrl":"{location}"}}"#))).await;
    let found = api.client(Region::Global).resolve(&token(1), RideId(5)).await.unwrap();
    let Resolution::Ready { location, .. } = found else { panic!("{found:?}") };
    let file = files.files().fetch(&location).await.unwrap();
    assert_eq!(file.bytes.len(), 14);
    let seen = &files.seen()[0];
    assert_eq!(seen.line(), "GET /%7Bguid%7D");
    for name in ["authorization", "cookie", "origin", "referer", "qiwu-app-version"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn both_regions_are_asked_whose_the_token_is() {
    let global = Server::start(everything).await;
    let china = Server::start(|_| json_reply(401, "")).await;
    let clients = [global.client(Region::Global), china.client(Region::China)];
    let clients: Vec<&Client> = clients.iter().collect();
    let answers = probe_regions(&clients, &token(1)).await;
    let account = answers[0].1.as_ref().unwrap();
    assert_eq!(answers[0].0, Region::Global);
    assert_eq!(account.nickname.as_deref(), Some("Ada"));
    assert_eq!(account.latest.rows[0].ride_id, RideId(5));
    assert_eq!(answers[1].0, Region::China);
    assert_eq!(answers[1].1.as_ref().unwrap_err().code(), "token_refused");
    assert_eq!(china.seen().len(), 1);
}

#[derive(Debug)]
struct Echo;

#[async_trait::async_trait]
impl Signer for Echo {
    async fn headers(&self, request: Unsigned<'_>) -> Result<axum::http::HeaderMap, SignError> {
        if request.path_and_query.contains("/UserInfo") {
            return Err(SignError("no key".into()));
        }
        let text = format!("{} {} {}", request.method, request.path_and_query, request.body.len());
        Ok([("x-signature".parse().unwrap(), text.parse().unwrap())].into_iter().collect())
    }
}

#[tokio::test]
async fn a_signer_sees_what_is_sent_and_adds_its_headers() {
    let server = Server::start(everything).await;
    let client = server.client(Region::China).with_signer(Arc::new(Echo));
    client.list_page(&token(1), 2).await.unwrap();
    client.login("a", &"b".to_owned().into()).await.unwrap();
    let refused = client.user_info(&token(1)).await.unwrap_err();
    assert_eq!(refused.code(), "internal");
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        let signed = format!("{} {}", seen.line(), seen.body.len());
        assert_eq!(seen.header("x-signature"), Some(&*signed));
    }
}
