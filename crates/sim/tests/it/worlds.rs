use std::{collections::BTreeMap, thread};

use fitbridge_sim::{Fault, Options, run, shrink};

/// Worlds in a test run; `make test` and `make soak` run many more of them, built with optimisation.
const WORLDS: u64 = 40;
const THREADS: u64 = 4;

#[test]
fn every_promise_is_kept_in_every_world() {
    let worlds = |first: u64| (first..WORLDS).step_by(usize::try_from(THREADS).unwrap()).map(Options::of);
    let faults = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                scope.spawn(move || {
                    let mut faults = BTreeMap::<Fault, u64>::new();
                    for options in worlds(first) {
                        let report = run(&options);
                        if !report.violations.is_empty() {
                            let story = shrink(&options).map(|shrunk| shrunk.report.story.join("\n"));
                            panic!("seed {}: {:#?}\n{}", options.seed, report.violations, story.unwrap_or_default());
                        }
                        report.faults.into_iter().for_each(|(fault, count)| *faults.entry(fault).or_default() += count);
                    }
                    faults
                })
            })
            .collect();
        let mut all = BTreeMap::<Fault, u64>::new();
        for thread in threads {
            let faults = thread.join().expect("a world broke a promise");
            faults.into_iter().for_each(|(fault, count)| *all.entry(fault).or_default() += count);
        }
        all
    });
    let never: Vec<_> = Fault::ALL.iter().filter(|fault| !faults.contains_key(fault)).collect();
    assert!(never.is_empty(), "these never happened: {never:?}");
}

#[test]
fn a_seed_replays_exactly_and_telling_the_story_changes_nothing() {
    for seed in [3, 6] {
        let told = Options { story: true, ..Options::of(seed) };
        let (once, again, untold) = (run(&told), run(&told), run(&Options::of(seed)));
        assert!(once.story.len() > 500);
        assert_eq!(once, again);
        assert_eq!((once.faults, once.copies, once.hours), (untold.faults, untold.copies, untold.hours));
        assert_ne!(once.story, run(&Options { story: true, ..Options::of(seed + 1) }).story);
    }
}
