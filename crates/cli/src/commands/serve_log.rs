//! What `serve` logs of its work: a line for each ride that arrives somewhere, and for each poll that found
//! something. Failures are logged by the engine, where they are handled.

use fitbridge_core::{
    domain::{Connection, Delivery, DeliveryState, How},
    engine::{Observer, Poll},
};

/// Logs what went well.
#[derive(Debug)]
pub(crate) struct ServeLog;

impl Observer for ServeLog {
    fn delivery(&self, delivery: &Delivery) {
        let DeliveryState::Delivered { remote_id, how, .. } = &delivery.state else { return };
        let what = match how {
            How::Created => "delivered",
            How::AlreadyThere => "was already there",
        };
        let ride = delivery.about.external_id.as_str();
        let remote_id = remote_id.as_ref().map(|id| id.0.as_str()).unwrap_or_default();
        tracing::info!(ride, sink = %delivery.sink, remote_id, "{ride} {what}: {}", delivery.sink);
    }

    fn polled(&self, connection: &Connection, result: &Poll) {
        match result {
            Poll::Idle | Poll::Skipped(_) => {}
            Poll::Walked { new, .. } => {
                let count = new.len();
                tracing::info!(connection = %connection.id, count, "{}: {count} new rides", connection.name);
            }
            Poll::Refused(failure) | Poll::Paused(failure) | Poll::Away(failure) => {
                tracing::warn!(connection = %connection.id, code = %failure.code, "{}: {failure}", connection.name);
            }
        }
    }
}
