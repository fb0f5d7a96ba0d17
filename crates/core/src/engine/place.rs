//! The place of a new file among the rider's other rides: alone, or with rides that are the same.

use jiff::{Timestamp, civil::Date, tz::Offset};

use super::{
    Engine, EngineError,
    group::{Member, Told},
};
use crate::{
    domain::{
        Activity, ActivityState, LinkReason, Trace, UserId,
        link::{APART_M, MOST_TOGETHER, START_CLOSE},
    },
    ports::{ArchiveError, Change, Expect, Key, Write},
    store::{Day, DayRide, Stored},
};

/// Rides of one day that are kept to be compared with. Nobody rides that often; a flood of files beyond it
/// is delivered without being compared.
const MOST_A_DAY: usize = 500;

/// What is to be committed for a new file, beside its own record.
pub(super) struct Placed {
    /// The ride, linked where another stands for it.
    pub(super) ride: Activity,
    /// The writes.
    pub(super) writes: Vec<Write>,
    /// Whom to tell of what, once it is committed.
    pub(super) told: Told,
}

impl Engine {
    /// Finds a fetched ride's place. The writes fail if anything that was looked at changes meanwhile: the
    /// rider's connections, the days around, the rides that are the same.
    pub(super) async fn place(&self, ride: &Activity) -> Result<Placed, EngineError> {
        let trace = Trace::of(ride);
        let (days, near) = match &trace {
            Some(trace) => self.days_around(ride, trace.start).await?,
            None => (Vec::new(), Vec::new()),
        };
        let kin = match &trace {
            // Which group it belongs to was decided when it came first.
            _ if ride.link.is_some() || !ride.linked.is_empty() => {
                let mut family = self.family(&ride.user, ride.primary()).await?;
                family.retain(|member| member.doc.id != ride.id);
                family
            }
            Some(trace) => self.kin(ride, trace, near).await?,
            None => Vec::new(),
        };
        let mut members: Vec<_> = kin.into_iter().map(Member::of).collect();
        members.push(Member::new(ride.clone()));
        let (mut writes, members, mut told) = self.arrange(members, None, LinkReason::SameRide).await?;
        writes.extend(days);
        let mut ride =
            members.into_iter().find(|member| member.doc.id == ride.id).map_or(ride.clone(), |mine| mine.doc);
        if let Some(only) = ride.resync.take() {
            let again = self.deliveries_again(&ride, &only).await?;
            writes.extend(again.writes);
            told.deliveries.extend(again.deliveries);
        }
        Ok(Placed { ride, writes, told })
    }

    /// The writes that put a ride on its day and hold the days fast that were looked at, and the other rides
    /// that began about then.
    async fn days_around(&self, ride: &Activity, start: Timestamp) -> Result<(Vec<Write>, Vec<Key>), EngineError> {
        let own = day_of(start);
        let mut days = vec![own];
        for at in [start.checked_sub(START_CLOSE), start.checked_add(START_CLOSE)].into_iter().flatten() {
            if !days.contains(&day_of(at)) {
                days.push(day_of(at));
            }
        }
        let keys: Vec<_> = days.iter().map(|day| Key::day(&ride.user, *day)).collect();
        let known = self.store.read_many::<Day>(&keys).await?;
        let (mut writes, mut near) = (Vec::new(), Vec::new());
        for ((day, key), known) in days.into_iter().zip(keys).zip(known) {
            let rides = known.as_ref().map(|known| known.doc.rides.as_slice()).unwrap_or_default();
            let is_near =
                |other: &&DayRide| other.activity != ride.id && other.start.duration_since(start).abs() <= START_CLOSE;
            near.extend(rides.iter().filter(is_near).map(|other| Key::activity(&ride.user, &other.activity)));
            writes.push(match (day == own, known) {
                (true, known) => self.on_its_day(ride, DayRide { activity: ride.id.clone(), start }, day, known)?,
                (false, Some(known)) => known.unchanged(),
                (false, None) => Write { key, expect: Expect::Absent, change: Change::Check },
            });
        }
        Ok((writes, near))
    }

    fn on_its_day(
        &self,
        ride: &Activity,
        mine: DayRide,
        day: Date,
        known: Option<Stored<Day>>,
    ) -> Result<Write, EngineError> {
        let Some(known) = known else {
            return Ok(self.store.create(&Day { user: ride.user.clone(), day, rides: vec![mine] }, None, None)?);
        };
        if known.doc.rides.contains(&mine) {
            return Ok(known.unchanged());
        }
        let mut with_it = known.doc.clone();
        with_it.rides.retain(|other| other.activity != mine.activity);
        if with_it.rides.len() < MOST_A_DAY {
            with_it.rides.push(mine);
        } else {
            tracing::warn!("more than {MOST_A_DAY} rides on {day}: ride {} is not compared later", ride.rider_id());
        }
        Ok(known.replace(&with_it, None)?)
    }

    /// The rides that are the same as a new one, with everything that is linked to them.
    async fn kin(&self, ride: &Activity, trace: &Trace, near: Vec<Key>) -> Result<Vec<Stored<Activity>>, EngineError> {
        let mut alike = Vec::new();
        for other in self.store.read_many::<Activity>(&near).await?.into_iter().flatten() {
            let reason = Trace::of(&other.doc).and_then(|seen| trace.likeness(&seen)).and_then(|found| found.reason());
            match (reason, &other.doc.state) {
                _ if ride.is_apart_from(&other.doc) => {}
                // What the rider forgot stays away by whatever inlet; another recorder's file is another matter.
                (Some(LinkReason::SameRecording), ActivityState::Forgotten { .. }) => {
                    return self.family(&ride.user, &other.doc.id).await;
                }
                (Some(LinkReason::SameRide), state)
                    if has_file(state) && self.went_elsewhere(ride, &other.doc).await? => {}
                (Some(reason), state) if has_file(state) => alike.push((reason, other.doc)),
                _ => {}
            }
        }
        let apart = |other: &Activity| other.ride.start().map(|start| start.duration_since(trace.start).abs());
        alike.sort_by_key(|(reason, other)| (*reason != LinkReason::SameRecording, apart(other), other.id.clone()));
        let mut kin: Vec<Stored<Activity>> = Vec::new();
        for (_, other) in alike {
            if kin.iter().any(|known| known.doc.id == other.id) {
                continue;
            }
            let family = self.family(&ride.user, other.primary()).await?;
            let fits = kin.len() + family.len() < MOST_TOGETHER
                && family.iter().all(|member| {
                    !ride.is_apart_from(&member.doc) && kin.iter().all(|known| !known.doc.is_apart_from(&member.doc))
                });
            let is_live = family.first().is_some_and(|primary| has_file(&primary.doc.state));
            if fits && is_live {
                kin.extend(family);
            }
        }
        Ok(kin)
    }

    /// Whether two rides of one time went different ways, as far as their files say. A file that cannot be had
    /// now says nothing.
    async fn went_elsewhere(&self, a: &Activity, b: &Activity) -> Result<bool, EngineError> {
        let mut files = Vec::new();
        for ride in [a, b] {
            let Some(content) = ride.state.content() else { return Ok(false) };
            match self.ports.archive.open(&ride.user, content).await {
                Ok(bytes) => files.push(bytes),
                Err(ArchiveError::Missing(_) | ArchiveError::Damaged(_)) => return Ok(false),
                // It is tried again, rather than linked or sent without having looked.
                Err(error) => return Err(error.into()),
            }
        }
        let [a, b] = files.as_slice() else { return Ok(false) };
        Ok(self.ports.scanner.apart_m(a, b).is_some_and(|apart| apart > APART_M))
    }

    /// A group, its primary first. It is as it was while the primary's record is as it was.
    pub(super) async fn family(
        &self,
        user: &UserId,
        primary: &crate::domain::ActivityId,
    ) -> Result<Vec<Stored<Activity>>, EngineError> {
        let Some(first) = self.store.activity(user, primary).await? else { return Ok(Vec::new()) };
        let keys: Vec<_> = first.doc.linked.iter().map(|id| Key::activity(user, id)).collect();
        let mut family = vec![first];
        family.extend(self.store.read_many::<Activity>(&keys).await?.into_iter().flatten());
        Ok(family)
    }
}

/// Whether a ride has its file, or had it and is fetching it again.
fn has_file(state: &ActivityState) -> bool {
    matches!(state, ActivityState::Fetched { .. }) || state.stage().is_some()
}

fn day_of(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}
