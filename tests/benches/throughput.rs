//! 1,000 new rides of about 75 KB into two sinks: `cargo bench -p fitbridge-tests --bench throughput`.
//!
//! Each line is a process of its own, with a fresh data folder, so that its peak memory is its own; the
//! simulator is another one. All of it shares the machine, so rides/s is what both can do together.

mod common;

use std::{
    path::Path,
    process::Command,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use common::{Machine, Outcome, Plan, Upstream, Usage, connect_source, memory_kb, per, runtime};
use fitbridge_core::{
    domain::{DeliveryState, History, Service, UserId},
    engine::connect::Wish,
};
use fitbridge_local::{
    SystemClock,
    run::{Limits, pass},
};
use fitbridge_sinks::{intervals, webhook};
use secrecy::SecretString;
use serde_json::json;

const RIDES: usize = 1000;
/// The argument by which a process knows that it is to do one line of the table.
const ROLE: &str = "line";
const SINKS: [[&str; 2]; 2] = [["folder", "intervals"], ["intervals", "webhook"]];

/// Lanes of the command line's defaults, and wider ones.
fn lanes() -> [Limits; 3] {
    [Limits::default(), Limits { source: 4, files: 8, sink: 8 }, Limits { source: 8, files: 16, sink: 16 }]
}

fn main() -> Outcome {
    if Upstream::played()? {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [ROLE, home, sinks, limits] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let sinks = *SINKS.get(sinks.parse::<usize>()?).ok_or("no such sinks")?;
        let limits = *lanes().get(limits.parse::<usize>()?).ok_or("no such lanes")?;
        let upstream = Upstream::start(Plan { members: 1, rides: RIDES, files: true, latency_ms: 0 })?;
        return runtime()?.block_on(line(upstream, Path::new(home), sinks, limits));
    }
    if !Path::new("/proc/self/stat").exists() {
        println!("skipped: processor time is read from /proc");
        return Ok(());
    }
    println!("\n{RIDES} new rides into two sinks each; memory in MB, CPU in ms and counts per ride");
    println!(
        "{:<20} {:>10} {:>8} {:>7} {:>6} {:>7} {:>7} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>8}",
        "sinks",
        "lanes",
        "rides/s",
        "KB/ride",
        "peak",
        "before",
        "growth",
        "CPU",
        "of it",
        "sim. CPU",
        "allocs",
        "reads",
        "commits",
        "requests",
    );
    println!("{:<20} {:>10} {:>40} {:>17}", "", "s/f/sink", "of memory", "system");
    // Nothing is removed before all is done: ext4 is slow to make files where others were just deleted.
    let homes = tempfile::tempdir()?;
    for sinks in 0..SINKS.len() {
        for limits in 0..lanes().len() {
            let home = homes.path().join(format!("{sinks}-{limits}"));
            std::fs::create_dir(&home)?;
            let line = [ROLE, home.to_str().ok_or("a strange path")?, &sinks.to_string(), &limits.to_string()];
            let line = Command::new(std::env::current_exe()?).args(line).status()?;
            if !line.success() {
                return Err("a line of the table failed".into());
            }
        }
    }
    Ok(())
}

async fn line(mut upstream: Upstream, home: &Path, sinks: [&str; 2], limits: Limits) -> Outcome {
    let rides = home.join("rides");
    let user = UserId::new("me")?;
    let mut machine = Machine::open(&home.join("data"), &upstream.facts, Arc::new(SystemClock), limits)?;
    connect_source(&machine.engine, &user, upstream.facts.tokens.first().ok_or("no member")?, History::All).await?;
    for sink in sinks {
        let (settings, secret) = match sink {
            "folder" => {
                std::fs::create_dir_all(&rides)?;
                (json!({ "path": rides }), None)
            }
            "intervals" => {
                let key = SecretString::from(upstream.facts.api_key.as_str());
                (json!({}), Some(intervals::api_key_secret(&key)))
            }
            _ => {
                let secret = SecretString::from(upstream.facts.webhook_secret.as_str());
                (json!({ "url": upstream.facts.webhook, "mode": "raw" }), Some(webhook::sealed_secret(&secret)?))
            }
        };
        let adapter = machine.engine.ports().sinks.get(&Service::new(sink)?).ok_or("no such sink")?;
        let identity = adapter.check(&settings, secret.as_ref()).await?;
        let wish = Wish { user: user.clone(), name: sink.into(), history: None };
        machine.engine.connect_sink(&wish, &identity, secret.as_ref()).await?;
    }
    machine.counts.clear();
    let (before, theirs, asked) = (memory_kb("VmHWM")?, upstream.cpu()?, upstream.requests()?);
    let usage = Usage::begin()?;
    let report = pass(&mut machine.lanes, &user).await?;
    let usage = usage()?;
    let (peak, theirs) = (memory_kb("VmHWM")?, upstream.cpu()?.since(theirs).total());
    let asked = upstream.requests()? - asked;
    let (reads, commits) = (machine.counts.reads.load(Relaxed), machine.counts.commits.load(Relaxed));
    if let Some(failure) = report.failures.first() {
        return Err(failure.to_string().into());
    }
    all_delivered(&machine, &user).await?;
    let each = |time: Duration| time.as_secs_f64() * 1e3 / per(RIDES);
    println!(
        "{:<20} {:>10} {:>8.0} {:>7} {:>6} {:>7} {:>7} {:>8.3} {:>8.3} {:>8.3} {:>7.0} {:>7.1} {:>7.1} {:>8.2}",
        sinks.join(" + "),
        format!("{}/{}/{}", limits.source, limits.files, limits.sink),
        per(RIDES) / usage.elapsed.as_secs_f64(),
        upstream.facts.file_bytes / 1000 / RIDES,
        peak / 1024,
        before / 1024,
        (peak - before) / 1024,
        each(usage.cpu.total()),
        each(usage.cpu.system),
        each(theirs),
        per(usage.allocations) / per(RIDES),
        per(reads) / per(RIDES),
        per(commits) / per(RIDES),
        per(usize::try_from(asked)?) / per(RIDES),
    );
    Ok(())
}

/// A line of rides that did not all arrive would tell nothing.
async fn all_delivered(machine: &Machine, user: &UserId) -> Outcome {
    let deliveries = machine.engine.store().all::<fitbridge_core::domain::Delivery>(user, "delivery/").await?;
    let done = |state: &DeliveryState| matches!(state, DeliveryState::Delivered { .. });
    let count = deliveries.iter().filter(|delivery| done(&delivery.doc.state)).count();
    if count == 2 * RIDES { Ok(()) } else { Err(format!("{count} deliveries instead of {}", 2 * RIDES).into()) }
}
