//! One tick of a shard.

use std::{collections::HashSet, io, sync::Arc};

use fitbridge_core::{
    Code, Engine,
    domain::Shard,
    engine::{Eagerness, EngineError, Ticket},
    ports::Job,
};
use jiff::Timestamp;
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Deadline,
    work::{Worked, work},
};
use crate::{
    logs::TickLine,
    metrics::{Metric, Metrics},
    queue::Jobs,
};

/// Why an invocation of the poller failed. The next tick makes up for it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PollerError {
    /// The event is not the schedule's.
    #[error("the event is no tick: it must be {{\"shard\": n}} with n below {shards}")]
    Foreign {
        /// How many shards there are.
        shards: u16,
    },
    /// The ledger failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<PollerError> for Diagnostic {
    fn from(error: PollerError) -> Self {
        let kind = match &error {
            PollerError::Foreign { .. } => Code::EventForeign.as_str(),
            PollerError::Engine(error) => error.failure().code.as_str(),
        };
        Self { error_type: kind.to_owned(), error_message: error.to_string() }
    }
}

#[derive(Deserialize)]
struct Event {
    shard: u16,
}

/// What a process keeps between ticks.
#[derive(Debug)]
struct State {
    /// Where the engine's calls to the source come out.
    jobs: Jobs,
    /// Polls that our own storage kept from being made, while it let most others be: they are made by the next tick.
    undone: Vec<Job>,
    made: Option<Made>,
}

/// The polls that were made of minutes that are not done, from that one on.
#[derive(Debug)]
struct Made {
    from: i64,
    polls: HashSet<Job>,
}

/// The shard that an event is for.
pub(crate) fn shard_of(event: &Value, shards: u16) -> Result<Shard, PollerError> {
    match Event::deserialize(event) {
        Ok(Event { shard }) if shard < shards => Ok(Shard(shard)),
        _ => Err(PollerError::Foreign { shards }),
    }
}

/// The poller function.
#[derive(Debug)]
pub struct Poller {
    engine: Arc<Engine>,
    /// A process has one invocation at a time.
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    at_a_time: usize,
    /// Requests to providers a second; `None` for as many as there is time for.
    rate: Option<f64>,
}

impl Poller {
    /// Over an engine whose queue keeps calls to the source in this process, where `jobs` is their end. At
    /// most `at_a_time` run at once, and `rate` requests a second where that is bounded.
    pub fn new(engine: Arc<Engine>, jobs: Jobs, metrics: Arc<Metrics>, at_a_time: usize, rate: Option<f64>) -> Self {
        let state = State { jobs, undone: Vec::new(), made: None };
        Self { engine, state: Mutex::new(state), metrics, at_a_time, rate }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.engine.now()
    }

    /// A tick: makes the polls of all minutes since the last that was done, hands over what is due, and
    /// resolves what was found. The minutes are marked as done when the polls were made, and only then.
    pub async fn handle(&self, event: &Value, deadline: Deadline) -> Result<(), PollerError> {
        let begun = Instant::now();
        let shards = self.engine.policy().shards;
        let shard = shard_of(event, shards)?;
        let mut line = TickLine { shard: shard.0, ..TickLine::default() };
        let result = match self.engine.halted().await.map_err(PollerError::from) {
            Ok(Some(_)) => {
                tracing::warn!("stopped: nothing is asked of any provider");
                self.metrics.count(Metric::TicksDone);
                Ok(())
            }
            Ok(None) => self.tick(shard, &deadline, &mut line).await,
            Err(error) => Err(error),
        };
        line.took = begun.elapsed();
        line.log();
        if let Err(error) = self.metrics.flush(self.now(), Some(shard), &mut io::stdout()) {
            tracing::warn!(%error, "the metrics could not be written: {error}");
        }
        result
    }

    /// Polls that a tick has time for, at one request each.
    fn most_polls(&self, deadline: &Deadline) -> usize {
        self.rate.map_or(usize::MAX, |rate| (rate * deadline.time_to_begin().as_secs_f64()) as usize)
    }

    async fn tick(&self, shard: Shard, deadline: &Deadline, line: &mut TickLine) -> Result<(), PollerError> {
        let mut state = self.state.lock().await;
        let State { jobs, undone, made } = &mut *state;
        self.engine.end_walks_at(Some(deadline.of_walks(self.now())));
        // Left by an invocation that was cut. Their records come due again by themselves.
        while jobs.try_recv().is_ok() {}
        for metric in [Metric::PollSucceeded, Metric::PollFailed] {
            self.metrics.add(metric, 0);
        }
        let (ticket, mut polls) = match self.engine.begin_tick(shard, self.most_polls(deadline)).await? {
            Some((ticket, polls)) => (Some(ticket), polls),
            None => (None, Vec::new()),
        };
        let minutes = ticket.as_ref().map(Ticket::minutes);
        // A minute with more polls than a tick has time for is made in parts.
        let before = made.take().filter(|made| Some(made.from) == minutes.as_ref().map(|minutes| *minutes.start()));
        let mut made_of_it = before.map(|before| before.polls).unwrap_or_default();
        polls.retain(|job| !made_of_it.contains(job));
        let planned: HashSet<_> = polls.iter().cloned().collect();
        polls.extend(std::mem::take(undone).into_iter().filter(|job| !planned.contains(job)));
        line.polls = polls.len();
        // A tick with more polls than it has time for must not always leave the same riders out.
        let all = polls.len();
        polls.rotate_left(((self.engine.ports().entropy.fraction() * all as f64) as usize).min(all));
        let swept = self.engine.sweep(shard, Eagerness::Due).await;
        line.due = swept.as_ref().copied().unwrap_or_default();
        let mut ticket = ticket;
        let mut finished = Ok(false);
        let worked = work(&self.engine, polls, jobs, self.at_a_time, deadline, async |undone| {
            // Where most are, the storage is down: the minute is not done. A few are known here, and need no more.
            let is_made = undone.is_empty() || undone.len() * 2 < all;
            if let Some(ticket) = ticket.take_if(|_| is_made) {
                let finish = deadline.closing("to mark the tick as done", self.engine.finish_tick(ticket));
                finished = finish.await.unwrap_or(Ok(false));
            }
        })
        .await;
        let gave_back = match ticket {
            Some(ticket) => deadline.closing("to give the tick back", self.engine.give_tick_back(ticket)).await,
            None => None,
        };
        let Worked { done, failed, poll_failures, polls_made, polls_undone, polls_left, others_left, others_cut } =
            worked;
        *undone = polls_undone;
        if let (Some(minutes), Ok(false)) = (&minutes, &finished) {
            made_of_it.extend(polls_made);
            *made = Some(Made { from: *minutes.start(), polls: made_of_it });
        }
        if let Some(minutes) = &minutes {
            let now = self.now().as_second().div_euclid(60);
            let done = if matches!(finished, Ok(true)) { *minutes.end() } else { minutes.start() - 1 };
            self.metrics.add(Metric::MinutesBehind, usize::try_from(now - done).unwrap_or(0));
        }
        (line.worked, line.failed) = (done, failed);
        for code in poll_failures {
            self.metrics.count_failure(Metric::PollFailed, code.as_str());
        }
        let others = others_left.len() + others_cut;
        if polls_left + others > 0 {
            tracing::warn!(
                polls_left,
                others_left = others,
                "time ran out: {polls_left} polls and {others} others are left"
            );
        }
        let jobs_back = deadline.closing("to give jobs back", self.engine.give_jobs_back(&others_left)).await;
        if finished? {
            self.metrics.count(Metric::TicksDone);
        }
        gave_back.transpose()?;
        swept?;
        jobs_back.transpose()?;
        Ok(())
    }
}
