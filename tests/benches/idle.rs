//! What an idle poll costs at 10,000 connections: `cargo bench -p fitbridge-tests --bench idle`.
//!
//! Each rider has one connection and a full page of rides; all are polled as `fitbridge serve` does it. The
//! simulator is a process of its own, so that all processor time and allocations counted here are ours.

mod common;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use common::{Cpu, Machine, Outcome, Plan, Upstream, Usage, connect_source, memory_kb, per, runtime};
use fitbridge_core::{
    domain::{Connection, History, Shard, UserId},
    engine::{Eagerness, secrets::SourceSecret},
    ports::{Access, SealedKey},
    testkit::ManualClock,
};
use fitbridge_local::{SystemClock, run::Limits};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::SignedDuration;

const CONNECTIONS: usize = 10_000;
/// A full page: what is decoded in each poll.
const RIDES: usize = 20;
/// Ticks that are measured; each polls every connection.
const ROUNDS: usize = 3;
/// Connected, and measured by part, so many at a time; syncs to disk are then shared.
const TOGETHER: usize = 32;
/// The one shard of a machine.
const SHARD: Shard = Shard(0);

fn main() -> Outcome {
    if Upstream::played()? {
        return Ok(());
    }
    if !Path::new("/proc/self/stat").exists() {
        println!("skipped: processor time is read from /proc");
        return Ok(());
    }
    let upstream = Upstream::start(Plan { members: CONNECTIONS, rides: RIDES, files: false, latency_ms: 0 })?;
    runtime()?.block_on(bench(upstream))
}

async fn bench(mut upstream: Upstream) -> Outcome {
    let home = tempfile::tempdir()?;
    let clock = ManualClock::at(fitbridge_core::ports::Clock::now(&SystemClock));
    let mut machine = Machine::open(home.path(), &upstream.facts, Arc::new(clock.clone()), Limits::default())?;
    let connections = connect_all(&machine, &upstream.facts.tokens).await?;
    while machine.engine.sweep(SHARD, Eagerness::Due).await? > 0 {
        machine.lanes.drain().await;
    }
    machine.engine.tick(SHARD).await?;
    machine.lanes.drain().await;
    fail_on(&mut machine)?;

    println!(
        "\n{CONNECTIONS} connections of {CONNECTIONS} riders, {RIDES} rides on page 1; each tick polls all of them"
    );
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "requests", "writes", "cursor", "CPU ms", "user", "system", "allocs", "sim. ms", "polls/s"
    );
    println!("{:<34} {:>9} {:>9} {:>9}   per poll", "", "/ poll", "/ poll", "/ tick");
    for round in 1..=ROUNDS {
        // Connections are polled every five minutes, so that a tick after five has them all.
        clock.advance(SignedDuration::from_mins(5));
        let (asked, theirs) = (upstream.requests()?, upstream.cpu()?);
        machine.counts.clear();
        let usage = Usage::begin()?;
        let tick = machine.engine.tick(SHARD).await?;
        machine.lanes.drain().await;
        let usage = usage()?;
        fail_on(&mut machine)?;
        if tick.polls != CONNECTIONS {
            return Err(format!("{} polls instead of {CONNECTIONS}", tick.polls).into());
        }
        let asked = upstream.requests()? - asked;
        let theirs = upstream.cpu()?.since(theirs).total();
        println!(
            "{:<34} {:>9.3} {:>9.3} {:>9} {} {:>8.3} {:>8.0}",
            format!("tick {round}, default lanes"),
            per(usize::try_from(asked)?) / per(CONNECTIONS),
            f64::from(u32::try_from(machine.counts.of_riders.load(Relaxed))?) / per(CONNECTIONS),
            machine.counts.of_service.load(Relaxed),
            cost(&usage),
            theirs.as_secs_f64() * 1e3 / per(CONNECTIONS),
            per(CONNECTIONS) / usage.elapsed.as_secs_f64(),
        );
    }
    parts(&machine, &connections).await?;
    println!("peak memory of the process: {} MB", memory_kb("VmHWM")? / 1024);
    Ok(())
}

/// What the parts of a poll cost, each alone, over all connections.
async fn parts(machine: &Machine, connections: &[Connection]) -> Outcome {
    println!("\nthe parts, each alone");
    println!("{:<34} {:>9} {:>8} {:>8} {:>8}", "", "CPU ms", "user", "system", "allocs");
    let engine = &*machine.engine;
    let usage = Usage::begin()?;
    for connection in connections {
        engine.store().connection(&connection.user, &connection.id).await?;
    }
    row("record of the connection", &usage()?);

    let usage = Usage::begin()?;
    let mut secrets = Vec::with_capacity(connections.len());
    for connection in connections {
        let key = SealedKey { user: connection.user.clone(), connection: connection.id.clone() };
        let sealed = engine.ports().vault.open(&key).await?;
        secrets.push(SourceSecret::from_sealed(&sealed).ok_or("a strange secret")?);
    }
    row("secret from the vault", &usage()?);

    let usage = Usage::begin()?;
    for (connection, secret) in connections.iter().zip(&secrets) {
        let access = Access { account: &connection.account, token: &secret.token };
        engine.ports().source.list_page(access, 1).await?;
    }
    row("page 1 of the list", &usage()?);

    let usage = Usage::begin()?;
    for connection in connections {
        engine.poll(&connection.user, &connection.id).await?;
    }
    row("whole poll, one after the other", &usage()?);
    Ok(())
}

async fn connect_all(machine: &Machine, tokens: &[String]) -> Outcome<Vec<Connection>> {
    let connect = tokens.iter().enumerate().map(|(number, token)| async move {
        let user = UserId::new(format!("rider-{number}"))?;
        // Nothing is fetched for it, which would change nothing in a poll.
        connect_source(&machine.engine, &user, token, History::None).await
    });
    stream::iter(connect).buffer_unordered(TOGETHER).try_collect().await
}

fn fail_on(machine: &mut Machine) -> Outcome {
    match machine.lanes.take_failures().first() {
        Some(failure) => Err(failure.to_string().into()),
        None => Ok(()),
    }
}

fn row(name: &str, usage: &Usage) {
    println!("{name:<34} {}", cost(usage));
}

/// Processor time in ms and allocations, per poll.
fn cost(usage: &Usage) -> String {
    let Cpu { user, system } = usage.cpu;
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e3 / per(CONNECTIONS);
    let allocations = per(usage.allocations) / per(CONNECTIONS);
    format!("{:>9.3} {:>8.3} {:>8.3} {allocations:>8.1}", each(usage.cpu.total()), each(user), each(system))
}
