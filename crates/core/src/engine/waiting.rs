//! What still waits, for exit codes and `status`.

use jiff::Timestamp;

use super::{Engine, EngineError, sweep::EVERYTHING};
use crate::{
    domain::{Activity, Connection, Delivery, OwnerId, Shard},
    ports::Due,
};

/// What still waits for something in a shard: for exit codes and status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waiting {
    /// Rides that have no file yet.
    pub rides: Vec<Activity>,
    /// Deliveries that are not done.
    pub deliveries: Vec<Delivery>,
    /// Connections with a backfill, or rides that wait to be woken, that go on.
    pub connections: Vec<Connection>,
    /// How many of the rides and deliveries another process has in hand, which lives.
    pub elsewhere: usize,
}

impl Engine {
    /// Everything that is open, however late it is due: what a pass could not finish.
    pub async fn waiting(&self, shard: Shard) -> Result<Waiting, EngineError> {
        let rows = self.due_rows(shard, Timestamp::MAX, EVERYTHING).await?;
        let (mut waiting, now) = (Waiting::default(), self.now());
        let is_elsewhere = |due: Option<&Due>| {
            let claim = due.filter(|due| due.at > now).and_then(|due| due.claim.as_ref());
            claim.is_some_and(|claim| claim.owner != self.owner && !self.ports.ledger.is_gone(&claim.owner))
        };
        let (mut rides, mut deliveries, mut connections) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            match row.key.path.split_once('/').map(|(kind, _)| kind) {
                Some("activity") => rides.push(row.key),
                Some("delivery") => deliveries.push(row.key),
                Some("connection") => connections.push(row.key),
                _ => {}
            }
        }
        for stored in self.store.read_many::<Activity>(&rides).await?.into_iter().flatten() {
            if stored.doc.state.stage().is_some() {
                waiting.elsewhere += usize::from(is_elsewhere(stored.due.as_ref()));
                waiting.rides.push(stored.doc);
            }
        }
        for stored in self.store.read_many::<Delivery>(&deliveries).await?.into_iter().flatten() {
            if stored.doc.state.is_open() {
                waiting.elsewhere += usize::from(is_elsewhere(stored.due.as_ref()));
                waiting.deliveries.push(stored.doc);
            }
        }
        for stored in self.store.read_many::<Connection>(&connections).await?.into_iter().flatten() {
            if stored.due.is_some() && stored.doc.has_work() {
                waiting.connections.push(stored.doc);
            }
        }
        Ok(waiting)
    }

    /// The name this engine's claims carry.
    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }
}
