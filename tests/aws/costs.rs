//! What the cost table is computed from: `tests/costs.json` is what is counted here.
//!
//! Requests and units are counted at the adapters of the functions' own run code, in this process; what the
//! built functions write to their logs is counted as they write it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use fitbridge_aws::{
    context::{Clients, Environment},
    ledger::{Usage, Used},
    run::{Deadline, Parts, Poller, SinkWorker},
    testkit::moto,
};
use fitbridge_core::{
    Engine,
    domain::{Connection, DeliveryState, UserId},
    engine::{Ports, connect::Wish, secrets::SourceSecret},
    ports::{Clock as _, Scope},
    testkit::MemoryQueue,
};
use fitbridge_local::SystemClock;
use fitbridge_simulator::{MemberId, NewAthlete, NewMember, Region, RideBatch};
use fitbridge_tests::costs::{Counted, OfVault, RIDES_OF_A_NIGHT, Requests};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{queue::event, runtime::Answer, service::Service, tap::Sent};

/// Riders of the idle minute that is compared with the one of a single rider.
const OTHERS: usize = 3;
/// Minutes in which a ride arrives, all stages.
const MINUTES: usize = 4;

/// Rides of the two riders whose nights are counted; a night of more is reckoned on from these.
const HISTORIES: [usize; 2] = [20, 80];
/// Minutes in which a night is over.
const NIGHT: usize = 8;

/// Minutes in which what waited for a token is woken.
const SETTLING: usize = 2;

/// What was counted of a night.
struct Night {
    requests: Requests,
    invocations: f64,
    pages: f64,
}

/// The functions' run code in this process, over counting adapters.
struct Measured {
    service: Service,
    poller: Poller,
    sink: SinkWorker,
    engine: Engine,
    usage: Arc<Usage>,
    sent: Sent,
}

impl Measured {
    async fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let service = Service::start(settings).await?;
        let sent = Sent::default();
        let tap = sent.tap(moto::endpoint()?).await;
        let mut clients = Clients::new(moto::config(&tap));
        clients.dynamodb = service.clients.dynamodb.clone();
        for keys in clients.keyrings("costs/keyring").values() {
            keys.init().await.expect("a keyring");
        }
        let mut environment = service.environment.clone();
        environment.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
        environment.push(("AWS_ENDPOINT_URL".to_owned(), tap));
        let environment = Environment::parse(environment).expect("an environment that does");
        let usage = Arc::new(Usage::default());
        let parts = || {
            let mut parts = Parts::over("costs", environment.clone(), clients.clone()).expect("adapters");
            parts.ledger = parts.ledger.with_usage(Arc::clone(&usage));
            parts.vault = clients.vault(&environment, Arc::new(parts.ledger.clone()), Arc::new(SystemClock));
            parts
        };
        let rest = parts();
        let ports = Ports {
            source: Arc::new(rest.source().expect("a source")),
            sinks: rest.sinks().expect("sinks"),
            ..rest.ports(Arc::new(MemoryQueue::default()))
        };
        let engine = rest.engine(ports, rest.policy());
        let poller = parts().poller().await.expect("a poller");
        let sink = parts().sink().await.expect("a sink");
        Some(Self { service, poller, sink, engine, usage, sent })
    }

    /// A rider with so many rides upstream and one sink, to which everything has gone.
    async fn add_rider(&self, name: &str, rides: usize) -> (UserId, MemberId) {
        let world = self.service.world();
        let member = world.add_member(NewMember::default()).expect("a member");
        world.add_rides(Region::Global, member, &RideBatch::small(rides)).expect("rides");
        let (_, key) = world.add_athlete(NewAthlete::default());
        let user = UserId::new(name).expect("a name that does");
        self.connect(&user, member).await;
        let secret = fitbridge_sinks::intervals::api_key_secret(&SecretString::from(key));
        self.service.connect_sink(&user, "intervals", json!({}), &secret).await;
        (user, member)
    }

    async fn connect(&self, user: &UserId, member: MemberId) -> Connection {
        let token = SecretString::from(self.service.world().token(Region::Global, member).expect("a token"));
        let found = self.engine.ports().source.identify(&token, Some("global")).await.expect("an answer");
        let wish = Wish { user: user.clone(), name: "igpsport".into(), history: None };
        let secret = SourceSecret { token, login: None };
        let source = self.engine.connect_source(&wish, &found[0], &secret).await.expect("it is connected");
        self.service.skip_the_night(&source).await;
        source
    }

    /// The next minute, in which everybody is polled.
    async fn minute(&self) {
        self.service.pass_minutes(1).await;
        self.tick().await;
    }

    async fn tick(&self) {
        let now = self.poller.now();
        self.poller.handle(&json!({ "shard": 0 }), Deadline::of_poller(ends(55), now)).await.expect("a tick");
    }

    /// Lets the sink work until the queue is empty, a message at a time; says how often it was invoked.
    async fn pump(&self) -> usize {
        let mut invocations = 0;
        loop {
            let batch = self.service.receive().await;
            if batch.is_empty() {
                return invocations;
            }
            for message in batch {
                let one = [message];
                let answer = self.sink.handle(&event(&one), Deadline::of_sink(ends(120), self.sink.now())).await;
                let answer = serde_json::to_value(answer.expect("an answer")).expect("JSON");
                self.service.settle(&one, &Answer::Done(answer)).await;
                invocations += 1;
            }
        }
    }

    /// What was asked for until now, of everything.
    fn so_far(&self) -> Requests {
        let Used { read_units, write_units, .. } = self.usage.so_far();
        Requests {
            read_units,
            write_units,
            secrets: self.sent.count("secretsmanager."),
            sqs_sends: self.sent.count("\"MessageGroupId\""),
            s3_puts: self.sent.count("PUT /fitbridge-files"),
            s3_gets: self.sent.count("GET /fitbridge-files") + self.sent.count("HEAD /fitbridge-files"),
        }
    }

    /// What a minute costs in which nothing happens. The machine's clock may come to another minute on the way; that
    /// tick has the slots of two to read.
    async fn idle_minute(&self) -> Requests {
        let minute = || SystemClock.now().as_second().div_euclid(60);
        loop {
            let begun = minute();
            // What began on the way since the last tick is behind us first.
            self.tick().await;
            let used = self.used(async || self.minute().await).await;
            if minute() == begun {
                return used;
            }
        }
    }

    async fn used(&self, what: impl AsyncFnOnce()) -> Requests {
        let before = self.so_far();
        what().await;
        self.so_far().less(before, 1.0)
    }

    /// What a night costs at so many rides, besides what its minutes cost anyway.
    async fn night(&self, rides: usize) -> Night {
        let (user, _) = self.add_rider(&format!("rider-of-{rides}"), rides).await;
        for _ in 0..rides {
            self.minute().await;
            self.pump().await;
            let there = self.engine.store().all::<fitbridge_core::domain::Delivery>(&user, "delivery/").await;
            let there = there.expect("deliveries");
            if there.iter().filter(|one| matches!(one.doc.state, DeliveryState::Delivered { .. })).count() == rides {
                break;
            }
        }
        // What follows the last delivery is no part of the night.
        for _ in 0..3 {
            self.minute().await;
            self.pump().await;
            self.service.end_leases().await;
        }
        let idle = self.idle_minute().await;
        let (source, lists) = (self.source_of(&user).await, self.service.list_requests());
        self.service.let_the_night_come(&source).await;
        let (mut invocations, mut polls) = (0, 0);
        let all = self
            .used(async || {
                for _ in 0..NIGHT {
                    self.minute().await;
                    polls += 1;
                    invocations += self.pump().await;
                    self.service.end_leases().await;
                }
            })
            .await;
        let report = self.source_of(&user).await.source().and_then(|source| source.report.clone()).expect("a report");
        assert_eq!(report.found.seen, u64::try_from(rides).expect("a number"), "{report:?}");
        assert!(self.source_of(&user).await.source().is_some_and(|source| source.reconcile.is_none()), "it is over");
        let riders = self.engine.store().riders(None, 100).await.expect("riders").0.len();
        let lists = self.service.list_requests() - lists;
        let pages = lists - u64::try_from(polls * riders).expect("a number");
        let night = Requests { s3_gets: 0.0, ..all.less(idle, float(NIGHT)) };
        assert!(night.read_units > 0.0 && night.write_units > 0.0, "{rides} rides: {night:?} beside {idle:?} a minute");
        Night { requests: night, invocations: float(invocations), pages: float(usize::try_from(pages).expect("few")) }
    }

    async fn source_of(&self, user: &UserId) -> Connection {
        self.engine.find_connection(user, "igpsport").await.expect("it is connected").doc
    }

    /// What a night costs at [`RIDES_OF_A_NIGHT`] rides.
    async fn nights(&self) -> Night {
        let [few, many] = HISTORIES;
        let (short, long) = (self.night(few).await, self.night(many).await);
        let steps = (RIDES_OF_A_NIGHT - float(few)) / (float(many) - float(few));
        let on = |one: f64, other: f64| (one + (other - one) * steps).max(0.0).round();
        let (one, other) = (short.requests, long.requests);
        Night {
            requests: Requests {
                read_units: on(one.read_units, other.read_units),
                write_units: on(one.write_units, other.write_units),
                secrets: on(one.secrets, other.secrets),
                sqs_sends: on(one.sqs_sends, other.sqs_sends),
                s3_puts: on(one.s3_puts, other.s3_puts),
                s3_gets: 0.0,
            },
            invocations: on(short.invocations, long.invocations),
            pages: on(short.pages, long.pages),
        }
    }

    /// What each of the steps costs, how often the sink was invoked for a ride, and what a night costs.
    async fn count(&self) -> (OfVault, f64, Night) {
        let (user, member) = self.add_rider("one", 2).await;
        self.tick().await;
        for _ in 0..3 {
            self.pump().await;
            self.minute().await;
        }
        let of_one = self.idle_minute().await;
        let mut renewal = self
            .used(async || {
                self.connect(&user, member).await;
                for _ in 0..SETTLING {
                    self.minute().await;
                    self.pump().await;
                }
            })
            .await;
        renewal = renewal.less(of_one, float(SETTLING));
        self.service.world().add_rides(Region::Global, member, &RideBatch::small(1)).expect("a ride");
        let mut invocations = 0;
        let with_ride = self
            .used(async || {
                for _ in 0..MINUTES {
                    self.minute().await;
                    invocations += self.pump().await;
                }
            })
            .await;
        let there = self.engine.store().all::<fitbridge_core::domain::Delivery>(&user, "delivery/").await;
        let there = there.expect("deliveries");
        assert_eq!(there.len(), 3, "{there:?}");
        assert!(there.iter().all(|one| matches!(one.doc.state, DeliveryState::Delivered { .. })), "{there:?}");

        for number in 0..OTHERS {
            self.add_rider(&format!("other-{number}"), 2).await;
        }
        for _ in 0..4 {
            self.minute().await;
            self.pump().await;
        }
        let of_more = self.idle_minute().await;
        let polls = of_more.less(of_one, 1.0);
        let share = 1.0 / float(OTHERS);
        let poll = Requests::default().less(polls, -share);
        let night = self.nights().await;
        let of = OfVault {
            minute: of_one.less(poll, 1.0),
            poll,
            ride: with_ride.less(of_one, float(MINUTES)),
            renewal,
            night: night.requests,
        };
        (of, float(invocations), night)
    }

    /// The longest record that a ride leaves, all of them together, bytes.
    async fn ledger_bytes(&self) -> f64 {
        let scope = Scope::User(UserId::new("one").expect("a name that does"));
        let ledger = &self.engine.ports().ledger;
        let mut bytes = 0;
        for prefix in ["activity/", "content/", "delivery/", "event/"] {
            let page = ledger.range(&scope, prefix, None, 100).await.expect("records");
            // DynamoDB adds about 100 bytes to a record, its keys and other attributes are as long again.
            let of = |record: &fitbridge_core::ports::Record| record.body.len() + 2 * record.key.path.len() + 200;
            bytes += page.records.iter().map(of).max().expect("a record");
        }
        float(bytes)
    }
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("a small number"))
}

/// In so many seconds, ms since 1970.
fn ends(seconds: u64) -> u64 {
    u64::try_from(SystemClock.now().as_millisecond()).expect("a time after 1970")
        + Duration::from_secs(seconds).as_secs() * 1000
}

/// Bytes of a tick and of an invocation of the sink in the log, at most, and how many metrics there are.
async fn logged(service: &Service) -> (f64, f64, f64) {
    let riders = service.add_riders(1, 2).await;
    service.run_until_quiet().await;
    service.world().add_rides(Region::Global, riders[0].member, &RideBatch::small(1)).expect("a ride");
    service.pass_minutes(1).await;
    let before = service.poller.said().len();
    service.tick().await.done();
    let tick = service.poller.said_after(before, "PollSucceeded").await;
    let batch = service.receive().await;
    let before = service.sink.said().len();
    let answer = service.sink.invoke(&event(&batch[..1])).await;
    service.settle(&batch[..1], &answer).await;
    let sink = service.sink.said_after(before, "RecordsFailed").await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
    let mut names = BTreeSet::new();
    for (function, said) in [("poller", service.poller.said()), ("sink", service.sink.said())] {
        for line in said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
                for (dimensions, metric) in directive["Dimensions"].as_array().into_iter().flatten().flat_map(|set| {
                    directive["Metrics"].as_array().into_iter().flatten().map(move |metric| (set.to_string(), metric))
                }) {
                    names.insert((function, dimensions, metric["Name"].to_string()));
                }
            }
        }
    }
    (float(tick), float(sink), float(names.len()))
}

/// The next hundred, so that a number with another digit changes nothing.
fn up(bytes: f64) -> f64 {
    (bytes / 100.0).ceil() * 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cost_table_is_computed_from_what_is_counted() {
    let Some(secrets) = Measured::start(&[]).await else { return };
    let (per_user_secret, invocations, night) = secrets.count().await;
    let settings = [("FITBRIDGE_VAULT", "keyring"), ("FITBRIDGE_KEYRING_SECRET", "costs/keyring")];
    let Some(ring) = Measured::start(&settings).await else { return };
    let (keyring, of_keyring, _) = ring.count().await;
    assert_eq!(invocations, of_keyring, "the vault changes nothing in what is handed over");
    let Some(service) = Service::start(&[]).await else { return };
    let (tick, sink, metrics) = logged(&service).await;
    let committed = Counted::committed();
    let counted = Counted {
        per_user_secret,
        keyring,
        sink_invocations_of_a_ride: invocations,
        sink_invocations_of_a_night: night.invocations,
        list_pages_of_a_night: night.pages,
        metrics,
        log_bytes_of_a_tick: up(tick),
        log_bytes_of_a_sink: up(sink),
        ledger_bytes_of_a_ride: up(ring.ledger_bytes().await),
        // A bench tells it.
        poll_cpu_ms: committed.poll_cpu_ms,
    };
    let text = serde_json::to_string_pretty(&counted).expect("JSON");
    println!("{text}");
    // A record that grows into its next unit, or a lease that ends between two steps, is no other price. What each
    // minute and each poll takes is paid all day, and is as it is.
    let near = |name: &str, one: f64, other: f64| {
        let off = (one - other).abs();
        match name {
            name if name.contains("bytes") => off <= 100.0 + 0.1 * other,
            name if name.contains(" poll ") || name.contains(" minute ") => off < 0.01,
            _ if other < 5.0 => off < 0.01,
            _ => off <= 1.0 + 0.1 * other,
        }
    };
    for ((name, one), (_, other)) in numbers(&counted).into_iter().zip(numbers(&committed)) {
        assert!(near(&name, one, other), "{name}: {one} is not {other}; tests/costs.json should be\n{text}");
    }
}

/// All numbers of it, with their names.
fn numbers(counted: &Counted) -> Vec<(String, f64)> {
    fn collect(name: &str, value: &Value, into: &mut Vec<(String, f64)>) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    collect(&format!("{name} {field}"), value, into);
                }
            }
            value => into.push((name.trim().to_owned(), value.as_f64().expect("a number"))),
        }
    }
    let mut all = Vec::new();
    collect("", &serde_json::to_value(counted).expect("JSON"), &mut all);
    all
}
