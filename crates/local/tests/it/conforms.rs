//! The suite every ledger has to pass, against SQLite.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use fitbridge_core::{
    domain::OwnerId,
    testkit::conformance::ledger::{Instance, Subject, suite},
};
use fitbridge_local::OwnerGuard;

use super::*;

struct Sqlite {
    home: tempfile::TempDir,
    ledger: Option<Arc<dyn Ledger>>,
    owners: Mutex<HashMap<OwnerId, OwnerGuard>>,
}

#[async_trait]
impl Instance for Sqlite {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(self.ledger.as_ref().unwrap())
    }

    fn live_owner(&self) -> Option<OwnerId> {
        let guard = Owners::open(self.home.path()).register().unwrap();
        let id = guard.id().clone();
        self.owners.lock().unwrap().insert(id.clone(), guard);
        Some(id)
    }

    fn kill(&self, owner: &OwnerId) {
        self.owners.lock().unwrap().remove(owner);
    }

    async fn reopen(&mut self) -> bool {
        drop(self.ledger.take());
        let names: Vec<_> = std::fs::read_dir(self.home.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["ledger.sqlite"], "closed in order, it is a single file");
        self.ledger = Some(open_shared(self.home.path()));
        true
    }
}

pub(crate) struct Make;

#[async_trait]
impl Subject for Make {
    async fn fresh(&self) -> Box<dyn Instance> {
        let home = tempfile::tempdir().unwrap();
        let ledger = Some(open_shared(home.path()));
        Box::new(Sqlite { home, ledger, owners: Mutex::default() })
    }
}

#[tokio::test]
async fn the_sqlite_ledger_conforms() {
    suite(&Make).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_ledger_conforms_on_many_threads() {
    suite(&Make).await;
}
