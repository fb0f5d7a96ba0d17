//! Adapters in memory for every port, fakes that can be told to fail, and the conformance suites that an
//! adapter has to pass. With the feature `model`, also operations by chance.

mod archive;
mod clock;
pub mod conformance;
mod failing;
mod ledger;
#[cfg(feature = "model")]
pub mod model;
mod notifier;
mod ports;
mod queue;
mod scanner;
mod sink;
mod source;
mod vault;

pub use archive::MemoryArchive;
pub use clock::{FixedEntropy, ManualClock, SeededEntropy};
pub use failing::{FailingLedger, Moment};
pub use ledger::MemoryLedger;
pub use notifier::FakeNotifier;
pub use ports::memory_ports;
pub use queue::MemoryQueue;
pub use scanner::FakeScanner;
pub use sink::{FakeSink, Reply, SinkCall, StoredRide};
pub use source::{FakeFiles, FakeRide, FakeSource, PAGE_SIZE, SourceCall, SourceVerb};
pub use vault::MemoryVault;
