//! Counting what the engine tells.

use std::sync::Arc;

use super::{Metric, Metrics};
use fitbridge_core::{
    Code,
    domain::{Activity, ActivityState, Connection, ConnectionState, Delivery, DeliveryState, ride_end},
    engine::{Observer, Poll},
};
use jiff::Timestamp;

/// Counts every change that the engine commits.
#[derive(Debug, Clone)]
pub struct MetricsObserver(Arc<Metrics>);

impl MetricsObserver {
    /// Counts into these metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self(metrics)
    }

    fn retry(&self, metric: Metric, code: Code) {
        self.0.count_failure(metric, code.as_str());
        if matches!(code, Code::ProviderThrottled | Code::SinkThrottled) {
            self.0.count(Metric::ProviderThrottled);
        }
    }
}

impl Observer for MetricsObserver {
    fn activity(&self, activity: &Activity) {
        match &activity.state {
            // A ride that was put back to work is discovered too, but not for the first time.
            ActivityState::Discovered | ActivityState::Backlog
                if activity.first_seen_at == activity.updated_at && activity.taken_at.is_none() =>
            {
                self.0.count(Metric::ActivitiesDiscovered);
            }
            ActivityState::Resolved { .. } => self.0.count(Metric::ActivitiesQueued),
            ActivityState::Fetched { .. } => {
                self.0.count(Metric::ActivitiesStored);
            }
            ActivityState::Unavailable { failure, .. } => self.retry(Metric::ActivityRetries, failure.code),
            ActivityState::DeadLetter { failure } => {
                self.0.count_failure(Metric::DeadLetters, failure.code.as_str());
            }
            _ => {}
        }
    }

    fn delivery(&self, delivery: &Delivery) {
        match &delivery.state {
            DeliveryState::Delivered { at, .. } => {
                self.0.count(Metric::Delivered);
                let since = |from: Timestamp| at.duration_since(from).as_secs_f64().max(0.0);
                if let Some(discovered_at) = delivery.discovered_at {
                    self.0.value(Metric::DiscoveredToDeliveredSeconds, since(discovered_at));
                }
                if let Some(ended) = ride_end(delivery) {
                    self.0.value(Metric::RideEndToDeliveredSeconds, since(ended));
                }
            }
            DeliveryState::Retrying { failure, .. } => self.retry(Metric::DeliveryRetries, failure.code),
            DeliveryState::DeadLetter { failure } => {
                self.0.count_failure(Metric::DeadLetters, failure.code.as_str());
            }
            _ => {}
        }
    }

    fn connection(&self, connection: &Connection) {
        if let ConnectionState::Paused { reason, .. } = &connection.state {
            self.0.count_failure(Metric::ReauthRequired, reason.code.as_str());
        }
    }

    fn polled(&self, _connection: &Connection, result: &Poll) {
        match result {
            Poll::Idle | Poll::Walked { .. } | Poll::GoesOn { .. } => self.0.count(Metric::PollSucceeded),
            Poll::Refused(failure) | Poll::Away(failure) => self.retry(Metric::PollFailed, failure.code),
            // Nothing was asked, or the connection is counted where it is paused.
            Poll::Skipped(_) | Poll::Paused(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use fitbridge_core::{
        Failure,
        domain::{
            ActivityId, ConnectionId, ContentId, How, Integrity, Origin, RemoteAccount, Ride, RideId, Role, Service,
            SourceProgress, UserId,
        },
    };
    use serde_json::{Value, json};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ride() -> Activity {
        let connection = ConnectionId::new("igpsport-global-1").unwrap();
        let id = ActivityId::new("a-1").unwrap();
        let origin = Origin::Cloud { connection, ride_id: RideId(1) };
        Activity::new(UserId::new("rider").unwrap(), id, origin, Ride::default(), at("2026-01-01T00:00:00Z"))
    }

    fn paused() -> Connection {
        let account =
            RemoteAccount { service: Service::new("igpsport").unwrap(), realm: "global".into(), account: "1".into() };
        Connection {
            user: UserId::new("rider").unwrap(),
            id: account.connection_id(),
            name: "igpsport".into(),
            account,
            label: "rider".into(),
            state: ConnectionState::Paused { reason: Code::TokenExpired.into(), since: at("2026-01-01T00:00:00Z") },
            role: Role::Source(SourceProgress::default()),
            history: fitbridge_core::domain::History::All,
            settings: Value::Null,
            connected_at: at("2026-01-01T00:00:00Z"),
            renewals: 0,
        }
    }

    #[test]
    fn every_change_is_counted_once_and_nobody_is_named() {
        let metrics = Arc::new(Metrics::new("sink"));
        let observer = MetricsObserver::new(Arc::clone(&metrics));
        let content = ContentId::of(b"x");
        let later = at("2026-01-01T00:01:30Z");
        observer.activity(&ride());
        observer.activity(&Activity { updated_at: later, ..ride() });
        let fetched = ActivityState::Fetched { content, size_bytes: 1, integrity: Integrity::Intact };
        let fetched = Activity { state: fetched, updated_at: later, ..ride() };
        observer.activity(&fetched);
        let sink = ConnectionId::new("intervals-i1").unwrap();
        let mut delivery = Delivery::new(&fetched, &sink, content, later);
        observer.delivery(&delivery);
        let failure = Failure::new(Code::SinkThrottled, "slow down, rider");
        delivery.state = DeliveryState::Retrying { failure: failure.clone(), asked_until: None };
        observer.delivery(&delivery);
        delivery.state = DeliveryState::DeadLetter { failure };
        observer.delivery(&delivery);
        let done = at("2026-01-01T00:02:00Z");
        delivery.state = DeliveryState::Delivered { remote_id: None, how: How::Created, at: done };
        observer.delivery(&delivery);
        delivery.discovered_at = Some(at("2026-01-01T00:00:00Z"));
        observer.delivery(&delivery);
        (delivery.about.start, delivery.about.elapsed_s) = (Some(at("2025-12-31T22:00:00Z")), Some(3600.0));
        observer.delivery(&delivery);
        observer.connection(&paused());
        observer.polled(&paused(), &Poll::Idle);
        observer.polled(&paused(), &Poll::Away(Code::ProviderThrottled.into()));
        observer.polled(&paused(), &Poll::Paused(Code::TokenExpired.into()));

        let lines = metrics.take_lines(done, None);
        assert!(lines.len() == 1 && !lines[0].contains("rider"), "{lines:?}");
        let mut line: Value = serde_json::from_str(&lines[0]).unwrap();
        line.as_object_mut().unwrap().remove("_aws");
        let expected = json!({
            "Function": "sink",
            "ActivitiesDiscovered": 1.0,
            "ActivitiesStored": 1.0,
            "DeliveryRetries": 1.0,
            "DeliveryRetryCodes": { "sink_throttled": 1 },
            "ProviderThrottled": 2.0,
            "DeadLetters": 1.0,
            "DeadLetterCodes": { "sink_throttled": 1 },
            "Delivered": 3.0,
            "DiscoveredToDeliveredSeconds": [120.0, 120.0],
            "RideEndToDeliveredSeconds": [3720.0],
            "ReauthRequired": 1.0,
            "ReauthCodes": { "token_expired": 1 },
            "PollSucceeded": 1.0,
            "PollFailed": 1.0,
            "PollFailedCodes": { "provider_throttled": 1 },
        });
        assert_eq!(line, expected);
    }
}
