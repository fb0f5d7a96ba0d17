//! Operations by chance, on DynamoDB and in memory.

use std::sync::Arc;

use fitbridge_core::testkit::{conformance::ledger::Subject, model::ledger};
use proptest::prelude::*;

use super::{conformance::Tables, emulator::Emulator};

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_as_the_memory_ledger_does(ops in ledger::ops(40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let tables = Tables { emulator: Arc::new(Emulator::start().await) };
            ledger::compare(ops, &mut *tables.fresh().await).await;
        });
    }
}
