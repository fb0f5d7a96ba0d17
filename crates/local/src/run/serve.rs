//! The loop on one machine: tick, poll and deliver until told to stop.

use std::{future::Future, time::Duration};

use fitbridge_core::{
    Code,
    domain::Shard,
    engine::{Eagerness, EngineError},
};

use super::Lanes;

/// How often due work is looked for between the ticks of whole minutes.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long a stop waits for what has begun.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a stop left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Jobs that were finished while stopping.
    pub finished: usize,
    /// Jobs that were given back: they are in the ledger, and whoever runs next has them at once.
    pub released: usize,
}

/// Serves until `stop` comes: a tick each minute of the engine's clock, due work each second. A ledger that
/// fails is tried again, unless it is corrupt.
pub async fn serve(lanes: &mut Lanes, stop: impl Future<Output = ()>) -> Result<Served, EngineError> {
    let engine = std::sync::Arc::clone(lanes.engine());
    let shards = engine.policy().shards.max(1);
    let mut beat = tokio::time::interval(SWEEP_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut last_minute, mut halted) = (None, false);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = beat.tick() => {
                let minute = engine.now().as_second().div_euclid(60);
                match engine.halted().await {
                    Ok(now) if now.is_some() != halted => {
                        halted = now.is_some();
                        let said = if halted { "the operator has stopped everything: nobody is asked anything" } else { "the operator goes on" };
                        tracing::warn!("{said}");
                    }
                    Ok(_) => {}
                    // What follows meets the same ledger, and says it.
                    Err(error) => tracing::debug!(%error, "whether there is a stop cannot be read"),
                }
                if halted {
                    continue;
                }
                // Also after a stop that came and went between two looks.
                lanes.go_on();
                for shard in (0..shards).map(Shard) {
                    // A clock that jumped (a laptop that slept, or one that was set) just makes this another minute.
                    let handed = if last_minute == Some(minute) {
                        engine.sweep(shard, Eagerness::Due).await.map(drop)
                    } else {
                        engine.tick(shard).await.map(drop)
                    };
                    if let Err(error) = handed {
                        let failure = error.failure();
                        if failure.code == Code::LedgerCorrupt {
                            // No later try mends that, and the rider should see it.
                            lanes.stop(Duration::ZERO).await;
                            return Err(error);
                        }
                        tracing::error!(code = %failure.code, "the tick failed and is tried again: {failure}");
                    }
                }
                last_minute = Some(minute);
            }
            () = lanes.step() => {
                lanes.take_failures();
            }
        }
    }
    let (finished, released) = lanes.stop(PATIENCE).await;
    // Whoever served tells the rider.
    tracing::debug!(finished, released, "stopped: {finished} jobs finished, {released} left for the next run");
    Ok(Served { finished, released })
}
