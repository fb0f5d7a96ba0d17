//! Members of a region and their rides.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use super::{MemberId, PageHook, Region, Ride, RideId, Toggles};

/// A member to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewMember {
    /// Which cloud.
    pub region: Region,
    /// The member's number; the region's next one when absent.
    pub member_id: Option<MemberId>,
    /// The login name; made from the number when absent.
    pub email: Option<String>,
    /// The password (a made-up one: nothing here is a secret).
    pub password: String,
    /// The nickname.
    pub nickname: String,
    /// The account's offset from UTC in seconds.
    pub utc_offset_s: i32,
}

impl Default for NewMember {
    fn default() -> Self {
        Self {
            region: Region::Global,
            member_id: None,
            email: None,
            password: "correct horse".to_owned(),
            nickname: "Rider".to_owned(),
            utc_offset_s: 7200,
        }
    }
}

impl NewMember {
    /// A member of `region`, all else made up.
    #[must_use]
    pub fn of(region: Region) -> Self {
        Self { region, ..Self::default() }
    }
}

/// A member as a test sees it.
#[derive(Clone, Debug, Serialize)]
pub struct MemberView {
    /// Which cloud.
    pub region: Region,
    /// The number.
    pub member_id: MemberId,
    /// The login name.
    pub email: String,
    /// The nickname.
    pub nickname: String,
    /// How many rides the list shows.
    pub rides: usize,
    /// How many logins with a good password there were.
    pub logins: u64,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) nickname: String,
    pub(crate) offset: Offset,
    /// Newest start first, then highest number first; deleted rides are not in it.
    pub(crate) order: Vec<RideId>,
    /// Rides whose row stands twice.
    pub(crate) twice: BTreeSet<RideId>,
    pub(crate) logins: u64,
}

impl Member {
    /// The wall clock where the member lives.
    pub(crate) fn local(&self, at: Timestamp) -> DateTime {
        self.offset.to_datetime(at)
    }
}

#[derive(Debug)]
pub(crate) struct RegionState {
    pub(crate) region: Region,
    pub(crate) toggles: Toggles,
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) logins: HashMap<String, MemberId>,
    pub(crate) rides: HashMap<RideId, Ride>,
    pub(crate) hooks: Vec<PageHook>,
    pub(crate) next_member: u64,
    pub(crate) next_ride: i64,
}

impl RegionState {
    pub(crate) fn new(region: Region) -> Self {
        // The starts differ so that a mix-up of regions shows, unless a test wants equal numbers.
        let (next_member, next_ride) = match region {
            Region::Global => (1_204_001, 31_827_705),
            Region::China => (8_650_001, 50_018_078),
        };
        Self {
            region,
            toggles: Toggles::default(),
            members: BTreeMap::new(),
            logins: HashMap::new(),
            rides: HashMap::new(),
            hooks: Vec::new(),
            next_member,
            next_ride,
        }
    }

    /// Puts a ride into its member's order.
    pub(crate) fn insert(&mut self, ride: Ride, twice: bool) {
        let Some(member) = self.members.get_mut(&ride.member) else {
            return;
        };
        let key = (ride.start, ride.id);
        let at = member
            .order
            .partition_point(|other| self.rides.get(other).is_some_and(|other| (other.start, other.id) > key));
        member.order.insert(at, ride.id);
        if twice {
            member.twice.insert(ride.id);
        }
        self.next_ride = self.next_ride.max(ride.id.0.saturating_add(1));
        self.rides.insert(ride.id, ride);
    }

    /// Takes a ride out of its list; false when there is none.
    pub(crate) fn delete(&mut self, id: RideId) -> bool {
        let Some(ride) = self.rides.get_mut(&id).filter(|ride| !ride.deleted) else {
            return false;
        };
        ride.deleted = true;
        if let Some(member) = self.members.get_mut(&ride.member) {
            member.order.retain(|other| *other != id);
            member.twice.remove(&id);
        }
        true
    }
}
