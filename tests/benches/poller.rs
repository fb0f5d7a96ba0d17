//! One poller function against an upstream that answers after 250 ms:
//! `cargo bench -p fitbridge-tests --features aws --bench poller`.
//!
//! The function is the built one, with the profile it is deployed with, and asked by the runtime's API. The
//! simulator and DynamoDB's emulator are processes of their own, so that each one's processor time can be told;
//! all of it shares the machine. Tokens are under a keyring, so that opening one is a read of the ledger and
//! the emulator of Secrets Manager is not in the figure.

#[expect(dead_code, unused_imports, reason = "each bench uses a part of what they share")]
mod common;
#[expect(dead_code, reason = "a bench uses a part of what the tests need")]
#[path = "../aws/runtime.rs"]
mod runtime;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use common::{Cpu, Outcome, Plan, Upstream, connect_source, per};
use fitbridge_aws::{
    context::{Clients, Environment},
    ledger::create_table,
    run::Parts,
    testkit::moto,
};
use fitbridge_core::{
    Engine,
    domain::{History, Shard, UserId},
    engine::Ports,
    ports::{Clock as _, Key},
    store::{Cursor, CursorClaim, Stored},
};
use fitbridge_local::SystemClock;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use runtime::{Answer, Function};
use serde_json::json;

/// How many riders the shard has, one line of the table each.
const RIDERS: [usize; 3] = [200, 1_000, 5_000];
/// A full page: what is decoded in each poll.
const RIDES: usize = 20;
const LATENCY_MS: u64 = 250;
/// Ticks that are measured, after one that is not.
const TICKS: usize = 3;
const SHARD: Shard = Shard(0);
/// Connected at a time; nothing of it is measured.
const TOGETHER: usize = 128;
/// The argument by which a process knows that it is to be DynamoDB.
const ROLE: &str = "table";

fn main() -> Outcome {
    if Upstream::played()? {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if std::env::args().nth(1).as_deref() == Some(ROLE) {
        return runtime.block_on(table());
    }
    if !Path::new("/proc/self/stat").exists() {
        println!("skipped: processor time is read from /proc");
        return Ok(());
    }
    match moto::endpoint() {
        Some(emulator) => runtime.block_on(bench(emulator)),
        None => Ok(()),
    }
}

/// DynamoDB, until standard input ends.
async fn table() -> Outcome {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let database = dynoxide::Database::memory()?;
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

/// DynamoDB in a process of its own, alive as long as the pipe to it.
struct Table {
    process: Child,
    endpoint: String,
}

impl Table {
    fn start() -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg(ROLE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut endpoint = String::new();
        BufReader::new(process.stdout.take().ok_or("no standard output")?).read_line(&mut endpoint)?;
        Ok(Self { process, endpoint: endpoint.trim().to_owned() })
    }
}

async fn bench(emulator: &str) -> Outcome {
    let most = RIDERS[RIDERS.len() - 1];
    let mut upstream = Upstream::start(Plan { members: most, rides: RIDES, files: false, latency_ms: LATENCY_MS })?;
    let table = Table::start()?;
    let settings = settings(&upstream, emulator, &table.endpoint);
    let mut clients = Clients::new(moto::config(emulator));
    clients.dynamodb = aws_sdk_dynamodb::Client::new(&moto::config(&table.endpoint));
    create_table(&clients.dynamodb, "fitbridge-ledger").await?;
    for keys in clients.keyrings("fitbridge/keyring").values() {
        keys.init().await?;
    }
    let engine = engine(&settings, clients)?;

    println!(
        "\n{RIDES} rides on page 1, which comes after {LATENCY_MS} ms; CPU in ms per poll, median of {TICKS} ticks"
    );
    println!(
        "{:>7} {:>8} {:>11} {:>8} {:>10} {:>8} {:>12}",
        "riders", "polls/s", "CPU/poll", "a core", "simulator", "DynamoDB", "resident MB"
    );
    println!("{:>7} {:>8} {:>11} {:>8}", "", "", "poller", "polls/s");
    let mut connected = 0;
    for riders in RIDERS {
        let tokens = upstream.facts.tokens.iter().enumerate().take(riders).skip(connected);
        let connect = tokens.map(async |(number, token)| {
            let user = UserId::new(format!("rider-{number}"))?;
            connect_source(&engine, &user, token, History::None).await
        });
        stream::iter(connect).buffer_unordered(TOGETHER).try_collect::<Vec<_>>().await?;
        connected = riders;
        line(&engine, &Function::new("poller", settings.clone()).await, &mut upstream, &table, riders).await?;
    }
    Ok(())
}

/// What a tick took, per poll where that can be said.
#[derive(Debug, Clone, Copy)]
struct Tick {
    elapsed: Duration,
    poller: f64,
    simulator: f64,
    table: f64,
}

/// One line of the table, by a process that polled nobody yet.
async fn line(engine: &Engine, poller: &Function, upstream: &mut Upstream, table: &Table, riders: usize) -> Outcome {
    // The first finds what is new, the second is idle, and nobody measures either.
    for _ in 0..2 {
        tick(engine, poller).await?;
    }
    let mut ticks = Vec::with_capacity(TICKS);
    for _ in 0..TICKS {
        let cpu = |upstream: &Upstream| -> Outcome<[Duration; 3]> {
            let pids = [poller.pid.load(Relaxed).to_string(), table.process.id().to_string()];
            let [poller, table] = pids.map(|pid| Cpu::of(&pid).map(Cpu::total));
            Ok([poller?, upstream.cpu()?.total(), table?])
        };
        let asked = upstream.requests()?;
        let before = cpu(upstream)?;
        let begun = Instant::now();
        tick(engine, poller).await?;
        let elapsed = begun.elapsed();
        let after = cpu(upstream)?;
        let asked = usize::try_from(upstream.requests()? - asked)?;
        if asked != riders {
            return Err(format!("{asked} requests for the idle polls of {riders} riders").into());
        }
        let each = |n: usize| (after[n] - before[n]).as_secs_f64() * 1e3 / per(riders);
        ticks.push(Tick { elapsed, poller: each(0), simulator: each(1), table: each(2) });
    }
    let status = fs::read_to_string(format!("/proc/{}/status", poller.pid.load(Relaxed)))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no such line")?;
    let peak: u32 = peak.trim().trim_end_matches(" kB").parse()?;
    println!(
        "{riders:>7} {:>8.0} {:>11.3} {:>8.0} {:>10.3} {:>8.3} {:>12.1}",
        per(riders) / median(&ticks, |tick| tick.elapsed.as_secs_f64()),
        median(&ticks, |tick| tick.poller),
        1e3 / median(&ticks, |tick| tick.poller),
        median(&ticks, |tick| tick.simulator),
        median(&ticks, |tick| tick.table),
        f64::from(peak) * 1024.0 / 1e6,
    );
    Ok(())
}

/// The next minute's tick, in which everybody is polled.
async fn tick(engine: &Engine, poller: &Function) -> Outcome {
    let found: Option<Stored<Cursor>> = engine.store().read(&Key::cursor(SHARD)).await?;
    if let Some(stored) = found {
        let claimed =
            stored.doc.claimed.as_ref().map(|claim| CursorClaim { until: SystemClock.now(), ..claim.clone() });
        let past = Cursor { done_minute: stored.doc.done_minute - 1, claimed, ..stored.doc.clone() };
        engine.store().commit(vec![stored.replace(&past, None)?]).await?;
    }
    match poller.invoke(&json!({ "shard": SHARD.0 })).await {
        Answer::Done(_) => Ok(()),
        other => Err(format!("{other:?}: {}", poller.said()).into()),
    }
}

fn median(ticks: &[Tick], of: impl Fn(&Tick) -> f64) -> f64 {
    let mut values: Vec<_> = ticks.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn settings(upstream: &Upstream, emulator: &str, table: &str) -> Vec<(String, String)> {
    [
        ("FITBRIDGE_TABLE", "fitbridge-ledger"),
        ("FITBRIDGE_BUCKET", "fitbridge-files"),
        ("FITBRIDGE_QUEUE_URL", &format!("{emulator}/123456789012/jobs")),
        ("FITBRIDGE_VAULT", "keyring"),
        ("FITBRIDGE_KEYRING_SECRET", "fitbridge/keyring"),
        ("FITBRIDGE_POLL_MINUTES", "1"),
        ("FITBRIDGE_POLL_PLAN", "fixed"),
        ("FITBRIDGE_IGPSPORT_URL", &upstream.facts.igpsport),
        ("FITBRIDGE_INTERVALS_URL", &upstream.facts.intervals),
        ("FITBRIDGE_TRUSTED_HOSTS", &upstream.facts.trusted),
        ("AWS_ENDPOINT_URL", emulator),
        ("AWS_ENDPOINT_URL_DYNAMODB", table),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// An engine over the same storage, to connect riders with.
fn engine(settings: &[(String, String)], clients: Clients) -> Outcome<Engine> {
    let parts = Parts::over("bench", Environment::parse(settings.iter().cloned())?, clients)?;
    let (queue, _) = fitbridge_aws::queue::InProcessQueue::new();
    let ports = Ports { source: Arc::new(parts.source()?), ..parts.ports(Arc::new(queue)) };
    let policy = parts.policy();
    Ok(parts.engine(ports, policy))
}
