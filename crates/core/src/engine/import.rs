//! Files that come by hand: the same dedupe and the same deliveries as rides from the cloud.

use bytes::Bytes;

use super::{Engine, EngineError, fetch::Accepted};
use crate::{
    Code,
    domain::{Activity, ActivityId, ActivityState, ContentId, Integrity, Origin, RecordedFacts, Ride, UserId},
    ports::{ArchiveError, Key, Verdict},
    store::{ContentOwner, Stored},
};

/// What became of an imported file.
#[derive(Debug, Clone, PartialEq)]
pub enum Imported {
    /// A new ride; its deliveries were handed over.
    New(Box<Activity>),
    /// The same file was here before.
    Duplicate {
        /// The activity that holds it.
        of: ActivityId,
    },
    /// The same file was here before and had been lost since, or its ride was given up for want of it: it is there
    /// again, and what waited for it goes on.
    Restored {
        /// The activity that holds it.
        of: ActivityId,
    },
    /// The same file was here before, and the rider wanted its ride gone; nothing was kept.
    Forgotten {
        /// The ride's tombstone.
        of: ActivityId,
    },
    /// It is no ride; nothing was kept.
    Rejected(Code),
}

impl Engine {
    /// Imports a file under the name it was given.
    #[tracing::instrument(skip_all, fields(user = %user))]
    pub async fn import(&self, user: &UserId, name: &str, bytes: Bytes) -> Result<Imported, EngineError> {
        let report = self.ports.scanner.scan(&bytes);
        let integrity = match report.verdict {
            Verdict::Rejected(code) => return Ok(Imported::Rejected(code)),
            _ if !report.is_activity => return Ok(Imported::Rejected(Code::NotActivity)),
            Verdict::Valid => Integrity::Intact,
            Verdict::Salvageable(code) => Integrity::Salvageable { code },
        };
        let content = ContentId::of(&bytes);
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Some(of) = self.owner_of(user, content).await? {
            let accepted = Accepted { content, size_bytes, integrity };
            return self.import_known(user, of, bytes, report.facts, accepted).await;
        }
        self.ensure_user(user).await?;
        self.ports.archive.put(user, content, bytes).await?;
        let now = self.now();
        let origin = Origin::File { name: printable(name) };
        let ride = Ride { recorded: Some(report.facts), ..Ride::default() };
        let known_by = if planted!(self, DedupeByExternalId) { ContentId::of(name.as_bytes()) } else { content };
        let activity = Activity::new(user.clone(), Origin::file_id(&known_by), origin, ride, now);
        let id = activity.id.clone();
        // Who only imports has no walks that do it.
        self.trim_events(user).await?;
        match self.record_file(activity, None, &Accepted { content, size_bytes, integrity }).await? {
            Some(Activity { state: ActivityState::Duplicate { of, .. }, .. }) => self.known(user, of).await,
            Some(activity) => Ok(Imported::New(Box::new(activity))),
            // Another process imported the very same file in this moment.
            None => Ok(Imported::Duplicate { of: id }),
        }
    }

    /// A file whose ride is known: where the archive had lost it, or the ride was given up for want of it, it goes on.
    async fn import_known(
        &self,
        user: &UserId,
        of: ActivityId,
        bytes: Bytes,
        facts: RecordedFacts,
        accepted: Accepted,
    ) -> Result<Imported, EngineError> {
        let Some(stored) = self.store.activity(user, &of).await? else { return Ok(Imported::Duplicate { of }) };
        if matches!(stored.doc.state, ActivityState::Forgotten { .. }) {
            return Ok(Imported::Forgotten { of });
        }
        let is_back = match self.ports.archive.open(user, accepted.content).await {
            Ok(_) => false,
            Err(ArchiveError::Missing(_) | ArchiveError::Damaged(_)) => {
                self.ports.archive.put(user, accepted.content, bytes).await?;
                true
            }
            Err(error) => return Err(error.into()),
        };
        if matches!(stored.doc.state, ActivityState::Fetched { .. } | ActivityState::Duplicate { .. }) {
            let goes_on = self.resume_deliveries(&stored.doc, accepted.content).await?;
            return Ok(if is_back || goes_on { Imported::Restored { of } } else { Imported::Duplicate { of } });
        }
        let mut ride = stored.doc.clone();
        ride.ride.recorded = Some(facts);
        Ok(match self.record_file(ride, Some(&stored), &accepted).await? {
            Some(_) => Imported::Restored { of },
            // Another worker has just got somewhere with it.
            None => Imported::Duplicate { of },
        })
    }

    /// Lets the deliveries of a file go on that were given up because the archive had lost it; `false` where there is
    /// none.
    async fn resume_deliveries(&self, ride: &Activity, file: ContentId) -> Result<bool, EngineError> {
        let mut goes_on = false;
        for delivery in self.deliveries_anywhere(ride).await? {
            if delivery.doc.content == file && delivery.doc.lost_its_file() {
                goes_on |= self.begin_delivery_anew(&delivery).await?;
            }
        }
        Ok(goes_on)
    }

    /// What a file is whose ride is known already.
    async fn known(&self, user: &UserId, of: ActivityId) -> Result<Imported, EngineError> {
        let known = self.store.activity(user, &of).await?;
        let is_forgotten = known.is_some_and(|known| matches!(known.doc.state, ActivityState::Forgotten { .. }));
        Ok(if is_forgotten { Imported::Forgotten { of } } else { Imported::Duplicate { of } })
    }

    /// Which activity holds a file, if one does.
    pub async fn owner_of(&self, user: &UserId, content: ContentId) -> Result<Option<ActivityId>, EngineError> {
        let owner: Option<Stored<ContentOwner>> = self.store.read(&Key::content(user, &content)).await?;
        Ok(owner.map(|owner| owner.doc.activity))
    }
}

/// A name without control characters, of bounded length.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(120).collect()
}
