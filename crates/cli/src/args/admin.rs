//! What an operator can type.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand, ValueEnum};
use fitbridge_core::domain::UserId;
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::Offset,
};

use super::{BackfillArgs, Connect, ForgetArgs, LinkArgs, Notify, ResyncArgs, RulesArgs, WordArgs};

/// The help behind a verb after which somebody else does the work.
macro_rules! then_worked_on {
    ($examples:literal) => {
        concat!(
            "Only the ledger is changed, and who works on what is due does the rest: the functions, or `fitbridge serve`.\n\n",
            $examples
        )
    };
}

/// `fitbridge admin`.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Where the service is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// The service on AWS, with your AWS credentials; without it, this machine's data
    #[arg(long, global = true)]
    pub aws: bool,
    /// Ask CloudFormation for the outputs of this stack, with the AWS CLI [default: fitbridge]
    #[arg(long, global = true, value_name = "NAME", requires = "aws", conflicts_with = "outputs")]
    pub stack: Option<String>,
    /// Read the outputs from a file: of CloudFormation, SAM or `terraform output -json`
    #[arg(long, global = true, value_name = "FILE", requires = "aws")]
    pub outputs: Option<PathBuf>,
    /// The table, instead of the outputs'
    #[arg(long, global = true, value_name = "NAME", requires = "aws")]
    pub table: Option<String>,
    /// The bucket, instead of the outputs'
    #[arg(long, global = true, value_name = "NAME", requires = "aws")]
    pub bucket: Option<String>,
    /// The queue of jobs, instead of the outputs'
    #[arg(long, global = true, value_name = "URL", requires = "aws")]
    pub queue_url: Option<String>,
    /// The queue of dead letters, instead of the outputs'
    #[arg(long, global = true, value_name = "URL", requires = "aws")]
    pub dead_letter_queue_url: Option<String>,
}

/// What an operator can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Riders
    #[command(subcommand)]
    Users(Users),
    /// Connect a place for a rider; secrets come on standard input
    #[command(after_help = "Example:\n  fitbridge admin --aws connect ada igpsport --token-stdin < token.txt")]
    Connect {
        /// For whom
        rider: UserId,
        /// What
        #[command(subcommand)]
        what: Connect,
    },
    /// Disconnect a place of a rider and forget its secret
    Disconnect {
        /// Whose
        rider: UserId,
        /// Name of the connection
        name: String,
    },
    /// A rider's connections and their states
    Connections {
        /// Whose
        rider: UserId,
    },
    /// Look whether everything of a rider is where it should be, and mend what is not
    #[command(after_help = "Example:\n  fitbridge admin --aws reconcile ada\n  fitbridge admin --aws users show ada")]
    Reconcile {
        /// Whose
        rider: UserId,
        /// Only this source
        name: Option<String>,
    },
    /// A rider's rides that are known here, newest first, with their states here and at the sinks
    #[command(after_help = "Example:\n  fitbridge admin --aws rides ada --limit 50")]
    Rides {
        /// Whose
        rider: UserId,
        /// Most rides that are shown
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
    },
    /// Why a rider's ride is where it is, sink by sink
    #[command(after_help = "Example:\n  fitbridge admin --aws why ada 31827705")]
    Why {
        /// Whose
        rider: UserId,
        /// iGPSport's ride number, our id, or the start of a SHA-256
        ride: String,
    },
    /// Fetch a rider's older rides, a few at a time, newest first
    #[command(
        after_help = then_worked_on!("Examples:\n  fitbridge admin --aws backfill ada --since 2024-01-01\n  fitbridge admin --aws backfill ada --status")
    )]
    Backfill {
        /// Whose
        rider: UserId,
        #[command(flatten)]
        args: BackfillArgs,
    },
    /// A rider's rides that are one: linked, or looking like it
    #[command(after_help = "Example:\n  fitbridge admin --aws duplicates ada")]
    Duplicates {
        /// Whose
        rider: UserId,
    },
    /// Say for a rider that rides are one: only one of them is sent
    #[command(
        after_help = then_worked_on!("What was delivered first stays what is sent; where nothing was, it is the first named.\n\nExample:\n  fitbridge admin --aws link ada 31827705 31827711")
    )]
    Link {
        /// Whose
        rider: UserId,
        #[command(flatten)]
        args: LinkArgs,
    },
    /// Say for a rider that a ride is one of its own: it is sent
    #[command(after_help = then_worked_on!("Example:\n  fitbridge admin --aws split ada 31827711"))]
    Split {
        /// Whose
        rider: UserId,
        /// The ride
        ride: String,
    },
    /// Forget a rider's rides: they are not sent and never come back, by whatever inlet
    #[command(
        after_help = then_worked_on!("What is at a sink already stays there.\n\nExample:\n  fitbridge admin --aws forget ada 31827705")
    )]
    Forget {
        /// Whose
        rider: UserId,
        #[command(flatten)]
        args: ForgetArgs,
    },
    /// Send a rider's ride again, also one that was forgotten
    #[command(
        after_help = then_worked_on!("A place that has the ride may get a second one, so you are asked, or say --yes.\n\nExamples:\n  fitbridge admin --aws resync ada 31827705 --sink intervals\n  fitbridge admin --aws resync ada 31827705 --fetch --yes")
    )]
    Resync {
        /// Whose
        rider: UserId,
        #[command(flatten)]
        args: ResyncArgs,
    },
    /// What a rider's sink gets and under which name: show, try out, set
    #[command(
        after_help = then_worked_on!("Examples:\n  fitbridge admin --aws rules ada\n  fitbridge admin --aws rules ada intervals --min-duration 10min --preview\n  fitbridge admin --aws rules ada intervals --min-duration none --apply")
    )]
    Rules {
        /// Whose
        rider: UserId,
        #[command(flatten)]
        args: RulesArgs,
    },
    /// A rider's rides that wait for a word, because they are there already by another route
    #[command(
        after_help = "Examples:\n  fitbridge admin --aws held ada\n  fitbridge admin --aws held ada send 31827705\n  fitbridge admin --aws held ada skip --all --sink intervals --dry-run"
    )]
    Held {
        /// Whose
        rider: UserId,
        /// What the rider says; without it they are listed
        #[command(subcommand)]
        word: Option<HeldWord>,
    },
    /// Begin anew with what was rejected or given up
    #[command(
        after_help = "Examples:\n  fitbridge admin --aws redrive --user ada --dry-run\n  fitbridge admin --aws redrive --sink intervals --since 3h"
    )]
    Redrive(RedriveArgs),
    /// Jobs that were never finished, and rides and deliveries that were given up
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// How a rider is told of failures and recoveries
    #[command(
        after_help = "Examples:\n  fitbridge admin --aws notify ada email ada@example.com\n  fitbridge admin --aws notify ada show"
    )]
    Notify {
        /// Whose
        rider: UserId,
        /// What
        #[command(subcommand)]
        what: Notify,
    },
    /// What happened to a rider and when: connections, deliveries, failures, acts
    #[command(after_help = "Example:\n  fitbridge admin --aws audit ada --since 3d")]
    Audit {
        /// Whose
        rider: UserId,
        /// From then on: a time, a date, or so long ago (90m, 3h, 2d)
        #[arg(long, value_name = "TIME")]
        since: Option<Moment>,
    },
    /// Where secrets lie (with --aws only)
    #[command(subcommand)]
    Vault(Vault),
    /// Stop everything: within a minute no provider is asked anything. Nothing is lost meanwhile
    Stop {
        /// Why, for whoever looks
        #[arg(long, default_value = "", hide_default_value = true)]
        note: String,
    },
    /// Go on after `stop`
    Go,
    /// Whether it is stopped, how far the ticks are, which providers are left alone
    Status,
}

/// What can be done with riders.
#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// Add a rider, or one who was removed
    Add {
        /// 1 to 128 letters, digits, '.', '_' or '-'
        rider: UserId,
    },
    /// List riders by name
    List {
        /// Most riders that are listed
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
        /// Only those behind this name: where the last list ended
        #[arg(long, value_name = "RIDER")]
        after: Option<UserId>,
    },
    /// A rider's connections and newest rides, with states, codes and next steps
    Show {
        /// Who
        rider: UserId,
        /// Most rides that are shown
        #[arg(long, default_value_t = 10, value_name = "N")]
        limit: usize,
    },
    /// Make no call for a rider until resumed
    Pause {
        /// Who
        rider: UserId,
    },
    /// Go on with a paused rider
    Resume {
        /// Who
        rider: UserId,
    },
    /// Look at a rider's sources as often as is allowed, for some minutes
    Wake {
        /// Who
        rider: UserId,
    },
    /// Disconnect everything of a rider and forget the secrets; rides and files stay
    Remove {
        /// Who
        rider: UserId,
    },
    /// Write everything about a rider into a ZIP file; secrets are left out
    Export {
        /// Who
        rider: UserId,
        /// Where to write it
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Write over a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Delete everything about a rider: rides, files, secrets; a receipt stays
    Delete {
        /// Who
        rider: UserId,
        /// Yes, for good
        #[arg(long)]
        yes: bool,
    },
}

/// The rider's word for held rides, as the operator passes it on.
#[derive(Debug, Subcommand)]
pub(crate) enum HeldWord {
    /// Send them all the same
    Send(HeldArgs),
    /// Leave them; they are never sent
    Skip(HeldArgs),
}

impl HeldWord {
    /// Which rides it is for.
    pub(crate) fn args(&self) -> &HeldArgs {
        let (Self::Send(args) | Self::Skip(args)) = self;
        args
    }
}

/// Which held rides are meant.
#[derive(Debug, Args)]
pub(crate) struct HeldArgs {
    #[command(flatten)]
    pub which: WordArgs,
    /// Show which are meant; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What is begun anew.
#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    /// Only this rider
    #[arg(long, value_name = "RIDER")]
    pub user: Option<UserId>,
    /// Only deliveries to sinks of this name, id or service
    #[arg(long, value_name = "SINK")]
    pub sink: Option<String>,
    /// Only what was given up since: a time, a date, or so long ago (90m, 3h, 2d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only what was given up before
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Show what would be begun anew; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them, with their reasons
    List(DeadLetterArgs),
    /// Hand messages over again, and begin anew with what the ledger gave up. Poison stays
    Replay {
        #[command(flatten)]
        which: DeadLetterArgs,
        /// Show what would be done; change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete messages that are no jobs, or any by their ids (with --aws only)
    Discard {
        /// Ids of messages, or the start of one (6 characters at least)
        #[arg(value_name = "ID", required_unless_present = "poison")]
        ids: Vec<String>,
        /// All messages that are no jobs of ours
        #[arg(long, conflicts_with = "ids")]
        poison: bool,
    },
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct DeadLetterArgs {
    /// Only of this rider
    #[arg(long, value_name = "RIDER")]
    pub user: Option<UserId>,
    /// Most messages, and most rides and deliveries, that are looked at
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub limit: usize,
}

/// What can be done with the vault.
#[derive(Debug, Subcommand)]
pub(crate) enum Vault {
    /// Fill the two keyrings where they are empty
    Init {
        /// What the names of both start with [default: of the outputs, else the service's name and /keyring]
        #[arg(long, value_name = "NAME")]
        keyring_secret: Option<String>,
    },
    /// Turn the keys of the keyrings: add a new one to each, and seal every rider's secrets with it
    #[command(
        after_help = "Nothing has to be stopped. Ten minutes later drop the old keys: `fitbridge admin --aws vault rotate --drop`."
    )]
    Rotate {
        /// What the names of both keyrings start with [default: of the outputs, else the service's name and /keyring]
        #[arg(long, value_name = "NAME")]
        keyring_secret: Option<String>,
        /// Add none: seal what is left with the newest, then drop the older keys
        #[arg(long)]
        drop: bool,
    },
    /// Copy every rider's secrets into the other vault
    #[command(
        after_help = "Stop first, so that no secret is renewed meanwhile: `fitbridge admin --aws stop`.\ndocs/DEPLOY.md has the steps."
    )]
    Migrate {
        /// The vault they go to
        #[arg(long, value_enum)]
        to: VaultKind,
        /// Only this rider
        #[arg(long, value_name = "RIDER")]
        user: Option<UserId>,
        /// What the names of both keyrings start with [default: of the outputs, else the service's name and /keyring]
        #[arg(long, value_name = "NAME")]
        keyring_secret: Option<String>,
        /// Forget each in the old vault, once its copy was read back
        #[arg(long)]
        forget: bool,
        /// Count what would be moved; change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// The vaults on AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VaultKind {
    /// One secret of Secrets Manager per connection
    PerUserSecret,
    /// Ciphertext in the table, keys in two secrets
    Keyring,
}

/// A moment as it is typed: a time, a date, or so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Then.
    At(Timestamp),
    /// So long ago.
    Ago(SignedDuration),
}

impl Moment {
    /// The moment, seen from now.
    pub(crate) fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        if let Ok(date) = text.parse::<Date>()
            && let Ok(at) = Offset::UTC.to_timestamp(date.to_datetime(Time::midnight()))
        {
            return Ok(Self::At(at));
        }
        let units = [('m', 60), ('h', 3_600), ('d', 86_400)];
        let ago = units.iter().find_map(|(unit, seconds)| {
            let count: i64 = text.strip_suffix(*unit)?.parse().ok().filter(|count| (1..=100_000).contains(count))?;
            Some(SignedDuration::from_secs(count * seconds))
        });
        ago.map(Self::Ago).ok_or_else(|| {
            format!("{text:?} is neither a time such as 2026-01-31T12:00:00Z, a date, nor so long ago (90m, 3h, 2d)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_typed_in_three_ways() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let seen = |text: &str| text.parse::<Moment>().map(|moment| moment.seen_from(now).to_string());
        assert_eq!(seen("2026-03-01T10:30:00+01:00").as_deref(), Ok("2026-03-01T09:30:00Z"));
        assert_eq!(seen("2026-03-01").as_deref(), Ok("2026-03-01T00:00:00Z"));
        assert_eq!(seen("90m").as_deref(), Ok("2026-03-02T10:30:00Z"));
        assert_eq!(seen("3h").as_deref(), Ok("2026-03-02T09:00:00Z"));
        assert_eq!(seen("2d").as_deref(), Ok("2026-02-28T12:00:00Z"));
        for wrong in ["", "h", "-3h", "3", "3w", "0d", "yesterday", "2026-13-01"] {
            assert!(seen(wrong).is_err(), "{wrong}");
        }
    }
}
