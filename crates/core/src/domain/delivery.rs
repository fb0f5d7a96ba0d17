//! One file on its way to one sink.

use jiff::{Timestamp, civil::DateTime};
use serde::{Deserialize, Serialize};

use super::{
    Activity, ActivityId, ActivityState, Connection, ConnectionId, ContentId, Failing, Filtered, RemoteId, UserId,
    ids::short_digest,
};
use crate::{Code, Failure};

/// What is told about a file when it is delivered. Frozen before the first attempt, so that a retry says
/// the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The name for the activity, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Our id of the ride, as an external id: `igpsport_31827705`, `fitbridge_file-…`.
    pub external_id: String,
    /// The service it came from: `igpsport`, or `file`.
    pub source: String,
    /// Start, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Start on the rider's wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_start: Option<DateTime>,
    /// Elapsed time, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_s: Option<f64>,
    /// Moving time, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_s: Option<f64>,
    /// Distance, m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<f64>,
    /// Sport as the FIT profile names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sport: Option<String>,
    /// Recording device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl About {
    /// What is told about an activity, as it is known now.
    pub fn of(activity: &Activity) -> Self {
        let ride = &activity.ride;
        let id = match &activity.origin {
            super::Origin::Cloud { ride_id, .. } => format!("igpsport_{ride_id}"),
            super::Origin::File { .. } => format!("fitbridge_{}", activity.id),
        };
        Self {
            name: ride.title(),
            external_id: id,
            source: activity.origin.service().to_owned(),
            start: ride.start(),
            local_start: ride.local_start(),
            elapsed_s: ride.elapsed_s(),
            moving_s: ride.moving_s(),
            distance_m: ride.distance_m(),
            sport: ride.sport(),
            device: ride.device(),
        }
    }
}

/// How a file came to be at a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// This delivery put it there.
    Created,
    /// It was there before.
    AlreadyThere,
}

/// Why a delivery waits for the rider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum HeldReason {
    /// A ride of the same time is already there, by a route that made another file of it.
    Elsewhere {
        /// What the sink calls it.
        remote_id: RemoteId,
        /// The route, as the sink names it: `STRAVA`.
        route: String,
    },
}

/// Why a delivery was taken back before it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// The rider wants the ride gone.
    Forgotten,
    /// Another ride stands for it.
    Linked,
    /// The file was fetched again and is another one now.
    Replaced,
}

impl Withdrawal {
    /// The reason for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Forgotten => "the ride was forgotten before it was sent",
            Self::Linked => "another ride stands for this one",
            Self::Replaced => "the file was fetched again and is another one now",
        }
    }
}

/// What has become of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not tried yet.
    Pending,
    /// Claimed; an attempt is under way or its worker died.
    Sending,
    /// The sink took it and is still working on it.
    Accepted {
        /// What to ask the sink with.
        poll_token: String,
        /// When it was taken.
        since: Timestamp,
        /// How often the sink has said since then that it is still at it.
        #[serde(default)]
        asked: u32,
    },
    /// It is there.
    Delivered {
        /// What the sink calls it, where it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote_id: Option<RemoteId>,
        /// Put there now, or there before.
        how: How,
        /// When that was known.
        at: Timestamp,
    },
    /// It failed in a way that may pass; it is tried again.
    Retrying {
        /// Why.
        failure: Failure,
        /// Not before this moment, because the sink asked so; `None` for our own backoff.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked_until: Option<Timestamp>,
    },
    /// Waits until the sink is connected again.
    Blocked {
        /// Why.
        failure: Failure,
    },
    /// Waits until the rider says send or skip.
    Held {
        /// Why.
        #[serde(flatten)]
        reason: HeldReason,
    },
    /// The rider said skip.
    Skipped,
    /// The sink's rules leave it out. It is sent when the rider changes them and has them applied.
    Filtered {
        /// Which rule, and why.
        #[serde(flatten)]
        why: Filtered,
    },
    /// Taken back before it was sent; opened again where the reason ends.
    Withdrawn {
        /// Why.
        because: Withdrawal,
    },
    /// The sink will not take it.
    Rejected {
        /// Why.
        failure: Failure,
    },
    /// It failed too often; only a redrive goes on.
    DeadLetter {
        /// The last failure.
        failure: Failure,
    },
}

impl DeliveryState {
    /// The state's name as it is shown and counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Accepted { .. } => "accepted",
            Self::Delivered { .. } => "delivered",
            Self::Retrying { .. } => "retrying",
            Self::Blocked { .. } => "blocked",
            Self::Held { .. } => "held",
            Self::Skipped => "skipped",
            Self::Filtered { .. } => "filtered",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Rejected { .. } => "rejected",
            Self::DeadLetter { .. } => "dead_letter",
        }
    }

    /// Whether the engine has something to do for it.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::Sending | Self::Accepted { .. } | Self::Retrying { .. })
    }

    /// The code under which it was told that the delivery was given up, if it was.
    pub fn given_up_as(&self) -> Option<Code> {
        match self {
            Self::DeadLetter { .. } => Some(Code::AttemptsUsedUp),
            Self::Rejected { failure } => Some(failure.code),
            _ => None,
        }
    }

    /// The failure that stands in it, if any.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Retrying { failure, .. }
            | Self::Blocked { failure }
            | Self::Rejected { failure }
            | Self::DeadLetter { failure } => Some(failure),
            _ => None,
        }
    }
}

/// The record of a delivery. Its key is (sink connection, sha256), so one file goes to one sink once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Whose it is.
    pub user: UserId,
    /// Where it goes.
    pub sink: ConnectionId,
    /// What goes there.
    pub content: ContentId,
    /// The ride it belongs to.
    pub activity: ActivityId,
    /// What is told about it.
    pub about: About,
    /// What has become of it.
    #[serde(flatten)]
    pub state: DeliveryState,
    /// The rider has seen that it is there by another route and wants it sent all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub send_anyway: bool,
    /// Some attempt may have arrived without our knowing: sinks that cannot tell a repeat are probed before
    /// any other. Stays set through pauses and reconnections, until the delivery is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maybe_there: bool,
    /// It was given up before, under this code, and begun anew: its arrival is a recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Code>,
    /// Attempts fail, and are made again after growing waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// How often the rider had it sent again after it was done. Each time is a message of its own to
    /// receivers that drop repeats.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resends: u32,
    /// When the rider asked for it to be sent (again), if so: what was linked before that is sent all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// How often it was begun; counted when it is claimed, and given back where the sink was not to blame.
    pub attempts: u32,
    /// When the ride was seen upstream, or taken off the backlog; only where this delivery was made when its file
    /// arrived, so that lags are not counted of what was sent later by somebody's wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovered_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

impl Delivery {
    /// A delivery of an activity's file that was not tried yet. What is told about it is frozen here.
    pub fn new(activity: &Activity, sink: &ConnectionId, content: ContentId, now: Timestamp) -> Self {
        Self {
            user: activity.user.clone(),
            sink: sink.clone(),
            content,
            activity: activity.id.clone(),
            about: About::of(activity),
            state: DeliveryState::Pending,
            send_anyway: false,
            maybe_there: false,
            given_up: None,
            failing: None,
            resends: 0,
            asked_at: None,
            attempts: 0,
            discovered_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The same by a sink's rules: under the name that they give, and filtered where they leave it out;
    /// blocked where the sink is paused.
    pub fn for_sink(activity: &Activity, sink: &Connection, content: ContentId, now: Timestamp) -> Self {
        let mut delivery = Self::new(activity, &sink.id, content, now);
        let Some(progress) = sink.sink() else { return delivery };
        delivery.about.name = progress.rules.name_of(activity);
        if let Some(why) = progress.rules.judge(&activity.ride) {
            delivery.state = DeliveryState::Filtered { why };
        } else if let Some(failure) = sink.paused().cloned() {
            delivery.state = DeliveryState::Blocked { failure };
        }
        delivery
    }

    /// Whether the file is at the sink, or may be.
    pub fn is_begun(&self) -> bool {
        self.maybe_there
            || matches!(
                self.state,
                DeliveryState::Delivered { .. } | DeliveryState::Accepted { .. } | DeliveryState::Sending
            )
    }

    /// Why it is not to be sent any more, as its ride is now; `None` where it is, or where the ride is just being
    /// fetched again.
    pub fn unwanted(&self, ride: &Activity) -> Option<Withdrawal> {
        match &ride.state {
            ActivityState::Forgotten { .. } => Some(Withdrawal::Forgotten),
            ActivityState::Fetched { content, .. } | ActivityState::Duplicate { content, .. }
                if *content != self.content =>
            {
                Some(Withdrawal::Replaced)
            }
            _ => {
                let link = ride.link.as_ref()?;
                self.asked_at.is_none_or(|asked| asked < link.at).then_some(Withdrawal::Linked)
            }
        }
    }

    /// It, taken back; `None` where nothing can be: it is done, or may have arrived.
    pub fn withdrawn(&self, because: Withdrawal, now: Timestamp) -> Option<Self> {
        let waits = match self.state {
            DeliveryState::Blocked { .. } | DeliveryState::Held { .. } | DeliveryState::Filtered { .. } => true,
            // A redrive would send it.
            DeliveryState::Rejected { .. } | DeliveryState::DeadLetter { .. } => true,
            _ => self.state.is_open(),
        };
        (waits && !self.is_begun()).then(|| Self {
            state: DeliveryState::Withdrawn { because },
            updated_at: now,
            ..self.clone()
        })
    }

    /// Whether it was given up because the archive had lost its file, or had it damaged.
    pub fn lost_its_file(&self) -> bool {
        let is_for_it = |failure: &Failure| matches!(failure.code, Code::ArchiveMissing | Code::ArchiveCorrupt);
        let (DeliveryState::Rejected { failure } | DeliveryState::DeadLetter { failure }) = &self.state else {
            return false;
        };
        is_for_it(failure)
    }

    /// Whether it waits until its sink is connected again: blocked, or open with no due time.
    pub fn waits_for_connection(&self, is_due: bool) -> bool {
        matches!(self.state, DeliveryState::Blocked { .. }) || (self.state.is_open() && !is_due)
    }

    /// The number a rider knows its ride by; as [`Activity::rider_id`].
    pub fn rider_id(&self) -> String {
        match self.about.external_id.strip_prefix("igpsport_") {
            Some(number) => number.to_owned(),
            None => self.activity.to_string(),
        }
    }

    /// The id that stays the same over all attempts: what a receiver knows a repeat by. No dots in it.
    pub fn idempotency_id(&self) -> String {
        let mut name = format!("{}/{}/{}", self.user, self.sink, self.content);
        if self.resends > 0 {
            name = format!("{name}/{}", self.resends);
        }
        format!("msg_{}", short_digest(name.as_bytes()))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
