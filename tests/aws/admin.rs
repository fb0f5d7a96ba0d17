//! The operator's commands, with the built program, while the service works.

use std::{
    io::ErrorKind,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Json, Router, body::Bytes, routing::post};
use fitbridge_aws::testkit::moto;
use fitbridge_core::{
    domain::{ContentId, Delivery, UserId},
    ports::{SealedKey, VaultError},
};
use fitbridge_simulator::{
    AthleteId, Fault, FaultRule, MemberId, NewActivity, NewAthlete, NewMember, Region, RideBatch, Role,
};
use fitbridge_tests::Output;
use jiff::{Timestamp, tz::Offset};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command};

use crate::{
    queue::MAX_RECEIVES,
    riders::Rider,
    runtime::Function,
    service::{Service, to_bucket},
};

impl Service {
    /// `fitbridge --json admin --aws …` with the stack's outputs, as `CloudFormation` prints them.
    pub(crate) async fn admin(&self, arguments: &[&str], stdin: &str) -> Output {
        let value = |name: &str| self.environment.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str());
        let output = |name: &str, value: &str| json!({ "OutputKey": name, "OutputValue": value });
        let outputs = json!({ "Stacks": [{ "Outputs": [
            output("TableName", value("FITBRIDGE_TABLE").expect("a table")),
            output("BucketName", value("FITBRIDGE_BUCKET").expect("a bucket")),
            output("QueueUrl", &self.queue_url),
            output("DeadLetterQueueUrl", &self.dead_url),
            output("SecretPrefix", value("FITBRIDGE_SECRET_PREFIX").expect("a prefix")),
            output("PollInterval", "1"),
            output("PollerName", "fitbridge-poller"),
        ] }] });
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("outputs.json");
        std::fs::write(&file, outputs.to_string()).expect("it is written");
        let mut command = Command::new(fitbridge_tests::fitbridge());
        command.env_clear().envs(self.environment.iter().cloned()).env("FITBRIDGE_HOME", folder.path().join("home"));
        command.args(["--json", "admin", "--aws", "--outputs"]).arg(&file).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        // Who is refused at once may have gone before it was asked to read.
        match pipe.write_all(stdin.as_bytes()).await {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
            _ => drop(pipe),
        }
        let said = child.wait_with_output().await.expect("it ends");
        assert!(!folder.path().join("home").exists(), "no data folder is made");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let (stdout, stderr) = (text(said.stdout), text(said.stderr));
        // A single letter stands in any answer.
        if stdin.len() > 1 {
            assert!(!stdout.contains(stdin) && !stderr.contains(stdin), "a secret was printed");
        }
        Output { command: format!("admin {arguments:?}"), code: said.status.code(), stdout, stderr }
    }

    /// A file for what a command writes.
    fn file(folder: &tempfile::TempDir, name: &str) -> String {
        folder.path().join(name).to_str().expect("a path").to_owned()
    }

    /// A rider whom the operator adds and connects to everything.
    pub(crate) async fn add_by_hand(&self, name: &str, rides: usize) -> Rider {
        let (rider, key) = self.add_with_source(name, rides, "all").await;
        self.connect_sinks_by_hand(name, &key).await;
        rider
    }

    /// A rider whom the operator adds and connects to a source, and the key for Intervals.icu.
    pub(crate) async fn add_with_source(&self, name: &str, rides: usize, history: &str) -> (Rider, String) {
        let world = self.world();
        let member: MemberId = world.add_member(NewMember::default()).expect("a member");
        world.add_rides(Region::Global, member, &RideBatch::small(rides)).expect("rides");
        let (athlete, key): (AthleteId, String) = world.add_athlete(NewAthlete::default());
        let token = world.token(Region::Global, member).expect("a token");
        assert_eq!(self.admin(&["users", "add", name], "").await.exits(0).summary()["changed"], 1);
        let connect = ["connect", name, "igpsport", "--token-stdin", "--history", history];
        self.admin(&connect, &token).await.exits(0);
        let user = UserId::new(name).expect("a name that does");
        let source = self.engine.find_connection(&user, "igpsport").await.expect("it is connected").doc;
        self.skip_the_night(&source).await;
        (Rider { user, member, athlete, source }, key)
    }

    /// Connects a rider to both sinks.
    pub(crate) async fn connect_sinks_by_hand(&self, name: &str, key: &str) {
        self.admin(&["connect", name, "intervals", "--api-key-stdin"], key).await.exits(0);
        let url = self.simulator.webhook_url();
        let secret = crate::service::WEBHOOK_SECRET;
        self.admin(&["connect", name, "webhook", &url, "--secret-stdin"], secret).await.exits(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rider_is_added_connected_paused_resumed_and_removed() {
    let Some(service) = Service::start(&[]).await else { return };
    service.admin(&["connect", "ada", "igpsport", "--token-stdin"], "x").await.exits(1).says("no_such_rider");
    let rider = service.add_by_hand("ada", 3).await;
    assert_eq!(service.admin(&["users", "add", "ada"], "").await.exits(0).summary()["changed"], 0);
    service.admin(&["connect", "ada", "folder", "/tmp/x"], "").await.exits(1).says("gone with the function");
    service.run_until_quiet().await;
    service.assert_exactly_once(std::slice::from_ref(&rider));
    let shown = service.admin(&["users", "show", "ada"], "").await.exits(0);
    assert_eq!((shown.of_type("ride").len(), shown.of_type("connection").len()), (3, 3), "{shown}");
    assert!(shown.of_type("delivery").iter().all(|delivery| delivery["state"] == "delivered"), "{shown}");
    let listed = service.admin(&["users", "list"], "").await.exits(0);
    assert_eq!(listed.of_type("rider")[0]["connections"], 3, "{listed}");

    service.admin(&["users", "pause", "ada"], "").await.exits(0);
    service.world().add_rides(Region::Global, rider.member, &RideBatch::small(1)).expect("a ride");
    service.pass_minutes(1).await;
    service.world().clear_journal();
    service.tick().await.done();
    assert_eq!(service.world().request_counts().values().sum::<u64>(), 0, "nobody is asked for a paused rider");
    service.admin(&["connections", "ada"], "").await.exits(3).says("rider_paused");
    service.admin(&["users", "resume", "ada"], "").await.exits(0);
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(std::slice::from_ref(&rider));

    assert_eq!(service.admin(&["users", "remove", "ada"], "").await.exits(0).summary()["changed"], 3);
    assert_eq!(service.admin(&["users", "list"], "").await.exits(0).summary()["riders"], 0);
    service.pass_minutes(1).await;
    service.world().clear_journal();
    service.tick().await.done();
    assert_eq!(service.world().request_counts().values().sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_is_shown_and_begun_anew() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 2).await;
    let away = FaultRule::new(Fault::Status { code: 422, retry_after: None }).on(Role::Intervals).route("upload");
    service.world().add_fault(away);
    service.run_until_quiet().await;
    service.world().clear_faults();
    let dry = service.admin(&["redrive", "--sink", "intervals", "--dry-run"], "").await.exits(0);
    assert_eq!((dry.of_type("given_up").len(), dry.summary()["begun"].clone()), (4, json!(0)), "{dry}");
    assert_eq!(dry.of_type("given_up")[0]["state"], "rejected", "{dry}");
    let none = service.admin(&["redrive", "--sink", "webhook", "--dry-run"], "").await.exits(0);
    assert_eq!(none.summary()["found"], 0, "{none}");
    let later = service.admin(&["redrive", "--since", "2999-01-01"], "").await.exits(0);
    assert_eq!(later.summary()["found"], 0, "{later}");
    let one = service.admin(&["redrive", "--user", riders[0].user.as_str(), "--since", "1h"], "").await.exits(0);
    assert_eq!(one.summary()["begun"], 2, "{one}");
    let rest = service.admin(&["redrive"], "").await.exits(0);
    assert_eq!(rest.summary()["begun"], 2, "{rest}");
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_riders_word_for_held_rides_is_passed_on() {
    let Some(service) = Service::start(&[]).await else { return };
    let rider = service.add_riders(1, 3).await.remove(0);
    let rides = service.world().rides(Region::Global, rider.member);
    for ride in &rides[..2] {
        // The rider's account is two hours ahead of UTC.
        let start_date_local = Offset::constant(2).to_datetime(ride.start);
        let stub = NewActivity { start_date_local, source: "STRAVA".into(), ..NewActivity::default() };
        service.world().add_activity(&rider.athlete, &stub).expect("an activity");
    }
    service.run_until_quiet().await;
    // By the rides' numbers, so the two that are there already come last: the world has the newest first.
    let states = async || {
        let mut all = service.deliveries(&rider).await;
        all.retain(|delivery| delivery.sink.as_str().starts_with("intervals"));
        all.sort_by_key(Delivery::rider_id);
        all.iter().map(|delivery| delivery.state.name()).collect::<Vec<_>>()
    };
    assert_eq!(states().await, ["delivered", "held", "held"]);
    let user = rider.user.as_str();
    let listed = service.admin(&["held", user], "").await.exits(0);
    assert_eq!((listed.of_type("held").len(), listed.of_type("held")[0]["route"].as_str()), (2, Some("STRAVA")));
    let (send, skip) = (rides[0].ride_id.to_string(), rides[1].ride_id.to_string());
    let dry = service.admin(&["held", user, "send", &send, "--dry-run"], "").await.exits(0).summary();
    assert_eq!((&dry["found"], &dry["told"]), (&json!(1), &json!(0)), "{dry}");
    let sent = service.admin(&["held", user, "send", &send], "").await.exits(0).summary();
    assert_eq!(sent["told"], 1, "{sent}");
    service.admin(&["held", user, "skip", &skip, "--sink", "intervals"], "").await.exits(0);
    assert_eq!(states().await, ["delivered", "skipped", "pending"], "the sink has it in its queue");
    service.run_until_quiet().await;
    assert_eq!(states().await, ["delivered", "skipped", "delivered"], "what was to be sent is there");
    let acts = service.admin(&["audit", user], "").await.exits(0);
    assert!(acts.text().contains("held_send") && acts.text().contains("held_skip"), "{acts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_listed_replayed_and_discarded() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(1, 2).await;
    service.run_until_quiet().await;
    let job =
        format!(r#"{{"v":1,"user":"{}","task":"settle","connection":"{}"}}"#, riders[0].user, riders[0].source.id);
    for body in ["somebody's secret words", &job] {
        let send = service.clients.sqs.send_message().queue_url(&service.dead_url).message_body(body);
        send.send().await.expect("it is sent");
    }
    for _ in 0..2 {
        let listed = service.admin(&["dead-letters", "list"], "").await.exits(0);
        let reasons: Vec<_> = listed.of_type("message").into_iter().map(|mut line| line["reason"].take()).collect();
        assert!(reasons.contains(&json!("message_foreign")) && reasons.contains(&json!("never_finished")), "{listed}");
        assert!(!listed.text().contains("secret words"), "nothing of a stranger's message is shown: {listed}");
    }
    let dry = service.admin(&["dead-letters", "replay", "--dry-run"], "").await.exits(0).summary();
    assert_eq!((&dry["messages"], &dry["poison"], &dry["replayed"]), (&json!(1), &json!(1), &json!(0)));
    let replayed = service.admin(&["dead-letters", "replay"], "").await.exits(0).summary();
    assert_eq!(replayed["replayed"], 1, "{replayed}");
    assert_eq!(service.receive().await.len(), 1, "it is in the queue again");
    service.admin(&["dead-letters", "discard", "nonsense"], "").await.exits(1).says("no_such_message");
    let left = service.admin(&["dead-letters", "list"], "").await.exits(0);
    let id = left.of_type("message")[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(left.of_type("message").len(), 1, "{left}");
    assert_eq!(service.admin(&["dead-letters", "discard", &id], "").await.exits(0).summary()["changed"], 1);
    assert_eq!(service.admin(&["dead-letters", "list"], "").await.exits(0).summary()["poison"], 0);
    assert!(MAX_RECEIVES > 0 && service.dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_move_to_the_other_vault_and_back() {
    let Some(mut service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 1).await;
    service.run_until_quiet().await;
    let per_user = service.environment.clone();
    let keyring_of = |name: &str| format!("{name}/keyring");
    let prefix = per_user.iter().find(|(name, _)| name == "FITBRIDGE_SECRET_PREFIX").expect("a prefix").1.clone();
    let mut keyring = per_user.clone();
    keyring.push(("FITBRIDGE_VAULT".into(), "keyring".into()));
    keyring.push(("FITBRIDGE_KEYRING_SECRET".into(), keyring_of(&prefix)));

    service.admin(&["vault", "migrate", "--to", "keyring"], "").await.exits(1).says("vault init");
    assert_eq!(service.admin(&["vault", "init"], "").await.exits(0).summary()["changed"], 2);
    assert_eq!(service.admin(&["vault", "init"], "").await.exits(0).summary()["changed"], 0);
    for (to, environment) in [("keyring", &keyring), ("per-user-secret", &per_user)] {
        service.admin(&["stop"], "").await.exits(0);
        let planned = service.admin(&["vault", "migrate", "--to", to, "--dry-run"], "").await.exits(0).summary();
        let moved = service.admin(&["vault", "migrate", "--to", to, "--forget"], "").await.exits(0).summary();
        assert_eq!((&planned["moved"], &moved["moved"], &moved["missing"]), (&json!(6), &json!(6), &json!(0)));
        service.environment.clone_from(environment);
        service.poller = Function::new("poller", environment.clone()).await;
        service.sink = Function::new("sink", environment.clone()).await;
        service.admin(&["go"], "").await.exits(0);
        for rider in &riders {
            service.world().add_rides(Region::Global, rider.member, &RideBatch::small(1)).expect("a ride");
        }
        service.pass_minutes(1).await;
        service.run_until_quiet().await;
        service.assert_exactly_once(&riders);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_the_keyrings_are_turned_while_the_service_works() {
    let settings = [("FITBRIDGE_VAULT", "keyring"), ("FITBRIDGE_KEYRING_SECRET", "turned-by-hand/keyring")];
    let Some(mut service) = Service::start(&settings).await else { return };
    service.admin(&["vault", "init"], "").await.exits(0);
    let riders = service.add_riders(2, 1).await;
    service.run_until_quiet().await;
    let turned = service.admin(&["vault", "rotate"], "").await.exits(0);
    let added: Vec<_> = turned.of_type("key").into_iter().map(|mut key| key["added"].take()).collect();
    assert_eq!((added, turned.summary()["resealed"].clone()), (vec![json!("k2"), json!("k2")], json!(6)), "{turned}");
    // Functions that run learn of the key within minutes (a test of the vault has the clock for it); new ones at once.
    service.poller = Function::new("poller", service.environment.clone()).await;
    service.sink = Function::new("sink", service.environment.clone()).await;
    for rider in &riders {
        service.world().add_rides(Region::Global, rider.member, &RideBatch::small(1)).expect("a ride");
    }
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
    let early = service.admin(&["vault", "rotate", "--drop"], "").await.exits(2);
    assert_eq!((&early.summary()["resealed"], &early.summary()["dropped"]), (&json!(0), &json!(0)), "{early}");
    assert!(early.of_type("key").iter().all(|key| key["not_before"].is_string()), "{early}");
}

/// Just enough of SES: it takes every mail and keeps it.
async fn ses() -> (String, Arc<Mutex<Vec<Value>>>) {
    let mails = Arc::<Mutex<Vec<Value>>>::default();
    let kept = Arc::clone(&mails);
    let take = move |Json(mail): Json<Value>| async move {
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        Json(json!({ "MessageId": "1" }))
    };
    let router = Router::new().route("/v2/email/outbound-emails", post(take));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, mails)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rider_is_told_by_mail_and_what_happened_is_shown() {
    let (endpoint, mails) = ses().await;
    let settings = [("FITBRIDGE_MAIL_SENDER", "bridge@example.org"), ("AWS_ENDPOINT_URL_SESV2", &endpoint)];
    let Some(service) = Service::start(&settings).await else { return };
    let rider = service.add_by_hand("ada", 1).await;
    service.run_until_quiet().await;
    service.admin(&["notify", "bob", "show"], "").await.exits(1).says("no_such_rider");
    let own = ["notify", "ada", "email", "ada@example.com", "--smtp", "smtps://mail.example.com"];
    service.admin(&own, "").await.exits(1).says("MailSender");
    let set = service.admin(&["notify", "ada", "email", "ada@example.com"], "").await.exits(0);
    assert_eq!(
        (&set.of_type("channel")[0]["via"], &set.of_type("channel")[0]["tested"]),
        (&json!("email"), &json!(true))
    );
    assert!(service.world().revoke_athlete(&rider.athlete));
    service.world().add_rides(Region::Global, rider.member, &RideBatch::small(1)).expect("a ride");
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    let told: Vec<_> = {
        let mails = mails.lock().unwrap_or_else(PoisonError::into_inner);
        mails
            .iter()
            .map(|mail| (mail["FromEmailAddress"].clone(), mail["Destination"]["ToAddresses"].clone()))
            .collect()
    };
    let one = (json!("bridge@example.org"), json!(["ada@example.com"]));
    assert_eq!(told, [one.clone(), one], "the test, and that the sink needs its rider");
    let shown = service.admin(&["notify", "ada", "show"], "").await.exits(0);
    assert_eq!((&shown.summary()["channels"], shown.of_type("notice").len()), (&json!(1), 1), "{shown}");
    let events = service.admin(&["audit", "ada"], "").await.exits(0).of_type("event");
    let seen = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert!(seen("connected") == 3 && seen("paused") == 1 && seen("delivered") > 0, "{events:?}");
    assert!(events.iter().any(|event| event["act"] == "notify" && event["detail"] == "email"), "{events:?}");
    let later = service.admin(&["audit", "ada", "--since", "2999-01-01"], "").await.exits(0);
    assert_eq!(later.summary()["events"], 0, "{later}");
    service.admin(&["notify", "ada", "off"], "").await.exits(0);
    assert_eq!(service.admin(&["notify", "ada", "show"], "").await.exits(0).summary()["channels"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rider_is_told_by_webhook_once_signed_and_of_the_recovery_too() {
    let Some(service) = Service::start(&[]).await else { return };
    let rider = service.add_by_hand("ada", 1).await;
    service.run_until_quiet().await;
    let url = service.simulator.webhook_url();
    let secret = crate::service::WEBHOOK_SECRET;
    let set = service.admin(&["notify", "ada", "webhook", &url, "--secret-stdin"], secret).await.exits(0);
    assert_eq!(set.of_type("channel")[0]["tested"], true, "{set}");
    service.world().clear_webhooks();
    // What came since, rides aside, each as often as it came.
    let told = || {
        let attempts = service.world().webhook_attempts();
        assert!(attempts.iter().all(|one| one.refused.is_none() && !one.duplicate), "signed, and once: {attempts:?}");
        let notices = attempts.into_iter().filter(|one| one.id.starts_with("notice_"));
        let message = |body: Bytes| serde_json::from_slice::<Value>(&body).expect("JSON");
        let messages = notices.map(|one| message(one.body.expect("bodies are kept")));
        messages.map(|one| (one["type"].clone(), one["data"]["code"].clone())).collect::<Vec<_>>()
    };
    assert!(service.world().revoke_athlete(&rider.athlete));
    service.new_rides(&rider, 1);
    for _ in 0..3 {
        service.pass_minutes(1).await;
        service.run_until_quiet().await;
    }
    let failure = (json!("notice.failure"), json!("sink_reconnect"));
    assert_eq!(told(), std::slice::from_ref(&failure));
    let shown = service.admin(&["notify", "ada", "show"], "").await.exits(0);
    assert_eq!((&shown.summary()["channels"], shown.of_type("notice").len()), (&json!(1), 1), "{shown}");

    let key = service.world().renew_key(&rider.athlete).expect("a key");
    service.admin(&["connect", "ada", "intervals", "--api-key-stdin"], &key).await.exits(0);
    for _ in 0..2 {
        service.pass_minutes(1).await;
        service.run_until_quiet().await;
    }
    assert_eq!(told(), [failure, (json!("notice.recovery"), json!("sink_reconnect"))]);
    service.assert_at_intervals(&[rider]);
    service.assert_rights();
    assert!(!service.sink.said().contains(secret.trim_start_matches("whsec_")), "no secret is logged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_about_a_rider_is_exported_and_deleted() {
    let Some(service) = Service::start(&[]).await else { return };
    let rider = service.add_by_hand("ada", 2).await;
    let other = service.add_rider("bob", 1).await;
    service.run_until_quiet().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = Service::file(&folder, "ada.zip");
    let exported = service.admin(&["users", "export", "ada", "-o", &file], "").await.exits(0).summary();
    assert_eq!((&exported["files"], &exported["missing"]), (&json!(2), &json!(0)), "{exported}");
    let zip = zip::ZipArchive::new(std::fs::File::open(&file).expect("it is there")).expect("a ZIP");
    assert_eq!(zip.file_names().flatten().filter(|name| name.ends_with(".fit")).count(), 2);

    service.admin(&["users", "delete", "ada"], "").await.exits(1).says("--yes");
    let deleted = service.admin(&["users", "delete", "ada", "--yes"], "").await.exits(0).summary();
    assert_eq!((&deleted["files"], &deleted["secrets"]), (&json!(2), &json!(3)), "{deleted}");
    service.admin(&["users", "show", "ada"], "").await.exits(1).says("no_such_rider");
    let key = SealedKey { user: rider.user.clone(), connection: rider.source.id.clone() };
    let opened = service.engine.ports().vault.open(&key).await;
    assert!(matches!(opened, Err(VaultError::Missing(_))), "its secrets are forgotten");
    service.world().add_rides(Region::Global, other.member, &RideBatch::small(1)).expect("a ride");
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    // What was delivered for ada before stays where it was sent.
    service.assert_exactly_once(&[rider, other]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_holds_within_a_minute_and_nothing_is_lost() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 2).await;
    service.tick().await.done();
    service.admin(&["stop", "--note", "a trial"], "").await.exits(0);
    let status = service.admin(&["status"], "").await.exits(0).summary();
    assert_eq!((&status["stopped"], &status["note"]), (&json!(true), &json!("a trial")));
    service.end_leases().await;
    service.pass_minutes(1).await;
    service.world().clear_journal();
    service.tick().await.done();
    service.pump().await;
    assert_eq!(service.world().request_counts().values().sum::<u64>(), 0, "neither poller nor sink asks anybody");
    service.admin(&["go"], "").await.exits(0);
    assert_eq!(service.admin(&["status"], "").await.exits(0).summary()["stopped"], false);
    service.end_leases().await;
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

impl Service {
    /// A value of the functions' environment.
    fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(of, _)| of == name);
        found.map(|(_, value)| value.as_str()).expect("it is set")
    }

    /// The keys of a rider's files in the bucket, one for each version and each mark of a deletion.
    async fn versions(&self, rider: &str) -> Vec<String> {
        let endpoint = moto::endpoint().expect("the emulator");
        let bucket = self.variable("FITBRIDGE_BUCKET");
        let path = format!("/{bucket}?versions&max-keys=1000&prefix=fit/{rider}/");
        let listed = to_bucket(endpoint, "GET", &path, "").await;
        assert!(listed.starts_with("HTTP/1.1 200") && listed.contains("<IsTruncated>false"), "{listed}");
        let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split('<').next());
        keys.map(str::to_owned).collect()
    }

    /// The names of a rider's secrets, those that can be restored among them.
    async fn secrets(&self, rider: &str) -> Vec<String> {
        let prefix = self.variable("FITBRIDGE_SECRET_PREFIX");
        let mut pages = self.clients.secrets.list_secrets().include_planned_deletion(true).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.expect("a page").secret_list.unwrap_or_default();
            names.extend(page.into_iter().filter_map(|secret| secret.name));
        }
        let of_rider = |name: &String| {
            ["source", "sink"].iter().any(|role| name.starts_with(&format!("{prefix}/{role}/{rider}/")))
        };
        names.retain(of_rider);
        names
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_account_leaves_no_version_of_a_file_and_no_secret_to_restore() {
    let Some(service) = Service::start(&[]).await else { return };
    let rider = service.add_by_hand("ada", 3).await;
    // One name begins with the other.
    let other = service.add_rider("ada2", 2).await;
    service.run_until_quiet().await;
    // A file that was replaced, one that was deleted, one that no record names; a secret that can be restored.
    let archive = &service.engine.ports().archive;
    let keys = service.versions("ada").await;
    let bucket = service.variable("FITBRIDGE_BUCKET");
    let replace = format!("/{bucket}/{}", keys[0]);
    let replaced = to_bucket(moto::endpoint().expect("the emulator"), "PUT", &replace, "bit rot").await;
    assert!(replaced.starts_with("HTTP/1.1 200"), "{replaced}");
    let (gone, stray) = (Bytes::from_static(b"gone"), Bytes::from_static(b"stray"));
    for bytes in [&gone, &stray] {
        archive.put(&rider.user, ContentId::of(bytes), bytes.clone()).await.expect("it is stored");
    }
    archive.delete(&rider.user, ContentId::of(&gone)).await.expect("it is deleted");
    service.admin(&["disconnect", "ada", "webhook"], "").await.exits(0);
    assert_eq!(service.versions("ada").await.len(), 3 + 1 + 2 + 1, "versions and a mark");
    assert_eq!(service.secrets("ada").await.len(), 3, "one of them deleted, and to be restored");
    let others = (service.versions("ada2").await, service.secrets("ada2").await);
    assert_eq!((others.0.len(), others.1.len()), (2, 3));

    let deleted = service.admin(&["users", "delete", "ada", "--yes"], "").await.exits(0).summary();
    assert_eq!((&deleted["files"], &deleted["secrets"]), (&json!(4), &json!(3)), "{deleted}");
    let at = |field: &str| deleted[field].as_str().expect("a moment").parse::<Timestamp>().expect("a moment");
    let hours = at("backups_until").duration_since(at("done_at")).as_hours();
    assert_eq!(hours, 35 * 24, "as long as the table's backups go back: {deleted}");
    assert_eq!(service.versions("ada").await, [""; 0]);
    assert_eq!(service.secrets("ada").await, [""; 0]);
    assert_eq!((service.versions("ada2").await, service.secrets("ada2").await), others, "the other's stay");
    service.new_rides(&other, 1);
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&[rider, other]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_takes_what_lies_in_the_other_vault_too() {
    let Some(mut service) = Service::start(&[]).await else { return };
    service.add_by_hand("ada", 1).await;
    service.run_until_quiet().await;
    let ring = format!("{}/keyring", service.variable("FITBRIDGE_SECRET_PREFIX"));
    service.admin(&["vault", "init"], "").await.exits(0);
    service.admin(&["vault", "migrate", "--to", "keyring"], "").await.exits(0);
    service.environment = service.with("FITBRIDGE_VAULT", "keyring");
    service.environment = service.with("FITBRIDGE_KEYRING_SECRET", &ring);
    assert_eq!(service.secrets("ada").await.len(), 3, "they were not forgotten");
    service.admin(&["users", "delete", "ada", "--yes"], "").await.exits(0);
    assert_eq!(service.secrets("ada").await, [""; 0]);
}
