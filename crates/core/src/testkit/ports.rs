//! All ports at once.

use std::{collections::BTreeMap, sync::Arc};

use super::{FakeScanner, FakeSource, FixedEntropy, ManualClock, MemoryArchive, MemoryLedger, MemoryVault};
use crate::{
    engine::{NoObserver, Ports},
    ports::WorkQueue,
};

/// Adapters in memory for every port, with this queue, source and clock; there are no sinks and no notifiers.
pub fn memory_ports(queue: Arc<dyn WorkQueue>, source: &FakeSource, clock: &ManualClock) -> Ports {
    Ports {
        ledger: Arc::new(MemoryLedger::default()),
        vault: Arc::new(MemoryVault::default()),
        archive: Arc::new(MemoryArchive::default()),
        queue,
        source: Arc::new(source.clone()),
        files: Arc::new(source.files()),
        scanner: Arc::new(FakeScanner::default()),
        notifiers: BTreeMap::new(),
        sinks: BTreeMap::new(),
        clock: Arc::new(clock.clone()),
        entropy: Arc::new(FixedEntropy(0.5)),
        observer: Arc::new(NoObserver),
    }
}
