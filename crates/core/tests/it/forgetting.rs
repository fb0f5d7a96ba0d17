//! What is forgotten stays away, and comes back only when the rider asks for it.

use bytes::Bytes;
use fitbridge_core::{
    Code,
    domain::{
        ActivityState, ContentId, DeliveryState, EventKind, FileLocation, History, RecordedFacts, RideId, Withdrawal,
    },
    engine::{import::Imported, resync::Resynced},
    ports::{Archive, FileError, Files, Outcome, SinkError},
    testkit::{FakeRide, FakeScanner, FakeSink, Reply, SinkCall},
};

use crate::world::{World, is_delivered};

#[tokio::test]
async fn a_forgotten_ride_comes_back_by_no_inlet() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let id = world.ride(&engine, &source, 1).await.id;
    let forgot = engine.forget(&world.user, &id, false).await.unwrap();
    assert!(forgot.sent.is_empty() && forgot.withdrawn.is_empty());
    let sink = world.connect_sink(&engine, "s", None).await;
    world.pass_minutes(24 * 60);
    world.poll(&engine, &source).await;
    world.connect(&engine, None).await;
    world.quiet(&engine).await;
    let imported = engine.import(&world.user, "1.fit", FakeRide::generated(1).bytes).await.unwrap();
    assert_eq!(imported, Imported::Forgotten { of: id.clone() });
    world.source.upload(&world.account, FakeRide { bytes: FakeRide::generated(1).bytes, ..FakeRide::generated(9) });
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2]));
    assert_eq!(world.state(&engine, &source, 9).await.name(), "duplicate");

    let Resynced::Sent(ride, begun) = engine.resync(&world.user, &id, &[], false).await.unwrap() else {
        panic!("its file is in the archive")
    };
    assert_eq!((ride.state.name(), begun.len()), ("fetched", 1));
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1, 2]));
}

#[tokio::test]
async fn what_a_paused_sink_had_in_hand_of_a_forgotten_ride_is_asked_after_once_it_works_and_sent_no_more() {
    let mut world = World::new();
    world.sink = FakeSink::forgetful();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.sink.reply_next(Reply::Accept);
    world.poll(&engine, &source).await;
    assert_eq!(world.delivery_state(&engine, &sink).await.name(), "accepted");
    engine.pause_rider(&world.user).await.unwrap();
    let id = world.ride(&engine, &source, 1).await.id;
    assert_eq!(engine.forget(&world.user, &id, true).await.unwrap().sent.len(), 1);
    world.pass_minutes(5);
    world.quiet(&engine).await;
    assert_eq!(world.delivery_state(&engine, &sink).await.name(), "accepted", "nobody is asked anything");
    engine.resume_rider(&world.user).await.unwrap();
    world.quiet(&engine).await;
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
    let sent = world.sink.take_calls().into_iter().filter(|call| matches!(call, SinkCall::Deliver { .. })).count();
    assert_eq!((sent, world.at(&sink)), (1, world.files_of([1])));
}

#[tokio::test]
async fn what_a_paused_sink_took_of_a_ride_that_is_fetched_again_is_asked_after_once_it_works() {
    let mut world = World::new();
    world.sink = FakeSink::forgetful();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.sink.reply_next(Reply::Accept);
    world.poll(&engine, &source).await;
    assert_eq!(world.delivery_state(&engine, &sink).await.name(), "accepted");
    engine.pause_rider(&world.user).await.unwrap();
    world.pass_minutes(5);
    world.quiet(&engine).await;
    let id = world.ride(&engine, &source, 1).await.id;
    engine.resync(&world.user, &id, &[], true).await.unwrap();
    world.source.delete(&world.account, RideId(1));
    engine.resume_rider(&world.user).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.state(&engine, &source, 1).await.name(), "fetched", "gone upstream, it keeps its file");
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
}

#[tokio::test]
async fn a_ride_that_cannot_be_fetched_anew_keeps_the_file_it_had() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    let before = world.ride(&engine, &source, 1).await;
    world.source.delete(&world.account, RideId(1));
    engine.resync(&world.user, &before.id, &[], true).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.ride(&engine, &source, 1).await.state, before.state);
    let later = world.connect_sink(&engine, "t", None).await;
    world.quiet(&engine).await;
    let content = before.state.content().unwrap();
    assert_eq!((world.at(&sink), world.at(&later)), (vec![content], vec![content]));
    let (events, _) = engine.events(&world.user, None, None, 100).await.unwrap();
    let failures = events.iter().filter(|event| matches!(&event.kind, EventKind::Failed { sink: None, .. })).count();
    assert_eq!(failures, 1, "and the rider can see why");
    // A file that the archive has lost too is no file.
    Archive::delete(&world.archive, &world.user, content).await.unwrap();
    engine.resync(&world.user, &before.id, &[], true).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.state(&engine, &source, 1).await.name(), "rejected");
}

#[tokio::test]
async fn another_file_of_a_forgotten_recording_stays_away_but_another_recorder_is_another_matter() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let [first, revision, watch] = ["first", "revision", "watch"].map(|name| {
        let bytes = Bytes::from(name);
        let mut report = FakeScanner::ride(&bytes);
        report.facts = RecordedFacts {
            start: "2025-05-01T06:00:00Z".parse().ok(),
            time_created: "2025-05-01T06:00:00Z".parse().ok(),
            serial: Some(if name == "watch" { "bb" } else { "aa" }.to_owned()),
            ..report.facts
        };
        world.scanner.report(&bytes, report);
        bytes
    });
    let Imported::New(ride) = engine.import(&world.user, "a", first.clone()).await.unwrap() else { panic!("new") };
    world.work(&engine).await;
    let forgot = engine.forget(&world.user, &ride.id, false).await.unwrap();
    assert_eq!(forgot.sent.len(), 1, "it is at the sink and stays there");
    let Imported::New(again) = engine.import(&world.user, "b", revision).await.unwrap() else { panic!("new") };
    assert_eq!(again.link.map(|link| link.to), Some(ride.id));
    let Imported::New(other) = engine.import(&world.user, "c", watch.clone()).await.unwrap() else { panic!("new") };
    assert_eq!(other.link, None);
    world.quiet(&engine).await;
    let mut expected = vec![ContentId::of(&first), ContentId::of(&watch)];
    expected.sort();
    assert_eq!(world.at(&sink), expected);
}

#[tokio::test]
async fn what_is_not_sent_yet_is_taken_back_and_what_is_under_way_in_the_cloud_is_not_fetched() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    world.sink.reply_always(Some(Outcome::Transient { failure: Code::SinkAway.into(), retry_after: None }));
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let id = world.ride(&engine, &source, 1).await.id;
    let forgot = engine.forget(&world.user, &id, false).await.unwrap();
    assert_eq!(forgot.withdrawn.len(), 1);
    // A ride that is seen, but not fetched.
    world.source.upload_many(&world.account, 5..6);
    engine.poll(&world.user, &source.id).await.unwrap();
    let unfetched = world.ride(&engine, &source, 5).await.id;
    engine.forget(&world.user, &unfetched, true).await.unwrap();
    world.sink.reply_always(None);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2]));
    let states: Vec<_> = world.deliveries(&engine, &sink).await.into_iter().map(|one| one.state).collect();
    assert!(states.contains(&DeliveryState::Withdrawn { because: Withdrawal::Forgotten }), "{states:?}");
    // Fetched and sent after all, when the rider wants it.
    let fetching = engine.resync(&world.user, &unfetched, &[], false).await.unwrap();
    assert!(matches!(fetching, Resynced::Fetching(_)), "{fetching:?}");
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2, 5]));
}

#[tokio::test]
async fn its_file_is_erased_unless_another_ride_has_the_same() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    world.source.upload(&world.account, FakeRide { bytes: FakeRide::generated(2).bytes, ..FakeRide::generated(3) });
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let files = [1, 2].map(|ride| world.files_of([ride])[0]);
    for ride in [1, 2, 3] {
        if let state @ ActivityState::Fetched { .. } = world.state(&engine, &source, ride).await {
            let id = world.ride(&engine, &source, ride).await.id;
            engine.forget(&world.user, &id, true).await.unwrap();
            // The process dies before it erases the file.
            world.queue.take();
            assert!(world.archive.open(&world.user, state.content().unwrap()).await.is_ok());
        }
    }
    world.quiet(&engine).await;
    assert!(world.archive.open(&world.user, files[0]).await.is_err(), "the lease ends, and it is erased");
    assert!(world.archive.open(&world.user, files[1]).await.is_ok(), "ride 3 is the same file");
    assert_eq!(world.state(&engine, &source, 1).await, ActivityState::Forgotten { file: None, erase: false });
    let id = world.ride(&engine, &source, 1).await.id;
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.resync(&world.user, &id, &[], false).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]), "from the cloud it can be had again");
    engine.forget(&world.user, &id, true).await.unwrap();
    world.quiet(&engine).await;
    let there = engine.sent_before(&world.user, &id, &[]).await.unwrap();
    assert_eq!(there.len(), 1, "without the file it is still known who has it");
}

#[tokio::test]
async fn an_imported_file_that_was_erased_has_to_be_imported_again() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let bytes = FakeRide::generated(1).bytes;
    let Imported::New(ride) = engine.import(&world.user, "a", bytes.clone()).await.unwrap() else { panic!("new") };
    engine.forget(&world.user, &ride.id, true).await.unwrap();
    world.work(&engine).await;
    let refused = engine.resync(&world.user, &ride.id, &[], true).await.unwrap_err();
    assert_eq!(refused.failure().code, Code::FileErased);
    assert_eq!(
        engine.import(&world.user, "a", bytes.clone()).await.unwrap(),
        Imported::Forgotten { of: ride.id.clone() }
    );
    assert!(world.archive.open(&world.user, ContentId::of(&bytes)).await.is_err(), "nothing is kept of it");
    let known = engine.sent_before(&world.user, &ride.id, &[]).await.unwrap();
    assert_eq!(known.len(), 0, "it was not sent before it was forgotten");
    let again = engine.import_again(&world.user, "a", bytes.clone()).await.unwrap();
    assert!(matches!(again, Imported::New(_)), "{again:?}");
    world.work(&engine).await;
    assert_eq!(world.at(&sink), [ContentId::of(&bytes)]);
}

#[tokio::test]
async fn sent_again_is_another_message() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let other = world.connect_sink(&engine, "other", None).await;
    let bytes = FakeRide::generated(1).bytes;
    let Imported::New(ride) = engine.import(&world.user, "a", bytes).await.unwrap() else { panic!("new") };
    world.work(&engine).await;
    assert_eq!(engine.sent_before(&world.user, &ride.id, &[]).await.unwrap().len(), 2);
    assert_eq!(engine.sent_before(&world.user, &ride.id, std::slice::from_ref(&sink.id)).await.unwrap().len(), 1);
    world.sink.take_calls();
    let first = world.delivery(&engine, &sink).await.idempotency_id();
    engine.resync(&world.user, &ride.id, std::slice::from_ref(&sink.id), false).await.unwrap();
    // Asked twice in a row, it is sent once.
    engine.resync(&world.user, &ride.id, std::slice::from_ref(&sink.id), false).await.unwrap();
    world.work(&engine).await;
    let sent: Vec<_> = world.sink.take_calls();
    let ids: Vec<_> = sent
        .iter()
        .filter_map(|call| match call {
            SinkCall::Deliver { account, attempt, .. } => Some((account.clone(), attempt.id.clone())),
            _ => None,
        })
        .collect();
    let second = world.delivery(&engine, &sink).await.idempotency_id();
    assert_ne!(first, second);
    assert_eq!(ids, [(sink.account.clone(), second)], "only there, and as another message");
    assert!(is_delivered(&world.delivery_state(&engine, &other).await));
}

#[tokio::test]
async fn a_sink_that_would_double_is_asked_before_a_ride_is_sent_again() {
    let mut world = World::new();
    world.sink = FakeSink::forgetful();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let Imported::New(ride) = engine.import(&world.user, "a", FakeRide::generated(1).bytes).await.unwrap() else {
        panic!("new")
    };
    world.work(&engine).await;
    engine.resync(&world.user, &ride.id, &[], false).await.unwrap();
    world.work(&engine).await;
    assert_eq!(world.at(&sink).len(), 1, "it is still there");
    assert!(world.sink.take_calls().iter().any(|call| matches!(call, SinkCall::Probe(_))));
}

#[tokio::test]
async fn a_ride_that_is_fetched_again_on_request_is_sent_again_too() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let before = world.files_of([1])[0];
    let other = Bytes::from_static(b"mended upstream");
    world.source.upload(&world.account, FakeRide { bytes: other.clone(), ..FakeRide::generated(1) });
    let id = world.ride(&engine, &source, 1).await.id;
    engine.resync(&world.user, &id, &[], true).await.unwrap();
    world.quiet(&engine).await;
    let mut expected = vec![before, ContentId::of(&other)];
    expected.sort();
    assert_eq!(world.at(&sink), expected, "under its own key");
    assert_eq!(world.ride(&engine, &source, 1).await.resync, None, "once");
}

#[tokio::test]
async fn a_ride_on_its_way_that_is_asked_for_at_one_sink_comes_to_the_others_all_the_same() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let other = world.connect_sink(&engine, "other", None).await;
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.source.upload_many(&world.account, 1..2);
    engine.poll(&world.user, &source.id).await.unwrap();
    let id = world.ride(&engine, &source, 1).await.id;
    let asked = engine.resync(&world.user, &id, std::slice::from_ref(&sink.id), false).await.unwrap();
    assert!(matches!(asked, Resynced::Fetching(_)), "{asked:?}");
    world.quiet(&engine).await;
    assert_eq!((world.at(&sink), world.at(&other)), (world.files_of([1]), world.files_of([1])));
}

#[tokio::test]
async fn a_ride_that_is_being_sent_while_it_is_forgotten_ends_in_one_state() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    world.sink.reply_next(Reply::Accept);
    let Imported::New(ride) = engine.import(&world.user, "a", FakeRide::generated(1).bytes).await.unwrap() else {
        panic!("new")
    };
    world.drain(&engine).await;
    let forgot = engine.forget(&world.user, &ride.id, true).await.unwrap();
    assert_eq!((forgot.withdrawn.len(), forgot.sent.len()), (0, 1), "the sink has it already");
    world.quiet(&engine).await;
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await), "what came of it is still learned");
}

#[tokio::test]
async fn with_its_file_the_earlier_ones_are_erased() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let id = world.ride(&engine, &source, 1).await.id;
    for name in ["mended upstream", "mended once more"] {
        world.source.upload(&world.account, FakeRide { bytes: Bytes::from(name), ..FakeRide::generated(1) });
        engine.resync(&world.user, &id, &[], true).await.unwrap();
        world.quiet(&engine).await;
    }
    let before = world.ride(&engine, &source, 1).await;
    assert_eq!((before.files().count(), world.archive.files().len()), (3, 4));
    // One of them is another ride's, too: that one stays.
    world.source.upload(&world.account, FakeRide { bytes: Bytes::from("mended upstream"), ..FakeRide::generated(9) });
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert_eq!(world.state(&engine, &source, 9).await.name(), "duplicate");
    engine.forget(&world.user, &id, true).await.unwrap();
    world.quiet(&engine).await;
    let mut left: Vec<_> = world.archive.files().into_iter().map(|(_, file)| file).collect();
    left.sort();
    let mut expected = vec![world.files_of([2])[0], ContentId::of(b"mended upstream")];
    expected.sort();
    assert_eq!(left, expected);
    // Until that one is forgotten, too: whoever wanted it erased is not asked again.
    let other = world.ride(&engine, &source, 9).await.id;
    engine.forget(&world.user, &other, false).await.unwrap();
    world.quiet(&engine).await;
    let left: Vec<_> = world.archive.files().into_iter().map(|(_, file)| file).collect();
    assert_eq!(left, world.files_of([2]));
}

fn lost() -> Outcome {
    Outcome::Unknown(Code::SinkUnknownOutcome.into())
}

/// A ride of the cloud whose first attempt had no answer; `reply` says whether it arrived. It is forgotten then.
async fn forgotten_after(world: &World, reply: Reply) -> (fitbridge_core::Engine, fitbridge_core::domain::Connection) {
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let source = world.connect(&engine, None).await;
    world.sink.reply_next(reply);
    world.poll(&engine, &source).await;
    assert_eq!(world.delivery_state(&engine, &sink).await.name(), "retrying");
    let id = world.ride(&engine, &source, 1).await.id;
    assert_eq!(engine.forget(&world.user, &id, false).await.unwrap().sent.len(), 1, "it may be there");
    (engine, sink)
}

#[tokio::test]
async fn a_forgotten_ride_whose_answer_was_lost_is_asked_after_and_not_sent() {
    for sink in [FakeSink::default(), FakeSink::forgetful()] {
        let world = World { sink, ..World::new() };
        let (engine, sink) = forgotten_after(&world, Reply::Say(lost())).await;
        world.quiet(&engine).await;
        assert_eq!(world.at(&sink), []);
        let delivery = world.delivery(&engine, &sink).await;
        assert_eq!(delivery.state, DeliveryState::Withdrawn { because: Withdrawal::Forgotten });
        assert!(!delivery.maybe_there, "the sink says that it has not got it");
    }
}

#[tokio::test]
async fn a_forgotten_ride_that_had_arrived_is_known_to_be_there() {
    let world = World::new();
    let (engine, sink) = forgotten_after(&world, Reply::CommitThen(lost())).await;
    world.quiet(&engine).await;
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn where_the_sink_cannot_be_asked_a_forgotten_ride_may_be_there_still() {
    let world = World::new();
    world.sink.fail_next_probe(SinkError::unsupported("it cannot be asked"));
    let (engine, sink) = forgotten_after(&world, Reply::Say(lost())).await;
    world.quiet(&engine).await;
    let delivery = world.delivery(&engine, &sink).await;
    assert_eq!(delivery.state, DeliveryState::Withdrawn { because: Withdrawal::Forgotten });
    assert!(delivery.maybe_there && world.at(&sink).is_empty());
}

#[tokio::test]
async fn a_ride_that_is_wanted_at_one_sink_before_its_file_is_here_goes_to_the_others_too() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let (one, other) =
        (world.connect_sink(&engine, "one", None).await, world.connect_sink(&engine, "other", None).await);
    let source = world.connect(&engine, None).await;
    world.work(&engine).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    let id = world.ride(&engine, &source, 1).await.id;
    let fetching = engine.resync(&world.user, &id, std::slice::from_ref(&one.id), false).await.unwrap();
    assert!(matches!(fetching, Resynced::Fetching(_)), "{fetching:?}");
    world.work(&engine).await;
    assert_eq!((world.at(&one), world.at(&other)), (world.files_of([1]), world.files_of([1])));
}

#[tokio::test]
async fn a_ride_that_was_left_out_and_is_wanted_at_one_sink_goes_to_no_other() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let (one, other) =
        (world.connect_sink(&engine, "one", None).await, world.connect_sink(&engine, "other", None).await);
    let source = world.connect(&engine, Some(History::None)).await;
    world.poll(&engine, &source).await;
    let id = world.ride(&engine, &source, 1).await.id;
    engine.resync(&world.user, &id, std::slice::from_ref(&one.id), false).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!((world.at(&one), world.at(&other)), (world.files_of([1]), vec![]));
    engine.begin_reconcile(&world.user, &source.id).await.unwrap();
    world.quiet(&engine).await;
    world.connect_sink(&engine, "other", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&other), [], "neither by a night nor by a new connection");
    engine.resync(&world.user, &id, &[], false).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.at(&other), world.files_of([1]), "until the rider wants it everywhere");
}

/// A file host whose next file comes when the test lets it.
#[derive(Debug)]
struct SlowFiles {
    files: fitbridge_core::testkit::FakeFiles,
    then: std::sync::Mutex<Option<tokio::sync::oneshot::Sender<tokio::sync::oneshot::Sender<()>>>>,
}

#[async_trait::async_trait]
impl Files for SlowFiles {
    async fn open(&self, location: &FileLocation) -> Result<Bytes, FileError> {
        let bytes = self.files.open(location).await;
        let waiting = self.then.lock().unwrap().take();
        if let Some(waiting) = waiting {
            let (done, wait) = tokio::sync::oneshot::channel();
            waiting.send(done).unwrap();
            wait.await.unwrap();
        }
        bytes
    }
}

#[tokio::test]
async fn nothing_stays_of_a_ride_that_is_forgotten_while_its_file_is_fetched() {
    for is_known in [false, true] {
        let world = World::new();
        world.source.upload_many(&world.account, 1..2);
        let engine = world.engine("a");
        let source = world.connect(&engine, None).await;
        engine.poll(&world.user, &source.id).await.unwrap();
        let id = world.ride(&engine, &source, 1).await.id;
        engine.resolve(&world.user, &id).await.unwrap();
        if is_known {
            engine.import(&world.user, "usb", FakeRide::generated(1).bytes).await.unwrap();
        }
        let (then, under_way) = tokio::sync::oneshot::channel();
        let mut ports = world.ports(std::sync::Arc::new(world.ledger.clone()));
        ports.files =
            std::sync::Arc::new(SlowFiles { files: world.source.files(), then: std::sync::Mutex::new(Some(then)) });
        let owner = fitbridge_core::domain::OwnerId::new("slow").unwrap();
        let slow = fitbridge_core::Engine::new(ports, world.policy.clone(), owner);
        let (fetched, ()) = tokio::join!(slow.fetch(&world.user, &id), async {
            let go_on = under_way.await.unwrap();
            engine.forget(&world.user, &id, true).await.unwrap();
            go_on.send(()).unwrap();
        });
        fetched.unwrap();
        world.quiet(&engine).await;
        let left = usize::from(is_known);
        assert_eq!(world.archive.files().len(), left, "the imported one stays, if there is one");
        assert_eq!(world.state(&engine, &source, 1).await.name(), "forgotten");
    }
}

#[tokio::test]
async fn a_linked_ride_whose_file_is_fetched_again_on_request_is_sent_again() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let ids = [world.ride(&engine, &source, 1).await.id, world.ride(&engine, &source, 2).await.id];
    engine.link(&world.user, &ids).await.unwrap();
    let sink = world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
    world.sink.reply_next(Reply::Say(Outcome::Rejected(Code::SinkRejected.into())));
    engine.resync(&world.user, &ids[1], &[], false).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]), "rejected");
    engine.resync(&world.user, &ids[1], &[], true).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.state(&engine, &source, 2).await.name(), "fetched");
    assert_eq!(world.at(&sink), world.files_of([1, 2]));
}
