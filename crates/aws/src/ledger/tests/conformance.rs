//! The suite that every ledger passes.

use std::sync::Arc;

use async_trait::async_trait;
use fitbridge_core::{
    ports::Ledger,
    testkit::conformance::ledger::{Instance, Subject, suite},
};

use super::emulator::Emulator;
use crate::ledger::DynamoLedger;

struct Table {
    emulator: Arc<Emulator>,
    name: String,
    ledger: Arc<DynamoLedger>,
}

#[async_trait]
impl Instance for Table {
    fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.clone()
    }

    async fn reopen(&mut self) -> bool {
        self.ledger = Arc::new(self.emulator.ledger(&self.name, 3));
        true
    }
}

/// Tables of one emulator.
pub(super) struct Tables {
    pub(super) emulator: Arc<Emulator>,
}

#[async_trait]
impl Subject for Tables {
    async fn fresh(&self) -> Box<dyn Instance> {
        let emulator = Arc::clone(&self.emulator);
        let name = emulator.table().await;
        let ledger = Arc::new(emulator.ledger(&name, 3));
        Box::new(Table { emulator, name, ledger })
    }
}

#[tokio::test]
async fn it_conforms() {
    suite(&Tables { emulator: Arc::new(Emulator::start().await) }).await;
}
