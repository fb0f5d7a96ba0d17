//! The journal, fault rules that span services, and starting and stopping.

use fitbridge_simulator::{Config, Fault, FaultRule, NewAthlete, Ports, Region, RideBatch, Role, Simulator};
use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::support::{Rig, client};

#[tokio::test]
async fn the_journal_has_the_wire_shape_of_each_request() {
    let rig = Rig::new().await;
    rig.list("pageSize=20&pageNo=1&sort=1&x=%20a").await;
    let (_, key) = rig.world().add_athlete(NewAthlete::default());
    let form = Form::new().text("first", "1").part("file", Part::bytes(b"abc".to_vec()).file_name("a.fit"));
    let url = format!("{}/api/v1/athlete/0/activities?name=A%26B", rig.sim.intervals_url());
    rig.client.post(url).basic_auth("API_KEY", Some(key)).multipart(form).send().await.expect("an answer");

    let journal = rig.sim.journal();
    assert_eq!(journal.len(), 2);
    let list = &journal[0];
    assert_eq!((list.seq, list.role, list.route, list.method.as_str()), (0, Role::IgpsportGlobal, "list", "GET"));
    assert_eq!(list.query.as_deref(), Some("pageSize=20&pageNo=1&sort=1&x=%20a"), "as sent");
    assert_eq!(list.header("authorization"), Some(format!("Bearer {}", rig.token).as_str()));
    assert_eq!((list.status, list.body_size, &list.body_sha256), (Some(200), 0, &None));
    let upload = &journal[1];
    assert_eq!(upload.query.as_deref(), Some("name=A%26B"));
    let names: Vec<&str> = upload.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["first", "file"]);
    assert_eq!((upload.parts[1].file_name.as_deref(), upload.parts[1].size), (Some("a.fit"), 3));
    assert_eq!(upload.parts[1].sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!((upload.role, upload.route, upload.status), (Role::Intervals, "upload", Some(422)));
    assert_eq!(rig.world().requests(Role::IgpsportGlobal, None), 1);
    rig.world().clear_journal();
    rig.page(1).await;
    assert_eq!(rig.sim.journal()[0].seq, 2, "numbers go on");
}

#[tokio::test]
async fn the_journal_is_bounded_and_counters_are_not() {
    let rig = Rig::with(Config { journal_cap: 3, ..Config::seeded(2) }).await;
    for _ in 0..5 {
        rig.page(1).await;
    }
    let kept: Vec<u64> = rig.sim.journal().iter().map(|entry| entry.seq).collect();
    assert_eq!(kept, [2, 3, 4]);
    assert_eq!(rig.world().requests(Role::IgpsportGlobal, Some("list")), 5);
}

#[tokio::test]
async fn one_line_disturbs_a_tenth_of_everything() {
    let rig = Rig::new().await;
    rig.world().add_rides(Region::Global, rig.member, &RideBatch::small(3)).expect("rides");
    rig.world().add_fault(FaultRule::new(Fault::Status { code: 503, retry_after: None }).probability(0.1));
    let path = "/service/web-gateway/web-analyze/activity/queryMyActivity?pageNo=1";
    let mut failed = 0;
    for _ in 0..300 {
        failed += u32::from(rig.get(path).await.status() == 503);
    }
    assert!((10..60).contains(&failed), "{failed} of 300");
    rig.world().clear_faults();
    assert_eq!(rig.get(path).await.status(), 200);
}

#[tokio::test]
async fn a_dropped_simulator_is_gone_with_its_connections() {
    let rig = Rig::new().await;
    rig.page(1).await;
    let url = rig.sim.igpsport_url(Region::Global);
    let Rig { sim, client, .. } = rig;
    drop(sim);
    let mut answers = 0;
    // The threads end on their own time; a few tries are enough for the sockets to close.
    for _ in 0..50 {
        match client.get(&url).send().await {
            Err(_) => break,
            Ok(_) => answers += 1,
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(answers < 50, "still answering");
}

#[tokio::test]
async fn ports_can_be_given_and_a_taken_one_is_named() {
    let first = Simulator::start(Config::default()).await.expect("a simulator");
    let taken = first.file_host().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let config = Config { ports: Ports { files: taken, ..Ports::default() }, ..Config::default() };
    let error = Simulator::start(config).await.expect_err("the port is taken").to_string();
    assert!(error.contains(&taken.to_string()) && error.contains("files"), "{error}");
    assert_eq!(Ports::from(8100).control, 8106);
}

#[tokio::test]
async fn the_demo_world_can_be_connected_to() {
    let sim = Simulator::demo_world(Config::seeded(4)).await.expect("a simulator");
    let member = sim.world().members(Region::Global)[0].clone();
    assert_eq!((member.email.as_str(), member.rides), ("rider@example.com", 44));
    let help = sim.connection_help();
    assert!(help.exports().contains(&format!("export FITBRIDGE_TRUSTED_HOSTS={}\n", sim.trusted_hosts())));
    assert!(help.commands.iter().any(|command| command.contains("connect igpsport --token-stdin")));
    let login = json!({"username": help.email, "password": help.password, "appId": "igpsport-web"});
    let url = format!("{}/service/auth/account/login", sim.igpsport_url(Region::Global));
    assert_eq!(client().post(url).json(&login).send().await.expect("an answer").status(), 200);
    let profile = client()
        .get(format!("{}/api/v1/athlete/0", sim.intervals_url()))
        .basic_auth("API_KEY", help.api_key)
        .send()
        .await;
    assert_eq!(profile.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_folder_of_real_files_becomes_rides() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fit/real");
    if !folder.is_dir() {
        println!("skipped: no ../shared/fit");
        return;
    }
    let rig = Rig::new().await;
    let made = rig.world().load_folder(Region::Global, rig.member, &folder).expect("rides");
    assert!(!made.is_empty());
    for ride in rig.world().rides(Region::Global, rig.member) {
        let title = ride.title.expect("the file's name");
        let file = std::fs::read(folder.join(format!("{title}.fit"))).expect("the file");
        assert_eq!(rig.world().ride_bytes(Region::Global, ride.ride_id).expect("bytes"), file);
    }
}
