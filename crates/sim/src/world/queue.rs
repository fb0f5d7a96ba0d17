//! Handing work over: inside a process, or by messages that may be lost, late, or come twice.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use fitbridge_core::ports::{Job, NotTaken, QueueError, WorkQueue};

use super::Process;
use crate::{
    clockwork::{Bell, MINUTE, lock},
    trouble::Fault,
};

/// A message is hidden for so long from the others while somebody works on it.
const HIDDEN: i64 = 6 * MINUTE;
/// Afterwards it is a dead letter; its record comes due again by itself.
const MOST_RECEIVES: u32 = 5;

/// The queue between functions. At-least-once, in no order.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    state: Mutex<State>,
    pub(crate) bell: Bell,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By the moment from which it can be seen.
    messages: BTreeMap<(i64, u64), (Job, u32)>,
}

impl Messages {
    fn send(&self, job: Job, visible_at: i64) {
        let mut state = lock(&self.state);
        state.next += 1;
        let key = (visible_at, state.next);
        state.messages.insert(key, (job, 0));
        drop(state);
        self.bell.ring();
    }

    /// Takes the first message that can be seen; it is seen again later unless it is deleted.
    pub(crate) fn receive(&self, now: i64) -> Option<((i64, u64), Job)> {
        let mut state = lock(&self.state);
        let key = *state.messages.first_key_value().filter(|((at, _), _)| *at <= now)?.0;
        let (job, receives) = state.messages.remove(&key)?;
        let hidden = (now + HIDDEN, key.1);
        if receives + 1 < MOST_RECEIVES {
            state.messages.insert(hidden, (job.clone(), receives + 1));
        }
        Some((hidden, job))
    }

    /// It was worked on.
    pub(crate) fn delete(&self, receipt: (i64, u64)) {
        lock(&self.state).messages.remove(&receipt);
    }

    /// How many are not deleted yet.
    fn count(&self) -> usize {
        lock(&self.state).messages.len()
    }

    /// When the next message can be seen.
    pub(crate) fn next_at(&self) -> Option<i64> {
        lock(&self.state).messages.first_key_value().map(|((at, _), _)| *at)
    }
}

#[async_trait]
impl WorkQueue for Process {
    /// On machines of their own, calls to the source stay in the poller and all else goes by message; on one
    /// machine all of it stays in the process.
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), NotTaken> {
        self.wire(2000).await;
        let world = &self.world;
        for job in &jobs {
            world.has_no_secret("a message", &serde_json::to_string(job).unwrap_or_default());
        }
        if self.hit(Fault::QueueAway, "the queue takes nothing") {
            return Err(NotTaken::all(jobs, "away"));
        }
        lock(&world.watch).handed_over(&jobs, world.now_ms());
        for job in jobs {
            if !world.is_split || job.task.calls_source() {
                lock(&self.own_jobs).push_back(job);
                continue;
            }
            let late = if world.trouble.hits(Fault::MessageLate) { world.clockwork.between(1, 10 * MINUTE) } else { 0 };
            if !self.hit(Fault::MessageLost, "a message is lost") {
                world.messages.send(job.clone(), world.now_ms() + late);
            }
            if self.hit(Fault::MessageTwice, "a message comes twice") {
                let later = if world.clockwork.one_in(2) { 0 } else { world.clockwork.below(2 * MINUTE) };
                world.messages.send(job, world.now_ms() + later);
            }
        }
        self.wire(2000).await;
        Ok(())
    }

    async fn waiting(&self) -> Result<usize, QueueError> {
        if !self.world.is_split {
            return Ok(0);
        }
        self.wire(2000).await;
        if self.hit(Fault::QueueAway, "the queue does not say how much waits") {
            return Err(QueueError("away".into()));
        }
        Ok(self.world.messages.count())
    }
}
