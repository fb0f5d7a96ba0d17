//! One world, from its seed to its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use fitbridge_core::{
    engine::Bug,
    testkit::{FakeSource, MemoryArchive, MemoryLedger, MemoryVault},
};
use futures::lock::Mutex as AsyncMutex;

use crate::{
    Fault, Violation,
    clockwork::{Bell, Clockwork, HOUR, MINUTE, Task, lock},
    judge, knobs,
    operator::operator,
    riders::{Rider, days},
    story::Story,
    trouble::Trouble,
    workers::{Plan, all_in_one, poller, sink},
    world::{Incident, Manner, Messages, NoticeHost, Process, SinkHost, Truth, Watch, World, lives, outage},
};

/// A world begins on a Sunday in the riding season: 2025-06-01T08:00:00Z.
const BEGINNING: i64 = 1_748_764_800_000;
/// Steps after which a world is given up: it would never come to rest. Others need a tenth of them at most.
const MOST_STEPS: u64 = 500_000;
/// A day and some hours, so that the daily walk finds what a shifting list hid; ms.
const SHORTEST_QUIET: i64 = 27 * HOUR;
/// All waits between attempts are over within less than this; ms.
const LONGEST_QUIET: i64 = 20 * 24 * HOUR;

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Whether the story is kept; the run is the same either way.
    pub story: bool,
    /// A mistake to plant.
    pub bug: Option<Bug>,
    /// Kinds of faults that do not happen.
    pub without: BTreeSet<Fault>,
    /// At most so many faults happen.
    pub most_faults: u64,
}

impl Options {
    /// The whole world of that seed, without its story.
    pub fn of(seed: u64) -> Self {
        Self { seed, story: false, bug: None, without: BTreeSet::new(), most_faults: u64::MAX }
    }
}

/// What became of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// What happened, where that was asked for.
    pub story: Vec<String>,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Copies that came to sinks, repeats they knew included.
    pub copies: u64,
    /// Messages that riders got.
    pub messages: usize,
    /// How long it went on, in virtual hours.
    pub hours: i64,
    /// Steps that were made.
    pub steps: u64,
}

/// Runs a world from its beginning until it is quiet, or something is broken.
pub fn run(options: &Options) -> Report {
    let clockwork = Clockwork::new(options.seed, BEGINNING);
    let plan = plan(&clockwork, options.bug);
    let world = Arc::new(World {
        trouble: Trouble::new(&clockwork, &options.without, options.most_faults),
        story: Story::new(&clockwork, options.story),
        ledger: MemoryLedger::lagging(),
        vault: MemoryVault::default(),
        archive: MemoryArchive::default(),
        source: FakeSource::default(),
        truth: Mutex::new(Truth::default()),
        sinks: Mutex::new(SinkHost::default()),
        notices: Mutex::new(NoticeHost::default()),
        wishes: Mutex::default(),
        sealed: Mutex::default(),
        asked_for_patience: Mutex::default(),
        halted_at: Mutex::default(),
        has_jumped: AtomicBool::new(false),
        messages: Messages::default(),
        watch: Mutex::new(Watch::default()),
        policy: plan.policy.clone(),
        new_work: Bell::default(),
        paused: Bell::default(),
        indexed_at: AtomicI64::new(0),
        is_split: clockwork.one_in(2),
        clockwork: clockwork.clone(),
    });
    let riders: Vec<_> = (1..=u32::try_from(clockwork.between(1, 4)).unwrap_or(1))
        .map(|number| Arc::new(AsyncMutex::new(Rider::new(&world, number))))
        .collect();
    let is_quiet = Arc::new(AtomicBool::new(false));
    let mut tasks = worker_tasks(&world, &plan);
    for rider in &riders {
        tasks.push(Box::pin(days(Arc::clone(&world), Arc::clone(rider), plan.clone())));
    }
    let users = riders.iter().filter_map(|rider| Some(rider.try_lock()?.user.clone())).collect();
    tasks.push(Box::pin(operator(Arc::clone(&world), users, plan.clone())));
    tasks.push(Box::pin(weather(Arc::clone(&world))));
    tasks.push(Box::pin(direct(Arc::clone(&world), riders.clone(), plan.clone(), Arc::clone(&is_quiet))));
    let ended = clockwork.run(tasks, MOST_STEPS, || is_quiet.load(Ordering::Relaxed) || world.story.is_broken());
    if !ended {
        world.story.broken("quiet", format!("{MOST_STEPS} steps, and it does not come to rest"));
    }
    if !world.story.is_broken() {
        judge::last_day(&world, &riders);
    }
    let (story, violations) = world.story.end();
    Report {
        seed: options.seed,
        violations,
        story,
        faults: world.trouble.counts(),
        copies: lock(&world.sinks).copies_made(),
        messages: lock(&world.notices).count(),
        steps: clockwork.steps(),
        hours: (clockwork.now_ms() - BEGINNING) / HOUR,
    }
}

fn plan(clockwork: &Clockwork, bug: Option<Bug>) -> Plan {
    let policy = knobs::policy(clockwork, bug);
    Plan { policy, tick_every: clockwork.pick(&[1, 2, 5, 10]).copied().unwrap_or(1) * MINUTE }
}

fn worker_tasks(world: &Arc<World>, plan: &Plan) -> Vec<Task> {
    let worker = |name: String, calls_source: bool, live: fn(Arc<Process>, Plan) -> Task| -> Task {
        let (world, plan) = (Arc::clone(world), plan.clone());
        Box::pin(async move { lives(&world, &name, calls_source, |process| live(process, plan.clone())).await })
    };
    if world.is_split {
        vec![
            worker("poller1".into(), true, |process, plan| Box::pin(poller(process, plan))),
            worker("poller2".into(), true, |process, plan| Box::pin(poller(process, plan))),
            worker("sink1".into(), false, |process, plan| Box::pin(sink(process, plan))),
            worker("sink2".into(), false, |process, plan| Box::pin(sink(process, plan))),
        ]
    } else {
        let one = |number| worker(format!("serve{number}"), true, |process, plan| Box::pin(all_in_one(process, plan)));
        (1..=world.clockwork.between(1, 3)).map(one).collect()
    }
}

/// Outages come and go by themselves.
async fn weather(world: Arc<World>) {
    while world.trouble.is_on() {
        world.clockwork.sleep(world.clockwork.between(MINUTE, HOUR)).await;
        let until = world.now_ms() + world.clockwork.between(5 * MINUTE, 90 * MINUTE);
        let kinds = [Incident::Away, Incident::Throttles, Incident::RefusesAll, Incident::RefusesAllAndHides];
        let kind = world.clockwork.pick(&kinds).copied().unwrap_or(Incident::Away);
        if world.trouble.hits(Fault::SourceIncident) {
            world.story.tell("weather", || format!("FAULT SourceIncident: {kind:?}"));
            lock(&world.truth).incident = Some((until, kind));
        }
        let manner = world.clockwork.pick(&Manner::ALL).copied().unwrap_or(Manner::Knows);
        let until = world.now_ms() + outage(&world);
        if world.trouble.hits(Fault::SinkOutage) {
            world.story.tell("weather", || format!("FAULT SinkOutage: {} is away", manner.service()));
            lock(&world.sinks).break_down(manner, until);
        }
    }
}

/// Some hours of trouble; then everything works, until nothing is left to do.
async fn direct(world: Arc<World>, riders: Vec<Arc<AsyncMutex<Rider>>>, plan: Plan, is_quiet: Arc<AtomicBool>) {
    world.clockwork.sleep(world.clockwork.between(HOUR, 8 * HOUR)).await;
    world.trouble.end();
    world.story.tell("the world", || "NOTHING GOES WRONG FROM HERE ON".to_owned());
    let healed_at = world.now_ms();
    let mut left_behind = BTreeMap::new();
    loop {
        world.clockwork.sleep(HOUR).await;
        left_behind = judge::nobody_sees_to(&world, &riders, &left_behind);
        let quiet_for = world.now_ms() - healed_at;
        let left = judge::what_is_left(&world, &riders, plan.policy.shards);
        if quiet_for >= SHORTEST_QUIET && left.is_empty() {
            is_quiet.store(true, Ordering::Relaxed);
            return;
        }
        if quiet_for >= LONGEST_QUIET {
            world.story.broken("quiet", format!("there is still work after 20 days: {}", left.join(", ")));
            return;
        }
    }
}
