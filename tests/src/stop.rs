//! Letting a process stand still at random moments, as a laptop that sleeps or a machine that swaps does.

use std::time::Duration;

use fitbridge_simulator::{Fault, FaultRule, Role};

use crate::{
    bench::Bench,
    kill::Dice,
    ledger::{end_leases, may_be_written},
    process::{Running, wait_until},
};

/// How many uploads before the one that is waited for are slow already: as many as go at a time.
const AHEAD: u64 = 4;

/// Starts a command and lets it stand still once it has sent so many more files to Intervals.icu. From shortly
/// before that one on, and until the command stands still, each answer takes half a second: some uploads are under
/// way then, and a machine under load has the time to notice. It stands in no write to the ledger; what that would
/// mean is another test's subject.
///
/// # Panics
/// When it ends before.
#[must_use]
pub fn stop_in_the_middle(bench: &Bench, arguments: &[&str], uploads: u64) -> Running {
    let before = u32::try_from(uploads.saturating_sub(AHEAD)).unwrap_or(u32::MAX);
    let slow = FaultRule::new(Fault::Slow { ms: 2000 }).on(Role::Intervals).route("upload");
    bench.world().add_fault(slow.skip(before));
    let from = bench.requests(Role::Intervals, Some("upload"));
    let running = bench.start(arguments);
    wait_until("it is in the middle", || bench.requests(Role::Intervals, Some("upload")) >= from + uploads);
    loop {
        running.stand_still();
        if may_be_written(bench.home()) {
            bench.world().clear_faults();
            return running;
        }
        running.go_on();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Lets syncs stand still at random moments until their leases have ended, while another does the work, and then
/// go on: nothing is lost, and nothing comes twice.
///
/// # Panics
/// When something is.
pub fn stop_rounds(stops: usize, rides: usize, seed: u64) {
    let mut dice = Dice::new(seed);
    let most = u64::try_from(rides).unwrap_or(u64::MAX) * 8 / 10;
    for stop in 1..=stops {
        let bench = Bench::new(rides);
        bench.connect_all();
        let stopped = stop_in_the_middle(&bench, &["--json", "sync"], 1 + dice.below(most));
        end_leases(bench.home());
        if dice.below(2) == 0 {
            // It wakes up while the other is at work.
            let other = bench.start(&["--json", "sync"]);
            let from = bench.world().journal_next();
            let until = from + dice.below(most);
            let mut other = other;
            while bench.world().journal_next() < until && other.is_running() {
                std::thread::sleep(Duration::from_millis(1));
            }
            stopped.go_on();
            let ended = other.finish();
            assert!(matches!(ended.code, Some(0 | 2)), "seed {seed}, stop {stop}: {ended}");
        } else {
            let other = bench.sync();
            assert_eq!(other.code, Some(0), "seed {seed}, stop {stop}: {other}");
            bench.assert_exactly_once();
            stopped.go_on();
        }
        let ended = stopped.finish();
        assert!(matches!(ended.code, Some(0 | 2)), "seed {seed}, stop {stop}: {ended}");
        bench.sync().exits(0);
        bench.assert_exactly_once();
        println!("{stop} of {stops} stops survived");
    }
}
