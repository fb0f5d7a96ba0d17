//! Deliveries whose ride changed after an attempt: it was forgotten, linked, or has another file, or its file was lost.

use super::{Delivered, Engine, EngineError, archive_failure, outcome::Wait};
use crate::{
    domain::{Activity, ActivityState, Connection, Delivery, DeliveryState, Origin, Withdrawal},
    ports::{ArchiveError, Found, Job, Resend, Sink, SinkError, SinkTarget, Task},
    store::Stored,
};

impl Engine {
    /// Ends a claimed delivery that is not to be sent any more. What may have arrived is asked after, never sent: so it
    /// is known whether the sink has the ride. `None` where it is to be sent all the same: of two files of one ride
    /// exactly one is to arrive, and a sink that cannot be asked but knows repeats gets the one that it may have.
    pub(super) async fn end_unwanted(
        &self,
        (claimed, before): (&Stored<Delivery>, &DeliveryState),
        connection: &mut Stored<Connection>,
        adapter: &dyn Sink,
        target: &SinkTarget,
        because: Withdrawal,
    ) -> Result<Option<Delivered>, EngineError> {
        if !claimed.doc.maybe_there {
            return self.take_back(claimed, connection, because, false).await.map(Some);
        }
        match adapter.probe(target, &claimed.doc.about).await {
            Ok(Found::There { remote_id }) => {
                let there = crate::ports::Outcome::AlreadyThere { remote_id };
                self.conclude(claimed, before, connection, there).await.map(Some)
            }
            Ok(Found::NotThere) => self.take_back(claimed, connection, because, false).await.map(Some),
            Err(SinkError::Unsupported(_)) if because != Withdrawal::Replaced => {
                self.take_back(claimed, connection, because, true).await.map(Some)
            }
            Err(SinkError::Unsupported(_)) if adapter.resend() == Resend::Repeat => Ok(None),
            Err(error) => self.conclude(claimed, before, connection, error.into_outcome()).await.map(Some),
        }
    }

    /// Takes a claimed delivery back; where its ride has another file, that one goes to the sink now.
    async fn take_back(
        &self,
        claimed: &Stored<Delivery>,
        sink: &Stored<Connection>,
        because: Withdrawal,
        maybe_there: bool,
    ) -> Result<Delivered, EngineError> {
        let back = claimed.clone();
        let back = Stored { doc: Delivery { maybe_there, ..back.doc }, ..back };
        self.shelve(&back, DeliveryState::Withdrawn { because }).await?;
        if because == Withdrawal::Replaced {
            self.send_instead(&claimed.doc, sink).await?;
        }
        Ok(Delivered::Skipped)
    }

    /// Begins the delivery of the file that a ride has now. Where this dies, or somebody changes the ride meanwhile, the
    /// next reconcile finds it lacking.
    async fn send_instead(&self, earlier: &Delivery, sink: &Stored<Connection>) -> Result<(), EngineError> {
        let Some(ride) = self.store.activity(&earlier.user, &earlier.activity).await? else { return Ok(()) };
        if ride.doc.link.is_some() {
            return Ok(());
        }
        let (mut writes, made) = self.deliveries_of(&ride.doc, std::slice::from_ref(sink), false).await?;
        writes.push(ride.unchanged());
        if self.store.commit(writes).await? {
            self.hand_over_deliveries(made).await;
        }
        Ok(())
    }

    /// The archive lost the file: a ride from the cloud is fetched again, an imported one cannot be. One that the ride
    /// had before is not looked for: the sink gets the one that it has now.
    pub(super) async fn file_lost(
        &self,
        claimed: &Stored<Delivery>,
        before: &DeliveryState,
        sink: &Stored<Connection>,
        error: ArchiveError,
    ) -> Result<Delivered, EngineError> {
        let failure = archive_failure(&error);
        if matches!(error, ArchiveError::Full(_) | ArchiveError::Unavailable(_)) {
            return self.retry(claimed, before, failure, Wait::AtLeast(None)).await;
        }
        let activity = self.store.activity(&claimed.doc.user, &claimed.doc.activity).await?;
        if activity.as_ref().and_then(|ride| claimed.doc.unwanted(&ride.doc)) == Some(Withdrawal::Replaced) {
            return self.take_back(claimed, sink, Withdrawal::Replaced, false).await;
        }
        let Some(activity) = activity.filter(|activity| matches!(activity.doc.origin, Origin::Cloud { .. })) else {
            return self.reject_delivery(claimed, failure).await;
        };
        if matches!(activity.doc.state, ActivityState::Fetched { .. }) {
            self.fetch_again(&activity).await?;
        }
        self.retry(claimed, before, failure, Wait::AtLeast(None)).await
    }

    async fn fetch_again(&self, ride: &Stored<Activity>) -> Result<(), EngineError> {
        let mut lost = ride.doc.clone();
        lost.begin_anew(self.now());
        let task = Task::Resolve { activity: lost.id.clone() };
        let due = self.due_for(&lost.user, &task, self.now());
        if self.save(ride, &lost, Some(due)).await? {
            self.hand_over(vec![Job { user: lost.user.clone(), task }]).await;
        }
        Ok(())
    }
}
