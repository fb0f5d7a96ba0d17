//! The world around the engines: what is true, whoever knows it.

mod files;
mod ledger;
mod notifiers;
mod process;
mod queue;
mod sinks;
mod source;
mod storage;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use fitbridge_core::{
    Policy,
    domain::{ConnectionId, ContentId, OwnerId, RemoteAccount, RideId, UserId},
    ports::{Ledger, Scope},
    testkit::{FakeSource, MemoryArchive, MemoryLedger, MemoryVault},
};
use futures::FutureExt;

pub(crate) use files::{Kind, Recorder, SimFile, SimScanner, date_of, number_at};
pub(crate) use ledger::Watch;
pub(crate) use notifiers::{NoticeHost, NotifierPort, Via};
pub(crate) use process::{Mortal, Process, Tally, lives};
pub(crate) use queue::Messages;
pub(crate) use sinks::{Manner, SinkHost, SinkPort, outage, sink_account};
pub(crate) use source::row_problem;

use crate::{
    clockwork::{Bell, Clockwork, MINUTE, lock},
    story::Story,
    trouble::{Fault, Trouble},
    wishes::Wishes,
};

/// A ride as the cloud has it.
#[derive(Debug, Clone)]
pub(crate) struct TrueRide {
    pub(crate) file: SimFile,
    /// Before this moment (ms) the cloud has no file for it.
    pub(crate) ready_at: i64,
    /// Before this moment only a part of the file is there.
    pub(crate) whole_at: i64,
    /// Whoever downloads it dies.
    pub(crate) kills: bool,
    /// Before this moment (ms) its row cannot be decoded.
    pub(crate) bad_until: i64,
    pub(crate) uploaded_at: i64,
    pub(crate) is_deleted: bool,
}

/// One rider's cloud account, as the world knows it.
#[derive(Debug, Default)]
pub(crate) struct TrueAccount {
    pub(crate) rides: BTreeMap<RideId, TrueRide>,
    /// When a ride was last taken away, ms.
    pub(crate) deleted_at: i64,
    /// The end of the token that the last login gave, unless the rider came with another since; ms.
    pub(crate) logged_in_until: Option<i64>,
}

/// What is true of the riders.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) accounts: BTreeMap<String, TrueAccount>,
    /// Every file that was ever served to, or imported by, a rider.
    pub(crate) served: BTreeMap<(UserId, ContentId), SimFile>,
    /// Files that a sink will never take.
    pub(crate) unwanted: BTreeSet<ContentId>,
    /// Files that a sink did not take at first.
    pub(crate) mended: BTreeSet<ContentId>,
    /// Files that kill whoever sends them.
    pub(crate) deadly: BTreeSet<ContentId>,
    /// Files that the archive lost at some time.
    pub(crate) damaged: BTreeSet<ContentId>,
    /// Until when the provider is in trouble, and how.
    pub(crate) incident: Option<(i64, Incident)>,
}

/// How a provider is in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Incident {
    /// It does not answer.
    Away,
    /// It asks everybody to slow down.
    Throttles,
    /// It refuses every token, and says it is well.
    RefusesAll,
    /// It refuses every token, and does not answer when asked whether it is well.
    RefusesAllAndHides,
}

/// Everything that the processes share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clockwork: Clockwork,
    pub(crate) trouble: Trouble,
    pub(crate) story: Story,
    pub(crate) ledger: MemoryLedger,
    pub(crate) vault: MemoryVault,
    pub(crate) archive: MemoryArchive,
    pub(crate) source: FakeSource,
    pub(crate) truth: Mutex<Truth>,
    pub(crate) sinks: Mutex<SinkHost>,
    pub(crate) notices: Mutex<NoticeHost>,
    /// What the riders said.
    pub(crate) wishes: Mutex<BTreeMap<UserId, Wishes>>,
    /// Secrets that lie in the vault.
    pub(crate) sealed: Mutex<BTreeSet<(UserId, ConnectionId)>>,
    /// Who was asked by whom to make no call for a while: since when and until when, ms.
    pub(crate) asked_for_patience: Mutex<BTreeMap<(OwnerId, String), (i64, i64)>>,
    /// Since when the operator has stopped everything, ms.
    pub(crate) halted_at: Mutex<Option<i64>>,
    /// Whether a clock has jumped: what hangs by times alone cannot be promised then.
    pub(crate) has_jumped: AtomicBool,
    pub(crate) messages: Messages,
    pub(crate) watch: Mutex<Watch>,
    /// The times and bounds of this world's engines.
    pub(crate) policy: Policy,
    /// Rings when there is new work that is due now.
    pub(crate) new_work: Bell,
    /// Rings when a connection needs its rider.
    pub(crate) paused: Bell,
    /// When the indexes last showed all that was written, ms.
    pub(crate) indexed_at: AtomicI64,
    /// Whether pollers and sinks are functions of their own, on machines that know nothing of each other.
    pub(crate) is_split: bool,
}

impl World {
    pub(crate) fn now_ms(&self) -> i64 {
        self.clockwork.now_ms()
    }

    /// The rider whose cloud account that is; their names are the same.
    pub(crate) fn rider_of(account: &RemoteAccount) -> UserId {
        UserId::from_any(&account.account)
    }

    /// Whoever reads an index sees what was written up to now, or up to a minute ago.
    pub(crate) fn indexes_catch_up(&self) {
        let now = self.now_ms();
        let lags = self.trouble.hits(Fault::IndexLag);
        if !lags || self.indexed_at.load(Ordering::Relaxed) + MINUTE < now {
            self.ledger.settle();
            self.indexed_at.store(now, Ordering::Relaxed);
        }
    }

    /// The incident that goes on now, if one does.
    pub(crate) fn incident(&self) -> Option<Incident> {
        let incident = lock(&self.truth).incident;
        incident.filter(|(until, _)| *until > self.now_ms() && self.trouble.is_on()).map(|(_, incident)| incident)
    }

    /// Notes, or looks up, what a rider said.
    pub(crate) fn wishes<T>(&self, user: &UserId, look: impl FnOnce(&mut Wishes) -> T) -> T {
        look(lock(&self.wishes).entry(user.clone()).or_default())
    }

    /// Whether anything of a rider lies in the ledger, the vault or the archive.
    pub(crate) fn knows_of(&self, user: &UserId) -> bool {
        let records = self.ledger.range(&Scope::User(user.clone()), "", None, 1).now_or_never().and_then(Result::ok);
        records.is_none_or(|page| !page.records.is_empty())
            || lock(&self.sealed).iter().any(|(owner, _)| owner == user)
            || self.archive.files().iter().any(|(owner, _)| owner == user)
    }

    /// Tells of a promise that hangs by times alone; where a clock has jumped, it could not be kept.
    pub(crate) fn broken_unless_jumped(&self, law: &'static str, what: String) {
        if !self.has_jumped.load(Ordering::Relaxed) {
            self.story.broken(law, what);
        }
    }

    /// Looks for secrets where none may be.
    pub(crate) fn has_no_secret(&self, place: &str, text: &str) {
        for canary in [TOKEN_CANARY, SECRET_CANARY] {
            if text.contains(canary) {
                self.story.broken("I3", format!("a secret ({canary}…) stands in {place}"));
            }
        }
    }
}

/// How every token of the fake cloud begins: riders' accounts are called `rider…`.
pub(crate) const TOKEN_CANARY: &str = "fake.rider";
/// How every password and every sink's key begins.
pub(crate) const SECRET_CANARY: &str = "CANARY";
