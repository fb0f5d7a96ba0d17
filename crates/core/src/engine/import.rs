//! Files that come by hand: the same dedupe and the same deliveries as rides from the cloud.

use bytes::Bytes;

use super::{Engine, EngineError, fetch::Accepted};
use crate::{
    Code,
    domain::{Activity, ActivityId, ActivityState, ContentId, Integrity, Origin, Ride, UserId},
    ports::{Key, Verdict},
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
        if let Some(of) = self.owner_of(user, content).await? {
            return Ok(Imported::Duplicate { of });
        }
        self.ensure_user(user).await?;
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.ports.archive.put(user, content, bytes).await?;
        let now = self.now();
        let activity = Activity {
            user: user.clone(),
            id: Origin::file_id(&content),
            origin: Origin::File { name: printable(name) },
            ride: Ride { recorded: Some(report.facts), ..Ride::default() },
            state: ActivityState::Discovered,
            attempts: 0,
            first_seen_at: now,
            updated_at: now,
        };
        let id = activity.id.clone();
        match self.record_file(activity, None, &Accepted { content, size_bytes, integrity }).await? {
            Some(Activity { state: ActivityState::Duplicate { of, .. }, .. }) => Ok(Imported::Duplicate { of }),
            Some(activity) => Ok(Imported::New(Box::new(activity))),
            // Another process imported the very same file in this moment.
            None => Ok(Imported::Duplicate { of: id }),
        }
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
