//! The operator's stop: one record, read by whoever begins a tick, a batch, a job in this process, or something that
//! a person asked for.

use super::{Engine, EngineError, contended};
use crate::{
    Code, Failure,
    ports::Key,
    store::{Halt, Stored},
};

/// How often a change is tried again when somebody else changes the same record.
const TRIES: usize = 5;

impl Engine {
    /// The operator's stop, if there is one. Whoever begins work asks first.
    pub async fn halted(&self) -> Result<Option<Halt>, EngineError> {
        if planted!(self, HaltIgnored) {
            return Ok(None);
        }
        Ok(self.store.read::<Halt>(&Key::halt()).await?.map(|stored| stored.doc))
    }

    /// Refuses where the operator has stopped everything; for what people ask for directly.
    pub async fn refuse_when_halted(&self) -> Result<(), EngineError> {
        match self.halted().await? {
            Some(halt) => {
                Err(Failure::new(Code::Stopped, format!("since {:.0} {}", halt.since, halt.note).trim()).into())
            }
            None => Ok(()),
        }
    }

    /// Stops everything: what has begun is finished, and nothing more is begun, by any process (on AWS once the batches
    /// and the tick under way have ended). One that
    /// stands stays as it is. The second value is whether this call made it.
    pub async fn halt(&self, note: &str) -> Result<(Halt, bool), EngineError> {
        for _ in 0..TRIES {
            if let Some(halt) = self.halted().await? {
                return Ok((halt, false));
            }
            // Bounded and printable, as a failure's detail.
            let halt = Halt { since: self.now(), note: Failure::new(Code::Stopped, note).detail };
            if self.store.commit(vec![self.store.create(&halt, None, None)?]).await? {
                return Ok((halt, true));
            }
        }
        Err(contended("the stop"))
    }

    /// Goes on. `None` when nothing was stopped, else the stop that is over. Polls of the time between, up
    /// to an hour, are made up for by one tick.
    pub async fn go_on(&self) -> Result<Option<Halt>, EngineError> {
        for _ in 0..TRIES {
            let stored: Option<Stored<Halt>> = self.store.read(&Key::halt()).await?;
            let Some(stored) = stored else { return Ok(None) };
            if self.store.commit(vec![stored.delete()]).await? {
                return Ok(Some(stored.doc));
            }
        }
        Err(contended("the stop"))
    }
}
