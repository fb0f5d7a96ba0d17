//! One pass: poll every source, then work until nothing is due that may be tried now.

use std::time::Duration;

use fitbridge_core::{
    Code, Failure,
    domain::{Connection, Role, Shard, SourceProgress, UserId},
    engine::{Eagerness, EngineError, Poll, Waiting},
};

use super::Lanes;

/// Waits before the tries that follow the first at once.
const PROMPT: [Duration; 3] = [Duration::from_millis(300), Duration::from_millis(800), Duration::from_millis(2000)];

/// Parts in which a pass reads a long list. One that is longer, or never stands still, is left to the next pass.
const MOST_PARTS: usize = 1000;

/// What became of a source in a pass.
#[derive(Debug, Clone)]
pub struct SourcePass {
    /// The source.
    pub connection: Connection,
    /// The last answer.
    pub poll: Poll,
}

/// What a pass did and left.
#[derive(Debug, Clone, Default)]
pub struct PassReport {
    /// The sources, in the order they were connected.
    pub sources: Vec<SourcePass>,
    /// What still waits.
    pub waiting: Waiting,
    /// Failures of the work itself.
    pub failures: Vec<Failure>,
}

/// Runs a pass for a rider: what waits only for our own backoff is tried at once, a few times; what a
/// server asked to leave alone, or what another process has, is left.
pub async fn pass(lanes: &mut Lanes, user: &UserId) -> Result<PassReport, EngineError> {
    let engine = std::sync::Arc::clone(lanes.engine());
    let shard = Shard::of(user, engine.policy().shards);
    engine.load_breakers().await?;
    let mut report = PassReport { sources: poll_sources(lanes, user).await?, ..PassReport::default() };
    report.failures = work_through(lanes, shard).await?;
    // What the pass brought is reported as it stands at its end.
    if engine.halted().await?.is_none() {
        engine.tell_all(user).await?;
    }
    report.waiting = engine.waiting(shard).await?;
    Ok(report)
}

/// Works on what is due, or only waits for our own backoff, until nothing is left that may be tried now. Returns
/// the failures of the work itself.
pub async fn work_through(lanes: &mut Lanes, shard: Shard) -> Result<Vec<Failure>, EngineError> {
    let engine = std::sync::Arc::clone(lanes.engine());
    let (mut waits, mut left_before) = (PROMPT.iter(), None);
    loop {
        if engine.halted().await?.is_some() {
            // What has begun is finished.
            lanes.drain().await;
            lanes.note_stop();
            return Ok(lanes.take_failures());
        }
        engine.sweep(shard, Eagerness::Eager).await?;
        lanes.drain().await;
        let failures = lanes.take_failures();
        let waiting = engine.waiting(shard).await?;
        // A history, an archive for a new sink, and a reconcile are gone through step by step.
        let left = left_to_do(&waiting);
        let moved = left.is_some() && left != left_before;
        left_before = left;
        if !failures.is_empty() {
            return Ok(failures);
        }
        if moved {
            continue;
        }
        let Some(wait) = waits.next().filter(|_| may_be_tried_now(&waiting, &engine)) else { return Ok(failures) };
        tokio::time::sleep(*wait).await;
    }
}

async fn poll_sources(lanes: &mut Lanes, user: &UserId) -> Result<Vec<SourcePass>, EngineError> {
    let engine = std::sync::Arc::clone(lanes.engine());
    let Some(stored) = engine.store().user(user).await? else { return Ok(Vec::new()) };
    let mut sources = Vec::new();
    for connection in engine.store().connections(&stored.doc).await? {
        if connection.doc.source().is_none() {
            continue;
        }
        let Some(mut poll) = poll_working(lanes, &connection.doc).await? else { break };
        let (mut waits, mut parts) = (PROMPT.into_iter(), 0);
        loop {
            match &poll {
                // The rider asked for all of it.
                Poll::GoesOn { .. } if parts < MOST_PARTS => parts += 1,
                poll if is_worth_a_retry(poll) => match waits.next() {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => break,
                },
                _ => break,
            }
            match poll_working(lanes, &connection.doc).await? {
                Some(next) => poll = next,
                None => break,
            }
        }
        sources.push(SourcePass { connection: connection.doc, poll });
    }
    // Only when all were asked is it known whether a refusal was the provider's.
    let outage = sources.iter().any(|source| matches!(&source.poll, Poll::Away(why) if why.code == Code::ProviderAway));
    if outage {
        for source in &mut sources {
            if matches!(source.poll, Poll::Refused(_)) {
                source.poll = Poll::Away(Code::ProviderAway.into());
            }
        }
    }
    Ok(sources)
}

/// How far the connections are that go through something long; `None` where none does. While it changes, there
/// is something to do at once.
fn left_to_do(waiting: &Waiting) -> Option<Vec<Connection>> {
    let mut connections = waiting.connections.clone();
    for connection in &mut connections {
        if let Role::Source(SourceProgress { backfill: Some(backfill), .. }) = &mut connection.role {
            // A step that took nothing moves the clock only.
            backfill.pace = None;
        }
    }
    (!connections.is_empty()).then_some(connections)
}

/// Polls while the workers carry on with what the walk hands over, page by page; `None` where the operator has
/// stopped everything.
async fn poll_working(lanes: &mut Lanes, connection: &Connection) -> Result<Option<Poll>, EngineError> {
    let engine = std::sync::Arc::clone(lanes.engine());
    if engine.halted().await?.is_some() {
        return Ok(None);
    }
    let poll = engine.poll(&connection.user, &connection.id);
    tokio::pin!(poll);
    loop {
        tokio::select! {
            result = &mut poll => return result.map(Some),
            () = lanes.step() => {}
        }
    }
}

/// Trouble of the moment; not a provider's wish to be left alone.
fn is_worth_a_retry(poll: &Poll) -> bool {
    let passing = [Code::ProviderTimeout, Code::ProviderMalformed, Code::ProviderError];
    matches!(poll, Poll::Away(failure) if passing.contains(&failure.code))
}

fn may_be_tried_now(waiting: &Waiting, engine: &fitbridge_core::Engine) -> bool {
    use fitbridge_core::domain::{ActivityState, DeliveryState};
    let now = engine.now();
    let asked = |until: Option<jiff::Timestamp>| until.is_some_and(|until| until > now);
    let ride = |state: &ActivityState| match state {
        // To ask at once for a file that is being made helps nobody.
        ActivityState::Unavailable { failure, .. } if failure.code == Code::RideNotReady => false,
        ActivityState::Unavailable { asked_until, .. } => !asked(*asked_until),
        _ => true,
    };
    let delivery = |state: &DeliveryState| match state {
        DeliveryState::Retrying { asked_until, .. } => !asked(*asked_until),
        DeliveryState::Accepted { .. } => false,
        _ => true,
    };
    waiting.rides.iter().any(|waiting| ride(&waiting.state))
        || waiting.deliveries.iter().any(|waiting| delivery(&waiting.state))
}
