//! What can be connected, and how.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use fitbridge_core::domain::History;

use crate::rule_args::RuleArgs;

/// What can be connected.
#[derive(Debug, Subcommand)]
pub(crate) enum Connect {
    /// iGPSport: rides come from here
    #[command(
        after_help = "Asked for the token, paste it: it is not shown.\n\nExamples:\n  fitbridge connect igpsport\n  fitbridge connect igpsport --token-stdin < token.txt\n  fitbridge connect igpsport --login me@example.com --stay-signed-in"
    )]
    Igpsport(IgpsportArgs),
    /// Intervals.icu: rides go here
    #[command(
        after_help = "Examples:\n  fitbridge connect intervals\n  fitbridge connect intervals --api-key-stdin < key.txt"
    )]
    Intervals(IntervalsArgs),
    /// A folder of original FIT files
    #[command(after_help = "Example:\n  fitbridge connect folder ~/rides --template '{year}/{date}-{title}.fit'")]
    Folder(FolderArgs),
    /// A signed webhook (Standard Webhooks)
    #[command(after_help = "Example:\n  fitbridge connect webhook https://example.com/rides")]
    Webhook(WebhookArgs),
}

/// What every connection has.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// What to call it [default: the service's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How far back it reaches: all, none, or from a date [default: all]
    #[arg(long, value_name = "all|none|YYYY-MM-DD")]
    pub history: Option<History>,
}

/// iGPSport's regions; accounts are not shared between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RegionArg {
    /// app.igpsport.com
    Global,
    /// app.igpsport.cn
    China,
}

impl RegionArg {
    /// The realm of an account in this region.
    pub(crate) fn realm(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::China => "china",
        }
    }
}

/// How to connect iGPSport.
#[derive(Debug, Args)]
pub(crate) struct IgpsportArgs {
    /// Read the token of iGPSport's web app from standard input
    #[arg(long, conflicts_with = "login")]
    pub token_stdin: bool,
    /// Sign in with e-mail and password (asked for without echo)
    #[arg(long, value_name = "EMAIL")]
    pub login: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "login")]
    pub password_stdin: bool,
    /// Keep the login sealed and sign in again once per token life
    #[arg(long, requires = "login")]
    pub stay_signed_in: bool,
    /// Needed only when both regions know the token, and for --login to China
    #[arg(long)]
    pub region: Option<RegionArg>,
    #[command(flatten)]
    pub common: Common,
    /// The token itself; shells remember it, so leave it out and be asked
    #[arg(value_name = "TOKEN", hide = true, conflicts_with_all = ["token_stdin", "login"])]
    pub token: Option<String>,
}

/// How to connect Intervals.icu.
#[derive(Debug, Args)]
pub(crate) struct IntervalsArgs {
    /// Read the API key from standard input (Settings, Developer)
    #[arg(long)]
    pub api_key_stdin: bool,
    /// The athlete, where the key may act for more than its owner
    #[arg(long, value_name = "ID")]
    pub athlete: Option<String>,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// How to connect a folder.
#[derive(Debug, Args)]
pub(crate) struct FolderArgs {
    /// The folder
    pub path: PathBuf,
    /// How files are named there
    #[arg(long, value_name = "T")]
    pub template: Option<String>,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// How to connect a webhook.
#[derive(Debug, Args)]
pub(crate) struct WebhookArgs {
    /// Where rides are posted to
    pub url: String,
    /// Read the signing secret (whsec_…) from standard input; without it one is made
    #[arg(long)]
    pub secret_stdin: bool,
    /// Sign with the old secret as well, until the next connect without this: for changing it unnoticed
    #[arg(long)]
    pub rotate: bool,
    /// Post the FIT file itself, a notice without it, or a notice with a link to it
    #[arg(long, value_enum, default_value_t = WebhookMode::Raw)]
    pub mode: WebhookMode,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// What a webhook is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WebhookMode {
    /// The FIT file, the ride's facts in headers
    Raw,
    /// A JSON notice
    Notify,
    /// A JSON notice with a link to download the file, good for an hour; the service on AWS makes links, one
    /// machine does not
    Link,
}
