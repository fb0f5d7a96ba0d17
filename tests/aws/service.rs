//! The whole service around its functions, with riders.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use fitbridge_aws::{
    context::{Clients, Environment},
    ledger::create_table,
    queue::SqsQueue,
    run::Parts,
    testkit::moto,
};
use fitbridge_core::{Engine, domain::Shard, engine::Ports};
use fitbridge_simulator::{Config, Region, Role, Simulator, World};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    queue::{event, make_queues},
    runtime::{Answer, Function},
    table::Table,
    tap::Sent,
};

pub(crate) use fitbridge_tests::WEBHOOK_SECRET;

/// The service.
pub(crate) struct Service {
    pub(crate) simulator: Simulator,
    pub(crate) table: Table,
    pub(crate) clients: Clients,
    pub(crate) engine: Engine,
    pub(crate) poller: Function,
    pub(crate) sink: Function,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) queue_url: String,
    pub(crate) dead_url: String,
    /// What the functions sent to any other service than the table's.
    pub(crate) sent: Sent,
    /// Handles of messages that failed and are hidden.
    pub(crate) hidden: Mutex<Vec<String>>,
}

impl Service {
    /// A service with nobody in it, whose riders are polled each minute; `None` where the emulators are not
    /// to be had. `settings` are added to the functions' environment.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let moto = moto::endpoint()?;
        let table = Table::start().await;
        let simulator =
            Simulator::start_blocking(Config { keep_bodies: true, ..Config::seeded(7) }).expect("the simulator starts");
        simulator.world().set_webhook_secrets(&[WEBHOOK_SECRET.to_owned()]).expect("a webhook secret");

        let mut clients = Clients::new(moto::config(moto));
        clients.dynamodb = aws_sdk_dynamodb::Client::new(&moto::config(&table.endpoint));
        create_table(&clients.dynamodb, "fitbridge-ledger").await.expect("a table");
        let bucket = format!("fitbridge-files-{number}");
        make_bucket(moto, &bucket).await;
        let (queue_url, dead_url) = make_queues(&clients, number).await;

        let sent = Sent::default();
        let mut environment: BTreeMap<String, String> = [
            ("FITBRIDGE_TABLE", "fitbridge-ledger".to_owned()),
            ("FITBRIDGE_BUCKET", bucket),
            ("FITBRIDGE_QUEUE_URL", queue_url.clone()),
            ("FITBRIDGE_SECRET_PREFIX", format!("fitbridge-{number}")),
            ("FITBRIDGE_POLL_MINUTES", "1".to_owned()),
            ("FITBRIDGE_POLL_PLAN", "fixed".to_owned()),
            ("FITBRIDGE_IGPSPORT_URL", simulator.igpsport_url(Region::Global)),
            ("FITBRIDGE_INTERVALS_URL", simulator.intervals_url()),
            ("FITBRIDGE_TRUSTED_HOSTS", simulator.trusted_hosts()),
            ("AWS_ENDPOINT_URL", sent.tap(moto).await),
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
            sent,
            hidden: Mutex::default(),
        })
    }

    /// The simulated world.
    pub(crate) fn world(&self) -> &World {
        self.simulator.world()
    }

    /// The functions' environment with another value.
    pub(crate) fn with(&self, name: &str, value: &str) -> Vec<(String, String)> {
        let mut environment = self.environment.clone();
        environment.retain(|(its, _)| its != name);
        environment.push((name.to_owned(), value.to_owned()));
        environment
    }

    /// All shards.
    pub(crate) fn shards(&self) -> impl Iterator<Item = Shard> + use<> {
        (0..self.engine.policy().shards).map(Shard)
    }

    /// The schedule's event for the first shard.
    pub(crate) async fn tick(&self) -> Answer {
        self.tick_of(Shard(0)).await
    }

    /// The schedule's event for a shard.
    pub(crate) async fn tick_of(&self, shard: Shard) -> Answer {
        self.poller.invoke(&json!({ "shard": shard.0 })).await
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
            for shard in self.shards() {
                self.tick_of(shard).await.done();
            }
            self.pump().await;
            if self.open_rows().await.is_empty() {
                return;
            }
            self.end_leases().await;
            self.pass_minutes(1).await;
        }
        for shard in self.shards() {
            println!("shard {}: {:?}", shard.0, self.engine.waiting(shard).await.expect("what waits"));
        }
        panic!("it never becomes quiet");
    }

    /// How often iGPSport's list was asked for.
    pub(crate) fn list_requests(&self) -> u64 {
        self.world().requests(Role::IgpsportGlobal, Some("list"))
    }
}

/// A bucket with versions, as the template has it.
async fn make_bucket(endpoint: &str, name: &str) {
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    for (path, body) in [(format!("/{name}"), ""), (format!("/{name}?versioning"), on)] {
        let answer = to_bucket(endpoint, "PUT", &path, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// The emulator's answer to a request. It wants a signature and does not look at it.
pub(crate) async fn to_bucket(endpoint: &str, method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    let signature = "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request, Signature=0";
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {signature}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    let mut socket = TcpStream::connect(endpoint.trim_start_matches("http://")).await.expect("the emulator answers");
    socket.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    answer
}
