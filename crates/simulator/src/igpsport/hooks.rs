//! Things that happen between two page calls of one walk.

use serde::{Deserialize, Serialize};

use super::{MemberId, NewRide, RideId};

/// What happens once a page has been answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageAction {
    /// A ride appears.
    Insert(Box<NewRide>),
    /// A ride is deleted.
    Delete(RideId),
}

/// An action waiting for a page of a member's list to be answered.
#[derive(Debug)]
pub(crate) struct PageHook {
    pub(crate) member: MemberId,
    pub(crate) after_page: u64,
    pub(crate) action: PageAction,
}
