//! The one catalogue of failures: a stable code, one sentence, and what to do next.
//!
//! A code without its entry cannot be written: the variants and their texts are one table. The CLI, the
//! status pages and docs/ERRORS.md all read it from here.

mod causes;
mod reader;

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

pub use reader::Reader;

macro_rules! catalogue {
    ($($variant:ident $code:literal $sentence:literal $next:literal;)*) => {
        /// A stable code of a failure that a person may see.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $sentence] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the catalogue.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// The code as it is written in logs, JSON and records.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// What happened, in one sentence without a full stop.
            pub fn sentence(self) -> &'static str {
                match self { $(Code::$variant => $sentence,)* }
            }

            /// What the reader can do, in one sentence without a full stop.
            pub fn next_step(self) -> &'static str {
                match self { $(Code::$variant => $next,)* }
            }

            /// The code of that name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($code => Some(Code::$variant),)* _ => None }
            }
        }
    };
}

catalogue! {
    // the source and its token
    TokenExpired "token_expired" "the iGPSport token has reached its end" "connect again with a fresh token: `fitbridge connect igpsport`";
    TokenExpiring "token_expiring" "the iGPSport token ends within 48 hours" "connect again with a fresh token before that: `fitbridge connect igpsport`";
    TokenRefused "token_refused" "iGPSport refuses the token" "connect again with a fresh token: `fitbridge connect igpsport`";
    TokenInvalid "token_invalid" "this is not an iGPSport token" "copy the whole token from iGPSport's web app and paste it again";
    TokenMissing "token_missing" "the sealed token of this connection is not there" "connect again: `fitbridge connect igpsport`";
    MemberMismatch "member_mismatch" "iGPSport answered for another member than the one connected" "connect again with a token of the same account, or disconnect first to change accounts";
    StrangerRides "stranger_rides" "the token opens rides that are none of those known for this account" "connect again and check region, nickname and latest ride";
    RegionAmbiguous "region_ambiguous" "both iGPSport regions know this token, for two different people" "say which one is yours: `--region global` or `--region china`";
    BadPassword "bad_password" "iGPSport refuses this e-mail and password" "check both, and the region: accounts are not shared between global and china";
    LoginUsed "login_used" "the one login of this token's life has been used and brought no new token" "connect again: `fitbridge connect igpsport --login EMAIL --stay-signed-in`";
    LoginUnderWay "login_under_way" "signing in again was begun, and it is not known yet whether it brings a new token" "nothing to do: it is known within minutes";
    SignatureRequired "signature_required" "iGPSport asks for signed requests, which this version cannot make" "look for a newer version; your rides stay safe in iGPSport's cloud";
    ProviderAway "provider_away" "iGPSport's cloud is away or refuses everybody" "nothing to do: it is tried again by itself";
    ProviderThrottled "provider_throttled" "iGPSport asks for fewer requests" "nothing to do: it is tried again when the time asked for is over";
    ProviderTimeout "provider_timeout" "iGPSport's cloud did not answer in time" "nothing to do: it is tried again by itself";
    ProviderMalformed "provider_malformed" "iGPSport's cloud answered something that cannot be read" "nothing to do: it is tried again; report it if it stays";
    ProviderError "provider_error" "iGPSport's cloud answered with an error of its own" "nothing to do: it is tried again by itself";
    RideNotReady "ride_not_ready" "iGPSport has no file for this ride yet" "nothing to do: it is asked for again";
    RideGone "ride_gone" "iGPSport no longer has this ride" "if you did not delete it, import the file from the head unit: `fitbridge import FILE`";
    // the file host
    FileEmpty "file_empty" "the file host sent zero bytes" "nothing to do: it is fetched again";
    FileHtml "file_html" "the file host sent a web page instead of the file" "nothing to do: it is fetched again";
    FileXmlError "file_xml_error" "the file host sent an error document instead of the file" "nothing to do: where the file lies is asked for again";
    FileJson "file_json" "the file host sent JSON instead of the file" "nothing to do: it is fetched again";
    FileNotFit "file_not_fit" "the file host sent something that is no FIT file" "import the file from the head unit: `fitbridge import FILE`";
    FileTruncated "file_truncated" "the file host cut the file short" "nothing to do: it is fetched again";
    FileWrongLength "file_wrong_length" "the file host sent another length than it declared" "nothing to do: it is fetched again";
    FileTooLarge "file_too_large" "the file is larger than 32 MiB" "look at the file in iGPSport's app; no ride is that long";
    FileRedirectRefused "file_redirect_refused" "the file host redirects to an address that is not allowed" "nothing was fetched from there; look for a newer version, or report it";
    FileLocationRefused "file_location_refused" "the file's location is not an allowed address" "nothing was fetched from there; look for a newer version, or report it";
    FileTimeout "file_timeout" "the file host was too slow" "nothing to do: it is fetched again";
    FileUnreachable "file_unreachable" "the file host cannot be reached" "nothing to do: it is fetched again";
    FileHostError "file_host_error" "the file host answered with an error of its own" "nothing to do: it is fetched again";
    FileGone "file_gone" "the file is no longer where iGPSport said" "nothing to do: where the file lies is asked for again";
    // the FIT file
    FitEmpty "fit_empty" "the file is empty" "export it again from the head unit";
    FitNotFit "fit_not_fit" "the file is no FIT file" "check that it is the original .fit file, not a web page or an archive";
    FitBadHeader "fit_bad_header" "the file has no valid FIT header" "check that it is a FIT file";
    FitBadHeaderCrc "fit_bad_header_crc" "the FIT header's checksum is wrong" "export it again from the head unit";
    FitDataSizeZero "fit_data_size_zero" "the FIT header says there is no data" "export it again from the head unit";
    FitTruncated "fit_truncated" "the FIT file ends before its data does" "export it again from the head unit";
    FitMissingCrc "fit_missing_crc" "the FIT file lacks its checksum" "export it again from the head unit";
    FitBadCrc "fit_bad_crc" "the FIT file's checksum is wrong" "export it again from the head unit";
    FitTrailingBytes "fit_trailing_bytes" "there are bytes after the end of the FIT file" "export it again from the head unit";
    FitMessageOverrun "fit_message_overrun" "the last message of the FIT file is not complete" "export it again from the head unit";
    FitBadDefinition "fit_bad_definition" "a message definition in the FIT file makes no sense" "export it again from the head unit";
    FitUndefinedMessage "fit_undefined_message" "the FIT file has data without a definition" "export it again from the head unit";
    FitTooLarge "fit_too_large" "the FIT file is larger than 32 MiB" "no ride is that long; check the file";
    FitTooManyMessages "fit_too_many_messages" "the FIT file has more messages than any ride has" "check the file";
    FitTooManyDefinitions "fit_too_many_definitions" "the FIT file has more definitions than any ride has" "check the file";
    FitTooManySegments "fit_too_many_segments" "the FIT file has more chained parts than any ride has" "check the file";
    FitMessageTooLarge "fit_message_too_large" "the FIT file has a message larger than any device writes" "check the file";
    FitZeroSizeMessage "fit_zero_size_message" "the FIT file has messages of size zero" "check the file";
    NotActivity "not_activity" "the file is a valid FIT file, but no activity" "only rides are delivered; settings, workouts and courses are not";
    // filters
    BeforeConnect "before_connect" "the ride is older than the history chosen for this connection" "choose more: connect again with `--history all`";
    FilterDate "filter_date" "the ride's date is outside the dates set for this place" "to get it all the same, change the rules and have them applied: `fitbridge rules SINK --from none --until none --apply`";
    FilterSport "filter_sport" "the ride's sport is not one that this place is to get" "to get it all the same, change the rules and have them applied: `fitbridge rules SINK --sports none --not-sports none --apply`";
    FilterIndoor "filter_indoor" "this place is to get only rides of the other kind, indoors or outdoors" "to get it all the same, change the rules and have them applied: `fitbridge rules SINK --indoor any --apply`";
    FilterDuration "filter_duration" "the ride is shorter or longer in time than this place is to get" "to get it all the same, change the rules and have them applied: `fitbridge rules SINK --min-duration none --max-duration none --apply`";
    FilterDistance "filter_distance" "the ride is shorter or longer in distance than this place is to get" "to get it all the same, change the rules and have them applied: `fitbridge rules SINK --min-distance none --max-distance none --apply`";
    // the sinks
    SinkReconnect "sink_reconnect" "the service refuses the key or token" "connect it again with a fresh one, under the same name: `fitbridge connect intervals`, or `fitbridge connect webhook URL`";
    SinkForbidden "sink_forbidden" "the key or token may not write activities" "give it the right to write activities and connect it again: `fitbridge connect intervals`";
    SinkThrottled "sink_throttled" "the service asks for fewer requests" "nothing to do: it is sent again when the time asked for is over";
    SinkAway "sink_away" "the service is away" "nothing to do: it is sent again";
    SinkTimeout "sink_timeout" "the service did not answer in time" "nothing to do: it is sent again";
    SinkUnknownOutcome "sink_unknown_outcome" "the connection was cut before the service answered" "nothing to do: it is checked and sent again, without doubling";
    SinkRejected "sink_rejected" "the service rejects the file" "see the reason it gave: `fitbridge why RIDE`";
    SinkMalformed "sink_malformed" "the service answered something that cannot be read" "nothing to do: it is sent again";
    SinkUnknown "sink_unknown" "this version knows no such service" "update FitBridge, or disconnect this connection";
    SinkSettings "sink_settings" "the settings of this connection cannot be read" "disconnect it and connect it again, nothing is sent twice: `fitbridge disconnect NAME`";
    FolderUnwritable "folder_unwritable" "the folder cannot be written" "check that it is there, and its rights";
    FolderFull "folder_full" "the disk of the folder is full" "make room; it is written again by itself";
    FolderConflict "folder_conflict" "a different file already has every name for this ride" "move the other files away and have it tried again: `fitbridge retry RIDE`";
    WebhookRefusedUrl "webhook_refused_url" "the webhook's URL is not an allowed address" "use https and a public address, or name the host in FITBRIDGE_TRUSTED_HOSTS";
    WebhookRedirect "webhook_redirect" "the webhook answered with a redirect, which is not followed" "connect the final URL instead: `fitbridge connect webhook URL`";
    WebhookGone "webhook_gone" "the webhook says it is gone (410)" "connect it again when it is back: `fitbridge connect webhook URL`";
    WebhookStatus "webhook_status" "the webhook did not answer with success" "look at the receiver's log; rides are sent again by themselves";
    LinkUnsupported "link_unsupported" "this archive cannot make download links" "connect with `--mode raw` or `--mode notify`; links need the service on AWS";
    HeldElsewhere "held_elsewhere" "the ride is already there by another route" "say whether it is to be sent: `fitbridge held send RIDE`, or `fitbridge held skip RIDE`";
    // notices
    MailLogin "mail_login" "the mail server refuses the user name or password" "set it anew: `fitbridge notify email ADDRESS --smtp URL`";
    MailRefused "mail_refused" "the mail server refuses the message" "check sender and recipient and try it out: `fitbridge notify test`";
    MailAway "mail_away" "the mail server does not answer" "check host and port; what waits to be sent is tried again by itself";
    NoticeChannel "notice_channel" "this installation cannot send notices that way" "choose another way: `fitbridge notify --help`";
    NoticesOverflow "notices_overflow" "there are more notices than are kept; the newest are only counted" "look what does not work, and mend it: `fitbridge status`";
    // storage
    ArchiveMissing "archive_missing" "the archived file is not there" "nothing to do: it is fetched again from iGPSport where it can be";
    ArchiveCorrupt "archive_corrupt" "the archived file is not what was stored" "nothing to do: it is fetched again from iGPSport where it can be";
    ArchiveUnavailable "archive_unavailable" "the archive cannot be read or written" "check the disk and its rights";
    DiskFull "disk_full" "the disk is full" "make room and run it again; nothing is lost";
    LedgerLocked "ledger_locked" "another process keeps the database locked" "wait for it or stop it, then run this again";
    Contended "contended" "somebody else keeps changing the same record" "run it again";
    LedgerCorrupt "ledger_corrupt" "the database cannot be read" "keep the file, restore a backup, or start anew with another --home: nothing is sent twice to places that recognise a file";
    LedgerReadOnly "ledger_read_only" "the database cannot be written" "check the rights of the data folder and the disk";
    LedgerUnavailable "ledger_unavailable" "the database does not answer" "run this again";
    LedgerTooNew "ledger_too_new" "the data was written by a newer version" "use that version";
    VaultUnsealable "vault_unsealable" "a sealed secret cannot be opened with this key" "connect that service again under the same name: `fitbridge connect igpsport`, `intervals` or `webhook URL`";
    VaultUnavailable "vault_unavailable" "the vault cannot be read or written" "check the rights of the data folder";
    // the rider's own commands
    NameTaken "name_taken" "a connection of that name belongs to another account" "choose another `--name`, or disconnect it first";
    NoSuchConnection "no_such_connection" "there is no connection of that name" "see the names: `fitbridge status`";
    NoSuchRide "no_such_ride" "no ride matches that" "see the rides: `fitbridge list`";
    AmbiguousRide "ambiguous_ride" "more than one ride matches that" "give more of it";
    RulesInvalid "rules_invalid" "these rules cannot be set" "correct them as the message says, and see each form: `fitbridge rules --help`";
    OutputUnwritable "output_unwritable" "the output file cannot be written" "choose another place or make room, and run it again; `--force` writes over a file that is there";
    LinkNeedsTwo "link_needs_two" "linking takes at least two different rides" "name two rides: `fitbridge link RIDE RIDE`";
    GroupTooLarge "group_too_large" "so many rides cannot be one" "link fewer of them, or take one out first: `fitbridge split RIDE`";
    NotLinked "not_linked" "this ride is not linked to any other" "see those that are: `fitbridge duplicates`";
    NoFileYet "no_file_yet" "this ride has no file here" "see what it waits for: `fitbridge why RIDE`";
    RideForgotten "ride_forgotten" "you had this ride forgotten" "bring it back: `fitbridge resync RIDE`, or `fitbridge import --again FILE` where its file was deleted";
    FileErased "file_erased" "the file of this ride was deleted, and no source has it" "import it again: `fitbridge import --again FILE`";
    MaySendTwice "may_send_twice" "a place that has this ride may get it a second time" "say that you want that: the same command with `--yes`";
    NoHeadUnit "no_head_unit" "there is not exactly one head unit to import from" "plug one in and wait until it shows up as a disk, or give its folder: `fitbridge import FOLDER`";
    // the operator
    RiderPaused "rider_paused" "the operator has paused this rider" "when that is over: `fitbridge admin users resume RIDER`";
    RiderRemoved "rider_removed" "this rider has been removed" "add the rider again: `fitbridge admin users add RIDER`";
    NoSuchRider "no_such_rider" "there is no rider of that name" "see `fitbridge admin users list` for the names; who was deleted does not come back";
    Stopped "stopped" "the operator has stopped everything: no provider is asked anything" "go on with `fitbridge admin go`";
    StackUnreadable "stack_unreadable" "what the deployment consists of cannot be read" "sign in to AWS and check `--stack`, or name a file of outputs with `--outputs FILE`";
    QueueUnavailable "queue_unavailable" "the queue cannot be read or written" "check your rights and the queue's URL, then run this again";
    NoSuchMessage "no_such_message" "no dead letter has that id" "see `fitbridge admin --aws dead-letters list` for the ids";
    SecretChanging "secret_changing" "a secret keeps changing while it is moved" "stop the service first: `fitbridge admin --aws stop`";
    OthersAtWork "others_at_work" "other `fitbridge` commands are at work on this data" "wait until they are done, or stop them, then run it again";
    NeverFinished "never_finished" "the message was received again and again and never finished" "look why with `fitbridge admin --aws dead-letters list`, then hand it over again: `fitbridge admin --aws dead-letters replay`";
    MessageForeign "message_foreign" "the message is not one of ours" "see who else may send to this queue, then `fitbridge admin --aws dead-letters discard --poison`";
    MessageOversized "message_oversized" "the message is longer than any job" "see who else may send to this queue, then `fitbridge admin --aws dead-letters discard --poison`";
    MessageVersionUnknown "message_version_unknown" "the message was written by another version of this program" "deploy the poller and the sink of one version, then `fitbridge admin --aws dead-letters discard --poison`: what it was about comes due by itself";
    MessageMalformed "message_malformed" "the message has our version, but is no job" "report it, then `fitbridge admin --aws dead-letters discard --poison`: what it was about comes due by itself";
    TaskOfThePoller "task_of_the_poller" "the message asks the sink for what only the poller may do" "report it, then `fitbridge admin --aws dead-letters discard --poison`: what it was about comes due by itself";
    EventForeign "event_foreign" "the function was called with something that is no event of ours" "see who else may call the function; the next tick and the queue make up for it";
    ServeRunning "serve_running" "`serve` already runs on this data" "stop it first, or use another `--home`";
    CertificatesMissing "certificates_missing" "the certificates by which servers prove who they are cannot be read on this machine" "install them (on Debian, Ubuntu and Alpine the package `ca-certificates`) and run this again";
    Usage "usage" "the command cannot do that as it was given" "see what the command takes with its `--help`";
    FileUnreadable "file_unreadable" "the file or folder cannot be read" "check its name and your rights to it";
    PortUnavailable "port_unavailable" "the simulator cannot listen at this port" "choose another: `fitbridge simulator --port PORT`";
    Settings "settings" "a setting or argument does not do" "correct it as the message says; docs/SETTINGS.md lists all settings";
    // limits of trying
    AttemptsUsedUp "attempts_used_up" "it failed too often" "have it tried again when the cause is mended: `fitbridge retry RIDE`, or `fitbridge retry --all`";
    Bug "internal" "FitBridge itself did something it must not do" "please report it with the log";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Code::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown failure code {text:?}")))
    }
}

/// Longest detail that is kept with a failure, in characters.
const MAX_DETAIL: usize = 200;

/// A failure as it is kept in records and shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Failure {
    /// What kind of failure it is.
    pub code: Code,
    /// What is particular to this one: a status, a name, a limit. Never a secret; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Failure {
    /// A failure with a detail; control characters are replaced and the length is bounded, since details
    /// may quote what a server said.
    pub fn new(code: Code, detail: impl AsRef<str>) -> Self {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let detail = detail.as_ref().chars().take(MAX_DETAIL).map(printable).collect();
        Self { code, detail }
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self { code, detail: String::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.sentence())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        write!(f, " [{}]", self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_name_a_sentence_and_a_next_step_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} stands twice");
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
            for text in [code.sentence(), code.next_step()] {
                assert!(text.len() > 10 && !text.ends_with('.'), "{code}: {text}");
            }
        }
    }

    #[test]
    fn a_detail_is_bounded_and_printable() {
        let failure = Failure::new(Code::SinkRejected, format!("\u{1b}[31m{}", "x".repeat(500)));
        assert_eq!(failure.detail.chars().count(), MAX_DETAIL);
        assert!(failure.to_string().starts_with("the service rejects the file ( [31mxxx"));
        assert_eq!(Failure::from(Code::Bug).to_string(), format!("{} [internal]", Code::Bug.sentence()));
    }

    #[test]
    fn every_code_stands_in_the_documentation() {
        let documented = include_str!("../../../docs/ERRORS.md");
        for code in Code::ALL {
            let row = format!("| `{code}` | {} | {} |", code.sentence(), code.next_step().replace('|', "\\|"));
            assert!(documented.lines().any(|line| line == row), "docs/ERRORS.md lacks this line:\n{row}");
        }
    }

    #[test]
    fn every_code_has_a_cause_that_stands_in_the_documentation() {
        let documented = include_str!("../../../docs/ERRORS.md");
        for code in Code::ALL {
            let cause = code.cause();
            assert!(cause.len() > 10 && !cause.ends_with('.'), "{code} has no cause in codes/causes.rs: {cause:?}");
            let row = format!("| `{code}` | {cause} |");
            assert!(documented.lines().any(|line| line == row), "docs/ERRORS.md lacks this line:\n{row}");
        }
    }

    #[test]
    fn every_code_stands_in_the_runbook_by_its_name_or_its_family() {
        let runbook = include_str!("../../../infra/RUNBOOK.md");
        let codes = runbook.split("## Codes").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
        let told: Vec<&str> = codes.split('`').skip(1).step_by(2).collect();
        for code in Code::ALL {
            let is_told = told.iter().any(|name| match name.strip_suffix('…') {
                Some(family) => code.as_str().starts_with(family),
                None => *name == code.as_str(),
            });
            assert!(is_told, "infra/RUNBOOK.md says nothing about {code}");
        }
    }
}
