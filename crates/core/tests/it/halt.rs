//! The operator's stop.

use fitbridge_core::{Code, engine::Poll};

use crate::world::{SHARD, World};

#[tokio::test]
async fn while_stopped_a_tick_hands_nothing_over_and_afterwards_nothing_is_missing() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    let engine = world.engine("a");
    world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let (halt, made) = engine.halt("trying\tit").await.unwrap();
    assert_eq!((halt.note.as_str(), made), ("trying it", true));
    world.source.take_calls();
    for _ in 0..10 {
        world.pass_minutes(1);
        let tick = world.engine("b").tick(SHARD).await.unwrap();
        assert_eq!((tick.polls, tick.due), (0, 0), "another process obeys too");
    }
    assert!(world.queue.take().is_empty());
    assert!(world.source.take_calls().is_empty());
    let again = engine.halt("other words").await.unwrap();
    assert_eq!(again, (halt.clone(), false), "a stop that stands keeps its time and words");
    assert_eq!(engine.refuse_when_halted().await.unwrap_err().failure().code, Code::Stopped);

    assert_eq!(engine.go_on().await.unwrap(), Some(halt));
    assert_eq!(engine.go_on().await.unwrap(), None);
    engine.refuse_when_halted().await.unwrap();
    assert!(engine.tick(SHARD).await.unwrap().polls > 0);
    world.drain(&engine).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..4));
}

#[tokio::test]
async fn a_long_list_is_left_in_its_middle_and_read_on_afterwards() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..101);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.source.take_calls();
    // As if the stop came just after the poll had begun.
    engine.halt("").await.unwrap();
    let poll = engine.poll(&source.user, &source.id).await.unwrap();
    assert!(matches!(poll, Poll::GoesOn { .. }), "{poll:?}");
    assert_eq!(world.source.take_calls().len(), 2, "of five pages");
    engine.go_on().await.unwrap();
    while matches!(engine.poll(&source.user, &source.id).await.unwrap(), Poll::GoesOn { .. }) {}
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..101));
}
