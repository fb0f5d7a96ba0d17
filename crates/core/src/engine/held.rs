//! Rides that wait for the rider's word.

use super::{Engine, EngineError, baseline::held_failure};
use crate::{
    domain::{Delivery, DeliveryState, HeldReason, UserId},
    store::Stored,
};

/// What the rider says about a held delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Send it all the same.
    Send,
    /// Leave it; it is never sent.
    Skip,
}

impl Engine {
    /// A rider's deliveries that wait for a word.
    pub async fn held(&self, user: &UserId) -> Result<Vec<Stored<Delivery>>, EngineError> {
        let mut all = self.store.all::<Delivery>(user, "delivery/").await?;
        all.retain(|stored| matches!(stored.doc.state, DeliveryState::Held { .. }));
        Ok(all)
    }

    /// Takes the rider's word for one of them; `false` when it no longer waits.
    pub async fn say(&self, held: &Stored<Delivery>, word: Word) -> Result<bool, EngineError> {
        if !matches!(held.doc.state, DeliveryState::Held { .. }) {
            return Ok(false);
        }
        let mut told = held.doc.clone();
        told.updated_at = self.now();
        let due = match word {
            Word::Send => {
                told.send_anyway = true;
                told.state = DeliveryState::Pending;
                Some(self.handed_over(&told.user, told.updated_at))
            }
            Word::Skip => {
                told.state = DeliveryState::Skipped;
                None
            }
        };
        let said = self.save(held, &told, due).await?;
        if said {
            self.hand_over_deliveries(vec![told]).await;
        }
        Ok(said)
    }
}

/// The failure by which a held delivery is explained.
pub fn explain(reason: &HeldReason) -> crate::Failure {
    match reason {
        HeldReason::Elsewhere { route, remote_id } => held_failure(&format!("{route} {remote_id}")),
    }
}
