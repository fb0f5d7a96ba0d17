//! How members, rides and athletes come into the world.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::igpsport::{FileSpec, Member, MemberId, NewMember, NewRide, Region, Ride, RideId};
use crate::intervals::{AthleteId, NewAthlete};
use crate::ridefile::{Facts, FileError, RideFile, Source};
use crate::rng::{digest, number};
use crate::state::State;
use crate::synth::{self, Kind};
use crate::world::{WorldError, recent};

/// Rides that begin this near to each other would be one ride, s.
const NEAR_S: i64 = 600;
/// How much earlier another ride began, s.
const STEP_S: i64 = 900;

impl State {
    pub(crate) fn add_member(&mut self, new: NewMember) -> Result<MemberId, WorldError> {
        let region = new.region;
        let offset = Offset::from_seconds(new.utc_offset_s).map_err(|_| WorldError::Offset(new.utc_offset_s))?;
        let here = self.region_mut(region);
        let id = new.member_id.unwrap_or(MemberId(here.next_member));
        let email = new.email.unwrap_or_else(|| format!("rider{id}@example.com")).to_lowercase();
        if here.members.contains_key(&id) || here.logins.contains_key(&email) {
            return Err(WorldError::MemberExists(region, id));
        }
        here.next_member = here.next_member.max(id.0.saturating_add(1));
        here.logins.insert(email.clone(), id);
        let member = Member {
            id,
            email,
            password: new.password,
            nickname: new.nickname,
            offset,
            order: Vec::new(),
            twice: std::collections::BTreeSet::new(),
            logins: 0,
        };
        here.members.insert(id, member);
        Ok(id)
    }

    pub(crate) fn add_ride(
        &mut self,
        region: Region,
        member: MemberId,
        new: &NewRide,
        now: Timestamp,
    ) -> Result<RideId, WorldError> {
        let here = self.region(region);
        if !here.members.contains_key(&member) {
            return Err(WorldError::UnknownMember(region, member));
        }
        let id = new.ride_id.unwrap_or(RideId(here.next_ride));
        if here.rides.contains_key(&id) {
            return Err(WorldError::RideExists(region, id));
        }
        let words = [region.as_str(), &id.to_string()];
        let start = new.start.unwrap_or_else(|| self.free_start(region, member, now));
        let seed = new.seed.unwrap_or_else(|| number(self.seed, &words));
        let (file, mut facts) = self.file_of(region, &new.file, seed, start)?;
        if let Some(distance_m) = new.distance_m {
            facts.distance_m = distance_m;
        }
        if let Some(moving_s) = new.moving_s {
            facts.moving_s = moving_s;
            facts.elapsed_s = facts.elapsed_s.max(moving_s);
        }
        let guid = digest(self.seed, &["file", words[0], words[1]])[..32].to_owned();
        let file_path = match region {
            Region::Global => format!("/{guid}"),
            Region::China => format!("/{member}-{guid}"),
        };
        let wait = SignedDuration::from_secs(new.ready_after_s);
        self.files.insert(file_path.clone(), Arc::clone(&file));
        let ride = Ride {
            id,
            member,
            start,
            title: new.title.clone(),
            facts,
            file,
            file_path,
            uploaded_at: now,
            ready_at: now.checked_add(wait).unwrap_or(Timestamp::MAX),
            detail_waits: new.detail_ready_after,
            download_waits: new.download_ready_after,
            row: new.row,
            on_strava: new.on_strava,
            deleted: false,
        };
        self.region_mut(region).insert(ride, new.twice);
        Ok(id)
    }

    /// Two hours ago, or before that, where no other ride of the member is near: nobody rides twice at once.
    pub(crate) fn free_start(&self, region: Region, member: MemberId, now: Timestamp) -> Timestamp {
        let rides = self.region(region).rides.values().filter(|ride| ride.member == member);
        let taken: std::collections::BTreeSet<i64> = rides.map(|ride| ride.start.as_second()).collect();
        let mut start = recent(now).as_second();
        while let Some(near) = taken.range(start - NEAR_S..=start + NEAR_S).next() {
            start = near - STEP_S;
        }
        Timestamp::from_second(start).unwrap_or(now)
    }

    fn file_of(
        &self,
        region: Region,
        spec: &FileSpec,
        seed: u64,
        start: Timestamp,
    ) -> Result<(Arc<RideFile>, Facts), WorldError> {
        let synthetic = |kind| -> Result<_, WorldError> {
            let facts = synth::facts(kind, seed, start)?;
            Ok((RideFile::lazy(Source::Synthetic(kind, seed, start)), facts))
        };
        let of_bytes = |bytes: bytes::Bytes| {
            let facts = facts_of(&bytes, seed);
            (RideFile::of(bytes), facts)
        };
        Ok(match spec {
            FileSpec::Small => synthetic(Kind::Small)?,
            FileSpec::Standard => synthetic(Kind::Standard)?,
            FileSpec::Malformed { name } => {
                if !synth::MALFORMED.contains(&name.as_str()) {
                    return Err(FileError::UnknownMalformed(name.clone()).into());
                }
                let source = Source::Malformed(name.clone(), seed, start);
                (RideFile::lazy(source), made_up(seed))
            }
            FileSpec::Base64 { data } => {
                let bytes = BASE64.decode(data).map_err(|_| FileError::Base64)?;
                of_bytes(bytes.into())
            }
            FileSpec::Bytes(bytes) => of_bytes(bytes.clone()),
            FileSpec::Path { path } => {
                let file = RideFile::lazy(Source::Path(path.clone()));
                let facts = facts_of(&file.bytes()?, seed);
                (file, facts)
            }
            FileSpec::SameAs { ride } => {
                let found = self.region(region).rides.get(ride);
                let other = found.ok_or(WorldError::UnknownRide(region, *ride))?;
                (Arc::clone(&other.file), other.facts.clone())
            }
        })
    }

    pub(crate) fn delete_ride(&mut self, region: Region, ride: RideId) -> Result<(), WorldError> {
        let here = self.region_mut(region);
        if !here.delete(ride) {
            return Err(WorldError::UnknownRide(region, ride));
        }
        let gone = here.toggles.deleted_files_gone;
        let path = here.rides.get(&ride).map(|ride| ride.file_path.clone());
        if let Some(path) = path.filter(|_| gone) {
            self.files.remove(&path);
        }
        Ok(())
    }

    pub(crate) fn add_athlete(&mut self, new: NewAthlete) -> (AthleteId, String) {
        let seed = self.seed;
        let intervals = &mut self.intervals;
        let count = intervals.athletes.len();
        let id = new.id.unwrap_or_else(|| AthleteId(format!("i{}", 40_857 + count)));
        let key = new.api_key.unwrap_or_else(|| digest(seed, &["key", &id.0])[..25].to_owned());
        intervals.keys.insert(key.clone(), id.clone());
        let athlete = crate::intervals::Athlete {
            id: id.clone(),
            name: new.name,
            api_key: key.clone(),
            utc_offset_s: new.utc_offset_s,
            key_revoked: false,
        };
        intervals.athletes.insert(id.clone(), athlete);
        (id, key)
    }
}

/// What a file says, or something made up when it says nothing.
fn facts_of(bytes: &[u8], seed: u64) -> Facts {
    synth::read(bytes).map_or_else(
        || made_up(seed),
        |read| Facts {
            distance_m: read.distance_m,
            moving_s: read.moving_s,
            elapsed_s: read.elapsed_s,
            ascent_m: read.ascent_m,
        },
    )
}

/// Numbers that look like a ride.
fn made_up(seed: u64) -> Facts {
    let moving_s = 1800 + u32::try_from(seed % 7200).unwrap_or_default();
    Facts { distance_m: f64::from(moving_s) * 6.25, moving_s, elapsed_s: moving_s + 300, ascent_m: moving_s / 20 }
}
