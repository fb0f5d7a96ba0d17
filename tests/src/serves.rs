//! `serve` in a world where everything goes wrong: killed, stood still, and a tenth of all requests in vain.

use std::time::Duration;

use crate::{
    bench::Bench,
    faults::{one_in_ten_goes_wrong, sync_until_quiet},
    kill::Dice,
    ledger::age_breakers,
};

/// Rounds in a row after which something new must have arrived.
const MOST_IN_VAIN: u32 = 40;

/// Serves `rides` rides through kills every few seconds, after some of which it had stood still (SIGSTOP), while one
/// request in ten goes wrong on every route, until nearly all is there; then syncs the rest, and counts at the sinks. Says how often it was killed.
///
/// # Panics
/// When a ride is missing or twice, or many rounds find nothing new at the sinks.
pub fn serves_until_done(rides: usize, seed: u64) -> usize {
    let mut dice = Dice::new(seed);
    let bench = Bench::new(rides);
    bench.connect_all();
    bench.set("FITBRIDGE_POLL_MINUTES", "1");
    bench.set("FITBRIDGE_POLL_PLAN", "fixed");
    one_in_ten_goes_wrong(bench.world());
    let arrived = || [bench.at_intervals().len(), bench.in_folder().len(), bench.at_webhook().len()];
    let (mut kills, mut there, mut in_vain) = (0, arrived(), 0);
    // The last ones may have waits of hours by then; a rider who asks need not wait for them.
    while arrived().iter().any(|there| *there < rides * 9 / 10) {
        // Their waits are minutes, and the binary has no switch that moves its clock.
        age_breakers(bench.home());
        let mut serve = bench.start(&["--json", "serve"]);
        std::thread::sleep(Duration::from_millis(1_500 + dice.below(3_000)));
        if dice.below(3) == 0 {
            serve.stand_still();
            std::thread::sleep(Duration::from_millis(dice.below(1_000)));
            serve.go_on();
            std::thread::sleep(Duration::from_millis(dice.below(500)));
        }
        let is_running = serve.is_running();
        let ended = serve.kill();
        assert!(is_running, "it ended by itself: {ended}");
        bench.remember(ended);
        kills += 1;
        let now_there = arrived();
        in_vain = if now_there == there { in_vain + 1 } else { 0 };
        there = now_there;
        println!("kill {kills}: {there:?} of {rides} rides are at the sinks");
        assert!(in_vain < MOST_IN_VAIN, "seed {seed}: nothing more arrives: {}", bench.run(&["status", "-v"]));
    }
    let quiet = sync_until_quiet(&bench, 60);
    assert_eq!(quiet.summary()["failed"], 0, "seed {seed}: {quiet}");
    bench.assert_exactly_once();
    kills
}
