//! Finding new rides: idle polls, walks, and lists that change meanwhile.

use fitbridge_core::{
    domain::{ActivityState, ListedFacts, RideId, RowProblem},
    engine::Poll,
    ports::{Ledger, Scope},
    testkit::{FakeRide, SourceCall, SourceVerb},
};

use crate::world::World;

fn lists(calls: &[SourceCall]) -> usize {
    calls.iter().filter(|call| call.verb() == SourceVerb::List).count()
}

fn resolved(calls: &[SourceCall]) -> Vec<u64> {
    let ride = |call: &SourceCall| match call {
        SourceCall::Resolve { ride, .. } => Some(ride.0),
        _ => None,
    };
    calls.iter().filter_map(ride).collect()
}

#[tokio::test]
async fn an_idle_poll_is_one_request_and_no_write() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..6);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.connect_sink(&engine, "s", None).await;
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    for _ in 0..3 {
        world.pass_minutes(5);
        world.source.take_calls();
        world.ledger.take_writes();
        assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
        let calls = world.source.take_calls();
        assert_eq!(calls, [SourceCall::List { account: world.account.clone(), page: 1 }]);
        assert_eq!(world.ledger.take_writes(), (0, vec![]));
    }
}

#[tokio::test]
async fn an_empty_list_is_idle_too() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    world.source.take_calls();
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
    assert_eq!(lists(&world.source.take_calls()), 1);
}

#[tokio::test]
async fn three_pages_are_walked_and_every_ride_arrives_once() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..51);
    let mut again = FakeRide::generated(30);
    again.twice = true;
    world.source.upload(&world.account, again);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let Poll::Walked { new, filtered, undecodable } = world.poll(&engine, &source).await else { panic!("no walk") };
    assert_eq!((new.len(), filtered, undecodable), (20, 0, 0), "a first helping; 30 wait on the backlog");
    assert_eq!(resolved(&world.source.take_calls()).len(), 50);
    assert_eq!(world.at(&sink), world.files_of(1..51));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle, "a row that stands twice does not keep it walking");
}

#[tokio::test]
async fn new_rides_cost_a_detail_call_each_and_known_ones_none() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..30);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.source.upload_many(&world.account, 30..34);
    world.source.take_calls();
    let Poll::Walked { new, .. } = world.poll(&engine, &source).await else { panic!("no walk") };
    assert_eq!(new.len(), 4);
    let mut asked = resolved(&world.source.take_calls());
    asked.sort_unstable();
    assert_eq!(asked, [30, 31, 32, 33]);
    assert_eq!(world.at(&sink), world.files_of(1..34));
}

#[tokio::test]
async fn rows_that_shift_while_paging_lose_nothing() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..51);
    for page in 1..3 {
        let id = 100 + u64::from(page);
        world.source.upload_after_page(&world.account, page, FakeRide::generated(id));
    }
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of((1..51).chain([101, 102])));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
}

#[tokio::test]
async fn a_list_that_never_stands_still_is_walked_again_by_the_next_poll() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..51);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    for (turn, page) in (0..9).zip([1, 2].into_iter().cycle()) {
        // Each walk sees pages 1 and 2 served once, and page 1 once more when it begins again.
        world.source.upload_after_page(&world.account, page, FakeRide::generated(200 + turn));
    }
    world.source.upload_after_page(&world.account, 3, FakeRide::generated(300));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    for _ in 0..3 {
        world.poll(&engine, &source).await;
    }
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
    assert_eq!(world.rides(&engine).await.len(), 50 + 10);
}

#[tokio::test]
async fn a_late_upload_far_down_the_list_is_found() {
    let world = World::new();
    world.source.upload_many(&world.account, 100..150);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.source.upload(&world.account, FakeRide::generated(7));
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of((100..150).chain([7])));
}

#[tokio::test]
async fn a_deleted_ride_leaves_the_next_polls_idle_and_its_file_where_it_is() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..31);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    let files = world.at(&sink);
    world.source.delete(&world.account, RideId(3));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
    assert_eq!(world.at(&sink), files);
    assert!(matches!(world.state(&engine, &source, 3).await, ActivityState::Fetched { .. }));
}

#[tokio::test]
async fn a_deletion_together_with_a_late_upload_is_found_in_the_night() {
    let world = World::new();
    world.source.upload_many(&world.account, 100..150);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    // Neither is on page 1, and the count stays: nothing shows.
    world.source.delete(&world.account, RideId(101));
    world.source.upload(&world.account, FakeRide::generated(7));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
    world.pass_minutes(24 * 60);
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle, "it begins the nightly reconcile");
    assert!(world.at(&sink).contains(&world.files_of([7])[0]));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
}

#[tokio::test]
async fn a_row_that_cannot_be_decoded_costs_no_other_and_no_idle_poll() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..31);
    let problem = RowProblem { digest: "d1".into(), reason: "no ride id".into() };
    world.source.add_problem(&world.account, problem.clone());
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let Poll::Walked { undecodable, .. } = world.poll(&engine, &source).await else { panic!("no walk") };
    assert_eq!(undecodable, 1);
    let stored = world.connection(&engine, &source.id).await;
    assert_eq!(stored.doc.source().unwrap().problems, [problem]);
    assert_eq!(world.at(&sink), world.files_of(1..31));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
}

#[tokio::test]
async fn a_ride_without_a_date_is_taken() {
    let world = World::new();
    world.source.upload(&world.account, FakeRide { facts: ListedFacts::default(), ..FakeRide::generated(1) });
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn records_lie_with_their_rider_only() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let other = Scope::User(fitbridge_core::domain::UserId::new("other").unwrap());
    assert!(world.ledger.range(&other, "", None, 10).await.unwrap().records.is_empty());
    let sink = world.connect_sink(&engine, "s", None).await;
    world.work(&engine).await;
    assert_eq!(world.at(&sink).len(), 2);
}
