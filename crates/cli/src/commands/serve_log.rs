//! What `serve` logs of its work: a line for each ride that arrives somewhere, and for each poll that found
//! something. Failures are logged by the engine, where they are handled.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use fitbridge_core::{
    domain::{BackfillPhase, Connection, ConnectionId, Delivery, DeliveryState, How},
    engine::{Observer, Poll},
};

use super::backfill;

/// Rides of a backfill after which its progress is logged again.
const TELL_EVERY: u64 = 100;

/// Logs what went well.
#[derive(Debug, Default)]
pub(crate) struct ServeLog {
    /// How far each backfill was when it was logged last.
    told: Mutex<BTreeMap<ConnectionId, (BackfillPhase, u64)>>,
}

impl Observer for ServeLog {
    fn delivery(&self, delivery: &Delivery) {
        let DeliveryState::Delivered { remote_id, how, at } = &delivery.state else { return };
        let what = match how {
            How::Created => "delivered",
            How::AlreadyThere => "was already there",
        };
        let ride = delivery.about.external_id.as_str();
        let remote_id = remote_id.as_ref().map(|id| id.0.as_str()).unwrap_or_default();
        let lag_s = delivery.discovered_at.map(|seen| at.duration_since(seen).as_secs().max(0));
        let after = lag_s.map(|lag| format!(", {lag} s after it was found")).unwrap_or_default();
        tracing::info!(ride, sink = %delivery.sink, remote_id, lag_s, "{ride} {what}: {}{after}", delivery.sink);
    }

    fn connection(&self, connection: &Connection) {
        let Some(backfill) = connection.backfill() else { return };
        let now = (backfill.phase, backfill.done() / TELL_EVERY);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(connection.id.clone(), now) != Some(now) {
            let (done, total) = (backfill.done(), backfill.total);
            tracing::info!(connection = %connection.id, done, total, "{}: {}", connection.name, backfill::line(backfill));
        }
    }

    fn polled(&self, connection: &Connection, result: &Poll) {
        match result {
            Poll::Idle | Poll::Skipped(_) => {}
            Poll::Walked { new, .. } | Poll::GoesOn { new, .. } => {
                let count = new.len();
                tracing::info!(connection = %connection.id, count, "{}: {count} new rides", connection.name);
            }
            Poll::Refused(failure) | Poll::Paused(failure) | Poll::Away(failure) => {
                tracing::warn!(connection = %connection.id, code = %failure.code, "{}: {failure}", connection.name);
            }
        }
    }
}
