//! A rider's whole account: everything about it in one file, and its end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Engine, EngineError, contended};
use crate::{
    Code, Failure,
    domain::{ConnectionId, Contact, ContentId, EventKind, UserId, notice::secret_id},
    ports::{ArchiveError, Bundle, BundleError, Change, CommitError, Expect, Key, Record, Scope, SealedKey, Write},
    store::{Listed, Receipt, StoreError, Stored},
};

/// Records in one step.
const PAGE: usize = 80;
/// How often a step is tried again when somebody else changes the same records.
const TRIES: usize = 20;
/// Sealed secrets, where a vault keeps them among the records.
const SEALED: &str = "sealed/";
/// Fields of records that open something elsewhere and are left out of an export.
const LEFT_OUT: [&str; 2] = ["location", "poll_token"];

/// What an export holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exported {
    /// Records by their kind.
    pub records: BTreeMap<String, u64>,
    /// Original files.
    pub files: u64,
    /// Files that are no longer in the archive.
    pub missing: Vec<ContentId>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    bytes: u64,
    sha256: String,
}

/// Writes entries and remembers what the manifest says of them.
struct Writer<'a> {
    bundle: &'a mut dyn Bundle,
    entries: Vec<Entry>,
    open: Option<(String, u64, Sha256)>,
}

impl From<BundleError> for EngineError {
    fn from(error: BundleError) -> Self {
        Failure::new(Code::OutputUnwritable, error.0).into()
    }
}

impl Writer<'_> {
    fn begin(&mut self, name: &str) -> Result<(), BundleError> {
        self.end();
        self.bundle.begin(name)?;
        self.open = Some((name.to_owned(), 0, Sha256::new()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        if let Some((_, written, digest)) = &mut self.open {
            *written += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            digest.update(bytes);
        }
        self.bundle.write(bytes)
    }

    fn end(&mut self) {
        if let Some((name, bytes, digest)) = self.open.take() {
            self.entries.push(Entry { name, bytes, sha256: hex::encode(digest.finalize()) });
        }
    }
}

impl Engine {
    /// Writes everything about a rider: records as JSON lines by kind, original files, and a manifest with the
    /// SHA-256 of each. No secrets. Memory holds one file and one page of records at a time. What changes while
    /// it runs may be there as it was before or after.
    #[tracing::instrument(skip_all, fields(user = %user))]
    pub async fn export(&self, user: &UserId, bundle: &mut dyn Bundle) -> Result<Exported, EngineError> {
        let mut writer = Writer { bundle, entries: Vec::new(), open: None };
        let records = self.export_records(user, &mut writer).await?;
        let (files, missing) = self.export_files(user, &mut writer).await?;
        let exported = Exported { records, files, missing };
        writer.end();
        let manifest = json!({
            "format": 1,
            "user": user,
            "made_at": self.now().to_string(),
            "records": exported.records,
            "files": exported.files,
            "missing": exported.missing,
            "entries": writer.entries,
        });
        writer.bundle.begin("manifest.json")?;
        writer.bundle.write(format!("{manifest:#}\n").as_bytes())?;
        let kind = EventKind::Exported { records: exported.records.values().sum(), files };
        self.record_event(user, kind).await?;
        Ok(exported)
    }

    async fn export_records(
        &self,
        user: &UserId,
        writer: &mut Writer<'_>,
    ) -> Result<BTreeMap<String, u64>, EngineError> {
        let mut counts = BTreeMap::<String, u64>::new();
        let mut after: Option<String> = None;
        loop {
            let (records, next) = self.records_of(user, "", after.as_deref()).await?;
            for record in records.into_iter().filter(|record| !record.key.path.starts_with(SEALED)) {
                let kind = kind_of(&record.key.path).to_owned();
                // Paths are in order, so records of one kind come together.
                if !counts.contains_key(&kind) {
                    writer.begin(&format!("records/{kind}.jsonl"))?;
                }
                *counts.entry(kind).or_default() += 1;
                writer.write(exported_record(&record).as_bytes())?;
            }
            match next {
                Some(path) => after = Some(path),
                None => return Ok(counts),
            }
        }
    }

    async fn export_files(&self, user: &UserId, writer: &mut Writer<'_>) -> Result<(u64, Vec<ContentId>), EngineError> {
        let (mut files, mut missing, mut after) = (0, Vec::new(), None::<String>);
        loop {
            let (records, next) = self.records_of(user, "content/", after.as_deref()).await?;
            for content in records.iter().filter_map(content_of) {
                match self.ports.archive.open(user, content).await {
                    Ok(bytes) => {
                        writer.begin(&format!("files/{content}.fit"))?;
                        writer.write(&bytes)?;
                        files += 1;
                    }
                    Err(ArchiveError::Missing(_) | ArchiveError::Damaged(_)) => missing.push(content),
                    Err(error) => return Err(error.into()),
                }
            }
            match next {
                Some(path) => after = Some(path),
                None => return Ok((files, missing)),
            }
        }
    }

    async fn records_of(
        &self,
        user: &UserId,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<(Vec<Record>, Option<String>), EngineError> {
        let page = self.store.ledger().range(&Scope::User(user.clone()), prefix, after, PAGE).await;
        let page = page.map_err(StoreError::from)?;
        Ok((page.records, page.next))
    }

    /// Deletes everything about a rider: secrets, files, records. What is left is a receipt without personal
    /// data. Begun again after a crash it goes on; the receipt's counts are those of all runs. Nothing else
    /// should be at work for the rider meanwhile: what it writes afterwards needs another run.
    #[tracing::instrument(skip_all)]
    pub async fn delete_account(&self, user: &UserId) -> Result<Receipt, EngineError> {
        let mut receipt = self.begin_receipt(user).await?;
        // The connections first: without them nothing new is begun.
        self.delete_records(user, "connection/", &mut receipt).await?;
        self.delete_records(user, "contact", &mut receipt).await?;
        self.delete_records(user, "", &mut receipt).await?;
        // Files that a crash left without a record, and what could be restored of the others.
        let stray = self.ports.archive.forget_user(user).await?;
        let listed: Option<Stored<Listed>> = self.store.read(&Key::listed(user)).await?;
        let off_the_list = listed.iter().map(Stored::delete).collect();
        self.write_receipt(&mut receipt, off_the_list, |receipt, now| {
            receipt.files = receipt.files.saturating_add(stray);
            receipt.done_at = Some(now);
        })
        .await?;
        Ok(receipt.doc)
    }

    async fn begin_receipt(&self, user: &UserId) -> Result<Stored<Receipt>, EngineError> {
        let digest = Receipt::digest_of(user);
        for _ in 0..TRIES {
            let (known, _) = self.records_of(user, "", None).await?;
            let fresh = Receipt::new(digest.clone(), self.now());
            match self.store.read::<Receipt>(&Key::receipt(&digest)).await? {
                // The rider was here again since. Records without a user are what something under way wrote.
                Some(old) if old.doc.done_at.is_some() && self.store.user(user).await?.is_some() => {
                    if self.store.commit(vec![old.replace(&fresh, None)?]).await? {
                        return Ok(Stored { doc: fresh, version: old.version + 1, due: None, plan: None });
                    }
                }
                Some(old) => return Ok(old),
                None if known.is_empty() => {
                    return Err(Failure::new(Code::NoSuchRider, "there is nothing to delete").into());
                }
                None => {
                    if self.store.commit(vec![self.store.create(&fresh, None, None)?]).await? {
                        return Ok(Stored { doc: fresh, version: 1, due: None, plan: None });
                    }
                }
            }
        }
        Err(contended("another deletion is at work"))
    }

    async fn delete_records(
        &self,
        user: &UserId,
        prefix: &str,
        receipt: &mut Stored<Receipt>,
    ) -> Result<(), EngineError> {
        let mut conflicts = 0;
        loop {
            let (records, _) = self.records_of(user, prefix, None).await?;
            if records.is_empty() {
                return Ok(());
            }
            let (mut files, mut secrets) = (0_u64, 0_u64);
            for record in &records {
                secrets += self.forget_secrets(user, record).await?;
                if let Some(content) = content_of(record) {
                    self.ports.archive.delete(user, content).await?;
                    files += 1;
                }
            }
            let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
            let deletes = records.into_iter().map(|record| Write {
                key: record.key,
                expect: Expect::Version(record.version),
                change: Change::Delete,
            });
            let done = self
                .write_receipt(receipt, deletes.collect(), |receipt, _| {
                    receipt.records = receipt.records.saturating_add(count);
                    receipt.files = receipt.files.saturating_add(files);
                    receipt.secrets = receipt.secrets.saturating_add(secrets);
                })
                .await?;
            conflicts += usize::from(!done);
            if conflicts > TRIES {
                return Err(contended("somebody is still at work for this rider"));
            }
        }
    }

    /// Destroys the secrets that a record stands for, and says how many connections and channels those are. With the
    /// rider's own record also what was sealed for connections and channels that came to no record.
    async fn forget_secrets(&self, user: &UserId, record: &Record) -> Result<u64, EngineError> {
        let (mut keys, mut strays) = (Vec::new(), Vec::new());
        match record.key.path.as_str() {
            "contact" => {
                let contact: Option<Stored<Contact>> = self.store.read(&record.key).await?;
                let channels = contact.map(|contact| contact.doc.channels).unwrap_or_default();
                keys.extend(channels.iter().map(|channel| secret_id(&channel.via)));
            }
            "user" => {
                let rider = self.store.user(user).await?;
                strays.extend(rider.map(|rider| rider.doc.connections).unwrap_or_default());
                strays.extend(self.ports.notifiers.keys().map(secret_id));
            }
            path => keys.extend(path.strip_prefix("connection/").and_then(|id| ConnectionId::new(id).ok())),
        }
        let count = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        for connection in keys.into_iter().chain(strays).filter(|_| !planted!(self, SecretLeft)) {
            self.ports.vault.destroy(&SealedKey { user: user.clone(), connection }).await?;
        }
        Ok(count)
    }

    /// Commits writes with the receipt's new counts; `false` when a record was changed meanwhile.
    async fn write_receipt(
        &self,
        receipt: &mut Stored<Receipt>,
        mut writes: Vec<Write>,
        change: impl FnOnce(&mut Receipt, Timestamp) + Send,
    ) -> Result<bool, EngineError> {
        let mut counted = receipt.doc.clone();
        change(&mut counted, self.now());
        writes.push(receipt.replace(&counted, None)?);
        match self.store.ledger().commit(writes).await {
            Ok(()) => {
                receipt.version += 1;
                receipt.doc = counted;
                Ok(true)
            }
            Err(CommitError::Conflict(_)) => {
                // Another run may have counted meanwhile.
                if let Some(fresh) = self.store.read(&Key::receipt(&receipt.doc.digest)).await? {
                    *receipt = fresh;
                }
                Ok(false)
            }
            Err(CommitError::Ledger(error)) => Err(StoreError::from(error).into()),
        }
    }
}

/// The first part of a path.
fn kind_of(path: &str) -> &str {
    path.split_once('/').map_or(path, |(kind, _)| kind)
}

fn content_of(record: &Record) -> Option<ContentId> {
    ContentId::try_from(record.key.path.strip_prefix("content/")?.to_owned()).ok()
}

/// A record as a line of JSON.
fn exported_record(record: &Record) -> String {
    let mut document: Value = serde_json::from_str(&record.body).unwrap_or_else(|_| Value::String(record.body.clone()));
    if let Value::Object(fields) = &mut document {
        for field in LEFT_OUT {
            if fields.contains_key(field) {
                fields.insert(field.to_owned(), "left out".into());
            }
        }
    }
    format!("{}\n", json!({ "path": record.key.path, "record": document }))
}
