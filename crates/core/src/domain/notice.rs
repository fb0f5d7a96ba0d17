//! What a rider is told without asking: a failure and its recovery, once each.
//!
//! A notice is one record per cause, so that "once each" and "once a day" follow from the record itself:
//! `failing → told → recovering → closed`, and again. What is told is a message; its id stays the same over
//! all attempts, so a receiver knows a repeat.

use jiff::{SignedDuration, Timestamp, civil::Time, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{ConnectionId, NoticeId, Service, UserId, ids::short_digest, story::Item};
use crate::{Code, Failure};

/// The same cause is told at most once in so long.
pub const ONCE_IN: SignedDuration = SignedDuration::from_hours(24);
/// Rides or deliveries that a notice knows one by one; of more, it is over when these are.
const MOST_ITEMS: usize = 100;

/// What a notice is about: a code, and the connection it concerns where it concerns one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// Which kind of failure.
    pub code: Code,
    /// Of which connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
}

impl Cause {
    /// Of a connection.
    pub fn of(code: Code, connection: &ConnectionId) -> Self {
        Self { code, connection: Some(connection.clone()) }
    }

    /// The notice that stands for this cause.
    pub fn id(&self) -> NoticeId {
        let connection = self.connection.as_ref().map_or("", ConnectionId::as_str);
        NoticeId::from_any(&short_digest(format!("{}/{connection}", self.code).as_bytes()))
    }
}

/// Hours in which nothing is sent, on the rider's wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// From this time of day.
    pub from: Time,
    /// Until this one, of the next day where it is earlier.
    pub to: Time,
    /// The time zone, as the IANA database names it: `Europe/Berlin`.
    pub zone: String,
}

impl Quiet {
    /// Reads `22:00-07:00` and the name of a zone.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn parse(hours: &str, zone: &str) -> Result<Self, String> {
        let (from, to) = hours.split_once('-').ok_or_else(|| format!("{hours:?} is not like 22:00-07:00"))?;
        let time = |text: &str| -> Result<Time, String> {
            text.trim().parse().map_err(|_| format!("{text:?} is no time of day such as 22:00"))
        };
        let (from, to) = (time(from)?, time(to)?);
        if from == to {
            return Err(format!("{hours} has no end: from and to are the same"));
        }
        if TimeZone::get(zone).is_err() {
            return Err(format!("{zone:?} is no time zone such as Europe/Berlin"));
        }
        Ok(Self { from, to, zone: zone.to_owned() })
    }

    /// When the quiet hours end, if it is quiet at that moment. A zone that is not known here is never quiet:
    /// a message at night is better than none.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        let zone = TimeZone::get(&self.zone).ok()?;
        let local = zone.to_datetime(now);
        let (time, date) = (local.time(), local.date());
        let overnight = self.from > self.to;
        let is_quiet =
            if overnight { time >= self.from || time < self.to } else { time >= self.from && time < self.to };
        if !is_quiet {
            return None;
        }
        let day = if overnight && time >= self.from { date.tomorrow().ok()? } else { date };
        let end = zone.to_timestamp(day.to_datetime(self.to)).ok()?;
        (end > now).then_some(end)
    }
}

/// One way to reach a rider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Which notifier: `webhook`, `email`. A rider has at most one channel of each.
    pub via: Service,
    /// What it is called, for people: a host, an address.
    pub label: String,
    /// Settings of the notifier; no secrets.
    #[serde(default)]
    pub settings: serde_json::Value,
}

/// How a rider is told. The record is there once something was set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// Whose.
    pub user: UserId,
    /// The ways, each of which gets every notice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// When nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Quiet>,
}

/// Under which name a channel's secret is sealed. It begins with `notify`, which is no source.
pub fn secret_id(via: &Service) -> ConnectionId {
    ConnectionId::from_any(&format!("notify-{via}"))
}

/// Which of the two messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// It failed.
    Failure,
    /// It works again.
    Recovery,
}

impl NoticeState {
    /// The state's name as it is shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Told => "told",
            Self::Recovering => "recovering",
            Self::Closed => "closed",
            Self::Undelivered { .. } => "undelivered",
        }
    }
}

/// How far a notice is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum NoticeState {
    /// The failure is to be told.
    Failing,
    /// The rider was told of the failure.
    Told,
    /// The recovery is to be told.
    Recovering,
    /// Nothing is the matter any more.
    Closed,
    /// It could not be told; it stands in `status`.
    Undelivered {
        /// Why.
        why: Failure,
        /// Which of the two messages.
        which: Message,
    },
}

/// The record of a notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Whose.
    pub user: UserId,
    /// What it is about.
    pub cause: Cause,
    /// The last failure of that cause.
    pub failure: Failure,
    /// How often it failed since the rider was last told.
    pub count: u32,
    /// Since when.
    pub since: Timestamp,
    /// How far it is.
    #[serde(flatten)]
    pub state: NoticeState,
    /// The number of the message that is pending or was the last.
    pub message: u32,
    /// When a failure was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// Whether the rider believes that it fails, or may.
    #[serde(default)]
    pub known: bool,
    /// Not before this moment: once a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The rides or deliveries that fail of that cause, where it is about such; a bounded number of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<Item>,
    /// Channels that have the message already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<Service>,
    /// Why a channel does not have the last message although others do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<Failure>,
    /// Attempts to tell it.
    #[serde(default)]
    pub attempts: u32,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

impl Notice {
    /// The first failure of a cause.
    pub fn new(user: &UserId, cause: Cause, failure: Failure, count: u32, now: Timestamp) -> Self {
        Self {
            user: user.clone(),
            cause,
            failure,
            count,
            since: now,
            state: NoticeState::Failing,
            message: 1,
            told_at: None,
            known: false,
            not_before: None,
            of: Vec::new(),
            done: Vec::new(),
            untold: None,
            attempts: 0,
            updated_at: now,
        }
    }

    /// The message that is to be told.
    pub fn pending(&self) -> Option<Message> {
        match self.state {
            NoticeState::Failing => Some(Message::Failure),
            NoticeState::Recovering => Some(Message::Recovery),
            _ => None,
        }
    }

    /// What receivers know a repeat by: the same over all attempts of one message. No dots in it.
    pub fn message_id(&self) -> String {
        let text = format!("{}/{}/{}/{}", self.user, self.cause.id(), self.since, self.message);
        format!("notice_{}", short_digest(text.as_bytes()))
    }

    fn begin(&mut self, state: NoticeState) {
        self.state = state;
        self.message = self.message.saturating_add(1);
        self.not_before = None;
        self.done.clear();
        self.untold = None;
        self.attempts = 0;
    }

    fn begin_failure(&mut self, now: Timestamp) {
        // What no channel took is tried once a day too.
        let tried_at = matches!(self.state, NoticeState::Undelivered { .. }).then_some(self.updated_at);
        self.begin(NoticeState::Failing);
        let day_over = self.told_at.max(tried_at).and_then(|told| told.checked_add(ONCE_IN).ok());
        self.not_before = day_over.filter(|over| *over > now);
    }

    /// One more ride or delivery fails of that cause.
    pub fn concerns(&mut self, item: Item) {
        if self.of.len() < MOST_ITEMS && !self.of.contains(&item) {
            self.of.push(item);
        }
    }

    /// One of them does no more. `true` when that was the last, as far as is known: then the cause itself is over.
    pub fn concerns_no_more(&mut self, item: &Item) -> bool {
        self.of.retain(|known| known != item);
        self.of.is_empty()
    }

    /// It failed (again).
    pub fn fails(&mut self, failure: Failure, count: u32, now: Timestamp) {
        self.failure = failure;
        match self.state {
            NoticeState::Failing => self.count = self.count.saturating_add(count),
            NoticeState::Told => {
                self.count = count;
                self.begin_failure(now);
            }
            // Nobody was told that it worked meanwhile, and the rider certainly that it failed.
            NoticeState::Recovering if self.done.is_empty() && self.told_at.is_some_and(|told| told >= self.since) => {
                (self.state, self.count) = (NoticeState::Told, self.count.saturating_add(count));
            }
            NoticeState::Recovering | NoticeState::Closed | NoticeState::Undelivered { .. } => {
                (self.count, self.since) = (count, now);
                self.begin_failure(now);
            }
        }
        self.updated_at = now;
    }

    /// Some channels have the message and others not yet.
    pub fn was_told_in_part(&mut self, message: Message, done: Vec<Service>, now: Timestamp) {
        if message == Message::Failure && done.len() > self.done.len() {
            (self.told_at, self.known) = (Some(now), true);
        }
        (self.done, self.updated_at) = (done, now);
    }

    /// It is not tried any more to tell the message: those channels that have it, have it.
    pub fn gives_up_telling(&mut self, message: Message, why: Failure, now: Timestamp) {
        // An attempt before this one may have arrived.
        self.known |= message == Message::Failure && self.attempts > 1;
        if self.done.is_empty() {
            (self.state, self.updated_at) = (NoticeState::Undelivered { why, which: message }, now);
        } else {
            self.was_told(message, self.message, now);
            self.untold = Some(why);
        }
    }

    /// A channel was set: what no channel took before is told through it.
    pub fn is_told_anew(&mut self, now: Timestamp) {
        if let NoticeState::Undelivered { which, .. } = self.state {
            self.begin(match which {
                Message::Failure => NoticeState::Failing,
                Message::Recovery => NoticeState::Recovering,
            });
            self.updated_at = now;
        }
    }

    /// It works again.
    pub fn recovers(&mut self, now: Timestamp) {
        self.updated_at = now;
        match self.state {
            NoticeState::Told => self.begin(NoticeState::Recovering),
            NoticeState::Failing | NoticeState::Undelivered { .. } if self.known => self.begin(NoticeState::Recovering),
            // A try was begun, and whether it arrived is not known: better one word too many than a rider who believes
            // that it still fails.
            NoticeState::Failing if self.attempts > 0 => {
                // Also when it fails again before anybody was told that it works.
                self.known = true;
                self.begin(NoticeState::Recovering);
            }
            NoticeState::Failing | NoticeState::Undelivered { .. } => self.close(now),
            NoticeState::Recovering | NoticeState::Closed => {}
        }
    }

    /// Nobody is to be told any more.
    pub fn close(&mut self, now: Timestamp) {
        (self.state, self.known, self.count, self.not_before) = (NoticeState::Closed, false, 0, None);
        (self.attempts, self.updated_at, self.untold) = (0, now, None);
        self.done.clear();
        self.of.clear();
    }

    /// A message was told while the record may have gone on: `number` is the message's.
    pub fn was_told(&mut self, message: Message, number: u32, now: Timestamp) {
        self.updated_at = now;
        let same = self.message == number;
        match message {
            Message::Failure => {
                (self.told_at, self.known) = (Some(now), true);
                match self.state {
                    NoticeState::Failing if same => {
                        (self.state, self.count, self.attempts) = (NoticeState::Told, 0, 0);
                        self.done.clear();
                    }
                    NoticeState::Closed => self.begin(NoticeState::Recovering),
                    _ => {}
                }
            }
            Message::Recovery => {
                self.known = false;
                match self.state {
                    NoticeState::Recovering if same => self.close(now),
                    // It failed again while the recovery was being told.
                    NoticeState::Told => self.begin_failure(now),
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn quiet_hours_go_over_midnight_and_follow_the_zone() {
        let quiet = Quiet::parse("22:00-07:00", "Europe/Berlin").unwrap();
        // Berlin is at +1 in January and at +2 in July.
        for (now, end) in [
            ("2026-01-10T20:59:59Z", None),
            ("2026-01-10T21:00:00Z", Some("2026-01-11T06:00:00Z")),
            ("2026-01-11T05:59:59Z", Some("2026-01-11T06:00:00Z")),
            ("2026-01-11T06:00:00Z", None),
            ("2026-07-10T20:00:00Z", Some("2026-07-11T05:00:00Z")),
            // The night in which the clocks go forward.
            ("2026-03-28T22:00:00Z", Some("2026-03-29T05:00:00Z")),
        ] {
            assert_eq!(quiet.ends(at(now)), end.map(at), "{now}");
        }
        let noon = Quiet::parse("12:00-13:30", "UTC").unwrap();
        assert_eq!(noon.ends(at("2026-01-10T12:10:00Z")), Some(at("2026-01-10T13:30:00Z")));
        assert_eq!(noon.ends(at("2026-01-10T13:30:00Z")), None);
    }

    #[test]
    fn quiet_hours_that_make_no_sense_are_refused_with_the_reason() {
        for (hours, zone, reason) in [
            ("22:00", "UTC", "not like"),
            ("25:00-07:00", "UTC", "no time of day"),
            ("07:00-07:00", "UTC", "no end"),
            ("22:00-07:00", "Europe/Atlantis", "no time zone"),
        ] {
            let error = Quiet::parse(hours, zone).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    fn notice(now: Timestamp) -> Notice {
        let cause = Cause { code: Code::DiskFull, connection: None };
        Notice::new(&UserId::new("me").unwrap(), cause, Code::DiskFull.into(), 1, now)
    }

    #[test]
    fn each_is_told_once_and_the_same_again_after_a_day() {
        let now = at("2026-01-10T12:00:00Z");
        let mut notice = notice(now);
        let first = notice.message_id();
        notice.fails(Code::DiskFull.into(), 2, now);
        assert_eq!((notice.count, notice.message_id()), (3, first.clone()), "one message with a count");
        notice.was_told(Message::Failure, 1, now);
        assert_eq!((&notice.state, notice.pending()), (&NoticeState::Told, None));
        notice.recovers(now);
        assert_eq!(notice.pending(), Some(Message::Recovery));
        assert_ne!(notice.message_id(), first);
        notice.was_told(Message::Recovery, 2, now);
        assert_eq!(notice.state, NoticeState::Closed);
        notice.fails(Code::DiskFull.into(), 1, now);
        assert_eq!(notice.not_before, Some(at("2026-01-11T12:00:00Z")));
        notice.recovers(now);
        assert_eq!(notice.state, NoticeState::Closed, "what nobody was told of needs no recovery");
    }

    #[test]
    fn what_turns_while_it_is_being_told_is_told_in_the_end() {
        let now = at("2026-01-10T12:00:00Z");
        let mut recovered = notice(now);
        recovered.recovers(now);
        recovered.was_told(Message::Failure, 1, now);
        assert_eq!(recovered.pending(), Some(Message::Recovery));
        let mut failed = notice(now);
        failed.was_told(Message::Failure, 1, now);
        failed.recovers(now);
        failed.fails(Code::DiskFull.into(), 1, now);
        assert_eq!((&failed.state, failed.pending()), (&NoticeState::Told, None), "the recovery was not told");
        failed.was_told(Message::Recovery, 2, now);
        assert_eq!((failed.pending(), failed.not_before), (Some(Message::Failure), Some(at("2026-01-11T12:00:00Z"))));
    }

    #[test]
    fn a_channel_that_refuses_makes_no_other_channel_hear_it_twice() {
        let now = at("2026-01-10T12:00:00Z");
        let webhook = || vec![Service::new("webhook").unwrap()];
        let mut notice = notice(now);
        notice.was_told_in_part(Message::Failure, webhook(), now);
        notice.gives_up_telling(Message::Failure, Code::MailRefused.into(), now);
        assert_eq!((&notice.state, notice.untold.is_some()), (&NoticeState::Told, true));
        notice.fails(Code::DiskFull.into(), 1, now);
        assert_eq!(notice.not_before, Some(at("2026-01-11T12:00:00Z")), "the webhook was told today");
        notice.recovers(now);
        assert_eq!(notice.pending(), Some(Message::Recovery), "the webhook believes that it fails");
        notice.was_told_in_part(Message::Recovery, webhook(), now);
        notice.gives_up_telling(Message::Recovery, Code::MailRefused.into(), now);
        assert_eq!(notice.state, NoticeState::Closed);
    }

    #[test]
    fn what_fails_again_before_anybody_certainly_knew_of_it_is_told() {
        let now = at("2026-01-10T12:00:00Z");
        let mut notice = Notice { attempts: 1, ..notice(now) };
        notice.recovers(now);
        assert_eq!(notice.pending(), Some(Message::Recovery));
        notice.fails(Code::DiskFull.into(), 1, now);
        assert_eq!(notice.pending(), Some(Message::Failure));
    }

    #[test]
    fn what_may_have_been_told_before_it_was_given_up_is_told_to_work_again() {
        let now = at("2026-01-10T12:00:00Z");
        let after = |attempts| {
            let mut notice = Notice { attempts, ..notice(now) };
            notice.gives_up_telling(Message::Failure, Code::MailRefused.into(), now);
            notice.recovers(now);
            notice.pending()
        };
        assert_eq!(after(1), None, "the only attempt was refused: nobody was told");
        assert_eq!(after(2), Some(Message::Recovery), "the answer to the first attempt may have been lost");
    }

    #[test]
    fn what_one_channel_has_is_known_while_the_other_is_tried_again() {
        let now = at("2026-01-10T12:00:00Z");
        let mut notice = notice(now);
        notice.was_told_in_part(Message::Failure, vec![Service::new("webhook").unwrap()], now);
        assert_eq!(notice.pending(), Some(Message::Failure), "the mail is tried again");
        notice.recovers(now);
        notice.was_told(Message::Recovery, 2, now);
        notice.fails(Code::DiskFull.into(), 1, now);
        assert_eq!(notice.not_before, Some(at("2026-01-11T12:00:00Z")));
    }

    #[test]
    fn a_recovery_that_was_not_told_is_told_after_the_next_failure_too() {
        let now = at("2026-01-10T12:00:00Z");
        let mut notice = notice(now);
        // Tried, and the answer lost: it may have arrived.
        notice.attempts = 1;
        notice.recovers(now);
        notice.fails(Code::DiskFull.into(), 1, now);
        notice.recovers(now);
        assert_eq!(notice.pending(), Some(Message::Recovery));
    }

    #[test]
    fn what_no_channel_took_is_tried_once_a_day_and_at_once_through_a_new_one() {
        let now = at("2026-01-10T12:00:00Z");
        let mut notice = notice(now);
        notice.gives_up_telling(Message::Failure, Code::MailRefused.into(), now);
        let mut again = notice.clone();
        again.fails(Code::DiskFull.into(), 1, at("2026-01-10T13:00:00Z"));
        assert_eq!(again.not_before, Some(at("2026-01-11T12:00:00Z")));
        notice.is_told_anew(now);
        assert_eq!((notice.pending(), notice.not_before), (Some(Message::Failure), None));
    }

    #[test]
    fn records_survive_a_round_trip() {
        let mut notice = notice(at("2026-01-10T12:00:00Z"));
        notice.state = NoticeState::Undelivered { why: Code::MailAway.into(), which: Message::Failure };
        let text = serde_json::to_string(&notice).unwrap();
        assert_eq!(serde_json::from_str::<Notice>(&text).unwrap(), notice, "{text}");
    }
}
