//! Every route of every service fails now and then.

use std::collections::BTreeMap;

use fitbridge_simulator::{Fault, FaultRule, Role, World};

use crate::{bench::Bench, ledger::age_breakers, output::Output};

/// Makes one request in ten go wrong, on every route, in ways that a client can notice. Left out are refusals
/// (they pause a connection) and files that are whole and say the wrong thing: no client can tell these.
pub fn one_in_ten_goes_wrong(world: &World) {
    let everywhere = [
        Fault::DropBeforeCommit,
        Fault::DropAfterCommit,
        Fault::Status { code: 500, retry_after: None },
        Fault::StatusAfterCommit { code: 502 },
        Fault::HtmlErrorPage { code: 503 },
        Fault::TruncateBody { keep: 3 },
    ];
    let probability = 0.1 / 6.0;
    for fault in everywhere {
        // The first rule that strikes decides, so the parts are nearly the sum.
        world.add_fault(FaultRule::new(fault).probability(probability));
    }
    world.add_fault(FaultRule::new(Fault::InvalidJson).on(Role::IgpsportGlobal).probability(0.01));
    let slow = Fault::TooManyRequests { retry_after: Some(1) };
    world.add_fault(FaultRule::new(slow).on(Role::Intervals).probability(0.01));
}

/// Runs `sync` until it has nothing more to do; the last one's output. Breakers' waits are made to be over in
/// between.
///
/// # Panics
/// When that takes more than `most` runs, or one ends otherwise than done or unfinished.
#[track_caller]
#[must_use]
pub fn sync_until_quiet(bench: &Bench, most: usize) -> Output {
    for _ in 0..most {
        let output = bench.sync();
        match output.code {
            Some(0) => return output,
            Some(2) => age_breakers(bench.home()),
            _ => panic!("it is neither done nor unfinished: {output}"),
        };
    }
    panic!("not quiet after {most} runs: {}", bench.run(&["status"]));
}

/// By host and route, of the requests that the journal still has: how many there were, and how many of them went
/// wrong.
#[must_use]
pub fn struck(world: &World) -> BTreeMap<String, (usize, usize)> {
    let mut routes: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for entry in world.journal_since(0) {
        let route = routes.entry(format!("{} {}", entry.role, entry.route)).or_default();
        route.0 += 1;
        route.1 += usize::from(entry.fault.is_some());
    }
    routes
}
