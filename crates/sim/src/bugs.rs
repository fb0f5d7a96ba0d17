//! Planted bugs: which promise each of them breaks, and in which world that shows first.

use crate::{Bug, Options, Violation, run};

/// The promises that a bug breaks, any of them: `I1` to `I7`, `notice`, `gone` or `quiet`. Another one broken in its place
/// would be the simulation's own mistake.
pub fn laws_broken_by(bug: Bug) -> &'static [&'static str] {
    match bug {
        // A ride that is lost, or comes twice.
        Bug::ClaimWithoutVersion
        | Bug::CursorBeforePolls
        | Bug::NoProbe
        | Bug::ForgetsMaybeThere
        | Bug::LeaseTooShort
        | Bug::OwnerUnchecked
        | Bug::MarkBeforeWalk
        | Bug::DoneBeforeSend
        | Bug::UserUnchecked
        | Bug::BackfillSkips
        | Bug::DedupeByExternalId
        | Bug::NoTombstone
        | Bug::ForgetsUnsent
        | Bug::LinkedSentToo
        | Bug::BadRowHidesPage
        | Bug::HistoryIgnored => &["I1"],
        // Other bytes than the file host's, or none, where a ride is said to be archived.
        Bug::ArchiveAfterCommit | Bug::BytesRewritten => &["I2"],
        Bug::TokenInFailure => &["I3"],
        // Something hangs that nobody will ever see to.
        Bug::DueDropped => &["I5"],
        // Calls that are not to be made, or not yet.
        Bug::IgnoresPause
        | Bug::LoginWithoutIntent
        | Bug::IdlePollWrites
        | Bug::ThrottleIgnored
        | Bug::BreakerForgotten
        | Bug::HaltIgnored => &["I6"],
        Bug::ToldTwiceADay | Bug::QuietIgnored | Bug::RecoveryUntold => &["notice"],
        // What was to go is still there.
        Bug::SecretLeft | Bug::EraseSkipped => &["gone"],
        // It is asked for again and again.
        Bug::RulesNotLifted => &["I1", "quiet"],
        // The same is done again and again, or waited for without an end.
        Bug::LeaseNeverEnds | Bug::StaleIndex | Bug::AttemptNotCounted | Bug::BreakerNeverCloses => &["quiet"],
    }
}

/// How a bug was found.
#[derive(Debug, Clone)]
pub struct Catch {
    /// The world.
    pub seed: u64,
    /// The promise that it broke there.
    pub violation: Violation,
}

/// Runs worlds with that bug, from seed 0 on, until one breaks a promise that the bug is known to break.
pub fn hunt(bug: Bug, most_worlds: u64) -> Option<Catch> {
    (0..most_worlds).find_map(|seed| {
        let report = run(&Options { bug: Some(bug), ..Options::of(seed) });
        let is_its = |violation: &Violation| laws_broken_by(bug).contains(&violation.law);
        report.violations.into_iter().find(is_its).map(|violation| Catch { seed, violation })
    })
}
