//! Operations by chance, on SQLite and in memory.

use fitbridge_core::testkit::{conformance::ledger::Subject, model::ledger};
use proptest::prelude::*;

use super::conforms::Make;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_memory_does(ops in ledger::ops(60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { ledger::compare(ops, &mut *Make.fresh().await).await });
    }
}
