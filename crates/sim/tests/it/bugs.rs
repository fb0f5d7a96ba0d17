use fitbridge_sim::{Bug, Options, run, shrink};

/// Whether a bug is found within so many worlds, and by which.
fn found(bug: Bug, worlds: u64) -> Option<u64> {
    (0..worlds).find(|seed| !run(&Options { bug: Some(bug), ..Options::of(*seed) }).violations.is_empty())
}

macro_rules! is_found {
    ($($test:ident $bug:ident $worlds:literal;)*) => {
        $(
            #[test]
            fn $test() {
                assert!(found(Bug::$bug, $worlds).is_some(), "{} is not found in {} worlds", Bug::$bug.what(), $worlds);
            }
        )*
    };
}

is_found! {
    cursor_before_polls CursorBeforePolls 10;
    no_probe NoProbe 20;
    forgets_maybe_there ForgetsMaybeThere 60;
    lease_never_ends LeaseNeverEnds 20;
    owner_unchecked OwnerUnchecked 20;
    archive_after_commit ArchiveAfterCommit 10;
    mark_before_walk MarkBeforeWalk 10;
    done_before_send DoneBeforeSend 10;
    due_dropped DueDropped 20;
    ignores_pause IgnoresPause 100;
    idle_poll_writes IdlePollWrites 10;
    bytes_rewritten BytesRewritten 10;
    token_in_failure TokenInFailure 60;
}

#[test]
fn the_story_of_a_failure_is_made_small_and_names_its_worker_and_its_fault() {
    let failing = Options { bug: Some(Bug::NoProbe), ..Options::of(found(Bug::NoProbe, 20).expect("found")) };
    let shrunk = shrink(&failing).expect("it fails again");
    let whole = run(&failing);
    let count = |report: &fitbridge_sim::Report| report.faults.values().sum::<u64>();
    assert!(count(&shrunk.report) < count(&whole), "{:?} {:?}", shrunk.report.faults, whole.faults);
    let story = shrunk.report.story.join("\n");
    assert!(story.contains("FAULT") && story.contains("!!         I1 is broken"), "{story}");
}
