//! How a simulator is started.

use crate::journal::Role;

/// Ports on 127.0.0.1; 0 lets the system choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// iGPSport, global.
    pub igpsport_global: u16,
    /// iGPSport, China.
    pub igpsport_china: u16,
    /// The file host.
    pub files: u16,
    /// Intervals.icu.
    pub intervals: u16,
    /// The webhook receiver.
    pub webhook: u16,
    /// The host nobody may reach.
    pub trap: u16,
    /// The control listener.
    pub control: u16,
}

impl Ports {
    /// Seven ports in a row, from `first` on.
    #[must_use]
    pub fn from(first: u16) -> Self {
        let port = |offset: u16| first.saturating_add(offset);
        Self {
            igpsport_global: port(0),
            igpsport_china: port(1),
            files: port(2),
            intervals: port(3),
            webhook: port(4),
            trap: port(5),
            control: port(6),
        }
    }

    pub(crate) fn of(&self, role: Role) -> u16 {
        match role {
            Role::IgpsportGlobal => self.igpsport_global,
            Role::IgpsportChina => self.igpsport_china,
            Role::Files => self.files,
            Role::Intervals => self.intervals,
            Role::Webhook => self.webhook,
            Role::Trap => self.trap,
            Role::Control => self.control,
        }
    }
}

/// How a simulator is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub ports: Ports,
    /// Decides identifiers, synthetic bytes and the dice of faults.
    pub seed: u64,
    /// The newest requests kept in the journal; 0 keeps counters only.
    pub journal_cap: usize,
    /// Keeps the bytes of uploads and webhook bodies, not only their digests.
    pub keep_bodies: bool,
    /// Worker threads of the simulator's own runtime, named `fitbridge-sim`.
    pub threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { ports: Ports::default(), seed: 1, journal_cap: 20_000, keep_bodies: false, threads: 1 }
    }
}

impl Config {
    /// The default with another seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
}
