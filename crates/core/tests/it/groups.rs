//! One ride in several files: linked, one of them sent, nothing deleted, and all of it undone on request.

use bytes::Bytes;
use fitbridge_core::{
    Code, Engine,
    domain::{
        Activity, ActivityId, Connection, ConnectionId, ContentId, DeliveryState, EventKind, LinkReason, RecordedFacts,
        Withdrawal,
    },
    engine::import::Imported,
    ports::{Archive, Outcome, ScanReport, SinkError},
    testkit::{FakeRide, FakeScanner, FakeSink, Reply},
};
use proptest::prelude::*;

use crate::world::{World, is_delivered};

/// A file whose ride begins so many seconds into a morning and lasts so long.
fn file(world: &World, name: &str, start_s: i64, elapsed_s: f64) -> Bytes {
    file_of(world, name, start_s, elapsed_s, None)
}

fn file_of(world: &World, name: &str, start_s: i64, elapsed_s: f64, serial: Option<&str>) -> Bytes {
    let bytes = Bytes::from(name.to_owned());
    let morning: jiff::Timestamp = "2025-05-01T06:00:00Z".parse().unwrap();
    let mut report = FakeScanner::ride(&bytes);
    report.facts = RecordedFacts {
        start: Some(morning + jiff::SignedDuration::from_secs(start_s)),
        elapsed_s: Some(elapsed_s),
        product: Some(1),
        serial: serial.map(str::to_owned),
        time_created: serial.map(|_| morning),
        ..report.facts
    };
    world.scanner.report(&bytes, ScanReport { ..report });
    bytes
}

async fn import(world: &World, engine: &Engine, bytes: &Bytes) -> Activity {
    match engine.import(&world.user, "x.fit", bytes.clone()).await.unwrap() {
        Imported::New(ride) => *ride,
        other => panic!("{other:?}"),
    }
}

async fn read(world: &World, engine: &Engine, id: &ActivityId) -> Activity {
    engine.store().activity(&world.user, id).await.unwrap().unwrap().doc
}

fn sorted(files: &[&Bytes]) -> Vec<ContentId> {
    let mut files: Vec<_> = files.iter().map(|file| ContentId::of(file)).collect();
    files.sort();
    files
}

#[tokio::test]
async fn another_file_of_the_same_recording_is_a_revision_and_is_not_sent() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let (whole, edited) =
        (file_of(&world, "whole", 0, 3600.0, Some("aa")), file_of(&world, "edited", 1, 900.0, Some("aa")));
    let first = import(&world, &engine, &whole).await;
    world.work(&engine).await;
    let second = import(&world, &engine, &edited).await;
    world.work(&engine).await;
    let link = second.link.clone().expect("it is linked");
    assert_eq!((&link.to, link.why), (&first.id, LinkReason::SameRecording));
    assert_eq!(second.state.name(), "fetched", "it is archived all the same");
    assert!(Archive::open(&world.archive, &world.user, ContentId::of(&edited)).await.is_ok());
    assert_eq!(read(&world, &engine, &first.id).await.linked, std::slice::from_ref(&second.id));
    assert_eq!(world.at(&sink), sorted(&[&whole]));
    let later = world.connect_sink(&engine, "later", None).await;
    world.work(&engine).await;
    assert_eq!(world.at(&later), sorted(&[&whole]), "a sink that comes later gets one of them, too");
}

#[tokio::test]
async fn the_same_ride_by_another_recorder_is_linked_and_split_sends_it() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let (mine, watch, next) =
        (file(&world, "mine", 0, 3600.0), file(&world, "watch", 225, 3500.0), file(&world, "next", 3700, 3600.0));
    let first = import(&world, &engine, &mine).await;
    world.work(&engine).await;
    let second = import(&world, &engine, &watch).await;
    assert_eq!(second.link.as_ref().map(|link| (&link.to, link.why)), Some((&first.id, LinkReason::SameRide)));
    assert_eq!(import(&world, &engine, &next).await.link, None, "a ride right after it is another ride");
    world.work(&engine).await;
    assert_eq!(world.at(&sink), sorted(&[&mine, &next]));

    let (split, left) = engine.split(&world.user, &second.id).await.unwrap();
    assert_eq!((split.link, left.primary.id.clone(), left.others.len()), (None, first.id.clone(), 0));
    world.work(&engine).await;
    assert_eq!(world.at(&sink), sorted(&[&mine, &watch, &next]));
    assert!(read(&world, &engine, &first.id).await.linked.is_empty());
    let again = engine.split(&world.user, &second.id).await.unwrap_err();
    assert_eq!(again.failure().code, Code::NotLinked);

    // What was split stays so, also for a third recorder: it joins one of them.
    let third = import(&world, &engine, &file(&world, "third", 10, 3550.0)).await;
    assert!(third.link.is_some());
    assert_eq!(read(&world, &engine, &second.id).await.link, None);
    assert_eq!(read(&world, &engine, &first.id).await.link, None);
}

#[tokio::test]
async fn across_midnight_and_across_inlets() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let eighteen_hours = 18 * 3600;
    let usb = file(&world, "usb", eighteen_hours - 60, 3600.0);
    let first = import(&world, &engine, &usb).await;
    world.work(&engine).await;
    let cloud = file(&world, "cloud", eighteen_hours + 60, 3600.0);
    world.source.upload(&world.account, FakeRide { bytes: cloud, ..FakeRide::generated(7) });
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let ride = world.ride(&engine, &source, 7).await;
    assert_eq!(ride.link.map(|link| link.to), Some(first.id));
    assert_eq!(world.at(&sink), sorted(&[&usb]));
}

#[tokio::test]
async fn two_of_a_household_on_their_own_ways_are_two_rides() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let files = [("mine", 0.0), ("hers", 5000.0), ("my watch", 80.0)].map(|(name, metre)| {
        let bytes = file(&world, name, 0, 3600.0);
        world.scanner.place(&bytes, metre);
        bytes
    });
    let mut rides = Vec::new();
    for bytes in &files {
        rides.push(import(&world, &engine, bytes).await);
        world.work(&engine).await;
    }
    assert_eq!((&rides[0].link, &rides[1].link), (&None, &None));
    assert_eq!(rides[2].link.as_ref().map(|link| &link.to), Some(&rides[0].id));
    assert_eq!(world.at(&sink), sorted(&[&files[0], &files[1]]));
    let suggested = engine.duplicates(&world.user).await.unwrap().suggestions;
    assert!(!suggested.is_empty(), "the rider may know better");
}

#[tokio::test]
async fn where_nothing_was_sent_yet_the_better_file_stands_for_the_ride() {
    let world = World::new();
    let engine = world.engine("a");
    let (poor, good) = (file(&world, "poor", 0, 3600.0), file_of(&world, "good", 30, 3600.0, Some("aa")));
    let first = import(&world, &engine, &poor).await;
    let second = import(&world, &engine, &good).await;
    assert_eq!(second.link, None);
    assert_eq!(second.linked, std::slice::from_ref(&first.id));
    assert_eq!(read(&world, &engine, &first.id).await.link.map(|link| link.to), Some(second.id));
    let sink = world.connect_sink(&engine, "s", None).await;
    world.work(&engine).await;
    assert_eq!(world.at(&sink), sorted(&[&good]));
}

#[tokio::test]
async fn what_waits_is_taken_back_for_the_better_file_and_what_was_sent_first_stays() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let (poor, good) = (file(&world, "poor", 0, 3600.0), file_of(&world, "good", 30, 3600.0, Some("aa")));
    let first = import(&world, &engine, &poor).await;
    import(&world, &engine, &good).await;
    world.work(&engine).await;
    assert_eq!(world.at(&sink), sorted(&[&good]));
    let states: Vec<_> =
        world.deliveries(&engine, &sink).await.into_iter().map(|one| (one.activity, one.state)).collect();
    let back = DeliveryState::Withdrawn { because: Withdrawal::Linked };
    assert!(states.contains(&(first.id.clone(), back)), "{states:?}");
    // The rider takes it out again: it is sent after all.
    engine.split(&world.user, &first.id).await.unwrap();
    world.work(&engine).await;
    assert_eq!(world.at(&sink), sorted(&[&poor, &good]));
    assert!(world.deliveries(&engine, &sink).await.iter().all(|one| is_delivered(&one.state)));
}

#[tokio::test]
async fn the_rider_links_what_no_rule_would() {
    let world = World::new();
    let engine = world.engine("a");
    let files: Vec<_> =
        [("a", 0), ("b", 100_000), ("c", 200_000)].map(|(name, at)| file(&world, name, at, 3600.0)).into();
    let mut ids = Vec::new();
    for bytes in &files {
        ids.push(import(&world, &engine, bytes).await.id);
    }
    let alone = engine.link(&world.user, &ids[..1]).await.unwrap_err();
    assert_eq!(alone.failure().code, Code::LinkNeedsTwo);
    let group = engine.link(&world.user, &[ids[2].clone(), ids[0].clone()]).await.unwrap();
    assert_eq!(group.primary.id, ids[2], "the first named, where nothing was sent");
    assert_eq!(group.others[0].link.as_ref().map(|link| link.why), Some(LinkReason::Rider));
    let events = engine.events(&world.user, None, None, 10).await.unwrap().0;
    let linked = EventKind::Linked { activity: ids[2].clone(), others: vec![ids[0].clone()] };
    assert!(events.iter().any(|event| event.kind == linked), "{events:?}");
    let again = engine.link(&world.user, &[ids[0].clone(), ids[0].clone()]).await.unwrap_err();
    assert_eq!(again.failure().code, Code::LinkNeedsTwo, "also where it is linked already");
    let sink = world.connect_sink(&engine, "s", None).await;
    world.work(&engine).await;
    assert_eq!(world.at(&sink), sorted(&[&files[1], &files[2]]));
    // Both were sent: linking them changes what is known, not what is there.
    let group = engine.link(&world.user, &[ids[1].clone(), ids[0].clone()]).await.unwrap();
    assert_eq!(group.others.len(), 2);
    world.work(&engine).await;
    assert_eq!(world.at(&sink), sorted(&[&files[1], &files[2]]));
    // Without its primary the rest has another, which is at the sink already; split again, the last is sent.
    let (_, left) = engine.split(&world.user, &group.primary.id).await.unwrap();
    world.work(&engine).await;
    assert_eq!(left.others.len(), 1);
    engine.split(&world.user, &ids[0]).await.unwrap();
    world.work(&engine).await;
    assert_eq!(world.at(&sink), sorted(&[&files[0], &files[1], &files[2]]));
}

#[tokio::test]
async fn a_ride_that_came_back_as_other_bytes_is_not_sent_twice() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let first = world.connect_sink(&engine, "first", None).await;
    world.poll(&engine, &source).await;
    let before = world.files_of([1]);
    Archive::delete(&world.archive, &world.user, before[0]).await.unwrap();
    let other = Bytes::from_static(b"the same ride, made into a file anew");
    world.source.upload(&world.account, FakeRide { bytes: other.clone(), ..FakeRide::generated(1) });
    let later = world.connect_sink(&engine, "later", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&first), before, "it has the ride");
    assert_eq!(world.at(&later), sorted(&[&other]));
    assert_eq!(world.ride(&engine, &source, 1).await.earlier, before);
    // Neither a look at everything nor the same connection made anew takes it for a ride that is missing there.
    engine.begin_reconcile(&world.user, &source.id).await.unwrap();
    world.quiet(&engine).await;
    let report = world.connection(&engine, &source.id).await.doc.source().unwrap().report.clone().unwrap();
    assert_eq!(report.found.repaired, 0, "{:?}", report.found.notes);
    world.connect_sink(&engine, "first", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&first), before);
}

#[tokio::test]
async fn a_ride_that_came_back_as_its_first_bytes_again_is_not_sent_twice() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let first = FakeRide::generated(1);
    let other = FakeRide { bytes: Bytes::from_static(b"another file for a while"), ..FakeRide::generated(1) };
    let away = Outcome::Transient { failure: Code::SinkAway.into(), retry_after: None };
    world.sink.reply_always(Some(away));
    for version in [&first, &other, &first] {
        world.source.upload(&world.account, version.clone());
        world.poll(&engine, &source).await;
        // The archive loses it, so that it is fetched again.
        if version == &other {
            world.sink.reply_always(None);
            world.quiet(&engine).await;
        }
        if let Some(file) = world.ride(&engine, &source, 1).await.state.content() {
            Archive::delete(&world.archive, &world.user, file).await.unwrap();
        }
        engine.begin_reconcile(&world.user, &source.id).await.unwrap();
    }
    world.quiet(&engine).await;
    assert_eq!(world.ride(&engine, &source, 1).await.state.content(), Some(ContentId::of(&first.bytes)));
    assert_eq!(world.at(&sink), sorted(&[&other.bytes]));
}

/// What is true of any rider's rides, whatever happened.
async fn check(world: &World, engine: &Engine, count: usize) -> Vec<Activity> {
    let rides = world.rides(engine).await;
    assert_eq!(rides.len(), count, "nothing is lost");
    for ride in &rides {
        match &ride.link {
            Some(link) => {
                let primary = rides.iter().find(|other| other.id == link.to).expect("the primary is there");
                assert!(primary.link.is_none() && primary.linked.contains(&ride.id), "{ride:?} {primary:?}");
                assert!(ride.linked.is_empty());
            }
            None => {
                for other in &ride.linked {
                    let other = rides.iter().find(|ride| ride.id == *other).expect("it is there");
                    assert_eq!(other.primary(), &ride.id);
                }
            }
        }
    }
    rides
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// Starts within some minutes, lengths alike, some of one device.
fn recorders() -> impl Strategy<Value = Vec<(i64, u32, Option<u8>)>> {
    prop::collection::vec((0_i64..1200, 3000_u32..3600, prop::option::of(0_u8..3)), 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever order rides come in, they make the same groups, each with one primary, and that alone is sent.
    #[test]
    fn groups_do_not_depend_on_the_order(rides in recorders(), seed in any::<u64>(), late_sink in any::<bool>()) {
        let groups = |order: Vec<usize>| {
            let rides = rides.clone();
            runtime().block_on(async move {
                let world = World::new();
                let engine = world.engine("a");
                if !late_sink {
                    world.connect_sink(&engine, "s", None).await;
                }
                for index in &order {
                    let (start, elapsed, serial) = rides[*index];
                    let serial = serial.map(|serial| format!("aa{serial:02x}"));
                    let bytes = file_of(&world, &format!("ride {index}"), start, f64::from(elapsed), serial.as_deref());
                    import(&world, &engine, &bytes).await;
                    world.work(&engine).await;
                }
                let sink = world.connect_sink(&engine, "s", None).await;
                world.work(&engine).await;
                let known = check(&world, &engine, order.len()).await;
                let primaries: Vec<_> = known.iter().filter(|ride| ride.link.is_none()).collect();
                let sent = world.at(&sink);
                assert!(primaries.iter().all(|ride| sent.contains(&ride.state.content().unwrap())));
                let mut groups: Vec<_> = primaries
                    .iter()
                    .map(|ride| {
                        let mut group: Vec<_> = ride.linked.iter().chain([&ride.id]).cloned().collect();
                        group.sort();
                        (group, late_sink.then(|| ride.id.clone()))
                    })
                    .collect();
                groups.sort();
                if late_sink {
                    assert_eq!(sent.len(), groups.len(), "one of each group");
                }
                groups
            })
        };
        let forward: Vec<usize> = (0..rides.len()).collect();
        let mut shuffled = forward.clone();
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        let ids = |groups: Vec<(Vec<ActivityId>, Option<ActivityId>)>| -> Vec<_> {
            groups.into_iter().map(|(group, _)| group).collect()
        };
        prop_assert_eq!(ids(groups(forward)), ids(groups(shuffled)));
    }

    /// Split undoes link, whatever was linked.
    #[test]
    fn split_undoes_link(count in 2_usize..6, chosen in prop::collection::btree_set(0_usize..6, 2..5), sent in any::<bool>()) {
        runtime().block_on(async move {
            let world = World::new();
            let engine = world.engine("a");
            if sent {
                world.connect_sink(&engine, "s", None).await;
            }
            let mut files = Vec::new();
            let mut ids = Vec::new();
            for at in 0..count {
                let bytes = file(&world, &format!("ride {at}"), 100_000 * i64::try_from(at).unwrap(), 3600.0);
                ids.push(import(&world, &engine, &bytes).await.id);
                files.push(bytes);
            }
            world.work(&engine).await;
            let chosen: Vec<_> = chosen.into_iter().filter(|at| *at < count).map(|at| ids[at].clone()).collect();
            if chosen.len() < 2 {
                return;
            }
            engine.link(&world.user, &chosen).await.unwrap();
            check(&world, &engine, count).await;
            for id in &chosen[1..] {
                engine.split(&world.user, id).await.unwrap();
                check(&world, &engine, count).await;
            }
            let rides = check(&world, &engine, count).await;
            assert!(rides.iter().all(|ride| ride.link.is_none() && ride.linked.is_empty()), "{rides:?}");
            let sink = world.connect_sink(&engine, "s", None).await;
            world.work(&engine).await;
            assert_eq!(world.at(&sink), sorted(&files.iter().collect::<Vec<_>>()), "each is sent, once");
        });
    }
}

#[tokio::test]
async fn of_linked_rides_whose_answers_were_lost_one_is_sent() {
    let world = World { sink: FakeSink::forgetful(), ..World::new() };
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let files = [("a", 0), ("b", 100_000)].map(|(name, at)| file(&world, name, at, 3600.0));
    let lost = Outcome::Unknown(Code::SinkUnknownOutcome.into());
    world.sink.reply_always(Some(lost));
    let mut ids = Vec::new();
    for bytes in &files {
        ids.push(import(&world, &engine, bytes).await.id);
    }
    world.work(&engine).await;
    let group = engine.link(&world.user, &ids).await.unwrap();
    world.sink.reply_always(None);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), [group.primary.state.content().unwrap()]);
}

#[tokio::test]
async fn many_rides_with_many_sinks_are_linked_at_once() {
    let world = World::new();
    let engine = world.engine("a");
    let mut sinks = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        sinks.push(world.connect_sink(&engine, name, None).await);
    }
    world.sink.reply_always(Some(Outcome::Transient { failure: Code::SinkAway.into(), retry_after: None }));
    let mut ids = Vec::new();
    for at in 0..12 {
        let bytes = file(&world, &format!("ride {at}"), 100_000 * at, 3600.0);
        ids.push(import(&world, &engine, &bytes).await.id);
    }
    world.work(&engine).await;
    let group = engine.link(&world.user, &ids).await.unwrap();
    world.sink.reply_always(None);
    let open = |state: &DeliveryState| state.is_open();
    for sink in &sinks {
        let left: Vec<_> = world.deliveries(&engine, sink).await;
        assert_eq!(left.iter().filter(|one| open(&one.state)).count(), 1, "the others are taken back");
    }
    world.quiet(&engine).await;
    for sink in &sinks {
        assert_eq!(world.at(sink), [group.primary.state.content().unwrap()]);
    }
}

/// A ride whose first answer was lost, and which waits for its sink to be connected again with other bytes by then.
async fn replaced_while_blocked(world: &World, reply: Reply) -> (Engine, Connection, Bytes) {
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.sink.reply_next(reply);
    world.poll(&engine, &source).await;
    world.sink.reply_next(Reply::Say(Outcome::NeedsReauth(Code::SinkReconnect.into())));
    world.quiet(&engine).await;
    let delivery = world.delivery(&engine, &sink).await;
    assert!(delivery.maybe_there && delivery.state.name() == "blocked", "{delivery:?}");
    let other = Bytes::from_static(b"the same ride, made into a file anew");
    world.source.upload(&world.account, FakeRide { bytes: other.clone(), ..FakeRide::generated(1) });
    (engine, sink, other)
}

async fn lose_and_fetch_again(world: &World, engine: &Engine, sink: &Connection) {
    let file = world.delivery(engine, sink).await.content;
    Archive::delete(&world.archive, &world.user, file).await.unwrap();
    let source = engine.find_connection(&world.user, "igpsport").await.unwrap().doc;
    engine.begin_reconcile(&world.user, &source.id).await.unwrap();
    world.quiet(engine).await;
    world.connect_sink(engine, "s", None).await;
    world.quiet(engine).await;
}

#[tokio::test]
async fn a_ride_whose_answer_was_lost_and_whose_bytes_changed_gets_there_once() {
    let lost = || Outcome::Unknown(Code::SinkUnknownOutcome.into());
    for (arrived, can_be_asked) in [(false, true), (true, true), (false, false)] {
        let world = World::new();
        let reply = if arrived { Reply::CommitThen(lost()) } else { Reply::Say(lost()) };
        let (engine, sink, other) = replaced_while_blocked(&world, reply).await;
        if !can_be_asked {
            world.sink.fail_next_probe(SinkError::unsupported("it cannot be asked"));
        }
        lose_and_fetch_again(&world, &engine, &sink).await;
        let there = world.at(&sink);
        if arrived {
            assert_eq!(there, [ContentId::of(&FakeRide::generated(1).bytes)]);
        } else {
            assert_eq!(there, [ContentId::of(&other)], "can be asked: {can_be_asked}");
        }
    }
}

#[tokio::test]
async fn a_sink_that_knows_repeats_gets_the_file_again_that_it_may_have() {
    let world = World::new();
    let lost = Outcome::Unknown(Code::SinkUnknownOutcome.into());
    let (engine, sink, _) = replaced_while_blocked(&world, Reply::CommitThen(lost)).await;
    let first = world.delivery(&engine, &sink).await;
    world.sink.fail_next_probe(SinkError::unsupported("it cannot be asked"));
    engine.resync(&world.user, &first.activity, &[ConnectionId::new("elsewhere").unwrap()], true).await.unwrap();
    world.quiet(&engine).await;
    world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), [first.content], "and not the other one");
}
