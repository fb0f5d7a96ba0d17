//! What the engine needs from outside. No SDK or HTTP type appears here; every contract says what an
//! answer means for the caller's next action.

pub mod archive;
pub mod bundle;
pub mod clock;
pub mod ledger;
pub mod millis;
pub mod notifier;
pub mod queue;
pub mod scanner;
pub mod sink;
pub mod source;
pub mod vault;

pub use archive::{Archive, ArchiveError, Put, archive_path};
pub use bundle::{Bundle, BundleError};
pub use clock::{Clock, Entropy};
pub use ledger::{
    Change, Claim, CommitError, Due, DueRow, Expect, Key, Ledger, LedgerError, MAX_BATCH, PlanPage, PlanRow, PlanSlot,
    PollClass, Record, RecordPage, Scope, Write,
};
pub use notifier::{Checked, NoticeTarget, NoticeText, Notifier, NotifyError};
pub use queue::{Job, NotTaken, QueueError, Task, WorkQueue};
pub use scanner::{ScanReport, Scanner, Verdict};
pub use sink::{
    Attempt, FileLink, Found, Identity, Outcome, RemoteRide, Resend, Sink, SinkError, SinkFile, SinkTarget,
};
pub use source::{
    Access, FileError, Files, ListPage, ListedRow, Login, Resolution, Source, SourceError, SourceIdentity, TokenFacts,
};
pub use vault::{SealedKey, Vault, VaultError};
