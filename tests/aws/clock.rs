//! Time that has to pass is taken out of the ledger instead.

use fitbridge_core::{
    domain::{Connection, Found, Report, Role},
    ports::{Change, Claim, Clock as _, Due, DueRow, Expect, Key, PlanSlot, PollClass, Record, Scope, Write},
    store::{Breaker, Cursor, CursorClaim, Stored},
};
use fitbridge_local::SystemClock;
use jiff::{SignedDuration, Timestamp};

use crate::service::Service;

impl Service {
    /// Lets minutes pass for the shards' schedules, and with them the claims of ticks that died.
    pub(crate) async fn pass_minutes(&self, minutes: i64) {
        for shard in self.shards() {
            let stored: Stored<Cursor> =
                self.engine.store().read(&Key::cursor(shard)).await.expect("a ledger").expect("a cursor");
            let claimed =
                stored.doc.claimed.as_ref().map(|claim| CursorClaim { until: SystemClock.now(), ..claim.clone() });
            let past = Cursor { done_minute: stored.doc.done_minute - minutes, claimed, ..stored.doc.clone() };
            let write = stored.replace(&past, None).expect("a write");
            assert!(self.engine.store().commit(vec![write]).await.expect("a ledger"));
        }
    }

    /// How many sources the plan has for a minute, in all shards.
    pub(crate) async fn planned(&self, minute: i64) -> usize {
        let mut sources = 0;
        for shard in self.shards() {
            for class in PollClass::ALL {
                let slot = u16::try_from(minute.rem_euclid(i64::from(class.slots()))).expect("a slot");
                let page = self.engine.ports().ledger.planned(PlanSlot { shard, class, slot }, None, 1000).await;
                sources += page.expect("a page").rows.len();
            }
        }
        sources
    }

    /// Lets the night that may come while a test runs be over for a source: its look at everything would write, and ask
    /// for more than a poll, in whichever test happens to run then. What lies further ahead than clocks may be apart
    /// would not be heeded.
    pub(crate) async fn skip_the_night(&self, source: &Connection) {
        self.last_night(source, SystemClock.now() + SignedDuration::from_mins(9)).await;
    }

    async fn last_night(&self, source: &Connection, at: Timestamp) {
        let found = self.engine.store().connection(&source.user, &source.id).await.expect("a ledger");
        let stored = found.expect("it is connected");
        let mut changed = stored.doc.clone();
        let Role::Source(progress) = &mut changed.role else { panic!("a source") };
        progress.report = Some(Box::new(Report { begun_at: at, at, asked: false, found: Found::default() }));
        let write = stored.replace(&changed, stored.due.clone()).expect("a write");
        assert!(self.engine.store().commit(vec![write]).await.expect("a ledger"));
    }

    /// Lets the last night of a source be longer ago than a day: the next poll begins another.
    pub(crate) async fn let_the_night_come(&self, source: &Connection) {
        self.last_night(source, SystemClock.now() - SignedDuration::from_hours(25)).await;
    }

    /// What is or will be due in any shard, but for the days on which riders are warned of their tokens' end.
    pub(crate) async fn open_rows(&self) -> Vec<DueRow> {
        let soon = SystemClock.now() + SignedDuration::from_hours(1);
        let mut rows = Vec::new();
        for shard in self.shards() {
            let due = self.engine.ports().ledger.due(shard, Timestamp::MAX, 100_000).await.expect("rows");
            rows.extend(due.into_iter().filter(|row| !row.key.path.starts_with("connection/") || row.at < soon));
        }
        rows
    }

    /// Lets the waits of all providers that are left alone be over.
    pub(crate) async fn end_breakers(&self) {
        let store = self.engine.store();
        let page = store.ledger().range(&Scope::System, "breaker/", None, 100).await.expect("a ledger");
        for record in page.records {
            let stored = store.read::<Breaker>(&record.key).await.expect("a ledger").expect("it is there");
            if stored.doc.closed_at.is_none() {
                let over = Breaker { open_until: SystemClock.now(), ..stored.doc.clone() };
                store.commit(vec![stored.replace(&over, None).expect("a write")]).await.expect("a ledger");
            }
        }
    }

    /// Lets all leases end and all waits be over: what waits is due now, and what failed can be seen again.
    pub(crate) async fn end_leases(&self) {
        self.end_hiding().await;
        let ledger = &self.engine.ports().ledger;
        for row in self.open_rows().await {
            let Some(Record { key, version, body, due: Some(due), plan }) =
                ledger.get(&row.key).await.expect("a record")
            else {
                continue;
            };
            let claim = due.claim.map(|claim| Claim { working: true, ..claim });
            let due = Some(Due { at: SystemClock.now(), claim, ..due });
            let write = Write { key, expect: Expect::Version(version), change: Change::Put { body, due, plan } };
            ledger.commit(vec![write]).await.expect("nobody else is at work");
        }
    }
}
