//! Rides that come to the cloud, and go.

use fitbridge_core::{
    domain::{ListedFacts, RideId},
    testkit::FakeRide,
};

use crate::{
    clockwork::{HOUR, MINUTE, lock},
    riders::Rider,
    trouble::Fault,
    world::{Kind, Recorder, SimFile, TrueRide, World, date_of},
};

impl Rider {
    /// A new ride comes to the cloud, today or with a date long past, in whatever state.
    pub(crate) fn ride(&mut self, world: &World) {
        let clockwork = &world.clockwork;
        self.next_ride += 1;
        let is_late = clockwork.one_in(5);
        let number = if is_late { self.next_late } else { self.next_number };
        if is_late {
            self.next_late -= 1;
        } else {
            self.next_number += 1;
        }
        let kind = match clockwork.below(24) {
            0 => Kind::Settings,
            1 => Kind::Junk,
            _ => Kind::Ride,
        };
        let earlier = lock(&world.truth)
            .accounts
            .get(self.user.as_str())
            .and_then(|known| known.rides.values().next_back().map(|ride| ride.file.clone()));
        let again = earlier.filter(|_| clockwork.one_in(10));
        let is_new = again.is_none();
        let file = again.unwrap_or_else(|| match self.beside(world) {
            Some(beside) if clockwork.one_in(8) => beside,
            _ => SimFile::new(self.user.as_str(), number, kind),
        });
        // The list says when the file began, whichever upload of it that is.
        let number = file.number;
        let now = world.now_ms();
        let later = |rarely: i64, longest: i64| {
            if clockwork.one_in(rarely) { now + clockwork.between(MINUTE, longest) } else { 0 }
        };
        let ready_at = if clockwork.one_in(60) { i64::MAX } else { later(6, 3 * HOUR) };
        let (whole_at, kills) = (later(10, HOUR), clockwork.one_in(60));
        let is_bad = world.trouble.hits(Fault::BadRow);
        let bad = if clockwork.one_in(4) { i64::MAX } else { now + clockwork.between(MINUTE, 3 * HOUR) };
        let bad_until = if is_bad { bad } else { 0 };
        let mut truth = lock(&world.truth);
        // What was imported before went well already.
        let is_new = is_new && !truth.served.contains_key(&(self.user.clone(), file.content()));
        if is_new && clockwork.one_in(40) {
            truth.unwanted.insert(file.content());
        } else if is_new && clockwork.one_in(60) {
            truth.deadly.insert(file.content());
        }
        if clockwork.one_in(8) {
            lock(&world.sinks).came_elsewhere(&self.user, number);
        }
        let id = RideId(self.next_ride);
        let facts =
            ListedFacts { title: Some(format!("Ride {id}")), date: Some(date_of(number)), ..ListedFacts::default() };
        let row = FakeRide { id, facts, bytes: file.bytes.clone(), twice: clockwork.one_in(20) };
        let shifts = clockwork.one_in(4);
        let uploaded_at = if shifts { i64::MAX } else { now };
        let ride = TrueRide { file, ready_at, whole_at, kills, bad_until, uploaded_at, is_deleted: false };
        truth.accounts.entry(self.user.to_string()).or_default().rides.insert(id, ride);
        drop(truth);
        self.tell(world, || {
            let shifts = if shifts { ", while a list is read" } else { "" };
            format!("uploads ride {id} of {}{shifts}{}", date_of(number), if is_bad { "; FAULT BadRow" } else { "" })
        });
        if shifts {
            let page = u32::try_from(clockwork.between(1, 2)).unwrap_or(1);
            world.source.upload_after_page(&self.account, page, row);
        } else {
            world.source.upload(&self.account, row);
        }
    }

    /// The file of somebody who recorded an earlier ride as well, or rode at the same time.
    fn beside(&self, world: &World) -> Option<SimFile> {
        let truth = lock(&world.truth);
        let rides = &truth.accounts.get(self.user.as_str())?.rides;
        let own = rides.values().rev().find(|ride| ride.file.kind == Kind::Ride)?;
        let recorder = if world.clockwork.one_in(2) { Recorder::Second } else { Recorder::Another };
        Some(SimFile::by(recorder, self.user.as_str(), own.file.number, Kind::Ride))
    }

    pub(crate) fn delete_a_ride(&self, world: &World) {
        let mut truth = lock(&world.truth);
        let now = world.now_ms();
        // What the archive has lost can be had from here only.
        let damaged = truth.damaged.clone();
        let Some(account) = truth.accounts.get_mut(self.user.as_str()) else { return };
        let there: Vec<RideId> = account
            .rides
            .iter()
            .filter(|(_, ride)| ride.uploaded_at <= now && !ride.is_deleted && !damaged.contains(&ride.file.content()))
            .map(|(id, _)| *id)
            .collect();
        let Some(id) = world.clockwork.pick(&there).copied() else { return };
        if let Some(ride) = account.rides.get_mut(&id) {
            ride.is_deleted = true;
        }
        account.deleted_at = now;
        world.source.delete(&self.account, id);
        self.tell(world, || format!("deletes ride {id}"));
    }
}
