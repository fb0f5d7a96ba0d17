//! Mistakes that can be planted, to prove that the simulation finds them. Without the feature `planted-bugs`
//! there is nothing here but a macro that says no.

/// Whether that bug is planted in this engine.
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($engine:expr, $bug:ident) => {
        $engine.policy.planted == Some($crate::engine::Bug::$bug)
    };
}

/// Whether that bug is planted in this engine: never.
#[cfg(not(feature = "planted-bugs"))]
macro_rules! planted {
    ($engine:expr, $bug:ident) => {
        false
    };
}

#[cfg(feature = "planted-bugs")]
macro_rules! bugs {
    ($($variant:ident $name:literal $what:literal;)*) => {
        /// A mistake that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $(#[doc = $what] $variant,)*
        }

        impl Bug {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What is wrong, in one sentence without a full stop.
            pub fn what(self) -> &'static str {
                match self { $(Self::$variant => $what,)* }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|bug| bug.name() == name)
            }
        }
    };
}

#[cfg(feature = "planted-bugs")]
bugs! {
    ClaimWithoutVersion "claim-without-version" "a claim is written whatever the record says by then";
    CursorBeforePolls "cursor-before-polls" "a tick's minutes are done before its polls were made or handed over";
    NoProbe "no-probe" "nobody asks a sink that cannot tell repeats after an answer was lost";
    ForgetsMaybeThere "forgets-maybe-there" "an attempt whose worker died counts as one that never arrived";
    LeaseTooShort "lease-too-short" "a claim ends after a second, while its work goes on";
    LeaseNeverEnds "lease-never-ends" "a claim never ends, whatever became of its owner";
    StaleIndex "stale-index" "what a stale index names is taken without a look at the record";
    OwnerUnchecked "owner-unchecked" "a file is recorded for each ride that brings it, not once by its hash";
    AttemptNotCounted "attempt-not-counted" "an attempt counts when it ends, not when it is claimed";
    ArchiveAfterCommit "archive-after-commit" "a ride is recorded as fetched before its file is archived";
    MarkBeforeWalk "mark-before-walk" "a walk leaves its mark when it begins";
    LoginWithoutIntent "login-without-intent" "nothing is written before the one login of a token's life";
    DoneBeforeSend "done-before-send" "a delivery is recorded as done before it is sent";
    DueDropped "due-dropped" "a delivery that is to be tried again has no time for it";
    IgnoresPause "ignores-pause" "a delivery goes out although its connection is paused";
    BreakerNeverCloses "breaker-never-closes" "a breaker stays open when its time is over";
    UserUnchecked "user-unchecked" "a fetched ride does not notice a sink that was connected meanwhile, nor does a reconcile";
    IdlePollWrites "idle-poll-writes" "a poll that found nothing new leaves a mark";
    BackfillSkips "backfill-skips" "a step of a backfill with room for a part of its last rides skips the others";
    BytesRewritten "bytes-rewritten" "a sink gets other bytes than the file host had";
    TokenInFailure "token-in-failure" "a failure quotes the token";
    DedupeByExternalId "dedupe-by-external-id" "an imported file is known by its name, not by its bytes";
    NoTombstone "no-tombstone" "what is forgotten leaves no record that would keep it away";
    ForgetsUnsent "forgets-unsent" "what was not sent of a forgotten ride is sent all the same";
    LinkedSentToo "linked-sent-too" "a ride that another stands for is sent besides";
    BadRowHidesPage "bad-row-hides-page" "a page of the list with a row that cannot be decoded is passed over";
    ThrottleIgnored "throttle-ignored" "a sink that asks for patience is tried again when our own backoff says";
    BreakerForgotten "breaker-forgotten" "how long a provider asks to be left alone is not heeded";
    ToldTwiceADay "told-twice-a-day" "a cause is told again before the day is over";
    QuietIgnored "quiet-ignored" "notices come in the quiet hours";
    RecoveryUntold "recovery-untold" "nobody is told that it works again";
    HaltIgnored "halt-ignored" "nobody sees that the operator has stopped everything";
    SecretLeft "secret-left" "a deleted account leaves its secrets in the vault";
    EraseSkipped "erase-skipped" "the file of a forgotten ride stays in the archive";
    RulesNotLifted "rules-not-lifted" "what a sink's rules left out stays so when they are lifted";
    HistoryIgnored "history-ignored" "rides from before the chosen history are fetched and sent";
}
