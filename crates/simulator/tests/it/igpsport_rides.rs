//! Lists, details and where files lie.

use fitbridge_simulator::{
    BeyondEnd, DateStyle, DownloadUrlShape, Fault, FaultRule, NewRide, PageAction, PageSizeEcho, Region, RideBatch,
    RideId, Role, RowShape, UnknownRide, UrlShape,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{Rig, ids};

const HERE: Region = Region::Global;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

#[tokio::test]
async fn pages_are_cut_to_twenty_newest_first() {
    let rig = Rig::new().await;
    let made = rig.world().add_rides(HERE, rig.member, &RideBatch::small(45)).expect("rides");
    let first = rig.list("pageNo=1&pageSize=100&sort=1&reqType=0").await;
    let data = &first["data"];
    assert_eq!((&data["totalPage"], &data["totalRows"], &data["pageSize"]), (&json!(3), &json!(45), &json!(20)));
    let mut seen = ids(&first);
    assert_eq!(seen.len(), 20);
    seen.extend(ids(&rig.page(2).await));
    seen.extend(ids(&rig.page(3).await));
    let newest_first: Vec<i64> = made.iter().rev().map(|id| id.0).collect();
    assert_eq!(seen, newest_first);
    assert_eq!(rig.page(4).await["data"]["rows"], json!([]));
    assert_eq!(rig.list("pageNo=3&pageSize=5").await["data"]["totalPage"], 9);

    rig.world().set_toggles(HERE, |t| {
        t.beyond_end = BeyondEnd::RepeatLast;
        t.page_size_echo = PageSizeEcho::Requested;
    });
    assert_eq!(ids(&rig.page(4).await), ids(&rig.page(3).await));
    assert_eq!(rig.list("pageNo=1&pageSize=100").await["data"]["pageSize"], 100);
    rig.world().set_toggles(HERE, |t| t.beyond_end = BeyondEnd::NullData);
    assert_eq!(rig.page(9).await, json!({"code": 0, "message": "success", "data": null}));
}

#[tokio::test]
async fn rows_shift_when_a_ride_appears_or_goes_between_two_pages() {
    let rig = Rig::new().await;
    let world = rig.world();
    let made = world.add_rides(HERE, rig.member, &RideBatch::small(40)).expect("rides");
    world.insert_while_paging(HERE, rig.member, 1, NewRide::at(world.now())).expect("a hook");
    let (first, second) = (ids(&rig.page(1).await), ids(&rig.page(2).await));
    assert_eq!(first.last(), second.first(), "the last row of page 1 comes again");
    assert_eq!(rig.page(3).await["data"]["totalRows"], 41);

    let gone = made[39];
    world.while_paging(HERE, rig.member, 1, PageAction::Delete(gone)).expect("a hook");
    let (first, second) = (ids(&rig.page(1).await), ids(&rig.page(2).await));
    assert!(first.contains(&gone.0));
    let all: Vec<i64> = first.into_iter().chain(second).collect();
    assert_eq!(all.len(), 40);
    assert!(!all.contains(&made[20].0), "one row slipped to page 1 unseen");
}

#[tokio::test]
async fn late_uploads_lie_deep_and_doubled_rows_straddle_pages() {
    let rig = Rig::new().await;
    let world = rig.world();
    let newest = at("2026-06-30T10:00:00Z");
    let batch = RideBatch { newest: Some(newest), ..RideBatch::small(30) };
    let made = world.add_rides(HERE, rig.member, &batch).expect("rides");
    let late = world.add_late_upload(HERE, rig.member, at("2026-06-05T10:00:01Z")).expect("a ride");
    assert!(made.iter().all(|ride| ride.0 < late.0));
    assert!(!ids(&rig.page(1).await).contains(&late.0));
    assert!(ids(&rig.page(2).await).contains(&late.0));

    let twice = NewRide { twice: true, ..NewRide::at(at("2026-06-10T10:00:00Z")) };
    let twice = world.add_ride(HERE, rig.member, &twice).expect("a ride").0;
    let (first, second) = (rig.page(1).await, rig.page(2).await);
    let all: Vec<i64> = ids(&first).into_iter().chain(ids(&second)).collect();
    assert_eq!(all.iter().filter(|id| **id == twice).count(), 2);
    assert_eq!((ids(&first).last(), ids(&second).first()), (Some(&twice), Some(&twice)));
    assert_eq!(first["data"]["totalRows"], 32, "counted once");
}

#[tokio::test]
async fn rows_have_the_units_and_quirks_of_the_real_ones() {
    let rig = Rig::new().await;
    let start = at("2026-06-02T23:30:00Z");
    let ride = NewRide { title: None, distance_m: Some(77816.56), moving_s: Some(13112), ..NewRide::at(start) };
    let id = rig.world().add_ride(HERE, rig.member, &ride).expect("a ride");
    let row = rig.page(1).await["data"]["rows"][0].clone();
    assert_eq!(row["rideId"], id.0);
    assert_eq!(row["startTime"], "2026.06.03", "the date where the rider lives");
    assert_eq!((&row["rideDistance"], &row["totalMovingTime"]), (&json!(77816.56), &json!(13112)));
    assert!((row["avgSpeed"].as_f64().expect("a number") - 5.935).abs() < 0.001);
    assert!(row["title"].is_null());
    for (style, expected) in
        [(DateStyle::Full, json!("2026-06-03 01:30:00")), (DateStyle::Null, Value::Null), (DateStyle::Empty, json!(""))]
    {
        rig.world().set_toggles(HERE, |t| t.dates = style);
        assert_eq!(rig.page(1).await["data"]["rows"][0]["startTime"], expected);
    }
    for (shape, expected) in [
        (RowShape::IdAsText, json!("9007199254740993")),
        (RowShape::IdMissing, Value::Null),
        (RowShape::IdHuge, json!(u64::MAX)),
    ] {
        rig.world().delete_ride(HERE, rig.world().rides(HERE, rig.member)[0].ride_id).expect("a ride");
        let number = if shape == RowShape::IdAsText { Some(RideId(9_007_199_254_740_993)) } else { None };
        let ride = NewRide { ride_id: number, row: shape, ..NewRide::at(start) };
        rig.world().add_ride(HERE, rig.member, &ride).expect("a ride");
        assert_eq!(rig.page(1).await["data"]["rows"][0]["rideId"], expected);
    }
    let corrupt = NewRide { row: RowShape::NotAnObject, ..NewRide::at(rig.world().now()) };
    rig.world().add_ride(HERE, rig.member, &corrupt).expect("a ride");
    assert_eq!(rig.page(1).await["data"]["rows"][0], "corrupt");
}

#[tokio::test]
async fn dates_filter_inclusively_and_control_characters_can_be_raw() {
    let rig = Rig::new().await;
    for day in ["2026-06-01T10:00:00Z", "2026-06-02T10:00:00Z", "2026-06-03T10:00:00Z"] {
        rig.world().add_ride(HERE, rig.member, &NewRide::at(at(day))).expect("a ride");
    }
    let query = "pageNo=1&pageSize=20&beginTime=2026-06-01&endTime=2026-06-02";
    assert_eq!(rig.list(query).await["data"]["totalRows"], 2);
    rig.world().set_toggles(HERE, |t| t.end_time_exclusive = true);
    assert_eq!(rig.list(query).await["data"]["totalRows"], 1);

    rig.world().clock().set(at("2026-07-01T00:00:00Z"));
    let titled = NewRide { title: Some("a\u{1}\tb".into()), ..NewRide::at(rig.world().now()) };
    rig.world().add_ride(HERE, rig.member, &titled).expect("a ride");
    assert_eq!(rig.page(1).await["data"]["rows"][0]["title"], "a\u{1}\tb");
    rig.world().set_toggles(HERE, |t| t.raw_control_characters = true);
    let path = "/service/web-gateway/web-analyze/activity/queryMyActivity?pageNo=1";
    let text = rig.get(path).await.text().await.expect("a body");
    assert!(text.contains('\u{1}') && serde_json::from_str::<Value>(&text).is_err());
}

#[tokio::test]
async fn details_agree_with_the_list_and_the_file() {
    let rig = Rig::new().await;
    let id = rig.world().add_ride(HERE, rig.member, &NewRide::at(at("2026-06-02T11:56:49Z"))).expect("a ride");
    let row = rig.page(1).await["data"]["rows"][0].clone();
    let (status, body) = rig.detail(id).await;
    assert_eq!(status, 200);
    let data = &body["data"];
    assert_eq!((&data["startTime"], &data["memberId"]), (&json!("2026-06-02 13:56:49"), &json!(rig.member)));
    assert_eq!(data["rideDistance"].as_i64(), row["rideDistance"].as_f64().map(|metres| metres as i64));
    assert_eq!(data["avgBalance"], json!([null, null]));
    assert!(data.get("avgHrm").is_none(), "absent without a sensor");
    assert_eq!(data["fitUrl"], rig.file_url(id).await);

    let stranger = rig.world().add_member(fitbridge_simulator::NewMember::default()).expect("a member");
    let other = rig.world().add_ride(HERE, stranger, &NewRide::default()).expect("a ride");
    assert_eq!(rig.detail(other).await.0, 404, "another member's ride");
    assert_eq!(rig.detail("abc").await.0, 404);
    rig.world().delete_ride(HERE, id).expect("a ride");
    assert_eq!(rig.download_url(id).await.0, 404);
    rig.world().set_toggles(HERE, |t| t.unknown_ride = UnknownRide::Ok200);
    assert_eq!(rig.detail(id).await.1["code"], 500);
    assert_eq!(rig.page(1).await["data"]["totalRows"], 0);
}

#[tokio::test]
async fn locations_appear_when_the_ride_is_processed() {
    let rig = Rig::new().await;
    let waiting = NewRide { detail_ready_after: 2, download_ready_after: 1, ready_after_s: 600, ..NewRide::default() };
    let id = rig.world().add_ride(HERE, rig.member, &waiting).expect("a ride");
    assert!(rig.download_url(id).await.1["data"].is_null());
    rig.world().clock().advance(SignedDuration::from_secs(601));
    assert!(rig.detail(id).await.1["data"]["fitUrl"].is_null());
    assert!(rig.download_url(id).await.1["data"].is_string());
    assert!(rig.detail(id).await.1["data"]["fitUrl"].is_null());
    assert!(rig.detail(id).await.1["data"]["fitUrl"].is_string());

    rig.world().set_toggles(HERE, |t| {
        t.download_url = DownloadUrlShape::Object;
        t.detail_url = UrlShape::Absent;
    });
    assert!(rig.download_url(id).await.1["data"]["url"].is_string());
    assert!(rig.detail(id).await.1["data"].get("fitUrl").is_none());
    rig.world().set_toggles(HERE, |t| t.download_url = DownloadUrlShape::Empty);
    assert_eq!(rig.download_url(id).await.1["data"], "");
}

#[tokio::test]
async fn rows_can_be_sparse_strange_and_compressed() {
    let rig = Rig::new().await;
    let id = rig.world().add_ride(HERE, rig.member, &NewRide::default()).expect("a ride");
    rig.world().set_toggles(HERE, |t| {
        t.sparse_rows = true;
        t.extra_fields = true;
        t.fit_oss_path = true;
        t.ride_id_as_text = true;
        t.gzip_json = true;
    });
    let row = rig.page(1).await["data"]["rows"][0].clone();
    assert_eq!(row["rideId"], id.0.to_string());
    assert!(row.get("totalAscent").is_none() && row["newInThisVersion"].is_object());
    assert_eq!(row["fitOssPath"], rig.file_url(id).await);
    let path = "/service/web-gateway/web-analyze/activity/queryMyActivity";
    let url = format!("{}{path}", rig.sim.igpsport_url(HERE));
    let plain = rig.client.get(url).bearer_auth(&rig.token).header("accept-encoding", "identity").send().await;
    assert!(plain.expect("an answer").text().await.expect("a body").starts_with('{'));
}

#[tokio::test]
async fn answers_can_be_invalid_slow_or_cut() {
    let rig = Rig::new().await;
    let path = "/service/web-gateway/web-analyze/activity/queryMyActivity";
    let arm = |fault| rig.world().add_fault(FaultRule::new(fault).on(Role::IgpsportGlobal).route("list").times(1));
    arm(Fault::InvalidJson);
    let text = rig.get(path).await.text().await.expect("a body");
    assert!(serde_json::from_str::<Value>(&text).is_err());
    arm(Fault::TruncateBody { keep: 20 });
    assert!(rig.get(path).await.text().await.is_err());
    arm(Fault::Slow { ms: 20 });
    arm(Fault::TooManyRequests { retry_after: None });
    let response = rig.get(path).await;
    assert_eq!((response.status().as_u16(), response.headers().contains_key("retry-after")), (429, false));
    arm(Fault::RevokeUser);
    assert_eq!(rig.get(path).await.status(), 401);
    let fresh = rig.world().token(HERE, rig.member).expect("a token");
    assert_eq!(rig.world().token_owner(&fresh), Some((HERE, rig.member)));
    assert!(rig.world().revoke_token(&fresh) && !rig.world().revoke_token("unknown"));
    assert_eq!(rig.get_at(HERE, path, &fresh).await.status(), 401);
}
