//! Keeping a source's place in the plan: decided by the poll that comes round anyway, moved by a wish for rides
//! now, and learned from what was fetched.

use jiff::{SignedDuration, Timestamp};

use super::outlook::{holds, next_turn, outlook, slot_of};
use crate::{
    domain::{Activity, Because, Connection, ConnectionId, Habits, Origin, Planned, Role, UserId},
    engine::{
        Engine, EngineError,
        policy::{is_to_come, later},
    },
    ports::{Key, PlanSlot, PollClass},
    store::Stored,
};

/// How often a change is tried again when somebody else was faster.
const TRIES: usize = 5;

/// A place in the plan and why; the reason is `None` where everybody has the same interval.
pub(in crate::engine) type Place = (PlanSlot, Option<Planned>);

impl Engine {
    /// Whether sources have classes of their own. Where the operator's floor is the slowest class, there is
    /// nothing to choose from.
    pub(in crate::engine) fn is_adaptive(&self) -> bool {
        self.policy.adaptive && self.policy.poll_class != PollClass::Cold
    }

    /// The place of a source that is to be polled as a class, but never oftener than the operator allows.
    pub(in crate::engine) fn place_of(&self, connection: &Connection, class: PollClass) -> PlanSlot {
        let class = if self.is_adaptive() { class.max(self.policy.poll_class) } else { self.policy.poll_class };
        let slot = slot_of(connection.user.as_str(), connection.id.as_str(), class);
        PlanSlot { shard: self.shard(&connection.user), class, slot }
    }

    /// The place for a source that was just connected: its first poll decides.
    pub(in crate::engine) fn first_place(&self, connection: &Connection) -> PlanSlot {
        self.place_of(connection, PollClass::Warm)
    }

    /// The place of a source whose list is not read to its end: each minute, whatever the operator's floor. These
    /// are the calls of the one walk that is under way, and the poll that ends it plans anew.
    pub(in crate::engine) fn next_minute(&self, connection: &Connection) -> Place {
        let slot = slot_of(connection.user.as_str(), connection.id.as_str(), PollClass::Hot);
        (PlanSlot { shard: self.shard(&connection.user), class: PollClass::Hot, slot }, None)
    }

    /// The place that a source is to have after a poll, where that is another one than it has. Most polls
    /// find that their plan still holds, and read nothing for it.
    pub(in crate::engine) async fn look_at_plan(
        &self,
        stored: &Stored<Connection>,
        found: bool,
        now: Timestamp,
    ) -> Result<Option<Place>, EngineError> {
        let connection = &stored.doc;
        let (Some(source), Some(current)) = (connection.source(), stored.plan) else { return Ok(None) };
        if !self.is_adaptive() {
            let place = self.first_place(connection);
            return Ok((current != place || source.planned.is_some()).then_some((place, None)));
        }
        if found {
            let planned = Planned { because: Because::Found, since: now, until: later(now, self.policy.hot_for) };
            return Ok(Some((self.place_of(connection, PollClass::Hot), Some(planned))));
        }
        let turn = self.cold_turn(connection, now);
        let stands = current == self.place_of(connection, current.class);
        let is_held = |planned: Planned| !is_to_come(planned.since, now) && holds(&planned, current.class, now, turn);
        if stands && source.planned.is_some_and(is_held) {
            return Ok(None);
        }
        let habits = self.store.read::<Habits>(&Key::habits(&connection.user, &connection.id)).await?;
        let outlook = outlook(habits.as_ref().map(|habits| &habits.doc), connection.connected_at, now, turn);
        let planned = Planned { because: outlook.because, since: now, until: outlook.until };
        Ok(Some((self.place_of(connection, outlook.class), Some(planned))))
    }

    fn cold_turn(&self, connection: &Connection, now: Timestamp) -> Timestamp {
        let slot = slot_of(connection.user.as_str(), connection.id.as_str(), PollClass::Cold);
        next_turn(PollClass::Cold, slot, now)
    }

    /// Makes a source hot for some minutes, because its rider wants rides now: after `sync`, or when the
    /// browser extension says that the rider is at it. Asking again and again writes once in half of that
    /// time. `false` where it makes no difference: the source is paused or removed, or everybody has one interval.
    #[tracing::instrument(skip_all, fields(user = %user, connection = %connection))]
    pub async fn wake(&self, user: &UserId, connection: &ConnectionId) -> Result<bool, EngineError> {
        let now = self.now();
        for _ in 0..TRIES {
            let Some(mut stored) = self.store.connection(user, connection).await? else { return Ok(false) };
            if !self.is_adaptive() || !stored.doc.is_active() || stored.plan.is_none() {
                return Ok(false);
            }
            let place = self.place_of(&stored.doc, PollClass::Hot);
            let mut woken = stored.doc.clone();
            let Role::Source(source) = &mut woken.role else { return Ok(false) };
            let enough = later(now, self.policy.hot_for / 2);
            if stored.plan == Some(place) && source.planned.is_some_and(|planned| planned.until > enough) {
                return Ok(true);
            }
            let until = later(now, self.policy.hot_for);
            source.planned = Some(Planned { because: Because::Woken, since: now, until });
            stored.plan = Some(place);
            if self.save_connection(&mut stored, woken).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Wakes all sources of a rider; how many there are that are awake now.
    pub async fn wake_all(&self, user: &UserId) -> Result<usize, EngineError> {
        let Some(stored) = self.store.user(user).await? else { return Ok(0) };
        let mut awake = 0;
        for connection in &stored.doc.connections {
            awake += usize::from(self.wake(user, connection).await?);
        }
        Ok(awake)
    }

    /// Learns from a ride that was just fetched. What goes wrong costs a little sharpness of the plan and is
    /// no failure of the ride.
    pub(in crate::engine) async fn learn(&self, ride: &Activity) {
        if let Err(error) = self.note_arrival(ride).await {
            tracing::debug!(%error, "ride {} was not learned from: {error}", ride.rider_id());
        }
    }

    async fn note_arrival(&self, ride: &Activity) -> Result<(), EngineError> {
        let Origin::Cloud { connection, ride_id } = &ride.origin else { return Ok(()) };
        let now = self.now();
        let recent = ride.ride.end().is_some_and(|end| now.duration_since(end) < Habits::OLDEST);
        if !self.is_adaptive() || !recent {
            return Ok(());
        }
        for _ in 0..TRIES {
            let Some(source) = self.store.connection(&ride.user, connection).await? else { return Ok(()) };
            let Some(progress) = source.doc.source().filter(|_| !source.doc.is_removed()) else { return Ok(()) };
            let is_new = ride.taken_at.is_none() && progress.newest_at_connect.is_none_or(|newest| *ride_id > newest);
            let known = self.store.read::<Habits>(&Key::habits(&ride.user, connection)).await?;
            let fresh = || Habits::new(ride.user.clone(), connection.clone());
            let mut habits = known.as_ref().map_or_else(fresh, |known| known.doc.clone());
            if !habits.note(&ride.ride, is_new.then_some(ride.first_seen_at), now) {
                return Ok(());
            }
            let write = match &known {
                Some(known) => known.replace(&habits, None)?,
                None => self.store.create(&habits, None, None)?,
            };
            // Checked with it, so that nothing is written of a rider who is being deleted.
            if self.store.commit(vec![write, source.unchanged()]).await? {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// How long a wish for rides now, or a ride that was found, keeps a source hot.
pub(in crate::engine) const HOT_FOR: SignedDuration = SignedDuration::from_mins(10);
