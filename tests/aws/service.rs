//! The whole service around its functions, with riders.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_config::{BehaviorVersion, Region as AwsRegion, SdkConfig};
use aws_sdk_sqs::{
    config::{Credentials, SharedCredentialsProvider},
    types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName},
};
use fitbridge_aws::{
    context::{Clients, Environment},
    ledger::create_table,
    queue::SqsQueue,
    run::Parts,
};
use fitbridge_core::{
    Engine,
    domain::{Activity, Connection, Delivery, Shard, UserId},
    engine::{Ports, connect::Wish, secrets::SourceSecret},
    ports::{Change, Claim, Clock as _, Due, Expect, Key, Record, Write},
    store::{Cursor, CursorClaim, Stored},
};
use fitbridge_local::SystemClock;
use fitbridge_simulator::{
    AthleteId, Config, MemberId, NewAthlete, NewMember, Region, RideBatch, Role, Simulator, World,
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    moto,
    runtime::{Answer, Function},
    table::Table,
};

/// As the template has it.
pub(crate) const MAX_RECEIVES: usize = 5;
/// What the simulated webhook receiver verifies with; made up.
const WEBHOOK_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const SHARD: Shard = Shard(0);

/// A rider with an account at iGPSport, one at Intervals.icu, and a webhook.
#[derive(Debug, Clone)]
pub(crate) struct Rider {
    pub(crate) user: UserId,
    pub(crate) member: MemberId,
    pub(crate) athlete: AthleteId,
    pub(crate) source: Connection,
}

/// The service.
pub(crate) struct Service {
    pub(crate) simulator: Simulator,
    pub(crate) table: Table,
    pub(crate) clients: Clients,
    pub(crate) engine: Engine,
    pub(crate) poller: Function,
    pub(crate) sink: Function,
    pub(crate) environment: Vec<(String, String)>,
    queue_url: String,
    dead_url: String,
}

impl Service {
    /// A service with nobody in it, whose riders are polled each minute; `None` where the emulators are not
    /// to be had. `settings` are added to the functions' environment.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let moto = moto::endpoint()?;
        let table = Table::start().await;
        let simulator = Simulator::start_blocking(Config::seeded(7)).expect("the simulator starts");
        simulator.world().set_webhook_secrets(&[WEBHOOK_SECRET.to_owned()]).expect("a webhook secret");

        let mut clients = Clients::new(config(moto));
        clients.dynamodb = aws_sdk_dynamodb::Client::new(&config(&table.endpoint));
        create_table(&clients.dynamodb, "fitbridge-ledger").await.expect("a table");
        let bucket = format!("fitbridge-files-{number}");
        make_bucket(moto, &bucket).await;
        let (queue_url, dead_url) = make_queues(&clients, number).await;

        let mut environment: BTreeMap<String, String> = [
            ("FITBRIDGE_TABLE", "fitbridge-ledger".to_owned()),
            ("FITBRIDGE_BUCKET", bucket),
            ("FITBRIDGE_QUEUE_URL", queue_url.clone()),
            ("FITBRIDGE_SECRET_PREFIX", format!("fitbridge-{number}")),
            ("FITBRIDGE_POLL_MINUTES", "1".to_owned()),
            ("FITBRIDGE_IGPSPORT_URL", simulator.igpsport_url(Region::Global)),
            ("FITBRIDGE_INTERVALS_URL", simulator.intervals_url()),
            ("FITBRIDGE_TRUSTED_HOSTS", simulator.trusted_hosts()),
            ("AWS_ENDPOINT_URL", moto.to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", table.endpoint.clone()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "testing".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "testing".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let parsed = Environment::parse(environment.clone()).expect("an environment that does");
        let parts = Parts::over("tests", parsed, clients.clone()).expect("adapters");
        let ports = Ports {
            source: Arc::new(parts.source().expect("a source")),
            sinks: parts.sinks().expect("sinks"),
            archive: parts.archive().expect("an archive"),
            ..parts.ports(Arc::new(SqsQueue::new(clients.sqs.clone(), &queue_url)))
        };
        let engine = parts.engine(ports, parts.policy());
        let environment: Vec<_> = environment.into_iter().collect();
        Some(Self {
            poller: Function::new("poller", environment.clone()).await,
            sink: Function::new("sink", environment.clone()).await,
            simulator,
            table,
            clients,
            engine,
            environment,
            queue_url,
            dead_url,
        })
    }

    /// The simulated world.
    pub(crate) fn world(&self) -> &World {
        self.simulator.world()
    }

    /// Riders with so many rides each, connected to everything.
    pub(crate) async fn add_riders(&self, count: usize, rides: usize) -> Vec<Rider> {
        let riders = (0..count).map(async |number| self.add_rider(&format!("rider-{number:03}"), rides).await);
        stream::iter(riders).buffered(8).collect().await
    }

    /// One rider.
    pub(crate) async fn add_rider(&self, name: &str, rides: usize) -> Rider {
        let world = self.world();
        let member = world.add_member(NewMember::default()).expect("a member");
        world.add_rides(Region::Global, member, &RideBatch::small(rides)).expect("rides");
        let (athlete, key) = world.add_athlete(NewAthlete::default());
        let user = UserId::new(name).expect("a name that does");
        let source = self.connect_source(&user, member).await;
        let secret = fitbridge_sinks::intervals::api_key_secret(&SecretString::from(key));
        self.connect_sink(&user, "intervals", json!({}), &secret).await;
        let secret = fitbridge_sinks::webhook::sealed_secret(&SecretString::from(WEBHOOK_SECRET)).expect("a secret");
        self.connect_sink(&user, "webhook", json!({ "url": self.simulator.webhook_url() }), &secret).await;
        Rider { user, member, athlete, source }
    }

    /// Connects a member's rides with a fresh token.
    pub(crate) async fn connect_source(&self, user: &UserId, member: MemberId) -> Connection {
        let token = SecretString::from(self.world().token(Region::Global, member).expect("a token"));
        let found = self.engine.ports().source.identify(&token, Some("global")).await.expect("an answer");
        let wish = Wish { user: user.clone(), name: "igpsport".into(), history: None };
        let secret = SourceSecret { token, login: None };
        self.engine.connect_source(&wish, &found[0], &secret).await.expect("it is connected")
    }

    async fn connect_sink(&self, user: &UserId, service: &str, settings: Value, secret: &SecretString) {
        let service = fitbridge_core::domain::Service::new(service).expect("a service");
        let sink = &self.engine.ports().sinks[&service];
        let identity = sink.check(&settings, Some(secret)).await.expect("an account");
        let wish = Wish { user: user.clone(), name: service.to_string(), history: None };
        self.engine.connect_sink(&wish, &identity, Some(secret)).await.expect("it is connected");
    }

    /// The schedule's event.
    pub(crate) async fn tick(&self) -> Answer {
        self.poller.invoke(&json!({ "shard": 0 })).await
    }

    /// Receives a batch, as the event source does.
    pub(crate) async fn receive(&self) -> Vec<Message> {
        let receive = self.clients.sqs.receive_message().queue_url(&self.queue_url).max_number_of_messages(10);
        let receive = receive.visibility_timeout(720).message_system_attribute_names(MessageSystemAttributeName::All);
        receive.send().await.expect("a batch").messages.unwrap_or_default()
    }

    /// Settles a batch as the event source does: what is done is deleted, and what failed is visible again
    /// (at once, where AWS waits for the visibility timeout).
    pub(crate) async fn settle(&self, batch: &[Message], answer: &Answer) {
        let failed: Vec<&str> = match answer {
            Answer::Done(answer) => {
                let items = answer["batchItemFailures"].as_array().expect("a list of failures");
                items.iter().map(|item| item["itemIdentifier"].as_str().expect("an id")).collect()
            }
            Answer::Failed(_) | Answer::Died => batch.iter().filter_map(Message::message_id).collect(),
        };
        let is_back = |message: &&Message| failed.contains(&message.message_id().expect("an id"));
        for message in batch.iter().filter(is_back) {
            let change = self.clients.sqs.change_message_visibility().queue_url(&self.queue_url).visibility_timeout(0);
            change.receipt_handle(message.receipt_handle().expect("a handle")).send().await.expect("it is visible");
        }
        let mut delete = self.clients.sqs.delete_message_batch().queue_url(&self.queue_url);
        for message in batch.iter().filter(|message| !is_back(message)) {
            let entry = DeleteMessageBatchRequestEntry::builder().id(message.message_id().expect("an id"));
            let entry = entry.receipt_handle(message.receipt_handle().expect("a handle")).build();
            delete = delete.entries(entry.expect("an entry"));
        }
        if delete.get_entries().is_some() {
            delete.send().await.expect("they are deleted");
        }
    }

    /// Lets the sink work until the queue is empty.
    pub(crate) async fn pump(&self) {
        loop {
            let batch = self.receive().await;
            if batch.is_empty() {
                return;
            }
            let answer = self.sink.invoke(&event(&batch)).await;
            self.settle(&batch, &answer).await;
        }
    }

    /// Minutes of the schedule and all that follows, until nothing is due any more.
    pub(crate) async fn run_until_quiet(&self) {
        for _ in 0..40 {
            self.tick().await.done();
            self.pump().await;
            if self.engine.ports().ledger.due(SHARD, Timestamp::MAX, 1).await.expect("rows").is_empty() {
                return;
            }
            self.end_leases().await;
            self.pass_minutes(1).await;
        }
        panic!("it never becomes quiet: {:?}", self.engine.waiting(SHARD).await.expect("what waits"));
    }

    /// Lets minutes pass for the shard's schedule, and with them the claim of a tick that died.
    pub(crate) async fn pass_minutes(&self, minutes: i64) {
        let stored: Stored<Cursor> =
            self.engine.store().read(&Key::cursor(SHARD)).await.expect("a ledger").expect("a cursor");
        let claimed =
            stored.doc.claimed.as_ref().map(|claim| CursorClaim { until: SystemClock.now(), ..claim.clone() });
        let past = Cursor { done_minute: stored.doc.done_minute - minutes, claimed, ..stored.doc.clone() };
        let write = stored.replace(&past, None).expect("a write");
        assert!(self.engine.store().commit(vec![write]).await.expect("a ledger"));
    }

    /// Lets all leases end and all waits be over: what waits is due now.
    pub(crate) async fn end_leases(&self) {
        let ledger = &self.engine.ports().ledger;
        for row in ledger.due(SHARD, Timestamp::MAX, 100_000).await.expect("rows") {
            let Some(Record { key, version, body, due: Some(due), plan }) =
                ledger.get(&row.key).await.expect("a record")
            else {
                continue;
            };
            let claim = due.claim.map(|claim| Claim { working: true, ..claim });
            let due = Some(Due { at: SystemClock.now(), claim, ..due });
            let write = Write { key, expect: Expect::Version(version), change: Change::Put { body, due, plan } };
            ledger.commit(vec![write]).await.expect("nobody else is at work");
        }
    }

    /// Empties the queue, as if its messages were never delivered.
    pub(crate) async fn purge(&self) {
        self.clients.sqs.purge_queue().queue_url(&self.queue_url).send().await.expect("it is purged");
    }

    /// Sends a text as a message.
    pub(crate) async fn send(&self, body: &str) {
        let send = self.clients.sqs.send_message().queue_url(&self.queue_url).message_body(body);
        send.send().await.expect("it is sent");
    }

    /// The bodies of the dead letters.
    pub(crate) async fn dead_letters(&self) -> Vec<String> {
        let receive = self.clients.sqs.receive_message().queue_url(&self.dead_url).max_number_of_messages(10);
        let messages = receive.send().await.expect("messages").messages.unwrap_or_default();
        messages.into_iter().filter_map(|message| message.body).collect()
    }

    /// A rider's rides.
    pub(crate) async fn rides(&self, rider: &Rider) -> Vec<Activity> {
        let all = self.engine.store().all::<Activity>(&rider.user, "activity/").await.expect("rides");
        all.into_iter().map(|stored| stored.doc).collect()
    }

    /// A rider's deliveries.
    pub(crate) async fn deliveries(&self, rider: &Rider) -> Vec<Delivery> {
        let all = self.engine.store().all::<Delivery>(&rider.user, "delivery/").await.expect("deliveries");
        all.into_iter().map(|stored| stored.doc).collect()
    }

    /// How often iGPSport's list was asked for.
    pub(crate) fn list_requests(&self) -> u64 {
        self.world().requests(Role::IgpsportGlobal, Some("list"))
    }

    /// Asserts that every ride of these riders is at both sinks exactly once, byte for byte, and that no
    /// bearer went astray and no secret was printed.
    #[track_caller]
    pub(crate) fn assert_exactly_once(&self, riders: &[Rider]) {
        let world = self.world();
        let mut all = Vec::new();
        for rider in riders {
            let rides = world.rides(Region::Global, rider.member);
            let sha = |ride: fitbridge_simulator::RideId| world.ride_sha256(Region::Global, ride).expect("a file");
            let mut upstream: Vec<_> =
                rides.iter().filter(|ride| !ride.deleted).map(|ride| sha(ride.ride_id)).collect();
            let there = world.activities(&rider.athlete).into_iter().filter(|activity| !activity.deleted);
            let mut there: Vec<_> = there.filter_map(|activity| activity.sha256).collect();
            upstream.sort();
            there.sort();
            assert_eq!(there, upstream, "{} at Intervals.icu", rider.user);
            all.extend(upstream);
        }
        let mut deliveries = world.webhook_deliveries();
        deliveries.retain(|delivery| !delivery.id.starts_with("ping_"));
        assert!(deliveries.iter().all(|delivery| delivery.same_body), "{deliveries:?}");
        let mut there: Vec<_> = deliveries.into_iter().map(|delivery| delivery.sha256).collect();
        all.sort();
        there.sort();
        assert_eq!(there, all, "at the webhooks");
        assert_eq!((world.bearer_at_file_host(), world.trap_hits()), (0, 0));
        for said in [self.poller.said(), self.sink.said()] {
            assert!(!said.contains("eyJ") && !said.contains(WEBHOOK_SECRET.trim_start_matches("whsec_")), "{said}");
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}

/// A batch as the event that the function is given.
pub(crate) fn event(batch: &[Message]) -> Value {
    let record = |message: &Message| {
        let attributes: BTreeMap<_, _> = message
            .attributes()
            .map(|attributes| {
                attributes.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect()
            })
            .unwrap_or_default();
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:jobs",
            "awsRegion": "eu-central-1",
        })
    };
    json!({ "Records": batch.iter().map(record).collect::<Vec<_>>() })
}

fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("testing", "testing", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(AwsRegion::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

async fn make_queues(clients: &Clients, number: usize) -> (String, String) {
    let create = async |name: String| {
        let created = clients.sqs.create_queue().queue_name(name).send().await.expect("a queue");
        created.queue_url.expect("its URL")
    };
    let (queue, dead) = (create(format!("jobs-{number}")).await, create(format!("dead-{number}")).await);
    let arn = clients.sqs.get_queue_attributes().queue_url(&dead).attribute_names(QueueAttributeName::QueueArn);
    let attributes = arn.send().await.expect("attributes").attributes.expect("attributes");
    let policy = json!({
        "deadLetterTargetArn": attributes[&QueueAttributeName::QueueArn],
        "maxReceiveCount": MAX_RECEIVES.to_string(),
    });
    let set = clients.sqs.set_queue_attributes().queue_url(&queue);
    set.attributes(QueueAttributeName::RedrivePolicy, policy.to_string()).send().await.expect("it is set");
    (queue, dead)
}

async fn make_bucket(endpoint: &str, name: &str) {
    let request = format!("PUT /{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let mut socket = TcpStream::connect(endpoint.trim_start_matches("http://")).await.expect("the emulator answers");
    socket.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
