//! What goes wrong, how often, and until when.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::clockwork::{Clockwork, lock};

/// A kind of fault. Each can be switched off, which is how a failing run is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A worker dies at an await.
    Crash,
    /// A call takes many seconds.
    Slow,
    /// The ledger does not answer; nothing was done.
    LedgerAway,
    /// The ledger does what it was asked, and its answer is lost.
    LedgerAnswerLost,
    /// The indexes show a commit late.
    IndexLag,
    /// Vault or archive do not answer.
    StorageAway,
    /// Vault or archive do what they were asked, and their answer is lost.
    StorageAnswerLost,
    /// A message is lost.
    MessageLost,
    /// A message comes twice.
    MessageTwice,
    /// A message comes late.
    MessageLate,
    /// The queue does not take messages.
    QueueAway,
    /// A call to the source fails.
    SourceError,
    /// The source is away, asks for patience, or refuses everybody for a while.
    SourceIncident,
    /// The file host fails.
    FileError,
    /// A sink fails before it did anything.
    SinkError,
    /// A sink did it, and its answer is lost.
    SinkAnswerLost,
    /// A sink is away for a while.
    SinkOutage,
    /// A sink's key is no longer taken, or a source's token.
    Revoked,
    /// A row of the list cannot be decoded, for a while or for good.
    BadRow,
    /// The archive has no room.
    ArchiveFull,
    /// An archived file has other bytes now.
    FileDamaged,
    /// The vault has lost a secret.
    SecretLost,
    /// A notice does not get through, this time or at all.
    NoticeError,
    /// A notice arrived, and the answer is lost.
    NoticeAnswerLost,
    /// A worker's clock is an hour or a day ahead for a while.
    ClockJump,
}

impl Fault {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::Crash,
        Self::Slow,
        Self::LedgerAway,
        Self::LedgerAnswerLost,
        Self::IndexLag,
        Self::StorageAway,
        Self::StorageAnswerLost,
        Self::MessageLost,
        Self::MessageTwice,
        Self::MessageLate,
        Self::QueueAway,
        Self::SourceError,
        Self::SourceIncident,
        Self::FileError,
        Self::SinkError,
        Self::SinkAnswerLost,
        Self::SinkOutage,
        Self::Revoked,
        Self::BadRow,
        Self::ArchiveFull,
        Self::FileDamaged,
        Self::SecretLost,
        Self::NoticeError,
        Self::NoticeAnswerLost,
        Self::ClockJump,
    ];

    /// Its name on the command line.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }

    /// Once in how many occasions it happens, before a seed's own temper is applied.
    fn odds(self) -> i64 {
        match self {
            Self::Crash => 250,
            Self::Slow => 60,
            Self::LedgerAway | Self::LedgerAnswerLost => 80,
            Self::IndexLag => 2,
            Self::StorageAway | Self::StorageAnswerLost => 30,
            Self::MessageLost | Self::MessageTwice => 8,
            Self::MessageLate => 5,
            Self::QueueAway | Self::SourceError => 15,
            Self::SourceIncident | Self::SinkOutage => 2,
            Self::FileError | Self::NoticeAnswerLost => 8,
            Self::SinkError | Self::SinkAnswerLost => 6,
            Self::Revoked | Self::NoticeError => 4,
            Self::BadRow => 15,
            Self::ArchiveFull => 40,
            Self::FileDamaged => 50,
            Self::SecretLost => 120,
            Self::ClockJump => 4000,
        }
    }
}

/// How often a kind happens in one world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Temper {
    Never,
    Rarely,
    Usually,
    /// A few times as often; but not death, which would use up what the innocent have for attempts.
    Often,
}

impl Temper {
    fn of(fault: Fault, clockwork: &Clockwork) -> Self {
        match clockwork.below(6) {
            // Where clocks jump, some promises cannot be kept.
            1..=4 if fault == Fault::ClockJump => Self::Never,
            0 => Self::Never,
            1 => Self::Rarely,
            2 if fault != Fault::Crash => Self::Often,
            _ => Self::Usually,
        }
    }

    /// Once in how many occasions.
    fn odds(self, fault: Fault) -> i64 {
        match self {
            Self::Never | Self::Usually => fault.odds(),
            Self::Rarely => fault.odds() * 5,
            Self::Often => (fault.odds() / 4).max(2),
        }
    }
}

/// The faults of one world.
#[derive(Debug)]
pub(crate) struct Trouble {
    clockwork: Clockwork,
    off: BTreeSet<Fault>,
    /// A seed's own temper.
    temper: BTreeMap<Fault, Temper>,
    is_on: AtomicBool,
    /// Faults that may still happen.
    left: AtomicU64,
    counts: Mutex<BTreeMap<Fault, u64>>,
}

impl Trouble {
    /// Each seed leaves some kinds out and has others more often, so that rare meetings of two come about.
    pub(crate) fn new(clockwork: &Clockwork, off: &BTreeSet<Fault>, most: u64) -> Self {
        let temper = Fault::ALL.iter().map(|fault| (*fault, Temper::of(*fault, clockwork)));
        Self {
            clockwork: clockwork.clone(),
            off: off.clone(),
            temper: temper.collect(),
            is_on: AtomicBool::new(true),
            left: AtomicU64::new(most),
            counts: Mutex::default(),
        }
    }

    /// Whether that fault happens now. Chance is asked in any case, so that a kind that is switched off
    /// leaves the rest of the run as much as possible as it was.
    pub(crate) fn hits(&self, fault: Fault) -> bool {
        let temper = self.temper.get(&fault).copied().unwrap_or(Temper::Usually);
        let hit = self.clockwork.one_in(temper.odds(fault));
        let may = hit && temper != Temper::Never && self.is_on.load(Ordering::Relaxed) && !self.off.contains(&fault);
        if !may || self.left.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.left.fetch_sub(1, Ordering::Relaxed);
        *lock(&self.counts).entry(fault).or_default() += 1;
        true
    }

    /// Whether faults happen at all now.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// From now on everything works.
    pub(crate) fn end(&self) {
        self.is_on.store(false, Ordering::Relaxed);
    }

    /// How often that happened.
    pub(crate) fn count(&self, fault: Fault) -> u64 {
        lock(&self.counts).get(&fault).copied().unwrap_or(0)
    }

    /// How often each kind happened.
    pub(crate) fn counts(&self) -> BTreeMap<Fault, u64> {
        lock(&self.counts).clone()
    }
}
