//! Putting back to work what was given up, when the rider or the operator says that its cause is mended.

use super::{Engine, EngineError};
use crate::{
    domain::{Activity, ActivityId, ActivityState, Delivery, DeliveryState, Origin, UserId, story::given_up_as},
    ports::{Job, Task},
    store::Stored,
};

/// Records that are looked at in one step.
const PAGE: usize = 200;

impl Engine {
    /// Begins anew with the rides and deliveries of a rider (or of one ride) that were rejected or are dead
    /// letters. Says how many there were.
    #[tracing::instrument(skip_all, fields(user = %user))]
    pub async fn redrive(&self, user: &UserId, only: Option<&ActivityId>) -> Result<usize, EngineError> {
        Ok(self.redrive_rides(user, only).await? + self.redrive_deliveries(user, only).await?)
    }

    async fn redrive_rides(&self, user: &UserId, only: Option<&ActivityId>) -> Result<usize, EngineError> {
        let (mut after, mut count): (Option<String>, _) = (None, 0);
        loop {
            let (rides, next) = self.store.page::<Activity>(user, "activity/", after.as_deref(), PAGE).await?;
            for stored in rides.iter().filter(|ride| only.is_none_or(|only| ride.doc.id == *only)) {
                let given_up =
                    matches!(stored.doc.state, ActivityState::Rejected { .. } | ActivityState::DeadLetter { .. });
                // An imported file cannot be had again from anywhere.
                if given_up && matches!(stored.doc.origin, Origin::Cloud { .. }) {
                    count += usize::from(self.begin_ride_anew(stored).await?);
                }
            }
            match next {
                Some(path) => after = Some(path),
                None => return Ok(count),
            }
        }
    }

    async fn begin_ride_anew(&self, stored: &Stored<Activity>) -> Result<bool, EngineError> {
        let mut anew = stored.doc.clone();
        anew.begin_anew(self.now());
        let task = Task::Resolve { activity: anew.id.clone() };
        let due = self.due_for(&anew.user, &task, anew.updated_at);
        let saved = self.save(stored, &anew, Some(due)).await?;
        if saved {
            self.ports.observer.activity(&anew);
            self.hand_over(vec![Job { user: anew.user, task }]).await;
        }
        Ok(saved)
    }

    async fn redrive_deliveries(&self, user: &UserId, only: Option<&ActivityId>) -> Result<usize, EngineError> {
        let (mut after, mut count): (Option<String>, _) = (None, 0);
        loop {
            let (found, next) = self.store.page::<Delivery>(user, "delivery/", after.as_deref(), PAGE).await?;
            for stored in found.iter().filter(|stored| only.is_none_or(|only| stored.doc.activity == *only)) {
                let given_up =
                    matches!(stored.doc.state, DeliveryState::Rejected { .. } | DeliveryState::DeadLetter { .. });
                if !given_up {
                    continue;
                }
                let mut anew = stored.doc.clone();
                anew.given_up = given_up_as(&stored.doc.state);
                (anew.state, anew.attempts, anew.updated_at) = (DeliveryState::Pending, 0, self.now());
                let due = self.handed_over(user, anew.updated_at);
                if self.save(stored, &anew, Some(due)).await? {
                    count += 1;
                    self.hand_over_deliveries(vec![anew]).await;
                }
            }
            match next {
                Some(path) => after = Some(path),
                None => return Ok(count),
            }
        }
    }
}
