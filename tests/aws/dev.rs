//! The service on this machine for development, until Ctrl-C: `make dev`. The same harness as the tests', with
//! riders who upload now and then, a tick every ten seconds, and the functions built anew when their code
//! changes.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fitbridge_core::{domain::DeliveryState, ports::Clock as _};
use fitbridge_local::SystemClock;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    queue::event,
    riders::Rider,
    runtime::{Answer, Function},
    service::Service,
};

/// Each is a minute of the schedule.
const TICK: Duration = Duration::from_secs(10);
/// A rider uploads a ride every so many ticks.
const UPLOAD: usize = 3;

fn say(text: &str) {
    println!("{} {text}", SystemClock.now().strftime("%H:%M:%S"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it runs until Ctrl-C; `make dev` starts it"]
async fn until_ctrl_c() {
    let service = Service::start(&[]).await.expect("the emulators, which the line above says are missing");
    let riders = service.add_riders(3, 2).await;
    println!("To look at it from another shell:");
    for (name, value) in &service.environment {
        println!("  export {name}={value}");
    }
    println!("  curl {}   # the simulator's switches", service.simulator.control_url());
    say("3 riders with 2 rides each are connected to Intervals.icu and to a webhook");
    say("to see a reload, change a file of crates/ or functions/: the message in crates/aws/src/logs.rs, say");
    let mut dev = Dev { service, riders, built: newest_source().0, told: [0; 2], delivered: BTreeSet::new() };
    for number in 0.. {
        dev.tick(number).await;
        let next = Instant::now() + TICK;
        while Instant::now() < next {
            dev.work().await;
            dev.tell().await;
            dev.reload().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

struct Dev {
    service: Service,
    riders: Vec<Rider>,
    /// The newest source that is in the running functions.
    built: SystemTime,
    /// How much of what the functions said has been told.
    told: [usize; 2],
    delivered: BTreeSet<String>,
}

impl Dev {
    async fn tick(&self, number: usize) {
        if number > 0 {
            self.service.pass_minutes(1).await;
        }
        if number > 0 && number.is_multiple_of(UPLOAD) {
            let rider = &self.riders[number / UPLOAD % self.riders.len()];
            self.service.new_rides(rider, 1);
            say(&format!("{} uploads a ride", rider.user));
        }
        match self.service.tick().await {
            Answer::Done(_) => say(&format!("tick {number}")),
            other => say(&format!("tick {number} failed: {other:?}")),
        }
    }

    /// Lets the sink work on what is in the queue.
    async fn work(&self) {
        let batch = self.service.receive().await;
        if batch.is_empty() {
            return;
        }
        let answer = self.service.sink.invoke(&event(&batch)).await;
        if !matches!(answer, Answer::Done(_)) {
            say(&format!("the sink failed: {answer:?}"));
        }
        self.service.settle(&batch, &answer).await;
    }

    /// Tells what the functions said, and what has arrived.
    async fn tell(&mut self) {
        let functions: [(&str, &Function); 2] = [("poller", &self.service.poller), ("sink", &self.service.sink)];
        for ((name, function), told) in functions.into_iter().zip(&mut self.told) {
            let said = function.said();
            let end = said.rfind('\n').map_or(0, |end| end + 1);
            for line in said[*told..end.max(*told)].lines() {
                match serde_json::from_str::<Value>(line) {
                    Ok(line) if line["message"].is_string() => {
                        let text = line["message"].as_str().unwrap_or_default();
                        say(&format!("{name}: {} {text}", line["level"].as_str().unwrap_or_default()));
                    }
                    Ok(_) => {} // Metrics.
                    Err(_) => say(&format!("{name}: {line}")),
                }
            }
            *told = end.max(*told);
        }
        for rider in &self.riders {
            for delivery in self.service.deliveries(rider).await {
                let is_there = matches!(delivery.state, DeliveryState::Delivered { .. });
                let name = format!("{}: {} is at {}", rider.user, delivery.activity, delivery.sink);
                if is_there && self.delivered.insert(name.clone()) {
                    say(&name);
                }
            }
        }
    }

    /// Builds the functions anew where their code has changed; what is running is not interrupted by a build
    /// that fails.
    async fn reload(&mut self) {
        let (newest, path) = newest_source();
        if newest <= self.built {
            return;
        }
        self.built = newest;
        say(&format!("{} has changed: building", path.display()));
        let begun = Instant::now();
        let built = tokio::task::spawn_blocking(fitbridge_tests::build).await.expect("cargo starts");
        let seconds = begun.elapsed().as_secs();
        if built.status.success() {
            self.service.poller.stop().await;
            self.service.sink.stop().await;
            say(&format!("built in {seconds} s: the new functions run from here on"));
        } else {
            say(&format!("not built; the old functions go on:\n{}", String::from_utf8_lossy(&built.stderr)));
        }
    }
}

/// The source that was changed last, and when.
fn newest_source() -> (SystemTime, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut newest = (SystemTime::UNIX_EPOCH, PathBuf::new());
    let mut folders = vec![root.join("crates"), root.join("functions")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs" || end == "toml")
                && let Ok(changed) = entry.metadata().and_then(|its| its.modified())
                && changed > newest.0
            {
                newest = (changed, path);
            }
        }
    }
    let path = newest.1.strip_prefix(&root).unwrap_or(&newest.1).to_owned();
    (newest.0, path)
}
