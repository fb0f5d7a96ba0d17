//! `admin dead-letters`: messages that were never finished, and what the ledger gave up.

use fitbridge_aws::admin::{DeadLetterQueue, DeadMessage};
use fitbridge_core::{
    Code, Failure,
    domain::{Notice, NoticeState, UserId},
    engine::redrive::{GivenUp, Which},
    ports::{Job, Key, Task},
};
use serde_json::json;

use super::{
    Act, Desk,
    desk::Going,
    redrive::{Counts, begin_anew, count, show},
};
use crate::{
    args::admin::{DeadLetterArgs, DeadLetters},
    exit::{Exit, Stop},
};

/// Most messages that a discard looks at.
const MOST: usize = 10_000;
/// Shortest beginning of a message's id that is taken for it.
const SHORTEST: usize = 6;

/// Does it.
pub(super) async fn run(desk: &Desk, what: DeadLetters) -> Result<Exit, Stop> {
    match what {
        DeadLetters::List(which) => list(desk, &which, Doing::List).await,
        DeadLetters::Replay { which, dry_run: true } => list(desk, &which, Doing::DryRun).await,
        DeadLetters::Replay { which, dry_run: false } => list(desk, &which, Doing::Replay).await,
        DeadLetters::Discard { ids, poison } => discard(desk, &ids, poison).await,
    }
}

/// What is done with those that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    List,
    DryRun,
    Replay,
}

async fn list(desk: &Desk, which: &DeadLetterArgs, doing: Doing) -> Result<Exit, Stop> {
    let messages = messages(desk, which, doing).await?;
    let (mut codes, mut found, mut begun) = (Counts::new(), 0, 0);
    let only_dead = Which { dead_letters_only: true, ..Which::default() };
    desk.each_rider(which.user.as_ref(), async |user| {
        let mut all = desk.engine.given_up(user, &only_dead).await?;
        all.truncate(which.limit.saturating_sub(found));
        all.iter().for_each(|given_up: &GivenUp| {
            show(desk, given_up);
            count(&mut codes, given_up);
        });
        found += all.len();
        if doing == Doing::Replay && !all.is_empty() {
            begun += begin_anew(desk, "dead-letters replay", user, &all).await?;
        }
        Ok(if found < which.limit { Going::On } else { Going::Enough })
    })
    .await?;
    let Messages { jobs, poison, replayed } = messages;
    desk.out.line(match doing {
        Doing::List => format!("{jobs} messages that are jobs, {poison} that are poison; {found} rides and deliveries given up"),
        Doing::DryRun => format!(
            "dry run: {jobs} messages would be handed over again, {poison} are poison; {found} rides and deliveries would be begun anew; nothing was changed"
        ),
        Doing::Replay => format!(
            "{replayed} messages are handed over again, {poison} are poison and stay; {begun} of {found} rides and deliveries are begun anew"
        ),
    });
    if poison > 0 {
        desk.out.line("poison is deleted with `dead-letters discard ID` or `dead-letters discard --poison`; nothing is lost by it");
    }
    desk.out.record(&json!({
        "type": "summary", "dry_run": doing != Doing::Replay, "messages": jobs, "poison": poison, "replayed": replayed,
        "given_up": found, "begun": begun, "codes": codes,
    }));
    Ok(Exit::Done)
}

/// Counts of messages.
#[derive(Debug, Clone, Copy, Default)]
struct Messages {
    /// Those that are jobs.
    jobs: usize,
    /// Those that are none.
    poison: usize,
    /// Those that were handed over again.
    replayed: usize,
}

/// Lists messages, and hands those that are jobs over again.
async fn messages(desk: &Desk, which: &DeadLetterArgs, doing: Doing) -> Result<Messages, Stop> {
    let mut counts = Messages::default();
    if desk.cloud.is_none() {
        return Ok(counts);
    }
    let queue = queue(desk)?;
    let all = queue.receive(which.limit).await.map_err(unavailable)?;
    let shown = show_all(desk, &all, which.user.as_ref(), &mut counts).await;
    let (jobs, mut others): (Vec<_>, Vec<_>) = all.into_iter().partition(|message| {
        let user = message.job.as_ref().ok().map(|job| &job.user);
        doing == Doing::Replay
            && shown.is_ok()
            && user.is_some()
            && (which.user.is_none() || user == which.user.as_ref())
    });
    let mut replay = Ok(());
    if !jobs.is_empty() {
        replay = hand_over_again(desk, queue, &jobs).await;
        match replay {
            Ok(()) => counts.replayed = jobs.len(),
            Err(_) => others.extend(jobs),
        }
    }
    queue.put_back(&others).await.map_err(unavailable)?;
    shown?;
    replay?;
    Ok(counts)
}

async fn show_all(desk: &Desk, all: &[DeadMessage], only: Option<&UserId>, counts: &mut Messages) -> Result<(), Stop> {
    for message in all {
        match &message.job {
            Ok(job) if only.is_none_or(|user| job.user == *user) => {
                counts.jobs += 1;
                show_job(desk, message, job).await?;
            }
            Ok(_) => {}
            Err(_) if only.is_some() => {}
            Err(poison) => {
                counts.poison += 1;
                record(desk, message, None, poison, None);
            }
        }
    }
    Ok(())
}

async fn show_job(desk: &Desk, message: &DeadMessage, job: &Job) -> Result<(), Stop> {
    let (state, failure) = now(desk, job).await?;
    record(desk, message, Some((job, &state)), &Code::NeverFinished.into(), failure.as_ref());
    Ok(())
}

/// What has become of the record that a job is about: its state, and its failure.
async fn now(desk: &Desk, job: &Job) -> Result<(String, Option<Failure>), Stop> {
    let (store, user) = (desk.engine.store(), &job.user);
    let gone = || ("gone".to_owned(), None);
    Ok(match &job.task {
        Task::Resolve { activity } | Task::Fetch { activity } | Task::Erase { activity } => {
            let ride = store.activity(user, activity).await?;
            ride.map_or_else(gone, |ride| (ride.doc.state.name().to_owned(), ride.doc.state.failure().cloned()))
        }
        Task::Deliver { sink, content } => {
            let delivery = store.delivery(user, sink, content).await?;
            delivery.map_or_else(gone, |one| (one.doc.state.name().to_owned(), one.doc.state.failure().cloned()))
        }
        Task::Settle { connection }
        | Task::Poll { connection }
        | Task::Backfill { connection }
        | Task::Reconcile { connection }
        | Task::Verify { connection } => {
            let found = store.connection(user, connection).await?;
            let now = desk.engine.now();
            found.map_or_else(gone, |one| (one.doc.phase(now).to_owned(), one.doc.paused().cloned()))
        }
        Task::Notify { notice } => {
            let found = store.read::<Notice>(&Key::notice(user, notice)).await?;
            let why = |state: &NoticeState| match state {
                NoticeState::Undelivered { why, .. } => Some(why.clone()),
                _ => None,
            };
            found.map_or_else(gone, |one| (one.doc.state.name().to_owned(), why(&one.doc.state)))
        }
    })
}

fn record(desk: &Desk, message: &DeadMessage, job: Option<(&Job, &str)>, why: &Failure, failure: Option<&Failure>) {
    desk.out.record(&json!({
        "type": "message",
        "id": message.id,
        "sent_at": message.sent_at.map(|at| at.to_string()),
        "bytes": message.length,
        "sha256": message.digest.to_string(),
        "reason": why.code,
        "sentence": why.code.sentence(),
        "job": job.map(|(job, _)| job),
        "state": job.map(|(_, state)| state),
        "code": failure.map(|failure| failure.code.as_str()),
        "detail": failure.map(|failure| failure.detail.as_str()),
    }));
    let sent = message.sent_at.map(|at| format!("{at:.0}")).unwrap_or_default();
    desk.out.line(format!("message {}  {sent}  {why}", message.id));
    match job {
        Some((job, state)) => {
            let task = serde_json::to_string(&job.task).unwrap_or_default();
            desk.out.line(format!("  {} {task}: it is {} now", job.user, state.replace('_', " ")));
        }
        None => {
            desk.out.line(format!("  {} bytes, sha256 {}", message.length, message.digest));
            desk.out.line(format!("  next: {}", why.code.next_step()));
        }
    }
    if let (Some(failure), Some((job, _))) = (failure, job) {
        desk.whose(&job.user).explain(Some(failure));
    }
}

/// Handed over first: a crash in between hands them over twice, which does no harm.
async fn hand_over_again(desk: &Desk, queue: &DeadLetterQueue, messages: &[DeadMessage]) -> Result<(), Stop> {
    let jobs: Vec<Job> = messages.iter().filter_map(|message| message.job.clone().ok()).collect();
    let detail = format!("{} messages", jobs.len());
    let act = Act { verb: "dead-letters replay", user: None, detail: &detail };
    desk.act(act, async {
        desk.engine.ports().queue.hand_over(jobs).await.map_err(|left| unavailable(left.error))?;
        queue.delete(messages).await.map_err(unavailable)
    })
    .await
}

async fn discard(desk: &Desk, ids: &[String], poison: bool) -> Result<Exit, Stop> {
    let queue = queue(desk)?;
    if let Some(short) = ids.iter().find(|id| id.len() < SHORTEST) {
        return Err(Stop::failed(Failure::new(Code::NoSuchMessage, short)));
    }
    let all = queue.receive(MOST).await.map_err(unavailable)?;
    let is_meant = |message: &DeadMessage| match poison {
        true => message.job.is_err(),
        false => ids.iter().any(|id| message.id.starts_with(id.as_str())),
    };
    let missing = ids.iter().find(|id| !all.iter().any(|message| message.id.starts_with(id.as_str()))).cloned();
    let (mut meant, mut others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_meant);
    if missing.is_some() {
        // Nothing is deleted where something was misspelt.
        others.append(&mut meant);
    }
    let deleted = match meant.is_empty() {
        true => Ok(()),
        false => {
            let detail = format!("{} messages", meant.len());
            let act = Act { verb: "dead-letters discard", user: None, detail: &detail };
            desk.act(act, async { queue.delete(&meant).await.map_err(unavailable) }).await
        }
    };
    queue.put_back(&others).await.map_err(unavailable)?;
    deleted?;
    if let Some(missing) = missing {
        return Err(Stop::failed(Failure::new(Code::NoSuchMessage, missing)));
    }
    for message in &meant {
        desk.out.record(&json!({ "type": "discarded", "id": message.id, "sha256": message.digest.to_string() }));
    }
    desk.out.line(format!("{} messages are deleted; what jobs among them were about comes due by itself", meant.len()));
    Ok(super::changed(desk, meant.len()))
}

fn queue(desk: &Desk) -> Result<&DeadLetterQueue, Stop> {
    let unknown = || {
        let why = "the queue of dead letters is not known: name it with --dead-letter-queue-url URL, or read --outputs";
        Stop::failed(Failure::new(Code::Usage, why))
    };
    desk.cloud("the queue of dead letters")?.dead_letters.as_ref().ok_or_else(unknown)
}

fn unavailable(error: impl std::fmt::Display) -> Stop {
    Stop::failed(Failure::new(Code::QueueUnavailable, error.to_string()))
}
