use fitbridge_sim::{Bug, Options, hunt, run, shrink};

macro_rules! is_found {
    ($($test:ident $bug:ident $worlds:literal;)*) => {
        $(
            #[test]
            fn $test() {
                let catch = hunt(Bug::$bug, $worlds);
                assert!(catch.is_some(), "{} is not found in {} worlds", Bug::$bug.what(), $worlds);
            }
        )*
    };
}

// Those that show at once. `fitbridge-sim --bugs` looks for all of them, in many worlds.
is_found! {
    cursor_before_polls CursorBeforePolls 4;
    no_probe NoProbe 6;
    owner_unchecked OwnerUnchecked 4;
    archive_after_commit ArchiveAfterCommit 4;
    mark_before_walk MarkBeforeWalk 4;
    done_before_send DoneBeforeSend 4;
    idle_poll_writes IdlePollWrites 4;
    bytes_rewritten BytesRewritten 4;
    backfill_skips BackfillSkips 4;
    token_in_failure TokenInFailure 12;
    dedupe_by_external_id DedupeByExternalId 6;
    bad_row_hides_page BadRowHidesPage 6;
    told_twice_a_day ToldTwiceADay 6;
    history_ignored HistoryIgnored 24;
    linked_sent_too LinkedSentToo 6;
}

#[test]
fn the_story_of_a_failure_is_made_small_and_names_its_worker_and_its_fault() {
    let seed = hunt(Bug::NoProbe, 6).expect("found").seed;
    let failing = Options { bug: Some(Bug::NoProbe), ..Options::of(seed) };
    let shrunk = shrink(&failing).expect("it fails again");
    let whole = run(&failing);
    let count = |report: &fitbridge_sim::Report| report.faults.values().sum::<u64>();
    assert!(count(&shrunk.report) < count(&whole), "{:?} {:?}", shrunk.report.faults, whole.faults);
    let story = shrunk.report.story.join("\n");
    assert!(story.contains("FAULT") && story.contains("!!         I1 is broken"), "{story}");
}
