//! Once a night, and when somebody asks: does what is here agree with what is upstream and at the sinks?
//!
//! Step by step, the place kept with the source: its list is read to the end, a few pages at a time within the
//! share of backfills; then the rider's rides are looked at; then what the sinks have. What was lost on the way
//! is put back to work, everything else is told. [`Engine::reconcile`] makes the steps that call the source,
//! [`Engine::verify`] all others, so that each runs where the secrets are that it needs.

mod list;
mod night;
mod rides;
mod sinks;

pub(super) use night::next_night;

use jiff::Timestamp;

use super::{Engine, EngineError};
use crate::{
    Failure,
    domain::{
        Connection, ConnectionId, Reconcile, ReconcilePlace, Report, Role, SourceProgress, UserId, connection::Resume,
    },
    ports::{Change, Due, Expect, Key, MAX_BATCH, Scope, Write},
    store::{StoreError, Stored},
};

/// How often a change to a connection's record is tried again when somebody else was faster.
const TRIES: usize = 8;

/// What a step led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Reconciled {
    /// It goes on.
    Step,
    /// It is over.
    Done(Report),
    /// Nothing was done: none is under way, the source is paused, or another worker is at it.
    Skipped,
    /// The source did not answer as hoped; it goes on later.
    Waits(Failure),
}

impl Engine {
    /// Lets a reconcile of a source begin that somebody asked for; `false` when one is under way already.
    pub async fn begin_reconcile(&self, user: &UserId, connection: &ConnectionId) -> Result<bool, EngineError> {
        let now = self.now();
        let change = |connection: &mut Connection| {
            if let Some(reason) = connection.paused() {
                return Err(reason.clone());
            }
            let Role::Source(source) = &mut connection.role else { return Ok(false) };
            let is_new = source.reconcile.is_none();
            source.reconcile.get_or_insert_with(|| Box::new(Reconcile::new(now, true)));
            Ok(is_new)
        };
        Ok(self.change_by_word(user, connection, change).await?.1)
    }

    /// A step of the process that calls sources: some pages of the list, or the end.
    #[tracing::instrument(skip_all, fields(user = %user, connection = %connection))]
    pub async fn reconcile(&self, user: &UserId, connection: &ConnectionId) -> Result<Reconciled, EngineError> {
        let Some((source, step)) = self.claim_reconcile(user, connection, true).await? else {
            return Ok(Reconciled::Skipped);
        };
        match step.place {
            ReconcilePlace::End => self.finish(source, step).await,
            _ => self.list_step(source, step).await,
        }
    }

    /// A step that calls no source: rides, archive and deliveries, or what a sink has.
    #[tracing::instrument(skip_all, fields(user = %user, connection = %connection))]
    pub async fn verify(&self, user: &UserId, connection: &ConnectionId) -> Result<Reconciled, EngineError> {
        let Some((source, step)) = self.claim_reconcile(user, connection, false).await? else {
            return Ok(Reconciled::Skipped);
        };
        match step.place.clone() {
            ReconcilePlace::List { .. } | ReconcilePlace::End => Ok(Reconciled::Skipped),
            ReconcilePlace::Rides { after } => self.rides_step(source, step, after).await,
            ReconcilePlace::Sinks { after } => self.sinks_step(source, step, after).await,
        }
    }

    async fn claim_reconcile(
        &self,
        user: &UserId,
        connection: &ConnectionId,
        is_for_poller: bool,
    ) -> Result<Option<(Stored<Connection>, Reconcile)>, EngineError> {
        let now = self.now();
        let Some(stored) = self.store.connection(user, connection).await? else { return Ok(None) };
        if !self.may_take(stored.due.as_ref(), now) {
            return Ok(None);
        }
        let step = stored.doc.source().and_then(|source| source.reconcile.as_deref().cloned());
        let Some(step) = step.filter(|step| stored.doc.is_active() && step.is_for_poller() == is_for_poller) else {
            let due = self.due_of(&stored.doc);
            self.save(&stored, &stored.doc, due).await?;
            return Ok(None);
        };
        let claimed = stored.doc.clone();
        let Some(mut source) = self.take(stored, claimed, now).await? else { return Ok(None) };
        self.look_at_token_end_claimed(&mut source).await?;
        Ok(Some((source, step)))
    }

    /// Records how far it is; the next step is due then.
    async fn keep_place(
        &self,
        source: Stored<Connection>,
        step: Reconcile,
        next: Timestamp,
    ) -> Result<(), EngineError> {
        self.record_step(source, next, |source| {
            if source.reconcile.as_ref().is_some_and(|known| known.begun_at == step.begun_at) {
                source.reconcile = Some(Box::new(step.clone()));
            }
        })
        .await
    }

    /// Changes a claimed source at the end of a step, whoever else changed it meanwhile.
    async fn record_step(
        &self,
        mut stored: Stored<Connection>,
        next: Timestamp,
        change: impl Fn(&mut SourceProgress) + Send + Sync,
    ) -> Result<(), EngineError> {
        for _ in 0..TRIES {
            let mut changed = stored.doc.clone();
            if let Role::Source(source) = &mut changed.role {
                change(source);
            }
            let mine = stored.due.as_ref().and_then(|due| due.claim.as_ref());
            let due = match mine.is_some_and(|claim| claim.working && claim.owner == self.owner) {
                false => stored.due.clone().or_else(|| self.due_of(&changed)),
                true if !changed.has_work() => self.due_of(&changed),
                true => Some(Due::at(self.shard(&changed.user), next)),
            };
            if self.save(&stored, &changed, due).await? {
                self.ports.observer.connection(&changed);
                return Ok(());
            }
            if !self.reread(&mut stored).await? {
                break;
            }
        }
        // The claim ends with its lease, and the step is made again.
        Ok(())
    }

    /// Ends it: what waits is woken, and the report is kept with the source.
    async fn finish(&self, source: Stored<Connection>, step: Reconcile) -> Result<Reconciled, EngineError> {
        let user = source.doc.user.clone();
        for sink in &step.wake_sinks {
            self.wake_sink(&user, sink).await?;
        }
        self.forget_seen(&source.doc).await?;
        self.trim_events(&user).await?;
        self.trim_notices(&user).await?;
        let now = self.now();
        let report = Report { begun_at: step.begun_at, at: now, asked: step.asked, found: step.found.clone() };
        let found = &report.found;
        tracing::info!(
            connection = %source.doc.id, seen = found.seen, late = found.late, repaired = found.repaired,
            gone = found.gone, missing = found.missing,
            "{} is reconciled: {} rides, {} late, {} repaired, {} gone upstream, {} gone at sinks",
            source.doc.name, found.seen, found.late, found.repaired, found.gone, found.missing
        );
        self.record_step(source, now, |source| {
            if source.reconcile.as_ref().is_none_or(|known| known.begun_at != step.begun_at) {
                return;
            }
            source.reconcile = None;
            source.report = Some(Box::new(report.clone()));
            source.offset_minutes = step.offset_minutes.or(source.offset_minutes);
            if step.wake_source && source.resume.is_none() {
                source.resume = Some(Resume::default());
            }
        })
        .await?;
        Ok(Reconciled::Done(report))
    }

    /// Lets a sink go through the archive once more: it makes what is lacking, and nothing twice.
    async fn wake_sink(&self, user: &UserId, sink: &ConnectionId) -> Result<(), EngineError> {
        for _ in 0..TRIES {
            let Some(mut stored) = self.store.connection(user, sink).await? else { return Ok(()) };
            let mut changed = stored.doc.clone();
            match &mut changed.role {
                Role::Sink(progress) if progress.resume.is_none() => progress.resume = Some(Resume::default()),
                _ => return Ok(()),
            }
            if !stored.doc.is_active() || self.save_connection(&mut stored, changed).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Deletes what was only kept for this reconcile.
    async fn forget_seen(&self, source: &Connection) -> Result<(), EngineError> {
        let scope = Scope::User(source.user.clone());
        loop {
            let page = self.store.ledger().range(&scope, &Key::seen_prefix(&source.id), None, MAX_BATCH).await;
            let records = page.map_err(StoreError::from)?.records;
            if records.is_empty() {
                return Ok(());
            }
            let delete = |record: crate::ports::Record| Write {
                key: record.key,
                expect: Expect::Version(record.version),
                change: Change::Delete,
            };
            if !self.store.commit(records.into_iter().map(delete).collect()).await? {
                return Ok(());
            }
        }
    }
}
