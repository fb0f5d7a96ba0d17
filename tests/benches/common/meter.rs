//! Processor time, memory and allocations of this process and of others, as Linux tells them.

use std::{alloc::System, fs, time::Duration, time::Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use super::Outcome;

/// Counts what this process allocates.
#[global_allocator]
pub(crate) static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Ticks of processor time a second in `/proc`; the same on every Linux (`USER_HZ`).
const TICKS: u32 = 100;

/// Processor time that a process has used, its ended threads included.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// In its own code.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
}

impl Cpu {
    /// Of a process: `self` or its number.
    pub(crate) fn of(process: &str) -> Outcome<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name of the program may hold anything, so count from behind it.
        let behind = stat.rsplit_once(')').ok_or("no such line")?.1;
        let field = |at: usize| -> Outcome<Duration> {
            let ticks: u32 = behind.split_ascii_whitespace().nth(at).ok_or("a short line")?.parse()?;
            Ok(Duration::from_secs(1) / TICKS * ticks)
        };
        Ok(Self { user: field(11)?, system: field(12)? })
    }

    /// What was used since an earlier reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }

    /// Both together.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

/// A line of this process's memory, kB: `VmHWM` is the peak, `VmRSS` the present.
pub(crate) fn memory_kb(name: &str) -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.ok_or("no such line")?.trim().trim_end_matches(" kB").parse()?)
}

/// What a stretch of work used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub elapsed: Duration,
    pub cpu: Cpu,
    pub allocations: usize,
}

impl Usage {
    /// Begins to measure this process; the result ends it.
    pub(crate) fn begin() -> Outcome<impl FnOnce() -> Outcome<Self>> {
        let (region, cpu, begun) = (Region::new(ALLOCATOR), Cpu::of("self")?, Instant::now());
        Ok(move || {
            let (elapsed, change) = (begun.elapsed(), region.change());
            let allocations = change.allocations + change.reallocations;
            Ok(Self { elapsed, cpu: Cpu::of("self")?.since(cpu), allocations })
        })
    }
}
