//! The operator's stop.

use fitbridge_core::Code;

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
