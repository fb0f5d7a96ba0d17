//! How riders are told: two channels that refuse or time out now and then, and what may come through them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use fitbridge_core::{
    Code, Failure,
    domain::{Contact, Message, Notice, NoticeState, Quiet, Service, UserId},
    ports::{Checked, Key, NoticeTarget, NoticeText, Notifier, NotifyError},
    store::Store,
};
use futures::FutureExt;
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::Value;

use super::{Process, World};
use crate::{
    clockwork::{HOUR, MINUTE, lock, to_timestamp},
    trouble::Fault,
    wishes::UNDER_WAY,
};

/// The longest a call takes, ms.
const LONGEST: i64 = 30_000;
/// Between a look at the clock and the message that follows from it, at most so much passes, ms.
const IN_HAND: i64 = 6 * MINUTE;
/// The same cause is told once in so long, ms; clocks are a little off.
const A_DAY: i64 = 24 * HOUR - 2 * MINUTE;

/// A way to tell riders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Via {
    Hook,
    Mail,
}

impl Via {
    pub(crate) const ALL: [Self; 2] = [Self::Hook, Self::Mail];

    pub(crate) fn service(self) -> Service {
        Service::from_any(match self {
            Self::Hook => "hook",
            Self::Mail => "mail",
        })
    }
}

/// A message that came through, or a recovery that the channel would not have.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) user: UserId,
    pub(crate) via: Via,
    pub(crate) code: Code,
    /// The connection's name.
    pub(crate) connection: Option<String>,
    pub(crate) message: Message,
    id: String,
    at: i64,
}

impl Told {
    fn of(user: &UserId, via: Via, notice: &NoticeText, now: i64) -> Option<Self> {
        let (message, code) = (notice.message?, notice.code?);
        let (connection, id) = (notice.connection.clone(), notice.id.clone());
        Some(Self { user: user.clone(), via, code, connection, message, id, at: now })
    }

    fn is_about(&self, other: &Self) -> bool {
        (&self.user, self.via, self.code, &self.connection) == (&other.user, other.via, other.code, &other.connection)
    }
}

/// Everything that riders were told.
#[derive(Debug, Default)]
pub(crate) struct NoticeHost {
    told: Vec<Told>,
    /// Messages that a channel refused for good.
    refused: BTreeSet<String>,
    /// Messages of which it is written down that they were told.
    recorded: BTreeSet<String>,
}

impl NoticeHost {
    /// The last message to a rider about each cause, by each channel. "It works again" is one about all causes.
    pub(crate) fn last_words(&self, user: &UserId) -> Vec<Told> {
        let mut last = BTreeMap::new();
        for told in self.told.iter().filter(|told| told.user == *user) {
            if told.message == Message::Recovery {
                last.retain(|_, earlier: &mut Told| (earlier.via, &earlier.connection) != (told.via, &told.connection));
            }
            last.insert((told.via, told.code.as_str(), told.connection.clone()), told.clone());
        }
        last.into_values().collect()
    }

    /// A notice is written down.
    pub(crate) fn note(&mut self, body: &str) {
        if let Ok(notice) = serde_json::from_str::<Notice>(body)
            && notice.state == NoticeState::Told
        {
            self.recorded.insert(notice.message_id());
        }
    }

    /// Whether some channel would not have that message.
    pub(crate) fn was_refused(&self, id: &str) -> bool {
        self.refused.contains(id)
    }

    /// How many messages there were.
    pub(crate) fn count(&self) -> usize {
        self.told.len()
    }
}

/// A channel as a process reaches it.
#[derive(Debug)]
pub(crate) struct NotifierPort {
    pub(crate) process: Arc<Process>,
    pub(crate) via: Via,
}

impl NotifierPort {
    fn world(&self) -> &World {
        &self.process.world
    }

    /// A message arrives; here is where too many of them would show.
    fn arrives(&self, user: &UserId, notice: &NoticeText) {
        let (world, now) = (self.world(), self.world().now_ms());
        for (place, text) in [("a notice", notice.body()), ("a notice's subject", notice.subject.clone())] {
            world.has_no_secret(place, &text);
        }
        if notice.subject.is_empty() || notice.next.is_empty() {
            world.story.broken("notice", format!("{} says nothing, or not what to do", notice.id));
        }
        let contact = self.contact(user);
        if let Some(quiet) = contact.as_ref().and_then(|contact| contact.quiet.as_ref()) {
            self.is_not_quiet(user, quiet, now);
        }
        let Some(told) = Told::of(user, self.via, notice, now) else { return };
        let host = lock(&world.notices);
        let before = host.told.iter().rev().filter(|before| before.is_about(&told));
        // Of what may have arrived, nobody knows.
        let is_known = |before: &&Told| before.message == Message::Failure && host.recorded.contains(&before.id);
        let mut before = before.filter(is_known).filter(|before| before.id != told.id);
        if told.message == Message::Failure
            && let Some(before) = before.next().filter(|before| now - before.at < A_DAY)
            // A message that another channel does not have yet is not over.
            && contact.is_some_and(|contact| contact.channels.len() == 1)
            && !world.wishes(&told.user, |wishes| wishes.lost_a_channel)
        {
            let minutes = (now - before.at) / MINUTE;
            let (code, connection, user) = (told.code, &told.connection, &told.user);
            let what = format!("{code} of {connection:?} is told again to {user} after {minutes} minutes");
            world.broken_unless_jumped("notice", what);
        }
        drop(host);
        lock(&world.notices).told.push(told);
    }

    fn contact(&self, user: &UserId) -> Option<Contact> {
        let store = Store::new(Arc::new(self.world().ledger.clone()));
        store.read::<Contact>(&Key::contact(user)).now_or_never()?.ok()?.map(|stored| stored.doc)
    }

    fn is_not_quiet(&self, user: &UserId, quiet: &Quiet, now: i64) {
        let since = self.world().wishes(user, |wishes| wishes.quiet_since);
        let (before, after) = (to_timestamp(now - IN_HAND), to_timestamp(now) + SignedDuration::from_mins(1));
        let is_quiet = [before, to_timestamp(now), after].into_iter().all(|at| quiet.ends(at).is_some());
        if is_quiet && since.is_some_and(|since| since + UNDER_WAY < now) {
            self.world().broken_unless_jumped("notice", format!("{user} is told something in the quiet hours"));
        }
    }
}

#[async_trait]
impl Notifier for NotifierPort {
    fn check(&self, settings: &Value, _secret: Option<&SecretString>) -> Result<Checked, Failure> {
        Ok(Checked { label: self.via.service().to_string(), settings: settings.clone() })
    }

    async fn tell(&self, target: &NoticeTarget, notice: &NoticeText) -> Result<(), NotifyError> {
        let user = UserId::from_any(target.settings.get("to").and_then(Value::as_str).unwrap_or_default());
        self.process.touches(&user, || "a channel".to_owned());
        self.process.wire(LONGEST).await;
        let again = |retry_after| NotifyError::Transient { failure: Code::MailAway.into(), retry_after };
        let what = format!("tell {user} by {:?}: {}", self.via, notice.subject);
        if self.process.hit(Fault::NoticeError, &what) {
            return Err(match self.world().clockwork.below(6) {
                0 => {
                    let mut host = lock(&self.world().notices);
                    host.refused.insert(notice.id.clone());
                    // Nobody can do more than say it.
                    let said = Told::of(&user, self.via, notice, self.world().now_ms());
                    host.told.extend(said.filter(|said| said.message == Message::Recovery));
                    NotifyError::Permanent(Code::MailRefused.into())
                }
                1 => again(Some(Duration::from_secs(300))),
                _ => again(None),
            });
        }
        self.arrives(&user, notice);
        self.process.tell(|| what.clone());
        self.process.wire(LONGEST).await;
        if self.process.hit(Fault::NoticeAnswerLost, &what) { Err(again(None)) } else { Ok(()) }
    }
}
