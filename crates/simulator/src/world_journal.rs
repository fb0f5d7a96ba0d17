//! The handle's methods for the journal.

use std::collections::BTreeMap;

use crate::journal::{Entry, Role};
use crate::world::World;

impl World {
    /// The kept requests from number `seq` on, oldest first.
    #[must_use]
    pub fn journal_since(&self, seq: u64) -> Vec<Entry> {
        self.shared.journal().since(seq)
    }

    /// The number the next request will have.
    #[must_use]
    pub fn journal_next(&self) -> u64 {
        self.shared.journal().next_seq()
    }

    /// How many requests a host, or one of its routes, got since the start or the last clearing.
    #[must_use]
    pub fn requests(&self, role: Role, route: Option<&str>) -> u64 {
        self.shared.journal().count(role, route)
    }

    /// All counters, as `role/route`.
    #[must_use]
    pub fn request_counts(&self) -> BTreeMap<String, u64> {
        self.shared.journal().counts()
    }

    /// Forgets all requests and counters; numbers go on.
    pub fn clear_journal(&self) {
        self.shared.journal().clear();
    }
}
