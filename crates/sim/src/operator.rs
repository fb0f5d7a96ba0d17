//! What the operator does: stops everything for a while, and rests a rider.

use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering};

use fitbridge_core::{Engine, domain::UserId, engine::EngineError};

use crate::{
    clockwork::{HOUR, MINUTE, lock},
    workers::{Plan, engine},
    world::{Mortal, Process, World},
};

/// The operator's day. What was stopped goes on when nothing goes wrong any more.
pub(crate) async fn operator(world: Arc<World>, riders: Vec<UserId>, plan: Plan) {
    let hand = Hand { world: Arc::clone(&world), plan, lives: AtomicU64::new(0) };
    while world.trouble.is_on() {
        world.clockwork.sleep(world.clockwork.between(10 * MINUTE, 4 * HOUR)).await;
        if !world.trouble.is_on() {
            return;
        }
        let rider = world.clockwork.pick(&riders).cloned();
        let while_ms = world.clockwork.between(5 * MINUTE, 2 * HOUR);
        match (world.clockwork.below(4), rider) {
            (0, _) => {
                // It may stand from the moment it is asked for; it certainly stands when that was answered.
                hand.does("halt", async |engine| engine.halt("in the simulation").await.map(drop)).await;
                *lock(&world.halted_at) = Some(world.now_ms());
                world.clockwork.sleep(while_ms).await;
                *lock(&world.halted_at) = None;
                hand.does("go on", async |engine| engine.go_on().await.map(drop)).await;
            }
            (1, Some(rider)) => {
                hand.does("pause", async |engine| engine.pause_rider(&rider).await.map(drop)).await;
                world.clockwork.sleep(while_ms).await;
                hand.does("resume", async |engine| engine.resume_rider(&rider).await.map(drop)).await;
            }
            _ => {}
        }
    }
}

struct Hand {
    world: Arc<World>,
    plan: Plan,
    lives: AtomicU64,
}

impl Hand {
    /// Does something, again and again until it is done or refused; each time by a process that may die.
    async fn does(&self, what: &str, act: impl AsyncFn(&Engine) -> Result<(), EngineError>) {
        loop {
            let life = self.lives.fetch_add(1, Ordering::Relaxed);
            let process = Arc::new(Process::new(&self.world, "operator", life, false));
            let engine = engine(&process, &self.plan);
            let done = Mortal::new(&process, act(&engine)).await;
            process.tell(|| format!("wants to {what}: {done:?}"));
            match done {
                Some(Ok(()) | Err(EngineError::Refused(_))) => return,
                Some(Err(_)) => {}
                None => self.world.ledger.kill(&process.owner),
            }
            self.world.clockwork.sleep(MINUTE).await;
        }
    }
}
