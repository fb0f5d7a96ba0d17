//! Working on jobs, many at a time, so that none takes the others with it.

use std::{
    collections::{HashSet, VecDeque},
    panic::AssertUnwindSafe,
};

use fitbridge_core::{
    Code, Engine, Failure,
    engine::EngineError,
    ports::{Job, Task},
};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::time::timeout_at;

use super::Deadline;
use crate::queue::Jobs;

/// Does a job by `work`; a panic is its failure. Logs failures, here and nowhere else.
pub(super) async fn isolated(job: &Job, work: impl Future<Output = Result<(), EngineError>>) -> Result<(), Failure> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    let result = match done {
        Ok(done) => done.map_err(|error| error.failure()),
        // The claim stands until its lease ends; the attempt is counted, so this cannot go on for ever.
        Err(_) => Err(Failure::new(Code::Bug, "the job panicked")),
    };
    if let Err(failure) = &result {
        tracing::warn!(code = %failure.code, task = name(&job.task), user = %job.user, "{}: {failure}", name(&job.task));
    }
    result
}

/// A task's name.
pub(super) fn name(task: &Task) -> &'static str {
    match task {
        Task::Poll { .. } => "poll",
        Task::Resolve { .. } => "resolve",
        Task::Fetch { .. } => "fetch",
        Task::Deliver { .. } => "deliver",
        Task::Backfill { .. } => "backfill",
        Task::Reconcile { .. } => "reconcile",
        Task::Verify { .. } => "verify",
        Task::Settle { .. } => "settle",
        Task::Notify { .. } => "notify",
        Task::Erase { .. } => "erase",
    }
}

/// What became of the jobs of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Worked {
    /// Jobs that were ended, well or badly.
    pub(super) done: usize,
    /// Of these, those that failed.
    pub(super) failed: usize,
    /// Why polls failed at our own end, where no observer is told: storage, or a panic.
    pub(super) poll_failures: Vec<Code>,
    /// Polls that were made, well or badly.
    pub(super) polls_made: Vec<Job>,
    /// Polls that failed at our own end although it may be well again by now, at the second try too.
    pub(super) polls_undone: Vec<Job>,
    /// Polls that were not begun, or cut by the deadline.
    pub(super) polls_left: usize,
    /// Other jobs that were not begun: whoever has the time gives them back.
    pub(super) others_left: Vec<Job>,
    /// Other jobs that were cut; their records come due again when the lease ends.
    pub(super) others_cut: usize,
}

/// Whether a poll that failed so is to be made again: our storage did not answer, and nobody was asked.
fn is_passing(code: Code) -> bool {
    matches!(code, Code::LedgerUnavailable | Code::LedgerLocked | Code::VaultUnavailable)
}

/// Makes polls, and works on what comes out of `jobs` in turn with them, so that neither waits for all of
/// the other; until both are empty or the deadline comes. A poll that failed because our own storage did not
/// answer is made once more, behind the others. `polls_made` runs as soon as the last poll has ended, and is
/// told which are still undone.
pub(super) async fn work(
    engine: &Engine,
    polls: Vec<Job>,
    jobs: &mut Jobs,
    at_a_time: usize,
    deadline: &Deadline,
    polls_made: impl AsyncFnOnce(&[Job]),
) -> Worked {
    let (mut worked, mut polls, mut others) = (Worked::default(), VecDeque::from(polls), VecDeque::new());
    worked.polls_left = polls.len();
    let mut polls_made = Some(polls_made);
    let mut running = FuturesUnordered::new();
    let run = async |job: Job, is_poll: bool| {
        let result = isolated(&job, engine.work(&job)).await;
        (is_poll, job, result)
    };
    let mut tried_again = HashSet::new();
    let mut is_turn_of_polls = true;
    loop {
        if worked.polls_left == 0
            && let Some(polls_made) = polls_made.take()
        {
            polls_made(&worked.polls_undone).await;
        }
        while running.len() < at_a_time.max(1) && deadline.may_begin() {
            while let Ok(job) = jobs.try_recv() {
                others.push_back(job);
            }
            let (first, second) = if is_turn_of_polls { (&mut polls, &mut others) } else { (&mut others, &mut polls) };
            let (job, is_poll) = match (first.pop_front(), is_turn_of_polls) {
                (Some(job), turn) => (job, turn),
                (None, turn) => match second.pop_front() {
                    Some(job) => (job, !turn),
                    None => break,
                },
            };
            is_turn_of_polls = !is_poll;
            running.push(run(job, is_poll));
        }
        if running.is_empty() {
            break;
        }
        let has_room = running.len() < at_a_time && deadline.may_begin();
        let next = async {
            tokio::select! {
                biased;
                ended = running.next() => (ended, None),
                Some(job) = jobs.recv(), if has_room => (None, Some(job)),
            }
        };
        let Ok((ended, new)) = timeout_at(deadline.end(), next).await else { break };
        others.extend(new);
        let Some((is_poll, job, result)) = ended else { continue };
        worked.done += 1;
        worked.failed += usize::from(result.is_err());
        if !is_poll {
            continue;
        }
        match result.map_err(|failure| failure.code) {
            Err(code) if is_passing(code) && tried_again.insert(job.clone()) => polls.push_back(job),
            result => {
                worked.polls_left -= 1;
                let polls =
                    if result.is_err_and(is_passing) { &mut worked.polls_undone } else { &mut worked.polls_made };
                polls.push(job);
                worked.poll_failures.extend(result.err());
            }
        }
    }
    let cut = running.len();
    drop(running);
    while let Ok(job) = jobs.try_recv() {
        others.push_back(job);
    }
    let cut_polls = worked.polls_left.saturating_sub(polls.len());
    worked.others_cut = cut.saturating_sub(cut_polls);
    worked.others_left = others.into();
    worked
}
