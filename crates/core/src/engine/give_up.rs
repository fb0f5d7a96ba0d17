//! Giving a ride up.

use super::{Engine, EngineError, fetch::Accepted};
use crate::{
    Failure,
    domain::{Activity, EventKind, Story},
    ports::ArchiveError,
    store::Stored,
};

impl Engine {
    /// Ends a ride that cannot be had, as `ended` says. One that had a file before keeps that, where it is still here:
    /// who asks for a fresh copy of what is gone upstream must not lose the old one. `false` when it changed meanwhile.
    pub(super) async fn give_up_ride(&self, ride: &Stored<Activity>, ended: Activity) -> Result<bool, EngineError> {
        if let Some(failure) = ended.state.failure()
            && let Some(accepted) = self.file_it_had(&ride.doc).await?
        {
            return self.keep_file_it_had(ride, &accepted, failure).await;
        }
        let saved = self.save(ride, &ended, None).await?;
        if saved {
            self.ports.observer.activity(&ended);
        }
        Ok(saved)
    }

    async fn keep_file_it_had(
        &self,
        ride: &Stored<Activity>,
        accepted: &Accepted,
        failure: &Failure,
    ) -> Result<bool, EngineError> {
        // What was to be sent again was the fresh copy.
        let kept = Activity { resync: None, ..ride.doc.clone() };
        let Some(kept) = self.record_file(kept, Some(ride), accepted).await? else { return Ok(false) };
        tracing::info!(code = %failure.code, "ride {} keeps the file that it had: {failure}", kept.rider_id());
        let failed = EventKind::Failed { activity: kept.id.clone(), sink: None, failure: failure.clone() };
        let story = Story { events: vec![failed], ..Story::default() };
        self.commit_told(&kept.user, Vec::new(), &story).await?;
        Ok(true)
    }

    /// The last file a ride had before it was begun anew, if the archive still has it.
    async fn file_it_had(&self, ride: &Activity) -> Result<Option<Accepted>, EngineError> {
        let Some(file) = ride.earlier.last() else { return Ok(None) };
        let bytes = match self.ports.archive.open(&ride.user, *file).await {
            Ok(bytes) => bytes,
            Err(ArchiveError::Missing(_) | ArchiveError::Damaged(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(self.file_again(*file, &bytes)))
    }
}
