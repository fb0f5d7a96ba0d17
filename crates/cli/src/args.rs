//! What can be typed.

pub(crate) mod admin;
mod connect;
#[cfg(test)]
mod documented;
mod moments;
mod notify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::connect::{
    Common, Connect, FolderArgs, IgpsportArgs, IntervalsArgs, RegionArg, WebhookArgs, WebhookMode,
};
pub(crate) use self::notify::{Notify, NotifyEmail, NotifyWebhook};
use crate::rule_args::RuleArgs;

const AFTER_HELP: &str = "\
First steps:
  fitbridge demo                                    see it work, nothing leaves this machine
  fitbridge connect igpsport                        asks for the token of iGPSport's web app
  fitbridge connect intervals                       asks for the API key of Intervals.icu
  fitbridge connect folder ~/rides                  keep every original FIT file
  fitbridge sync                                    one pass; `fitbridge serve` keeps going

Exit codes: 0 done, 1 usage or internal error, 2 some rides failed or wait for a retry,
3 a connection needs you.";

/// iGPSport rides, original FIT, delivered.
#[derive(Debug, Parser)]
#[command(name = "fitbridge", version, about = "iGPSport rides, original FIT, delivered", after_help = AFTER_HELP, propagate_version = true)]
pub(crate) struct Cli {
    /// Where the data lies [default: the platform's data folder]
    #[arg(long, global = true, env = "FITBRIDGE_HOME", value_name = "DIR", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// Print JSON Lines instead of text (docs/JSON.md lists every field)
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Connect a place rides come from or go to
    #[command(subcommand)]
    Connect(Connect),
    /// Disconnect a place and forget its secret
    #[command(after_help = "Example:\n  fitbridge disconnect intervals")]
    Disconnect {
        /// Name of the connection, as `fitbridge status` shows it
        name: String,
    },
    /// Rides upstream, with their state here
    #[command(alias = "list-igp", after_help = "Example:\n  fitbridge list --limit 5")]
    List {
        /// Most rides that are shown
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
        /// Only this source
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// One pass: fetch what is new, deliver what is due
    #[command(
        alias = "sync-igp",
        after_help = "Examples:\n  fitbridge sync --dry-run\n  fitbridge sync --json | jq 'select(.type==\"summary\")'"
    )]
    Sync {
        /// Show what would be done; change nothing, download nothing, send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Import files: FIT, folders, ZIP, or a head unit on USB
    #[command(
        after_help = "Examples:\n  fitbridge import ride.fit rides.zip ~/old-rides\n  fitbridge import --usb\n  fitbridge import --watch ~/Downloads"
    )]
    Import(ImportArgs),
    /// Connections, counts, and what waits
    Status,
    /// Why a ride is where it is, sink by sink
    #[command(after_help = "Example:\n  fitbridge why 31827705")]
    Why {
        /// iGPSport's ride number, our id, or the start of a SHA-256
        ride: String,
    },
    /// What a code in square brackets means, why it comes about, and what to do
    #[command(after_help = "Example:\n  fitbridge explain token_refused")]
    Explain {
        /// The code, as it stands in square brackets behind a message
        code: String,
    },
    /// The original FIT file of a ride
    #[command(after_help = "Example:\n  fitbridge get 31827705 -o ride.fit")]
    Get {
        /// iGPSport's ride number, our id, or the start of a SHA-256
        ride: String,
        /// Where to write it; `-` is standard output
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Write over a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Judge FIT files and print their summaries; nothing is imported
    #[command(after_help = "Example:\n  fitbridge inspect --json *.fit")]
    Inspect {
        /// Files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Summary and small plots of a ride; route and profile as SVG
    #[command(after_help = "Examples:\n  fitbridge show 31827705\n  fitbridge show ride.fit --svg ride.svg")]
    Show {
        /// A ride, or a FIT file
        #[arg(value_name = "RIDE|FILE")]
        what: String,
        /// Draw route and profile into this file
        #[arg(long, value_name = "OUT")]
        svg: Option<PathBuf>,
    },
    /// Rides that wait for your word
    Held {
        /// What to say; without it they are listed
        #[command(subcommand)]
        word: Option<Word>,
    },
    /// What a sink gets and under which name: show, try out, set
    #[command(
        after_help = "Examples:\n  fitbridge rules intervals --min-duration 10min --indoor never\n  fitbridge rules intervals --ride-name '{date} {title}' --preview\n  fitbridge rules intervals --min-duration none --apply\n\nNames: {title} {date} {time} {year} {month} {day} {sport} {distance_km} {duration} {device} {source} {id}.\nA rule leaves out only what it knows: a ride without a sport passes a rule about sports."
    )]
    Rules(RulesArgs),
    /// Try again what was rejected or given up, when its cause is mended
    #[command(after_help = "Example:\n  fitbridge retry --all")]
    Retry {
        /// Rides
        #[arg(value_name = "RIDE", required_unless_present = "all")]
        rides: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = "rides")]
        all: bool,
    },
    /// How you are told of failures and recoveries
    #[command(subcommand)]
    Notify(Notify),
    /// What happened and when: connections, deliveries, failures, acts
    #[command(after_help = "Example:\n  fitbridge audit --since 2026-01-01 --json")]
    Audit {
        /// From this date or moment on
        #[arg(long, value_name = "DATE", value_parser = moments::since)]
        since: Option<jiff::Timestamp>,
    },
    /// Everything about you in one ZIP: records, original files, a manifest
    #[command(after_help = "Example:\n  fitbridge export -o everything.zip")]
    Export {
        /// Where to write it
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Write over a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Delete everything: rides, files, secrets; a receipt stays
    DeleteAccount {
        /// Yes, for good
        #[arg(long)]
        yes: bool,
    },
    /// Rides that are one: linked, or looking like it
    #[command(after_help = "Example:\n  fitbridge duplicates --json | jq 'select(.type==\"group\")'")]
    Duplicates,
    /// Say that rides are one: only one of them is sent
    #[command(
        after_help = "What was delivered first stays what is sent; where nothing was, it is the first named.\n\nExample:\n  fitbridge link 31827705 31827711"
    )]
    Link(LinkArgs),
    /// Say that a ride is one of its own: it is sent
    #[command(after_help = "Example:\n  fitbridge split 31827711")]
    Split {
        /// The ride
        ride: String,
    },
    /// Forget rides: they are not sent and never come back, by whatever inlet
    #[command(after_help = "What is at a sink already stays there.\n\nExample:\n  fitbridge forget 31827705")]
    Forget(ForgetArgs),
    /// Send a ride again, also one that was forgotten
    #[command(
        after_help = "A place that has the ride may get a second one, so you are asked, or say --yes.\n\nExamples:\n  fitbridge resync 31827705 --sink folder\n  fitbridge resync 31827705 --fetch --yes"
    )]
    Resync(ResyncArgs),
    /// Fetch older rides, a few at a time, newest first
    #[command(
        after_help = "Examples:\n  fitbridge backfill --since 2024-01-01\n  fitbridge backfill --status\n  fitbridge backfill --stop"
    )]
    Backfill(BackfillArgs),
    /// Look whether everything upstream is here and everything here is delivered, and mend what is not
    #[command(after_help = "Example:\n  fitbridge reconcile --name igpsport")]
    Reconcile {
        /// Only this source
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Keep going: poll, fetch, deliver until stopped
    Serve,
    /// Play iGPSport, its file host, Intervals.icu and a webhook receiver on this machine
    #[command(after_help = "Examples:\n  fitbridge simulator\n  fitbridge simulator --folder ~/rides --port 7070")]
    Simulator(SimulatorArgs),
    /// See it work: simulator and serve together on compressed time
    Demo {
        /// Stay until Ctrl-C
        #[arg(long)]
        keep: bool,
    },
    /// Check the installation; with --probe, the first contact with the real service
    Doctor {
        /// Make a dozen polite calls with your own account and write redacted answers to a file
        #[arg(long)]
        probe: bool,
        /// Where the redacted answers go
        #[arg(long, value_name = "FILE", default_value = "fitbridge-probe.json")]
        output: PathBuf,
    },
    /// Operate the service: on AWS with --aws, else with this machine's data
    #[command(
        after_help = "Examples:\n  fitbridge admin --aws users add ada\n  fitbridge admin --aws stop --note 'iGPSport asked us to'\n  fitbridge admin users list"
    )]
    Admin(admin::AdminArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  fitbridge completions bash > ~/.local/share/bash-completion/completions/fitbridge"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The older way to say `connect igpsport`
    #[command(hide = true)]
    LoginIgp(IgpsportArgs),
    /// The older way to store a token
    #[command(hide = true, subcommand)]
    Config(Config),
}

/// The older settings command.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// `config set igpsport:token JWT`; `-` reads standard input
    Set {
        /// `igpsport:token`
        key: String,
        /// The value, or `-`
        value: String,
    },
}

/// A sink's rules.
#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// The sink; without it those of all sinks are shown
    #[arg(value_name = "SINK")]
    pub sink: Option<String>,
    #[command(flatten)]
    pub change: RuleArgs,
    /// Forget the rules that it has, before those given here are set
    #[arg(long)]
    pub clear: bool,
    /// Only show what the rules, with those given here, do with the last rides; nothing is changed
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "20", conflicts_with = "apply")]
    pub preview: Option<usize>,
    /// Send what was left out before and passes now; what was sent stays
    #[arg(long)]
    pub apply: bool,
}

/// The rider's word for held rides.
#[derive(Debug, Subcommand)]
pub(crate) enum Word {
    /// Send them all the same
    Send(WordArgs),
    /// Leave them; they are never sent
    Skip(WordArgs),
}

/// Which held rides are meant.
#[derive(Debug, Args)]
pub(crate) struct WordArgs {
    /// Rides
    #[arg(value_name = "RIDE", required_unless_present = "all")]
    pub rides: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "rides")]
    pub all: bool,
    /// Only at this sink
    #[arg(long, value_name = "NAME")]
    pub sink: Option<String>,
}

/// Which rides are one.
#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    /// Rides
    #[arg(value_name = "RIDE", required = true, num_args = 2..)]
    pub rides: Vec<String>,
}

/// What is forgotten.
#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Rides
    #[arg(value_name = "RIDE", required = true)]
    pub rides: Vec<String>,
    /// Delete the archived file as well, unless another ride has the same
    #[arg(long)]
    pub delete_file: bool,
}

/// What is sent again.
#[derive(Debug, Args)]
pub(crate) struct ResyncArgs {
    /// The ride
    pub ride: String,
    /// Only to this sink; may be given several times
    #[arg(long, value_name = "NAME")]
    pub sink: Vec<String>,
    /// Fetch its file from the cloud again, too
    #[arg(long)]
    pub fetch: bool,
    /// Send it also where it is already
    #[arg(long)]
    pub yes: bool,
}

/// How far back to go.
#[derive(Debug, Args)]
pub(crate) struct BackfillArgs {
    /// Rides of that date and later [default: every ride]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = crate::rule_args::date)]
    pub since: Option<jiff::civil::Date>,
    /// Only this source
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only show how far it is
    #[arg(long, conflicts_with_all = ["since", "stop"])]
    pub status: bool,
    /// Stop; what was not fetched yet waits until this command is given again
    #[arg(long, conflicts_with = "since")]
    pub stop: bool,
}

/// What to import.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files, folders, ZIP archives
    #[arg(value_name = "PATH", required_unless_present_any = ["usb", "watch"])]
    pub paths: Vec<PathBuf>,
    /// Find a mounted head unit and import its rides
    #[arg(long)]
    pub usb: bool,
    /// Import what appears in a folder, until stopped
    #[arg(long, value_name = "FOLDER")]
    pub watch: Option<PathBuf>,
    /// Also take back rides that were forgotten
    #[arg(long)]
    pub again: bool,
}

/// How to simulate.
#[derive(Debug, Args)]
pub(crate) struct SimulatorArgs {
    /// Serve the FIT files of this folder instead of made-up rides
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// First of six ports in a row [default: chosen by the system]
    #[arg(long)]
    pub port: Option<u16>,
    /// Makes other made-up rides
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}
