//! Killing the process at random moments, and looking at what is left.

use std::time::{Duration, Instant};

use crate::bench::Bench;

/// Kills in a row after which something new must have arrived, or be done.
const MOST_IN_VAIN: u32 = 20;

/// Seeded dice, so that a failing run can be repeated.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall the same way for a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// Kills a sync of `rides` rides `kills` times at random moments, some of them in the same sync, and looks
/// after each of these syncs whether a rerun completes it: nothing missing, nothing twice, nothing left to
/// wait for.
///
/// # Panics
/// When a ride is missing or twice, or the rerun does not go on at once.
pub fn kill_rounds(kills: usize, rides: usize, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut done = 0;
    while done < kills {
        let bench = Bench::new(rides);
        bench.connect_all();
        let in_this_sync = (1 + dice.below(4)).min(u64::try_from(kills - done).unwrap_or(1));
        for _ in 0..in_this_sync {
            if kill_once(&bench, rides, &mut dice) {
                done += 1;
            } else {
                break;
            }
        }
        let rerun = bench.sync();
        assert_eq!(rerun.code, Some(0), "seed {seed}, kill {done}: {rerun}");
        let open = rerun.summary()["failed"].clone();
        assert_eq!(open, 0, "seed {seed}, kill {done}: something waits: {rerun}");
        bench.assert_exactly_once();
        println!("{done} of {kills} kills survived");
    }
}

/// Kills a sync once it has made a random number of requests and a random moment has passed; false when it
/// was done before.
fn kill_once(bench: &Bench, rides: usize, dice: &mut Dice) -> bool {
    // Of each ride: detail, file, Intervals.icu, webhook; and pages of the list.
    let all = u64::try_from(rides).unwrap_or(u64::MAX) * 4;
    let from = bench.world().journal_next();
    let until = from + dice.below(all * 9 / 10);
    let moment = Duration::from_micros(dice.below(3_000));
    let mut sync = bench.start(&["sync"]);
    while bench.world().journal_next() < until && sync.is_running() {
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(moment);
    let was_running = sync.is_running();
    bench.remember(sync.kill());
    was_running
}

/// Kills syncs of many rides every few seconds until one of them gets to its end, and counts at the sinks.
///
/// # Panics
/// When a ride is missing or twice, or many kills in a row find nothing new at the sinks.
pub fn kills_until_done(rides: usize, seed: u64) {
    let mut dice = Dice::new(seed);
    let bench = Bench::new(rides);
    bench.connect_all();
    let (mut kills, mut there, mut in_vain) = (0, 0, 0);
    loop {
        let moment = Instant::now() + Duration::from_millis(1_000 + dice.below(4_000));
        let mut sync = bench.start(&["--json", "sync"]);
        while Instant::now() < moment && sync.is_running() {
            std::thread::sleep(Duration::from_millis(5));
        }
        if sync.is_running() {
            bench.remember(sync.kill());
            kills += 1;
            let now_there = bench.world().webhook_deliveries().len();
            println!("kill {kills}: {now_there} of {rides} rides are at the webhook");
            in_vain = if now_there > there { 0 } else { in_vain + 1 };
            there = now_there;
            assert!(in_vain < MOST_IN_VAIN, "nothing more arrives: {}", bench.run(&["status", "-v"]));
            continue;
        }
        let ended = sync.finish();
        assert_eq!(ended.code, Some(0), "seed {seed}, after {kills} kills: {ended}");
        break;
    }
    bench.assert_exactly_once();
    assert!(kills > 0, "it was too quick to be killed");
    println!("{rides} rides arrived once each, through {kills} kills");
}
