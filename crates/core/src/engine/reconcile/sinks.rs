//! Comparing what was delivered with what a sink has, where it can be listed.

use std::{collections::HashSet, sync::Arc};

use super::{Engine, EngineError, Reconciled};
use crate::{
    domain::{Connection, ConnectionId, Delivery, DeliveryState, Reconcile, ReconcilePlace, RemoteId},
    store::Stored,
};

/// Deliveries that are looked at with one read.
const PAGE: usize = 200;

impl Engine {
    /// One sink; behind the last comes the end.
    pub(super) async fn sinks_step(
        &self,
        source: Stored<Connection>,
        mut step: Reconcile,
        after: Option<ConnectionId>,
    ) -> Result<Reconciled, EngineError> {
        let sinks = self.active_sinks(&source.doc).await?;
        let next = sinks.into_iter().find(|sink| after.as_ref().is_none_or(|after| sink.id > *after));
        step.place = match next {
            Some(sink) => {
                self.compare(&sink, &mut step).await?;
                ReconcilePlace::Sinks { after: Some(sink.id) }
            }
            None => ReconcilePlace::End,
        };
        self.keep_place(source, step, self.now()).await?;
        Ok(Reconciled::Step)
    }

    /// One listing of what the sink has. What was delivered and is not there any more is told: the rider may
    /// have deleted it there.
    async fn compare(&self, sink: &Connection, step: &mut Reconcile) -> Result<(), EngineError> {
        let Some(adapter) = self.ports.sinks.get(&sink.account.service).map(Arc::clone) else { return Ok(()) };
        if !adapter.is_readable() || self.sink_waits(&sink.user, &sink.id, self.now()).is_some() {
            return Ok(());
        }
        // Deliveries that are done after the listing cannot be in it.
        let listed_at = self.now();
        let target = self.open_sink(sink).await?;
        let there = match self.list_all(&*adapter, &target).await {
            Ok(rides) => rides.into_iter().map(|ride| ride.remote_id).collect::<HashSet<RemoteId>>(),
            Err(error) => {
                let why = error.failure();
                step.found.note(format!("what {} has could not be listed: {why}", sink.name));
                return Ok(());
            }
        };
        let prefix = format!("delivery/{}/", sink.id);
        let mut after = None::<String>;
        loop {
            let (page, next) = self.store.page::<Delivery>(&sink.user, &prefix, after.as_deref(), PAGE).await?;
            for delivery in &page {
                let DeliveryState::Delivered { remote_id: Some(id), at, .. } = &delivery.doc.state else { continue };
                if *at < listed_at && !there.contains(id) {
                    step.found.missing += 1;
                    let ride = delivery.doc.rider_id();
                    step.found.note(format!("gone at {}: ride {ride}, delivered as {id}", sink.name));
                }
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
