//! Looking at a rider's rides: what nobody is at work on, what the archive lost, what is gone upstream.

use std::collections::BTreeSet;

use jiff::tz::Offset;

use super::{Engine, EngineError, Reconciled};
use crate::{
    Code,
    domain::{
        Activity, ActivityId, ActivityState, Connection, ConnectionId, ContentId, Delivery, Origin, Reconcile,
        ReconcilePlace, RideId,
    },
    engine::policy::later,
    ports::{ArchiveError, Job, Key, Task},
    store::{SeenRides, Stored},
};

/// Rides that are looked at with one read.
const PAGE: usize = 50;
/// Reads of one step.
const MOST_PAGES: usize = 10;
/// The nightly one reads each archived file once in so many days.
const FILES_CYCLE: i64 = 28;

impl Engine {
    pub(super) async fn rides_step(
        &self,
        source: Stored<Connection>,
        mut step: Reconcile,
        mut after: Option<ActivityId>,
    ) -> Result<Reconciled, EngineError> {
        let enough = later(self.now(), self.policy.lease / 2);
        let user = source.doc.user.clone();
        let seen = if step.is_whole { Some(self.seen_upstream(&source.doc).await?) } else { None };
        let sinks = self.active_sinks(&source.doc).await?;
        for _ in 0..MOST_PAGES {
            let path = after.as_ref().map(|id| Key::activity(&user, id).path);
            let (rides, next) = self.store.page::<Activity>(&user, "activity/", path.as_deref(), PAGE).await?;
            for ride in &rides {
                self.look_at_ride(&source.doc, ride, seen.as_ref(), &mut step).await?;
            }
            self.look_at_deliveries(&sinks, &rides, &mut step).await?;
            after = rides.last().map(|ride| ride.doc.id.clone()).or(after);
            if next.is_none() {
                step.place = ReconcilePlace::Sinks { after: None };
                self.keep_place(source, step, self.now()).await?;
                return Ok(Reconciled::Step);
            }
            if self.now() >= enough {
                break;
            }
        }
        step.place = ReconcilePlace::Rides { after };
        self.keep_place(source, step, self.now()).await?;
        Ok(Reconciled::Step)
    }

    async fn seen_upstream(&self, source: &Connection) -> Result<BTreeSet<RideId>, EngineError> {
        let parts = self.store.all::<SeenRides>(&source.user, &Key::seen_prefix(&source.id)).await?;
        Ok(parts.into_iter().flat_map(|part| part.doc.rides).collect())
    }

    pub(super) async fn active_sinks(&self, source: &Connection) -> Result<Vec<Connection>, EngineError> {
        let Some(user) = self.store.user(&source.user).await? else { return Ok(Vec::new()) };
        let mut sinks: Vec<_> = self.store.connections(&user.doc).await?.into_iter().map(|one| one.doc).collect();
        sinks.retain(|one| one.sink().is_some() && one.is_active());
        sinks.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(sinks)
    }

    async fn look_at_ride(
        &self,
        source: &Connection,
        ride: &Stored<Activity>,
        seen: Option<&BTreeSet<RideId>>,
        step: &mut Reconcile,
    ) -> Result<(), EngineError> {
        let origin = match &ride.doc.origin {
            Origin::Cloud { connection, ride_id } if *connection == source.id => Some(*ride_id),
            _ => None,
        };
        if let Some(ride_id) = origin {
            if ride.doc.state.stage().is_some() && ride.due.is_none() {
                step.wake_source = true;
                step.found.repaired += 1;
                step.found.note(format!("put back to work: ride {ride_id} was {}", ride.doc.state.name()));
            }
            let stands_still =
                source.backfill().is_none_or(|backfill| backfill.phase == crate::domain::BackfillPhase::Done);
            step.wake_source |= ride.doc.state == ActivityState::Backlog && stands_still;
            if seen.is_some_and(|seen| !seen.contains(&ride_id)) && is_expected(&ride.doc, step) {
                step.found.gone += 1;
                let date = ride.doc.ride.local_date().map(|date| format!(" of {date}")).unwrap_or_default();
                step.found.note(format!("gone: ride {ride_id}{date} is no longer upstream; it stays here"));
            }
        }
        if let ActivityState::Fetched { content, .. } = ride.doc.state {
            if let (Some(start), Some(local)) = (ride.doc.ride.start(), ride.doc.ride.local_start()) {
                let ahead = local.duration_since(Offset::UTC.to_datetime(start)).as_mins();
                step.offset_minutes = i16::try_from(ahead).ok().filter(|ahead| (-12 * 60..=14 * 60).contains(ahead));
            }
            let mine = origin.is_some() || matches!(ride.doc.origin, Origin::File { .. });
            if mine && (step.asked || self.is_turn_of(&content)) {
                self.look_at_file(ride, content, step).await?;
            }
        }
        Ok(())
    }

    /// Whether the nightly reconcile reads this file tonight.
    fn is_turn_of(&self, content: &ContentId) -> bool {
        let day = self.now().as_second().div_euclid(86_400);
        let first = content.as_bytes().first().copied().unwrap_or_default();
        i64::from(first).rem_euclid(FILES_CYCLE) == day.rem_euclid(FILES_CYCLE)
    }

    /// A file that the archive lost is fetched again; an imported one cannot be.
    async fn look_at_file(
        &self,
        ride: &Stored<Activity>,
        content: ContentId,
        step: &mut Reconcile,
    ) -> Result<(), EngineError> {
        let what = match self.ports.archive.open(&ride.doc.user, content).await {
            Ok(_) => return Ok(()),
            Err(ArchiveError::Missing(_)) => "missing",
            Err(ArchiveError::Damaged(_)) => "damaged",
            Err(error @ (ArchiveError::Full(_) | ArchiveError::Unavailable(_))) => {
                step.found.note(format!("the archive could not be read: {error}"));
                return Ok(());
            }
        };
        if !matches!(ride.doc.origin, Origin::Cloud { .. }) {
            let id = ride.doc.rider_id();
            step.found.note(format!("the archive's file of {id} is {what}; it was imported: import it again"));
            return Ok(());
        }
        let now = self.now();
        let mut again = ride.doc.clone();
        again.begin_anew(now);
        let task = Task::Resolve { activity: again.id.clone() };
        let due = self.due_for(&again.user, &task, now);
        if self.save(ride, &again, Some(due)).await? {
            self.ports.observer.activity(&again);
            step.found.repaired += 1;
            step.found.note(format!("fetched again: the archive's file of ride {} is {what}", again.rider_id()));
            self.hand_over(vec![Job { user: again.user, task }]).await;
        }
        Ok(())
    }

    /// Notes which sinks lack deliveries that they want, or have some that nobody is at work on. They go
    /// through the archive again afterwards, as when they were connected.
    async fn look_at_deliveries(
        &self,
        sinks: &[Connection],
        rides: &[Stored<Activity>],
        step: &mut Reconcile,
    ) -> Result<(), EngineError> {
        let fetched = |ride: &Stored<Activity>| match ride.doc.state {
            ActivityState::Fetched { content, .. } => Some(content),
            _ => None,
        };
        for sink in sinks {
            // One that goes through the archive anyway needs no help.
            if sink.sink().is_some_and(|progress| progress.resume.is_some()) || planted!(self, UserUnchecked) {
                continue;
            }
            let files: Vec<_> = rides.iter().filter_map(|ride| Some((ride, fetched(ride)?))).collect();
            let keys: Vec<_> = files.iter().map(|(_, content)| Key::delivery(&sink.user, &sink.id, content)).collect();
            let known = self.store.read_many::<Delivery>(&keys).await?;
            let now = self.now();
            let due = self.handed_over(&sink.user, now);
            for ((ride, content), known) in files.into_iter().zip(known) {
                let lacking = match &known {
                    None => self.first_delivery(sink, &ride.doc, content, &due).await?.is_some(),
                    Some(known) => Self::wake_delivery(known, &due)?.is_some(),
                };
                if lacking {
                    step.found.repaired += 1;
                    let state = known.map_or("not begun", |known| known.doc.state.name());
                    let id = ride.doc.rider_id();
                    step.found.note(format!("put back to work: the delivery of {id} to {} was {state}", sink.name));
                    wake(&mut step.wake_sinks, &sink.id);
                }
            }
        }
        Ok(())
    }
}

fn wake(sinks: &mut Vec<ConnectionId>, sink: &ConnectionId) {
    if !sinks.contains(sink) {
        sinks.push(sink.clone());
    }
}

/// Whether a ride should be upstream: it was known before this began, and nobody said that it is gone.
fn is_expected(ride: &Activity, step: &Reconcile) -> bool {
    let told = ride.state.failure().is_some_and(|failure| failure.code == Code::RideGone);
    !told && !matches!(ride.state, ActivityState::Forgotten { .. }) && ride.first_seen_at <= step.begun_at
}
