//! What a change of a record means to people: events for the audit, news for notices. Both follow from the
//! record before and after, so whoever changes a record cannot forget them.

use super::{
    Activity, ActivityState, Cause, Connection, ConnectionState, Delivery, DeliveryState, EventKind, Failing, Origin,
    ids::short_digest,
};
use crate::{Code, Failure};

/// What is new about a cause.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// It failed.
    Fails(Failure, Option<Item>),
    /// It works again.
    Recovers(Option<Item>),
    /// It is of no interest any more: nobody is told.
    Ends(Option<Item>),
}

/// Which of several rides or deliveries a piece of news is about that share a cause; `None` for the cause itself.
pub type Item = String;

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
        self.news.push((cause, News::Fails(failure.clone(), None)));
    }

    fn one_fails(&mut self, cause: Cause, failure: &Failure, item: Item) {
        self.news.push((cause, News::Fails(failure.clone(), Some(item))));
    }

    fn recovers(&mut self, cause: Cause) {
        self.news.push((cause, News::Recovers(None)));
    }

    fn one_recovers(&mut self, cause: Cause, item: Item) {
        self.news.push((cause, News::Recovers(Some(item))));
    }

    /// Nobody is told of that cause any more.
    pub fn ends(&mut self, cause: Cause) {
        self.news.push((cause, News::Ends(None)));
    }

    fn one_ends(&mut self, cause: Cause, item: Item) {
        self.news.push((cause, News::Ends(Some(item))));
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
            // Whoever removes it ends what its notices were about.
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
                story.one_fails(Cause { code, connection: source }, failure, item_of_ride(after));
            }
        }
        ActivityState::Forgotten { .. } => story.events.push(EventKind::Forgotten { activity: after.id.clone() }),
        _ => {}
    }
    if let Some(code) = before.given_up.or_else(|| before.state.given_up_as()) {
        let cause = Cause { code, connection: after.source().cloned() };
        match after.state {
            ActivityState::Fetched { .. } | ActivityState::Duplicate { .. } => {
                story.one_recovers(cause, item_of_ride(after));
            }
            // The rider does not want it any more.
            ActivityState::Forgotten { .. } => story.one_ends(cause, item_of_ride(after)),
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
        (None, Some(failure)) => {
            story.one_fails(Cause::of(failure.code, &after.sink), failure, item_of_delivery(after));
        }
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
                story.one_recovers(Cause::of(code, &after.sink), item_of_delivery(after));
            }
        }
        DeliveryState::Rejected { failure } | DeliveryState::DeadLetter { failure } => {
            let code = after.state.given_up_as().unwrap_or(failure.code);
            story.events.push(EventKind::Failed { activity, sink: Some(sink), failure: failure.clone() });
            story.one_fails(Cause::of(code, &after.sink), failure, item_of_delivery(after));
        }
        // The rider does not want it there any more, or not by itself.
        DeliveryState::Withdrawn { .. } => {
            let lasting = Failing::told(before.failing.as_ref()).map(|failure| failure.code);
            let given_up = before.given_up.or_else(|| before.state.given_up_as());
            for code in lasting.into_iter().chain(given_up) {
                story.one_ends(Cause::of(code, &after.sink), item_of_delivery(after));
            }
        }
        _ => {}
    }
    story
}

fn item_of_ride(ride: &Activity) -> Item {
    short_digest(ride.id.as_str().as_bytes())
}

fn item_of_delivery(delivery: &Delivery) -> Item {
    short_digest(delivery.content.as_bytes())
}
