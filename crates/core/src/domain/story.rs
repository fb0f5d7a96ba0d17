//! What a change of a record means to people: events for the audit, news for notices. Both follow from the
//! record before and after, so whoever changes a record cannot forget them.

use super::{
    Activity, ActivityState, Cause, Connection, ConnectionState, Delivery, DeliveryState, EventKind, Failing, Origin,
};
use crate::{Code, Failure};

/// What is new about a cause.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// It failed.
    Fails(Failure),
    /// It works again.
    Recovers,
    /// It is of no interest any more: nobody is told.
    Ends,
}

/// What a change means to people.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Story {
    /// For the audit.
    pub events: Vec<EventKind>,
    /// For notices.
    pub news: Vec<(Cause, News)>,
}

impl Story {
    /// One event.
    pub fn event(kind: EventKind) -> Self {
        Self { events: vec![kind], news: Vec::new() }
    }

    /// Whether nothing is to be told.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.news.is_empty()
    }

    fn fails(&mut self, cause: Cause, failure: &Failure) {
        self.news.push((cause, News::Fails(failure.clone())));
    }

    fn recovers(&mut self, cause: Cause) {
        self.news.push((cause, News::Recovers));
    }

    fn ends(&mut self, cause: Cause) {
        self.news.push((cause, News::Ends));
    }
}

/// What is wrong with a connection as it stands; for a rider who could be told nothing when it began.
pub fn of_standing(connection: &Connection) -> Story {
    let mut story = Story::default();
    if let Some(reason) = connection.paused() {
        story.fails(Cause::of(reason.code, &connection.id), reason);
    }
    if let Some((code, failure)) = lasting(connection) {
        story.fails(Cause::of(code, &connection.id), failure);
    }
    story
}

/// What a connection's change means; `before` is `None` for one that is new.
pub fn of_connection(before: Option<&Connection>, after: &Connection) -> Story {
    let mut story = Story::default();
    let id = &after.id;
    let (connection, name) = (id.clone(), after.name.clone());
    let was_removed = before.is_none_or(Connection::is_removed);
    let renewed = before.is_some_and(|before| before.renewals != after.renewals);
    if was_removed || renewed {
        if !after.is_removed() {
            story.events.push(EventKind::Connected { connection: connection.clone(), name: name.clone() });
        }
    } else if before.is_some_and(|before| rules(before) != rules(after)) {
        story.events.push(EventKind::RulesChanged { connection: connection.clone() });
    }
    of_token_end(&mut story, before, after);
    let paused = before.and_then(|before| before.paused());
    match (&after.state, paused) {
        (ConnectionState::Paused { reason, .. }, None) => {
            story.events.push(EventKind::Paused { connection, failure: reason.clone() });
            story.fails(Cause::of(reason.code, id), reason);
        }
        (ConnectionState::Active, Some(reason)) => {
            story.events.push(EventKind::Resumed { connection });
            story.recovers(Cause::of(reason.code, id));
        }
        (ConnectionState::Removed { .. }, _) if !was_removed => {
            story.events.push(EventKind::Disconnected { connection, name });
            let reason = paused.map(|reason| reason.code);
            let lasting = before.and_then(lasting).map(|(code, _)| code);
            for code in [Code::AttemptsUsedUp, Code::TokenExpiring].into_iter().chain(reason).chain(lasting) {
                story.ends(Cause::of(code, id));
            }
            return story;
        }
        _ => {}
    }
    match (before.and_then(lasting), lasting(after)) {
        (None, Some((code, failure))) => story.fails(Cause::of(code, id), failure),
        (Some((code, _)), None) => story.recovers(Cause::of(code, id)),
        _ => {}
    }
    story
}

/// What has kept a source from being read for so long that its rider is told, and under which code: an outage is one
/// cause, however its polls failed.
fn lasting(connection: &Connection) -> Option<(Code, &Failure)> {
    let failure = Failing::told(connection.source().and_then(|source| source.failing.as_ref()))?;
    let code = match failure.code {
        Code::ProviderTimeout | Code::ProviderError | Code::ProviderMalformed | Code::ProviderThrottled => {
            Code::ProviderAway
        }
        code => code,
    };
    Some((code, failure))
}

/// A token's end is warned of once. Another token is the recovery; a pause is told for itself.
fn of_token_end(story: &mut Story, before: Option<&Connection>, after: &Connection) {
    let warned_of = |connection: &Connection| {
        connection.source().and_then(|source| source.warned_of.filter(|end| source.token_ends_at == Some(*end)))
    };
    let expiring = Cause::of(Code::TokenExpiring, &after.id);
    let was_active = before.is_some_and(Connection::is_active);
    match (before.and_then(warned_of), warned_of(after)) {
        (None, Some(end)) => story.fails(expiring, &Failure::new(Code::TokenExpiring, format!("it ends {end:.0}"))),
        (Some(_), None) if was_active => story.recovers(expiring),
        (Some(_), _) if !after.is_active() => story.ends(expiring),
        _ => {}
    }
}

/// What of a connection the rider decides.
fn rules(connection: &Connection) -> (super::History, &serde_json::Value, Option<&super::Rules>) {
    (connection.history, &connection.settings, connection.sink().map(|sink| &sink.rules))
}

/// What a ride's change means.
pub fn of_activity(before: &Activity, after: &Activity) -> Story {
    let mut story = Story::default();
    if let (None, Some(sinks)) = (&before.resync, &after.resync) {
        story.events.push(EventKind::Resynced { activity: after.id.clone(), sinks: sinks.clone() });
    }
    // Also where only the cause of a wait is another one.
    let disk_full = |state: &ActivityState| state.failure().is_some_and(|failure| failure.code == Code::DiskFull);
    let no_room = Cause { code: Code::DiskFull, connection: None };
    match (disk_full(&before.state), disk_full(&after.state)) {
        (false, true) => story.fails(no_room, &Code::DiskFull.into()),
        (true, false) if matches!(after.state, ActivityState::Fetched { .. }) => story.recovers(no_room),
        _ => {}
    }
    if before.state.name() == after.state.name() {
        return story;
    }
    let source = match &after.origin {
        Origin::Cloud { connection, .. } => Some(connection.clone()),
        Origin::File { .. } => None,
    };
    match &after.state {
        ActivityState::Rejected { failure } | ActivityState::DeadLetter { failure } => {
            let activity = after.id.clone();
            story.events.push(EventKind::Failed { activity, sink: None, failure: failure.clone() });
            let code = after.state.given_up_as().unwrap_or(failure.code);
            // Settings and workouts among the rides are nothing to wake anybody for.
            if code != Code::NotActivity {
                story.fails(Cause { code, connection: source }, failure);
            }
        }
        ActivityState::Forgotten { .. } => story.events.push(EventKind::Forgotten { activity: after.id.clone() }),
        _ => {}
    }
    if let Some(code) = before.given_up.or_else(|| before.state.given_up_as()) {
        let cause = Cause { code, connection: after.source().cloned() };
        match after.state {
            ActivityState::Fetched { .. } | ActivityState::Duplicate { .. } => story.recovers(cause),
            // The rider does not want it any more.
            ActivityState::Forgotten { .. } => story.ends(cause),
            _ => {}
        }
    }
    story
}

/// What a delivery's change means.
pub fn of_delivery(before: &Delivery, after: &Delivery) -> Story {
    let mut story = Story::default();
    // One that waits for its sink's connection, or was given up, is told of as that.
    match (Failing::told(before.failing.as_ref()), Failing::told(after.failing.as_ref())) {
        (None, Some(failure)) => story.fails(Cause::of(failure.code, &after.sink), failure),
        (Some(failure), None) if matches!(after.state, DeliveryState::Delivered { .. }) => {
            story.recovers(Cause::of(failure.code, &after.sink));
        }
        _ => {}
    }
    if before.state.name() == after.state.name() {
        return story;
    }
    let (activity, sink) = (after.activity.clone(), after.sink.clone());
    match &after.state {
        DeliveryState::Delivered { remote_id, how, .. } => {
            let (content, how, remote_id) = (after.content, *how, remote_id.clone());
            story.events.push(EventKind::Delivered { activity, sink, content, how, remote_id });
            if let Some(code) = after.given_up {
                story.recovers(Cause::of(code, &after.sink));
            }
        }
        DeliveryState::Rejected { failure } | DeliveryState::DeadLetter { failure } => {
            let code = after.state.given_up_as().unwrap_or(failure.code);
            story.events.push(EventKind::Failed { activity, sink: Some(sink), failure: failure.clone() });
            story.fails(Cause::of(code, &after.sink), failure);
        }
        _ => {}
    }
    story
}
