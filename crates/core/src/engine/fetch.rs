//! From a location to an archived, identified activity with its deliveries.

use bytes::Bytes;

use super::{
    Engine, EngineError, archive_failure, contended,
    resolve::{Setback, broken_before},
};
use crate::{
    Code, Failure,
    domain::{Activity, ActivityId, ActivityState, ContentId, Delivery, FileLocation, Integrity, Stage, UserId, story},
    ports::{ArchiveError, Due, FileError, Job, Key, ScanReport, Task, Verdict, Write},
    store::{ContentOwner, Stored},
};

/// After so many attempts the source is asked again where the file lies.
const ASK_AGAIN_AFTER: u32 = 3;
/// How often the commit of a fetched ride is tried again when somebody else was faster.
const TRIES: usize = 8;

/// What a fetch led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    /// Archived; the deliveries were handed over.
    Archived,
    /// The same file came by another inlet before.
    Duplicate(ActivityId),
    /// Archived, but not sent: that ride is the same, and stands for both.
    Linked(ActivityId),
    /// Nothing was done: moved on, or claimed by another worker.
    Skipped,
    /// It did not work, this time or at all.
    Failed(Failure),
}

/// A file that was judged good enough to keep.
pub(super) struct Accepted {
    pub(super) content: ContentId,
    pub(super) size_bytes: u64,
    pub(super) integrity: Integrity,
}

impl Engine {
    /// Downloads a ride's file, judges it, archives it, and makes its deliveries.
    #[tracing::instrument(skip_all, fields(user = %user, activity = %activity))]
    pub async fn fetch(&self, user: &UserId, activity: &ActivityId) -> Result<Fetched, EngineError> {
        let Some(claimed) = self.claim_ride(user, activity, Stage::Fetch).await? else {
            return Ok(Fetched::Skipped);
        };
        let location = match &claimed.doc.state {
            ActivityState::Resolved { location } | ActivityState::Unavailable { location: Some(location), .. } => {
                location.clone()
            }
            _ => return self.fetch_failed(&claimed, Setback::resolve(Code::FileGone.into())).await,
        };
        let bytes = match self.ports.files.open(&location).await {
            Ok(bytes) => bytes,
            Err(error) => return self.no_file(&claimed, location, error).await,
        };
        let content = ContentId::of(&bytes);
        let report = self.ports.scanner.scan(&bytes);
        let came_before = broken_before(&claimed.doc.state) == Some(content);
        let integrity = match report.verdict {
            Verdict::Valid if !report.is_activity => return self.reject(&claimed, Code::NotActivity.into()).await,
            Verdict::Valid => Integrity::Intact,
            // What is broken may have been caught half-uploaded; the same bytes again are all there is.
            Verdict::Salvageable(_) if came_before && !report.is_activity => {
                return self.reject(&claimed, Code::NotActivity.into()).await;
            }
            Verdict::Salvageable(code) if came_before => Integrity::Salvageable { code },
            Verdict::Rejected(code) if came_before => return self.reject(&claimed, code.into()).await,
            Verdict::Salvageable(code) | Verdict::Rejected(code) => {
                let back = Setback { broken: Some(content), ..again(&claimed, code.into(), location) };
                return self.fetch_failed(&claimed, back).await;
            }
        };
        self.keep(&claimed, location, bytes, report, Accepted { content, size_bytes: 0, integrity }).await
    }

    async fn keep(
        &self,
        claimed: &Stored<Activity>,
        location: FileLocation,
        bytes: Bytes,
        report: ScanReport,
        mut accepted: Accepted,
    ) -> Result<Fetched, EngineError> {
        accepted.size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if planted!(self, ArchiveAfterCommit) {
            let mut activity = claimed.doc.clone();
            activity.ride.recorded = Some(report.facts);
            self.record_file(activity, Some(claimed), &accepted).await?;
            self.ports.archive.put(&claimed.doc.user, accepted.content, bytes).await?;
            return Ok(Fetched::Archived);
        }
        if let Err(error) = self.ports.archive.put(&claimed.doc.user, accepted.content, bytes).await {
            let failure = archive_failure(&error);
            return match error {
                ArchiveError::Full(_) | ArchiveError::Unavailable(_) | ArchiveError::Damaged(_) => {
                    self.fetch_failed(claimed, again(claimed, failure, location)).await
                }
                ArchiveError::Missing(_) => Err(error.into()),
            };
        }
        let mut activity = claimed.doc.clone();
        activity.ride.recorded = Some(report.facts);
        match self.record_file(activity, Some(claimed), &accepted).await? {
            Some(activity) => {
                self.learn(&activity).await;
                Ok(match activity.state {
                    ActivityState::Duplicate { of, .. } => Fetched::Duplicate(of),
                    _ => activity.link.map_or(Fetched::Archived, |link| Fetched::Linked(link.to)),
                })
            }
            None => {
                self.note_unwanted_file(&claimed.doc, accepted.content).await?;
                Ok(Fetched::Skipped)
            }
        }
    }

    /// A ride that was forgotten while its file was fetched: the file is in the archive by now, and known to nobody. It
    /// becomes the tombstone's, and is erased where the ride had none then.
    async fn note_unwanted_file(&self, ride: &Activity, file: ContentId) -> Result<(), EngineError> {
        for _ in 0..TRIES {
            let Some(stored) = self.store.activity(&ride.user, &ride.id).await? else { return Ok(()) };
            let ActivityState::Forgotten { file: known, .. } = stored.doc.state else { return Ok(()) };
            if self.owner_of(&ride.user, file).await?.is_some() {
                return Ok(());
            }
            let mut gone = Activity { updated_at: self.now(), ..stored.doc.clone() };
            let mut due = stored.due.clone();
            if known.is_none() {
                gone.state = ActivityState::Forgotten { file: Some(file), erase: true };
                due = Some(self.handed_over(&gone.user, gone.updated_at));
            } else {
                gone.earlier.push(file);
            }
            let owner = ContentOwner { user: gone.user.clone(), content: file, activity: gone.id.clone() };
            let writes = vec![stored.replace(&gone, due)?, self.store.create(&owner, None, None)?];
            if self.store.commit(writes).await? {
                if known.is_none() {
                    self.hand_over(vec![Job { user: gone.user, task: Task::Erase { activity: gone.id } }]).await;
                }
                return Ok(());
            }
        }
        Err(contended("the ride"))
    }

    /// Records that an activity's file is in the archive, in one commit: it becomes the file's owner and is
    /// linked to rides that are the same, and whichever stands for them has a delivery for every sink that
    /// wants it; or it becomes a duplicate. `None` when the claim was lost.
    pub(super) async fn record_file(
        &self,
        mut activity: Activity,
        claimed: Option<&Stored<Activity>>,
        accepted: &Accepted,
    ) -> Result<Option<Activity>, EngineError> {
        for _ in 0..TRIES {
            let now = self.now();
            activity.updated_at = now;
            let content = accepted.content;
            let owner: Option<Stored<ContentOwner>> = self.store.read(&Key::content(&activity.user, &content)).await?;
            let owned_by_other =
                owner.as_ref().filter(|owner| owner.doc.activity != activity.id && !planted!(self, OwnerUnchecked));
            if let Some(other) = owned_by_other {
                activity.state = ActivityState::Duplicate { of: other.doc.activity.clone(), content };
                let writes = vec![self.write_activity(&activity, claimed)?];
                let news = claimed.map(|claimed| story::of_activity(&claimed.doc, &activity)).unwrap_or_default();
                if self.commit_told(&activity.user, writes, &news).await? {
                    self.ports.observer.activity(&activity);
                    return Ok(Some(activity));
                }
            } else {
                activity.state = ActivityState::Fetched {
                    content,
                    size_bytes: accepted.size_bytes,
                    integrity: accepted.integrity.clone(),
                };
                (activity.attempts, activity.given_up) = (0, None);
                let mut placed = self.place(&activity).await?;
                if owner.is_none() {
                    let owner = ContentOwner { user: activity.user.clone(), content, activity: activity.id.clone() };
                    placed.writes.push(self.store.create(&owner, None, None)?);
                }
                placed.writes.push(self.write_activity(&placed.ride, claimed)?);
                let ride = placed.ride.clone();
                let news = claimed.map(|claimed| story::of_activity(&claimed.doc, &ride)).unwrap_or_default();
                if self.commit_group(&activity.user, placed.writes, placed.told, &news).await? {
                    self.ports.observer.activity(&ride);
                    return Ok(Some(ride));
                }
            }
            // Somebody else was faster: with this very ride, or with something it depends on.
            let mine = match claimed {
                Some(claimed) => {
                    self.store.activity(&activity.user, &activity.id).await?.map(|now| now.version)
                        == Some(claimed.version)
                }
                None => self.store.activity(&activity.user, &activity.id).await?.is_none(),
            };
            if !mine {
                return Ok(None);
            }
        }
        Err(contended("the rider's records"))
    }

    fn write_activity(&self, activity: &Activity, claimed: Option<&Stored<Activity>>) -> Result<Write, EngineError> {
        Ok(match claimed {
            Some(claimed) => claimed.replace(activity, None)?,
            None => self.store.create(activity, None, None)?,
        })
    }

    pub(super) async fn hand_over_deliveries(&self, deliveries: Vec<Delivery>) {
        let mut jobs = Vec::new();
        for delivery in deliveries {
            self.ports.observer.delivery(&delivery);
            if delivery.state.is_open() {
                let task = Task::Deliver { sink: delivery.sink, content: delivery.content };
                jobs.push(Job { user: delivery.user, task });
            }
        }
        self.hand_over(jobs).await;
    }

    async fn no_file(
        &self,
        claimed: &Stored<Activity>,
        location: FileLocation,
        error: FileError,
    ) -> Result<Fetched, EngineError> {
        match error {
            FileError::Never(failure) => self.reject(claimed, failure).await,
            FileError::Gone(failure) => self.fetch_failed(claimed, Setback::resolve(failure)).await,
            FileError::Again { failure, retry_after } => {
                let back = Setback { asked_until: self.asked(retry_after), ..again(claimed, failure, location) };
                self.fetch_failed(claimed, back).await
            }
        }
    }

    async fn fetch_failed(&self, claimed: &Stored<Activity>, back: Setback) -> Result<Fetched, EngineError> {
        let failure = back.failure.clone();
        // The first failure of a resolved ride may just mean that the location has gone stale.
        if back.stage == Stage::Resolve && claimed.doc.attempts <= 1 {
            let state = ActivityState::Unavailable {
                failure: failure.clone(),
                stage: Stage::Resolve,
                asked_until: back.asked_until,
                location: None,
                broken: broken_before(&claimed.doc.state),
            };
            let task = Task::Resolve { activity: claimed.doc.id.clone() };
            let due = self.due_for(&claimed.doc.user, &task, self.now());
            let now_or_asked = back.asked_until.map_or(due, |at| Due::at(self.shard(&claimed.doc.user), at));
            if self.settle_ride(claimed, state, Some(now_or_asked)).await? && back.asked_until.is_none() {
                self.hand_over(vec![Job { user: claimed.doc.user.clone(), task }]).await;
            }
            return Ok(Fetched::Failed(failure));
        }
        self.set_back(claimed, back).await?;
        Ok(Fetched::Failed(failure))
    }

    async fn reject(&self, claimed: &Stored<Activity>, failure: Failure) -> Result<Fetched, EngineError> {
        tracing::info!(code = %failure.code, "ride {}: {failure}", claimed.doc.rider_id());
        self.settle_ride(claimed, ActivityState::Rejected { failure: failure.clone() }, None).await?;
        Ok(Fetched::Failed(failure))
    }
}

/// To be fetched again from the same place, or from where the source says by then.
fn again(claimed: &Stored<Activity>, failure: Failure, location: FileLocation) -> Setback {
    if claimed.doc.attempts >= ASK_AGAIN_AFTER {
        return Setback::resolve(failure);
    }
    Setback { failure, stage: Stage::Fetch, asked_until: None, location: Some(location), broken: None }
}
