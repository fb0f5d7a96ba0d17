//! A worker process as the world sees it: its clock, its wire to everything else, and its death.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use fitbridge_core::{
    domain::{OwnerId, UserId},
    ports::{Clock, Entropy, Job},
};
use jiff::Timestamp;

use super::World;
use crate::{
    clockwork::{HOUR, MINUTE, SECOND, lock, to_timestamp},
    trouble::Fault,
    wishes::UNDER_WAY,
};

/// A call that was begun before somebody asked for patience is out by then, ms.
pub(super) const ON_ITS_WAY: i64 = 2 * MINUTE;

/// What one job did, and for whom.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) user: UserId,
    pub(crate) list_calls: AtomicU64,
    pub(crate) other_calls: AtomicU64,
    pub(crate) writes: AtomicU64,
    /// How often it marked that it tries a paused token once, after the provider's incident.
    pub(crate) probes_marked: AtomicU64,
    /// How many calls it made for that.
    pub(crate) probes_made: AtomicU64,
}

impl Tally {
    pub(crate) fn of(user: &UserId) -> Arc<Self> {
        let zero = AtomicU64::default;
        Arc::new(Self {
            user: user.clone(),
            list_calls: zero(),
            other_calls: zero(),
            writes: zero(),
            probes_marked: zero(),
            probes_made: zero(),
        })
    }

    /// Uses up one of the calls for a paused connection that were marked before; `false` when none is left.
    fn makes_a_probe(&self) -> bool {
        let made = self.probes_made.load(Ordering::Relaxed);
        let may = made < self.probes_marked.load(Ordering::Relaxed);
        self.probes_made.store(made + u64::from(may), Ordering::Relaxed);
        may
    }
}

/// One life of a process; the next one has another owner and knows nothing of this.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) owner: OwnerId,
    pub(crate) world: Arc<World>,
    pub(crate) calls_source: bool,
    /// How far its clock is off, ms.
    skew_ms: i64,
    /// For a while it is off by so much more: until when, and by how much; ms.
    jump: Mutex<(i64, i64)>,
    /// Whose it is, where it works for one rider only.
    rider: Option<UserId>,
    /// Something it touched killed it.
    is_doomed: AtomicBool,
    pub(crate) own_jobs: Mutex<VecDeque<Job>>,
    at_work: Mutex<Option<Arc<Tally>>>,
}

impl Process {
    pub(crate) fn new(world: &Arc<World>, name: &str, life: u64, calls_source: bool) -> Self {
        let skew_ms = world.clockwork.between(-15 * SECOND, 15 * SECOND);
        Self {
            name: name.to_owned(),
            owner: OwnerId::from_any(&format!("{name}-{life}")),
            world: Arc::clone(world),
            calls_source,
            skew_ms,
            jump: Mutex::default(),
            rider: None,
            is_doomed: AtomicBool::new(false),
            own_jobs: Mutex::default(),
            at_work: Mutex::default(),
        }
    }

    /// One that works for that rider only.
    pub(crate) fn of_rider(self, rider: &UserId) -> Self {
        Self { rider: Some(rider.clone()), ..self }
    }

    /// How far its clock is off now, ms.
    fn off_by(&self) -> i64 {
        let (until, by) = *lock(&self.jump);
        self.skew_ms + if self.world.now_ms() < until { by } else { 0 }
    }

    /// Now and then its clock goes wrong for a while, and is put right again.
    fn may_jump(&self) {
        if self.hit(Fault::ClockJump, "its clock is ahead for a while") {
            let by = self.world.clockwork.pick(&[HOUR, 24 * HOUR]).copied().unwrap_or(HOUR);
            *lock(&self.jump) = (self.world.now_ms() + self.world.clockwork.between(MINUTE, HOUR), by);
            self.world.has_jumped.store(true, Ordering::Relaxed);
        }
    }

    /// Tells what it did.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        self.world.story.tell(&self.name, what);
    }

    /// Some time passes on the wire: mostly none that matters, at times up to `longest` ms.
    pub(crate) async fn wire(&self, longest: i64) {
        let clockwork = &self.world.clockwork;
        let ms = match clockwork.below(16) {
            0..=11 => 0,
            _ => clockwork.between(1, 400),
        };
        let ms = if self.world.trouble.hits(Fault::Slow) { clockwork.between(SECOND, longest) } else { ms };
        self.may_jump();
        clockwork.sleep(ms).await;
    }

    /// Whether that fault hits this process now.
    pub(crate) fn hit(&self, fault: Fault, what: &str) -> bool {
        let hit = self.world.trouble.hits(fault);
        if hit {
            self.tell(|| format!("FAULT {fault:?}: {what}"));
        }
        hit
    }

    /// What it touched kills it at its next await.
    pub(crate) fn doom(&self) {
        self.is_doomed.store(true, Ordering::Relaxed);
    }

    /// Counts for the job at work.
    pub(crate) fn count(&self, which: impl Fn(&Tally) -> &AtomicU64) {
        if let Some(tally) = &*lock(&self.at_work) {
            which(tally).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether this call is the one that the job at work marked for a paused connection.
    pub(crate) fn is_the_probe(&self) -> bool {
        lock(&self.at_work).as_ref().is_some_and(|tally| tally.makes_a_probe())
    }

    /// The job at work may touch what is its user's, and nothing else.
    pub(crate) fn touches(&self, user: &UserId, what: impl FnOnce() -> String) {
        let of_job = lock(&self.at_work).as_ref().map(|tally| tally.user.clone());
        if let Some(own) = of_job.or_else(|| self.rider.clone()).filter(|own| own != user) {
            self.world.story.broken("I4", format!("what is done for {own} touches {} of {user}", what()));
        }
    }

    /// Somebody asked this process to make no call there for so long.
    pub(crate) fn is_asked_for_patience(&self, whom: &str, seconds: u64) {
        let (now, wait) = (self.world.now_ms(), i64::try_from(seconds).unwrap_or(0) * SECOND);
        let key = (self.owner.clone(), whom.to_owned());
        let mut asked = lock(&self.world.asked_for_patience);
        // Who calls all the same and is asked anew was asked before.
        let before = asked.get(&key).copied().filter(|(_, until)| now < until - MINUTE);
        let (since, until) = before.map_or((now, now + wait), |(since, until)| (since, until.max(now + wait)));
        asked.insert(key, (since, until));
    }

    /// No call is made where this process was asked for patience, but for those that were under way.
    pub(crate) fn is_patient(&self, whom: &str, what: &str) {
        let asked = lock(&self.world.asked_for_patience).get(&(self.owner.clone(), whom.to_owned())).copied();
        let now = self.world.now_ms();
        if let Some((since, until)) = asked.filter(|(since, until)| since + ON_ITS_WAY < now && now < until - MINUTE) {
            let (ago, left) = ((now - since) / SECOND, (until - now) / SECOND);
            let what = format!("{what}: {whom} asked for patience {ago} s ago, and for {left} s more");
            self.world.broken_unless_jumped("I6", what);
        }
    }

    /// No call is made while the operator has stopped everything, but for what was in hand.
    pub(crate) fn is_not_halted(&self, what: &str) {
        let now = self.world.now_ms();
        let halted = *lock(&self.world.halted_at);
        if let Some(since) = halted.filter(|since| since + UNDER_WAY < now) {
            let minutes = (now - since) / MINUTE;
            self.world.story.broken("I6", format!("{what}: everything is stopped for {minutes} minutes"));
        }
    }

    /// True time of a moment that this process read off its clock, ms.
    pub(crate) fn true_ms(&self, moment: Timestamp) -> i64 {
        moment.as_millisecond() - self.off_by()
    }

    /// Runs a job under a tally of its own.
    pub(crate) async fn tallied<T>(&self, tally: &Arc<Tally>, job: impl Future<Output = T>) -> T {
        let mut job = std::pin::pin!(job);
        std::future::poll_fn(|context| {
            *lock(&self.at_work) = Some(Arc::clone(tally));
            let polled = job.as_mut().poll(context);
            *lock(&self.at_work) = None;
            polled
        })
        .await
    }

    /// Whether it dies at this await.
    fn dies(&self) -> bool {
        self.is_doomed.swap(false, Ordering::Relaxed) || self.world.trouble.hits(Fault::Crash)
    }
}

impl Clock for Process {
    fn now(&self) -> Timestamp {
        to_timestamp(self.world.now_ms() + self.off_by())
    }
}

impl Entropy for Process {
    fn fraction(&self) -> f64 {
        self.world.clockwork.chance().fraction()
    }
}

/// A life that may end at any await: the future is dropped, with all that it knew.
pub(crate) struct Mortal<F> {
    process: Arc<Process>,
    life: Pin<Box<F>>,
}

impl<F: Future> Mortal<F> {
    pub(crate) fn new(process: &Arc<Process>, life: F) -> Self {
        Self { process: Arc::clone(process), life: Box::pin(life) }
    }
}

impl<F: Future> Future for Mortal<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.life.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.process.dies() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Lives one life after the other. `live` is what a process does from its start; it ends with its death, or
/// when it is done, which is answered.
pub(crate) async fn lives<T, L: Future<Output = T>>(
    world: &Arc<World>,
    name: &str,
    calls_source: bool,
    live: impl Fn(Arc<Process>) -> L,
) -> T {
    for life in 1_u64.. {
        let process = Arc::new(Process::new(world, name, life, calls_source));
        process.tell(|| format!("starts as {}, its clock is off by {} ms", process.owner, process.skew_ms));
        let ended = Mortal::new(&process, live(Arc::clone(&process))).await;
        if let Some(value) = ended {
            return value;
        }
        process.tell(|| "DIES here".to_owned());
        if !world.is_split {
            // On one machine a free lock file shows that its owner is gone.
            world.ledger.kill(&process.owner);
        }
        let down = if world.clockwork.one_in(4) { 20 * MINUTE } else { 20 * SECOND };
        world.clockwork.sleep(world.clockwork.below(down)).await;
    }
    unreachable!("a process has no last life")
}
