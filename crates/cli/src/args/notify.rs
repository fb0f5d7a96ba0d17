//! How a rider says how to be told.

use clap::{Args, Subcommand};

/// What is set.
#[derive(Debug, Subcommand)]
pub(crate) enum Notify {
    /// By a signed webhook (Standard Webhooks)
    #[command(after_help = "Example:\n  fitbridge notify webhook https://example.com/notices")]
    Webhook(NotifyWebhook),
    /// By mail, through your own mail server; for a service on AWS, from its `MailSender`
    #[command(
        after_help = "Example:\n  fitbridge notify email me@example.com --smtp smtps://me%40example.com@mail.example.com < password.txt"
    )]
    Email(NotifyEmail),
    /// Tell nothing any more
    Off {
        /// Only this way
        #[arg(value_name = "webhook|email")]
        via: Option<String>,
    },
    /// Send a test through every way that is set
    Test,
    /// Hours in which nothing is sent; it comes when they end
    #[command(
        after_help = "Examples:\n  fitbridge notify quiet 22:00-07:00 --zone Europe/Berlin\n  fitbridge notify quiet off"
    )]
    Quiet {
        /// From and to, or `off`
        #[arg(value_name = "HH:MM-HH:MM|off")]
        hours: String,
        /// The time zone of these hours
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
    },
    /// What is set, and the notices there are
    Show,
}

/// A webhook for notices.
#[derive(Debug, Args)]
pub(crate) struct NotifyWebhook {
    /// Where notices are posted to
    pub url: String,
    /// Read the signing secret (whsec_…) from standard input; without it one is made
    #[arg(long)]
    pub secret_stdin: bool,
    /// Set it without sending a test
    #[arg(long)]
    pub no_test: bool,
}

/// Mail.
#[derive(Debug, Args)]
pub(crate) struct NotifyEmail {
    /// Who gets the mail
    pub address: String,
    /// The mail server
    #[arg(
        long,
        value_name = "URL",
        help = "The mail server: smtps://USER@HOST (port 465), or smtp://USER@HOST (port 587, STARTTLS); not for AWS"
    )]
    pub smtp: Option<String>,
    /// The sender [default: the recipient]
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// Read the password from standard input; asked for otherwise, where the URL names a user
    #[arg(long)]
    pub password_stdin: bool,
    /// Set it without sending a test
    #[arg(long)]
    pub no_test: bool,
}
