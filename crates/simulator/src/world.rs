//! The typed handle by which tests change the world.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::fault::{Fault, FaultRule};
use crate::igpsport::{
    MemberId, MemberView, NewMember, NewRide, PageAction, PageHook, Region, RideBatch, RideId, RideView, Toggles, mint,
};
use crate::journal::Role;
use crate::ridefile::FileError;
use crate::state::Shared;

/// A change that the world does not allow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// The region has no such member.
    #[error("{0} has no member {1}")]
    UnknownMember(Region, MemberId),
    /// The region has no such ride (any more).
    #[error("{0} has no ride {1}")]
    UnknownRide(Region, RideId),
    /// The number is taken.
    #[error("{0} has a ride {1} already")]
    RideExists(Region, RideId),
    /// The number or the login name is taken.
    #[error("{0} has a member {1} or that e-mail already")]
    MemberExists(Region, MemberId),
    /// The offset is beyond a day.
    #[error("{0} s is no offset from UTC")]
    Offset(i32),
    /// No athlete has that id.
    #[error("no athlete {0}")]
    UnknownAthlete(crate::intervals::AthleteId),
    /// A ride's file cannot be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder cannot be read.
    #[error("cannot read the folder {path}: {source}")]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A webhook secret is malformed.
    #[error(transparent)]
    Secret(#[from] crate::webhook::SecretError),
}

/// The simulated world: members, rides, tokens, athletes, faults, time.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) shared: Arc<Shared>,
}

impl World {
    /// The clock that all services share.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Adds a member.
    ///
    /// # Errors
    /// When the number or the e-mail is taken in that region, or the offset is absurd.
    pub fn add_member(&self, new: NewMember) -> Result<MemberId, WorldError> {
        self.shared.state().add_member(new)
    }

    /// The members of a region.
    #[must_use]
    pub fn members(&self, region: Region) -> Vec<MemberView> {
        let state = self.shared.state();
        let view = |member: &crate::igpsport::Member| MemberView {
            region,
            member_id: member.id,
            email: member.email.clone(),
            nickname: member.nickname.clone(),
            rides: member.order.len(),
            logins: member.logins,
        };
        state.region(region).members.values().map(view).collect()
    }

    /// Adds a ride, uploaded now.
    ///
    /// # Errors
    /// When the member is unknown, the number is taken, or the file cannot be made.
    pub fn add_ride(&self, region: Region, member: MemberId, ride: &NewRide) -> Result<RideId, WorldError> {
        let now = self.now();
        self.shared.state().add_ride(region, member, ride, now)
    }

    /// Adds many rides; their numbers, the oldest ride's first.
    ///
    /// # Errors
    /// As [`World::add_ride`]; rides before the failing one stay.
    pub fn add_rides(&self, region: Region, member: MemberId, batch: &RideBatch) -> Result<Vec<RideId>, WorldError> {
        let now = self.now();
        let free = || self.shared.state().free_start(region, member, now);
        let newest = batch.newest.unwrap_or_else(free);
        let mut ids = Vec::with_capacity(batch.count);
        for back in (0..batch.count).rev() {
            let back = i64::try_from(back).unwrap_or(i64::MAX);
            let ago = SignedDuration::from_secs(back.saturating_mul(i64::from(batch.spacing_s)));
            let ride = NewRide { ride_id: None, start: newest.checked_sub(ago).ok(), seed: None, ..batch.ride.clone() };
            ids.push(self.shared.state().add_ride(region, member, &ride, now)?);
        }
        Ok(ids)
    }

    /// Adds an old ride that reaches the cloud only now: an older start, a higher number.
    ///
    /// # Errors
    /// As [`World::add_ride`].
    pub fn add_late_upload(&self, region: Region, member: MemberId, start: Timestamp) -> Result<RideId, WorldError> {
        self.add_ride(region, member, &NewRide::at(start))
    }

    /// Does something once the given page (from 1) of the member's list has been answered.
    ///
    /// # Errors
    /// When the member is unknown.
    pub fn while_paging(
        &self,
        region: Region,
        member: MemberId,
        after_page: u64,
        action: PageAction,
    ) -> Result<(), WorldError> {
        let mut state = self.shared.state();
        let here = state.region_mut(region);
        if !here.members.contains_key(&member) {
            return Err(WorldError::UnknownMember(region, member));
        }
        here.hooks.push(PageHook { member, after_page, action });
        Ok(())
    }

    /// Adds `ride` once the given page of the member's list has been answered: all later rows shift.
    ///
    /// # Errors
    /// When the member is unknown.
    pub fn insert_while_paging(
        &self,
        region: Region,
        member: MemberId,
        after_page: u64,
        ride: NewRide,
    ) -> Result<(), WorldError> {
        self.while_paging(region, member, after_page, PageAction::Insert(Box::new(ride)))
    }

    /// Deletes a ride, as its rider does in the app.
    ///
    /// # Errors
    /// When there is no such ride.
    pub fn delete_ride(&self, region: Region, ride: RideId) -> Result<(), WorldError> {
        self.shared.state().delete_ride(region, ride)
    }

    /// A member's rides, newest first, then the deleted ones.
    #[must_use]
    pub fn rides(&self, region: Region, member: MemberId) -> Vec<RideView> {
        let state = self.shared.state();
        let mut rides: Vec<RideView> = state
            .region(region)
            .rides
            .values()
            .filter(|ride| ride.member == member)
            .map(crate::igpsport::Ride::view)
            .collect();
        rides.sort_by_key(|ride| (ride.deleted, std::cmp::Reverse((ride.start, ride.ride_id))));
        rides
    }

    /// SHA-256 of a ride's bytes as stored, lower-case hex (makes them if need be).
    ///
    /// # Errors
    /// When there is no such ride, or its file cannot be made.
    pub fn ride_sha256(&self, region: Region, ride: RideId) -> Result<String, WorldError> {
        Ok(crate::server::sha256(&self.ride_bytes(region, ride)?))
    }

    /// A ride's bytes as stored (makes them if need be).
    ///
    /// # Errors
    /// When there is no such ride, or its file cannot be made.
    pub fn ride_bytes(&self, region: Region, ride: RideId) -> Result<bytes::Bytes, WorldError> {
        let file = {
            let state = self.shared.state();
            let found = state.region(region).rides.get(&ride);
            let ride = found.ok_or(WorldError::UnknownRide(region, ride))?;
            Arc::clone(&ride.file)
        };
        Ok(file.bytes()?)
    }

    /// Makes all bytes now, so that a bench does not measure the generator; the total size in bytes.
    ///
    /// # Errors
    /// When a file cannot be made.
    pub fn prepare(&self) -> Result<u64, WorldError> {
        let files: Vec<_> = self.shared.state().files.values().cloned().collect();
        let mut total = 0;
        for file in files {
            total += u64::try_from(file.bytes()?.len()).unwrap_or_default();
        }
        Ok(total)
    }

    /// Adds every `.fit` file of a folder (not its subfolders) as a ride, in the order of their starts.
    ///
    /// # Errors
    /// When the member is unknown or the folder cannot be read. A file without a start counts as just ridden.
    pub fn load_folder(&self, region: Region, member: MemberId, folder: &Path) -> Result<Vec<RideId>, WorldError> {
        let rides = crate::folder::read(folder, self.now())?;
        rides.iter().map(|ride| self.add_ride(region, member, ride)).collect()
    }

    /// A token for a member, with the region's usual life.
    ///
    /// # Errors
    /// When the member is unknown.
    pub fn token(&self, region: Region, member: MemberId) -> Result<String, WorldError> {
        let life = self.toggles(region).token_life_s;
        self.token_for(region, member, SignedDuration::from_secs(life))
    }

    /// A token for a member that ends after `life` (already over when negative).
    ///
    /// # Errors
    /// When the member is unknown.
    pub fn token_for(&self, region: Region, member: MemberId, life: SignedDuration) -> Result<String, WorldError> {
        let now = self.now();
        let mut state = self.shared.state();
        let here = state.region(region);
        if !here.members.contains_key(&member) {
            return Err(WorldError::UnknownMember(region, member));
        }
        let claim = here.toggles.member_claim;
        let seed = state.seed;
        let owner = (region, member);
        Ok(mint(&mut state.tokens, seed, owner, claim, now, life, false))
    }

    /// Revokes one token; false when it is unknown.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.shared.state().tokens.revoke(token)
    }

    /// Revokes all tokens of a member; how many those were.
    pub fn revoke_tokens(&self, region: Region, member: MemberId) -> usize {
        self.shared.state().tokens.revoke_all(region, member)
    }

    /// The member and the region that minted a token, whether or not it is still good.
    #[must_use]
    pub fn token_owner(&self, token: &str) -> Option<(Region, MemberId)> {
        let state = self.shared.state();
        state.tokens.get(token).map(|token| (token.region, token.member))
    }

    /// A region's switches.
    #[must_use]
    pub fn toggles(&self, region: Region) -> Toggles {
        self.shared.state().region(region).toggles.clone()
    }

    /// Changes a region's switches.
    pub fn set_toggles(&self, region: Region, change: impl FnOnce(&mut Toggles)) {
        change(&mut self.shared.state().region_mut(region).toggles);
    }

    /// Arms a fault rule.
    pub fn add_fault(&self, rule: FaultRule) {
        let now = self.now();
        self.shared.state().faults.add(rule, now);
    }

    /// Arms a fault for the next `times` downloads of one ride's file.
    ///
    /// # Errors
    /// When there is no such ride.
    pub fn fault_file(&self, region: Region, ride: RideId, fault: Fault, times: Option<u32>) -> Result<(), WorldError> {
        let path = {
            let state = self.shared.state();
            let found = state.region(region).rides.get(&ride);
            let ride = found.ok_or(WorldError::UnknownRide(region, ride))?;
            ride.file_path.clone()
        };
        let mut rule = FaultRule::new(fault).on(Role::Files).path(&path);
        rule.times = times;
        self.add_fault(rule);
        Ok(())
    }

    /// The fault rules in force, with the times they have left.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultRule> {
        self.shared.state().faults.rules()
    }

    /// Disarms all fault rules.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// How many requests at the file host carried an `Authorization` header. It must stay 0.
    #[must_use]
    pub fn bearer_at_file_host(&self) -> u64 {
        self.shared.state().bearer_at_file_host
    }

    /// How many requests reached the host nobody may reach. It must stay 0.
    #[must_use]
    pub fn trap_hits(&self) -> u64 {
        self.shared.state().trap_hits
    }
}

/// The start of a ride that just ended.
pub(crate) fn recent(now: Timestamp) -> Timestamp {
    let start = now.checked_sub(SignedDuration::from_hours(2)).unwrap_or(now);
    Timestamp::from_second(start.as_second()).unwrap_or(start)
}
