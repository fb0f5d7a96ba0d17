//! What worker processes do all day: as functions of their own, or all in one.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use fitbridge_core::{
    Engine, Policy,
    domain::{Connection, Service, Shard},
    engine::{Bug, Eagerness, NoObserver, Poll, Ports},
    ports::{Clock, Job, Key, Ledger, Notifier, Sink, Task},
    store::{Store, Stored},
};
use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;

use crate::{
    clockwork::{MINUTE, SECOND, lock, within},
    world::{Manner, NotifierPort, Process, SimScanner, SinkPort, Tally, Via, World},
};

/// Jobs at a time in one process.
const AT_A_TIME: usize = 3;
/// A tick's time, ms; what is left then is cut.
const TICK_TIME: i64 = 90 * SECOND;
/// A clock that goes back by more minutes than this was wrong.
const REWOUND: i64 = 10;
/// The longest sleep between two ticks once nothing goes wrong any more, ms.
const LONGEST_SLEEP: i64 = 55 * MINUTE;

/// How the workers of a world are set up.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) policy: Policy,
    /// Between two ticks, while there is trouble; ms.
    pub(crate) tick_every: i64,
}

/// An engine over this process's wires.
pub(crate) fn engine(process: &Arc<Process>, plan: &Plan) -> Engine {
    let sink = |manner: Manner| -> (Service, Arc<dyn Sink>) {
        (manner.service(), Arc::new(SinkPort { process: Arc::clone(process), manner }))
    };
    let notifier = |via: Via| -> (Service, Arc<dyn Notifier>) {
        (via.service(), Arc::new(NotifierPort { process: Arc::clone(process), via }))
    };
    let ports = Ports {
        ledger: Arc::<Process>::clone(process),
        vault: Arc::<Process>::clone(process),
        archive: Arc::<Process>::clone(process),
        queue: Arc::<Process>::clone(process),
        source: Arc::<Process>::clone(process),
        files: Arc::<Process>::clone(process),
        scanner: Arc::new(SimScanner),
        sinks: BTreeMap::from(Manner::ALL.map(sink)),
        notifiers: BTreeMap::from(Via::ALL.map(notifier)),
        clock: Arc::<Process>::clone(process),
        entropy: Arc::<Process>::clone(process),
        observer: Arc::new(NoObserver),
    };
    let policy = Policy { calls_source: process.calls_source, ..plan.policy.clone() };
    Engine::new(ports, policy, process.owner.clone())
}

/// Does one job, and checks what may be checked of it alone.
async fn work(engine: &Engine, process: &Process, job: &Job) -> bool {
    let tally = Tally::of(&job.user);
    let result = match &job.task {
        Task::Poll { connection } => {
            let key = Key::connection(&job.user, connection);
            let before = connection_now(&process.world, &key);
            let polled = process.tallied(&tally, engine.poll(&job.user, connection)).await;
            lock(&process.world.watch).polled(&job.user, connection, process.world.now_ms());
            if polled == Ok(Poll::Idle) {
                idle_costs_one_request(process, &tally, before, connection_now(&process.world, &key));
            }
            process.tell(|| format!("polled {connection}: {polled:?}"));
            polled.map(drop)
        }
        _ => process.tallied(&tally, engine.work(job)).await,
    };
    if let Err(error) = &result {
        process.tell(|| format!("fails at {:?}: {error}", job.task));
        process.world.has_no_secret("an error", &error.to_string());
    }
    result.is_ok()
}

fn connection_now(world: &World, key: &Key) -> Option<Stored<Connection>> {
    Store::new(Arc::new(world.ledger.clone())).read(key).now_or_never()?.ok()?
}

/// An idle poll is one request and no write, where there was nothing to put right.
fn idle_costs_one_request(
    process: &Process,
    tally: &Tally,
    before: Option<Stored<Connection>>,
    after: Option<Stored<Connection>>,
) {
    let (Some(before), Some(after)) = (before, after) else { return };
    let requests = tally.list_calls.load(Ordering::Relaxed);
    let probes = tally.probes_made.load(Ordering::Relaxed);
    if requests != 1 + probes {
        process.world.story.broken("I6", format!("an idle poll of {} made {requests} requests", before.doc.id));
    }
    let writes = tally.writes.load(Ordering::Relaxed);
    let is_alone = after.version - before.version == writes;
    let is_elsewhere = before.plan != after.plan;
    let was_paused = !before.doc.is_active();
    let source = |stored: &Stored<Connection>| stored.doc.source().cloned().unwrap_or_default();
    let (before, after) = (source(&before), source(&after));
    let nothing_to_mend = probes == 0
        && !was_paused
        && before.refusals.is_none()
        && before.failing.is_none()
        && before.token_ends_at == after.token_ends_at;
    // Once a night an idle poll begins the reconcile.
    let begins_nightly = writes == 1 && before.reconcile.is_none() && after.reconcile.is_some();
    // A few times a day the class changes.
    let moves_in_plan = writes == 1 && (is_elsewhere || before.planned != after.planned);
    if writes > 0 && is_alone && nothing_to_mend && !begins_nightly && !moves_in_plan {
        process.world.story.broken("I6", format!("an idle poll wrote {writes} times"));
    }
}

async fn work_all(engine: &Engine, process: &Process, jobs: Vec<Job>) {
    let run = async |job: Job| {
        work(engine, process, &job).await;
    };
    stream::iter(jobs).map(run).buffer_unordered(AT_A_TIME).collect::<()>().await;
}

/// Works on the process's own jobs, and on those that follow, until none is left.
async fn drain(engine: &Engine, process: &Process) {
    loop {
        let jobs = Vec::from(std::mem::take(&mut *lock(&process.own_jobs)));
        if jobs.is_empty() {
            return;
        }
        work_all(engine, process, jobs).await;
    }
}

/// Sleeps until the next tick makes sense.
async fn until_next_tick(process: &Process, plan: &Plan) {
    let world = &process.world;
    let new_work = world.new_work.next();
    let due = |shard| world.ledger.due(Shard(shard), Timestamp::MAX, 1).now_or_never()?.ok()?.first().map(|row| row.at);
    let next = (0..plan.policy.shards).filter_map(due).min();
    let wait = next.map_or(LONGEST_SLEEP, |next| next.as_millisecond() - process.now().as_millisecond());
    let longest = if world.trouble.is_on() { plan.tick_every } else { LONGEST_SLEEP };
    world.clockwork.sleep(SECOND).await;
    within(&world.clockwork, wait.clamp(SECOND, longest) - SECOND, new_work).await;
}

/// A poller function: ticks, polls, and asks where files lie.
pub(crate) async fn poller(process: Arc<Process>, plan: Plan) {
    let engine = engine(&process, &plan);
    loop {
        for shard in (0..plan.policy.shards).map(Shard) {
            tick(&engine, &process, shard, &plan).await;
        }
        until_next_tick(&process, &plan).await;
    }
}

/// Whether the operator has stopped everything, as far as can be read.
async fn is_halted(engine: &Engine) -> bool {
    !matches!(engine.halted().await, Ok(None))
}

async fn tick(engine: &Engine, process: &Process, shard: Shard, plan: &Plan) {
    if is_halted(engine).await {
        return process.tell(|| "ticks nothing, for all is stopped".to_owned());
    }
    // What an earlier tick had no time for comes due again by itself.
    lock(&process.own_jobs).clear();
    let clockwork = &process.world.clockwork;
    let most = if clockwork.one_in(8) { 1 } else { usize::MAX };
    let (mut ticket, polls) = match engine.begin_tick(shard, most).await {
        Ok(Some((ticket, polls))) => (Some(ticket), polls),
        Ok(None) => (None, Vec::new()),
        Err(error) => return process.tell(|| format!("cannot tick: {error}")),
    };
    process.tell(|| format!("ticks shard {}: {} polls", shard.0, polls.len()));
    if plan.policy.planted == Some(Bug::CursorBeforePolls)
        && let Some(ticket) = ticket.take()
    {
        let _ = engine.finish_tick(ticket).await;
    }
    let _ = engine.sweep(shard, Eagerness::Due).await;
    let polls_made = within(clockwork, TICK_TIME / 2, work_all(engine, process, polls)).await.is_some();
    if let Some(ticket) = ticket {
        let _ = if polls_made { engine.finish_tick(ticket).await } else { engine.give_tick_back(ticket).await };
    }
    within(clockwork, TICK_TIME / 2, drain(engine, process)).await;
}

/// A sink function: whatever messages ask for.
pub(crate) async fn sink(process: Arc<Process>, plan: Plan) {
    let engine = engine(&process, &plan);
    let (world, messages) = (&process.world, &process.world.messages);
    loop {
        if is_halted(&engine).await {
            world.clockwork.sleep(MINUTE).await;
            continue;
        }
        let receive = || messages.receive(world.now_ms());
        let batch: Vec<_> = std::iter::from_fn(receive).take(AT_A_TIME).collect();
        if batch.is_empty() {
            let wait = messages.next_at().map_or(LONGEST_SLEEP, |at| at - world.now_ms());
            within(&world.clockwork, wait.max(1), messages.bell.next()).await;
            continue;
        }
        let run = async |(receipt, job): ((i64, u64), Job)| {
            if work(&engine, &process, &job).await {
                messages.delete(receipt);
            }
        };
        stream::iter(batch).map(run).buffer_unordered(AT_A_TIME).collect::<()>().await;
    }
}

/// Everything in one process, as on one machine.
pub(crate) async fn all_in_one(process: Arc<Process>, plan: Plan) {
    let engine = engine(&process, &plan);
    let mut last_minute = None;
    loop {
        let minute = process.now().as_second().div_euclid(60);
        let is_rewound = last_minute.is_some_and(|last| minute < last - REWOUND);
        let is_halted = is_halted(&engine).await;
        for shard in (0..plan.policy.shards).map(Shard).filter(|_| !is_halted) {
            let handed = if is_rewound {
                engine.sweep(shard, Eagerness::Eager).await.map(drop)
            } else if last_minute == Some(minute) {
                engine.sweep(shard, Eagerness::Due).await.map(drop)
            } else {
                engine.tick(shard).await.map(drop)
            };
            if let Err(error) = handed {
                process.tell(|| format!("cannot tick: {error}"));
            }
        }
        last_minute = (!is_rewound).then_some(minute);
        drain(&engine, &process).await;
        until_next_tick(&process, &plan).await;
    }
}
