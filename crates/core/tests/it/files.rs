//! From a listed ride to an archived file: each failure in its own state, and the others go on.

use std::time::Duration;

use fitbridge_core::{
    Code, Failure,
    domain::{ActivityState, ContentId, Integrity, RideId},
    engine::import::Imported,
    ports::{Archive, ArchiveError, FileError, Outcome, SourceError, Verdict},
    testkit::{FakeRide, SourceVerb},
};
use jiff::SignedDuration;

use crate::world::World;

fn again(code: Code) -> FileError {
    FileError::Again { failure: code.into(), retry_after: None }
}

fn code(state: &ActivityState) -> Option<Code> {
    state.failure().map(|failure| failure.code)
}

#[tokio::test]
async fn a_ride_without_a_file_yet_is_asked_for_again() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    for _ in 0..3 {
        world.source.fail_next(SourceVerb::Resolve, SourceError::NotReady);
    }
    world.poll(&engine, &source).await;
    let states = [world.state(&engine, &source, 1).await, world.state(&engine, &source, 2).await];
    assert!(states.iter().all(|state| code(state) == Some(Code::RideNotReady)), "{states:?}");
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..3));
}

#[tokio::test]
async fn each_failure_has_its_own_state_and_the_other_rides_go_on() {
    let cases = [
        Code::FileHtml,
        Code::FileXmlError,
        Code::FileEmpty,
        Code::FileTruncated,
        Code::FileWrongLength,
        Code::FileTimeout,
        Code::FileHostError,
        Code::FileUnreachable,
        Code::FileJson,
    ];
    let never = [Code::FileTooLarge, Code::FileRedirectRefused, Code::FileLocationRefused, Code::FileNotFit];
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let all = cases.len() + never.len();
    world.source.upload_many(&world.account, 0..1 + u64::try_from(all).unwrap());
    let files = world.source.files();
    for (id, code) in (1..).zip(cases) {
        files.fail_next(&world.account, RideId(id), again(code));
    }
    for (id, code) in (1 + u64::try_from(cases.len()).unwrap()..).zip(never) {
        files.fail_next(&world.account, RideId(id), FileError::Never(code.into()));
    }
    world.poll(&engine, &source).await;
    for (id, expected) in (1..).zip(cases.into_iter().chain(never)) {
        let state = world.state(&engine, &source, id).await;
        assert_eq!(code(&state), Some(expected), "{state:?}");
        let rejected = matches!(state, ActivityState::Rejected { .. });
        assert_eq!(rejected, never.contains(&expected), "{state:?}");
    }
    assert_eq!(world.at(&sink), world.files_of([0]));
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(0..1 + u64::try_from(cases.len()).unwrap()));
}

#[tokio::test]
async fn a_stale_location_is_asked_for_again_at_once() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.source.files().fail_next(&world.account, RideId(1), FileError::Gone(Code::FileGone.into()));
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
    let asked = world.source.take_calls().iter().filter(|call| call.verb() == SourceVerb::Resolve).count();
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn a_host_that_is_away_for_days_loses_nothing_and_for_ever_ends_as_a_dead_letter() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let files = world.source.files();
    let busy = FileError::Again { failure: Code::FileHostError.into(), retry_after: Some(Duration::from_secs(1)) };
    files.fail_always(Some(busy.clone()));
    world.poll(&engine, &source).await;
    let end = world.now() + SignedDuration::from_hours(72);
    while world.now() < end {
        world.clock.advance(SignedDuration::from_mins(30));
        world.work(&engine).await;
    }
    assert_eq!(code(&world.state(&engine, &source, 1).await), Some(Code::FileHostError));
    files.fail_always(None);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));

    files.fail_always(Some(busy));
    world.source.upload_many(&world.account, 2..3);
    world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    files.take_calls();
    world.quiet(&engine).await;
    assert!(matches!(world.state(&engine, &source, 2).await, ActivityState::DeadLetter { .. }));
    assert_eq!(files.take_calls().len(), world.policy.ride_backoff.len(), "each wait is followed by a try");
}

#[tokio::test]
async fn a_broken_file_must_come_twice_and_is_flagged() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let broken = FakeRide::generated(1).bytes;
    world.scanner.verdict(&broken, Verdict::Salvageable(Code::FitBadCrc));
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    assert_eq!(code(&world.state(&engine, &source, 1).await), Some(Code::FitBadCrc));
    assert_eq!(world.at(&sink), world.files_of([2]), "not before it came again");
    world.quiet(&engine).await;
    let state = world.state(&engine, &source, 1).await;
    let flag = Integrity::Salvageable { code: Code::FitBadCrc };
    assert!(matches!(&state, ActivityState::Fetched { integrity, .. } if *integrity == flag), "{state:?}");
    assert_eq!(world.at(&sink), world.files_of(1..3));
}

#[tokio::test]
async fn a_file_that_was_caught_half_uploaded_is_whole_the_next_time() {
    let world = World::new();
    let whole = FakeRide::generated(1);
    let half = FakeRide { bytes: whole.bytes.slice(..5), ..whole.clone() };
    world.scanner.verdict(&half.bytes, Verdict::Salvageable(Code::FitTruncated));
    world.source.upload(&world.account, half);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.source.upload(&world.account, whole);
    world.quiet(&engine).await;
    let state = world.state(&engine, &source, 1).await;
    assert!(matches!(&state, ActivityState::Fetched { integrity: Integrity::Intact, .. }), "{state:?}");
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn rejected_files_come_twice_too_and_other_kinds_of_fit_are_no_rides() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    let bytes = |id| FakeRide::generated(id).bytes;
    world.scanner.verdict(&bytes(1), Verdict::Rejected(Code::FitBadHeader));
    world.scanner.no_activity(&bytes(2));
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    assert!(matches!(world.state(&engine, &source, 1).await, ActivityState::Unavailable { .. }));
    world.quiet(&engine).await;
    for (ride, expected) in [(1, Code::FitBadHeader), (2, Code::NotActivity)] {
        let state = world.state(&engine, &source, ride).await;
        assert!(matches!(&state, ActivityState::Rejected { failure } if failure.code == expected), "{state:?}");
    }
    assert_eq!(world.at(&sink), world.files_of([3]));
    assert_eq!(world.archive.files().len(), 1, "only rides are kept");
}

#[tokio::test]
async fn a_ride_that_is_gone_upstream_is_asked_for_three_times() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    engine.poll(&source.user, &source.id).await.unwrap();
    world.source.delete(&world.account, RideId(1));
    world.source.take_calls();
    world.quiet(&engine).await;
    assert_eq!(code(&world.state(&engine, &source, 1).await), Some(Code::RideGone));
    assert!(matches!(world.state(&engine, &source, 1).await, ActivityState::Rejected { .. }));
    assert_eq!(world.source.take_calls().len(), 3);
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.archive.refuse(Some(ArchiveError::Full("no room".into())));
    world.poll(&engine, &source).await;
    assert_eq!(code(&world.state(&engine, &source, 1).await), Some(Code::DiskFull));
    world.archive.refuse(None);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..3));
}

#[tokio::test]
async fn tries_that_a_rider_asks_for_during_an_outage_are_free() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.source.files().fail_always(Some(again(Code::FileUnreachable)));
    world.poll(&engine, &source).await;
    for _ in 0..100 {
        engine.sweep(crate::world::SHARD, fitbridge_core::engine::Eagerness::Eager).await.unwrap();
        world.drain(&engine).await;
    }
    let failure = Failure::from(Code::FileUnreachable);
    assert_eq!(world.state(&engine, &source, 1).await.failure(), Some(&failure));
    world.source.files().fail_always(None);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn a_lost_file_that_is_imported_again_is_there_again_and_what_waited_for_it_goes_on() {
    for is_damaged in [false, true] {
        let world = World::new();
        let engine = world.engine("a");
        let sink = world.connect_sink(&engine, "s", None).await;
        let bytes = FakeRide::generated(1).bytes;
        let content = ContentId::of(&bytes);
        engine.import(&world.user, "usb", bytes.clone()).await.unwrap();
        match is_damaged {
            true => world.archive.damage(&world.user, content),
            false => world.archive.delete(&world.user, content).await.unwrap(),
        }
        world.quiet(&engine).await;
        assert_eq!(world.delivery_state(&engine, &sink).await.name(), "rejected");
        engine.import(&world.user, "usb", bytes.clone()).await.unwrap();
        assert!(world.archive.open(&world.user, content).await.is_ok());
        world.quiet(&engine).await;
        assert_eq!(world.at(&sink), [content]);
        assert!(matches!(engine.import(&world.user, "usb", bytes).await.unwrap(), Imported::Duplicate { .. }));
    }
}

#[tokio::test]
async fn a_lost_file_that_is_fetched_again_goes_where_it_was_given_up() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.source.upload_many(&world.account, 1..2);
    let content = ContentId::of(&FakeRide::generated(1).bytes);
    world.sink.reply_always(Some(Outcome::Transient { failure: Code::SinkAway.into(), retry_after: None }));
    world.poll(&engine, &source).await;
    world.work(&engine).await;
    world.archive.damage(&world.user, content);
    world.source.fail_always(SourceVerb::Resolve, Some(SourceError::Away(Code::ProviderAway.into())));
    world.sink.reply_always(None);
    while world.delivery_state(&engine, &sink).await.is_open() {
        world.clock.advance(SignedDuration::from_hours(1));
        world.work(&engine).await;
    }
    assert_eq!(
        world.delivery_state(&engine, &sink).await.failure().map(|failure| failure.code),
        Some(Code::ArchiveCorrupt)
    );
    world.source.fail_always(SourceVerb::Resolve, None);
    world.quiet(&engine).await;
    assert!(world.archive.open(&world.user, content).await.is_ok());
    assert_eq!(world.at(&sink), [content]);
}

#[tokio::test]
async fn a_ride_that_was_lost_here_and_upstream_lives_again_by_an_import() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let bytes = FakeRide::generated(1).bytes;
    world.archive.delete(&world.user, ContentId::of(&bytes)).await.unwrap();
    world.source.delete(&world.account, RideId(1));
    engine.begin_reconcile(&world.user, &source.id).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.state(&engine, &source, 1).await.name(), "rejected");
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.import(&world.user, "usb", bytes.clone()).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.state(&engine, &source, 1).await.name(), "fetched");
    assert!(world.at(&sink).contains(&ContentId::of(&bytes)));
}
