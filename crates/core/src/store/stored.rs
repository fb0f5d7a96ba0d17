//! Typed reads and writes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Document, Listed};
use crate::{
    Code, Failure,
    domain::{Activity, ActivityId, Connection, ConnectionId, ContentId, Delivery, User, UserId},
    ports::{Change, CommitError, Due, Expect, Key, Ledger, LedgerError, MAX_BATCH, PlanSlot, Record, Scope, Write},
};

/// Why a record could not be had.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The record is not what this code writes.
    #[error("record {path} cannot be read: {reason}")]
    Unreadable {
        /// Which record.
        path: String,
        /// Why.
        reason: String,
    },
    /// The record has a schema of a newer version.
    #[error("record {path} has schema {found}, newer than this version")]
    TooNew {
        /// Which record.
        path: String,
        /// Its schema.
        found: u16,
    },
}

impl StoreError {
    /// The failure as it is shown.
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::Ledger(LedgerError::Unavailable(_)) => Code::LedgerUnavailable,
            Self::Ledger(LedgerError::Locked(_)) => Code::LedgerLocked,
            Self::Ledger(LedgerError::ReadOnly(_)) => Code::LedgerReadOnly,
            Self::Ledger(LedgerError::Full(_)) => Code::DiskFull,
            Self::Ledger(LedgerError::Corrupt(_)) | Self::Unreadable { .. } => Code::LedgerCorrupt,
            Self::Ledger(LedgerError::Misuse(_)) => Code::Bug,
            Self::TooNew { .. } => Code::LedgerTooNew,
        };
        Failure::new(code, self.to_string())
    }
}

/// A document as it was read, with what the ledger knows of its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    /// The document.
    pub doc: T,
    /// The record's version.
    pub version: u64,
    /// When it needs work.
    pub due: Option<Due>,
    /// Where it stands in the plan.
    pub plan: Option<PlanSlot>,
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    schema: u16,
    #[serde(flatten)]
    doc: &'a T,
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: u16,
}

fn encode<T: Document>(doc: &T) -> Result<String, StoreError> {
    serde_json::to_string(&Envelope { schema: T::SCHEMA, doc })
        .map_err(|error| StoreError::Unreadable { path: doc.key().path, reason: error.to_string() })
}

fn decode<T: Document>(record: Record) -> Result<Stored<T>, StoreError> {
    let unreadable =
        |error: serde_json::Error| StoreError::Unreadable { path: record.key.path.clone(), reason: error.to_string() };
    let found = serde_json::from_str::<SchemaOnly>(&record.body).map_err(unreadable)?.schema;
    if found != T::SCHEMA {
        return Err(StoreError::TooNew { path: record.key.path, found });
    }
    let doc = serde_json::from_str(&record.body).map_err(unreadable)?;
    Ok(Stored { doc, version: record.version, due: record.due, plan: record.plan })
}

impl<T: Document> Stored<T> {
    /// A write of this document in place of the version that was read.
    pub fn replace(&self, doc: &T, due: Option<Due>) -> Result<Write, StoreError> {
        Ok(Write {
            key: doc.key(),
            expect: Expect::Version(self.version),
            change: Change::Put { body: encode(doc)?, due, plan: self.plan },
        })
    }

    /// A removal of the version that was read.
    pub fn delete(&self) -> Write {
        Write { key: self.doc.key(), expect: Expect::Version(self.version), change: Change::Delete }
    }

    /// A check that the version that was read still stands.
    pub fn unchanged(&self) -> Write {
        Write { key: self.doc.key(), expect: Expect::Version(self.version), change: Change::Check }
    }
}

/// Typed access to a ledger.
#[derive(Debug, Clone)]
pub struct Store {
    ledger: Arc<dyn Ledger>,
}

impl Store {
    /// Over a ledger.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger }
    }

    /// The ledger itself.
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// Reads a document.
    pub async fn read<T: Document>(&self, key: &Key) -> Result<Option<Stored<T>>, StoreError> {
        self.ledger.get(key).await?.map(decode).transpose()
    }

    /// Reads many documents, in the order of the keys.
    pub async fn read_many<T: Document>(&self, keys: &[Key]) -> Result<Vec<Option<Stored<T>>>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_BATCH) {
            for record in self.ledger.get_many(keys).await? {
                found.push(record.map(decode).transpose()?);
            }
        }
        Ok(found)
    }

    /// Reads a page of a user's documents of one kind: those whose path starts with `prefix`, from behind
    /// the path `after`. The second value is the path to go on after.
    pub async fn page<T: Document>(
        &self,
        user: &UserId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Stored<T>>, Option<String>), StoreError> {
        let page = self.ledger.range(&Scope::User(user.clone()), prefix, after, limit).await?;
        let docs = page.records.into_iter().map(decode).collect::<Result<_, _>>()?;
        Ok((docs, page.next))
    }

    /// The same downwards, from before the path `before`.
    pub async fn page_back<T: Document>(
        &self,
        user: &UserId,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Stored<T>>, Option<String>), StoreError> {
        let page = self.ledger.range_back(&Scope::User(user.clone()), prefix, before, limit).await?;
        let docs = page.records.into_iter().map(decode).collect::<Result<_, _>>()?;
        Ok((docs, page.next))
    }

    /// Reads all of a user's documents of one kind; for people's commands, not for the engine.
    pub async fn all<T: Document>(&self, user: &UserId, prefix: &str) -> Result<Vec<Stored<T>>, StoreError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (docs, next) = self.page(user, prefix, after.as_deref(), 500).await?;
            all.extend(docs);
            match next {
                Some(path) => after = Some(path),
                None => return Ok(all),
            }
        }
    }

    /// Reads a user.
    pub async fn user(&self, user: &UserId) -> Result<Option<Stored<User>>, StoreError> {
        self.read(&Key::user(user)).await
    }

    /// Reads a page of the operator's list, in the order of names, from behind `after`. The second value is
    /// where to go on after.
    pub async fn riders(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<(Vec<Listed>, Option<UserId>), StoreError> {
        let after = after.map(|user| Key::listed(user).path);
        let page = self.ledger.range(&Scope::System, "rider/", after.as_deref(), limit).await?;
        let riders = page.records.into_iter().map(|record| Ok(decode::<Listed>(record)?.doc));
        let riders = riders.collect::<Result<Vec<_>, StoreError>>()?;
        let next = page.next.and_then(|path| UserId::new(path.strip_prefix("rider/")?).ok());
        Ok((riders, next))
    }

    /// Reads a connection.
    pub async fn connection(
        &self,
        user: &UserId,
        connection: &ConnectionId,
    ) -> Result<Option<Stored<Connection>>, StoreError> {
        self.read(&Key::connection(user, connection)).await
    }

    /// Reads a user's connections that are not removed, oldest first.
    pub async fn connections(&self, user: &User) -> Result<Vec<Stored<Connection>>, StoreError> {
        let keys: Vec<_> = user.connections.iter().map(|id| Key::connection(&user.user, id)).collect();
        Ok(self.read_many(&keys).await?.into_iter().flatten().collect())
    }

    /// Reads an activity.
    pub async fn activity(&self, user: &UserId, activity: &ActivityId) -> Result<Option<Stored<Activity>>, StoreError> {
        self.read(&Key::activity(user, activity)).await
    }

    /// Reads a delivery.
    pub async fn delivery(
        &self,
        user: &UserId,
        sink: &ConnectionId,
        content: &ContentId,
    ) -> Result<Option<Stored<Delivery>>, StoreError> {
        self.read(&Key::delivery(user, sink, content)).await
    }

    /// A write of a document that must not be there yet.
    pub fn create<T: Document>(&self, doc: &T, due: Option<Due>, plan: Option<PlanSlot>) -> Result<Write, StoreError> {
        Ok(Write { key: doc.key(), expect: Expect::Absent, change: Change::Put { body: encode(doc)?, due, plan } })
    }

    /// Commits; `Ok(false)` means that a record was changed meanwhile and nothing was done.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<bool, StoreError> {
        match self.ledger.commit(writes).await {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(CommitError::Ledger(error)) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{store::ContentOwner, testkit::MemoryLedger};

    #[tokio::test]
    async fn a_record_of_another_schema_is_refused() {
        let store = Store::new(Arc::new(MemoryLedger::default()));
        let owner = ContentOwner {
            user: UserId::new("me").unwrap(),
            content: ContentId::of(b"x"),
            activity: ActivityId::new("a").unwrap(),
        };
        let mut write = store.create(&owner, None, None).unwrap();
        assert!(store.commit(vec![write.clone()]).await.unwrap());
        assert!(!store.commit(vec![write.clone()]).await.unwrap(), "it is there already");
        let read = store.read::<ContentOwner>(&owner.key()).await.unwrap().unwrap();
        assert_eq!((&read.doc, read.version), (&owner, 1));

        let Change::Put { body, .. } = &mut write.change else { unreachable!() };
        *body = body.replace("\"schema\":1", "\"schema\":2");
        write.expect = Expect::Version(1);
        assert!(store.commit(vec![write]).await.unwrap());
        let refused = store.read::<ContentOwner>(&owner.key()).await.unwrap_err();
        assert_eq!(refused.failure().code, Code::LedgerTooNew);
    }
}
