//! Next steps in the words of who reads them: the commands of a rider on one machine are not an operator's,
//! and whoever rides with a hosted service has none.

use std::borrow::Cow;

use super::Code;
use crate::domain::UserId;

/// Who reads a next step, and so which commands it may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader<'a> {
    /// The rider of this machine, at its command line.
    Rider,
    /// A rider of a service that somebody else runs: there is no command line.
    Guest,
    /// Who runs the service, about one of its riders.
    Operator {
        /// The rider.
        rider: &'a UserId,
        /// Whether the service is the one on AWS.
        on_aws: bool,
    },
}

impl Code {
    /// What this reader can do, in one sentence without a full stop.
    pub fn next_step_for(self, reader: Reader<'_>) -> Cow<'static, str> {
        let step = self.next_step();
        match reader {
            Reader::Rider => step.into(),
            Reader::Guest => for_guests(step),
            Reader::Operator { rider, on_aws } => for_operators(step, rider, on_aws),
        }
    }
}

/// What is to be done is left to whoever can type the command for it. Where that is an operator's own, or an option,
/// the code says it to them.
fn for_guests(step: &'static str) -> Cow<'static, str> {
    const ASK: &str = "ask whoever runs FitBridge for you";
    match step.split_once("`fitbridge ") {
        Some((before, command)) if !command.starts_with("admin") => {
            format!("{ASK}: {}", before.trim_end_matches([' ', ':'])).into()
        }
        None if !["`--", "FITBRIDGE_"].iter().any(|typed| step.contains(typed)) => step.into(),
        _ => format!("{ASK}, and name the code of this message").into(),
    }
}

/// Each command of a rider becomes the operator's own.
fn for_operators(step: &'static str, rider: &UserId, on_aws: bool) -> Cow<'static, str> {
    let admin = if on_aws { "fitbridge admin --aws" } else { "fitbridge admin" };
    let pieces: Vec<String> = step.split('`').map(|piece| by_operator(piece, admin, rider)).collect();
    let mut step = pieces.join("`");
    // What they would import would be their own.
    if let Some(end) = [": `fitbridge import", ", or `fitbridge import"].iter().find_map(|import| step.find(import)) {
        step.truncate(end);
    }
    match step.split_once("`, or `") {
        // Of a rider's two ways the operator has only one.
        Some((first, second)) if first.ends_with(second.trim_end_matches('`')) => format!("{first}`").into(),
        _ => step.into(),
    }
}

/// A command as the operator gives it; what no operator can give stays as it is.
fn by_operator(piece: &str, admin: &str, rider: &UserId) -> String {
    let Some(command) = piece.strip_prefix("fitbridge ") else { return piece.to_owned() };
    let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
    let form = match verb {
        "admin" if !rest.starts_with("--aws") => format!("{admin} {rest}"),
        "list" => format!("{admin} rides {rider} {rest}"),
        "status" => format!("{admin} connections {rider} {rest}"),
        "retry" => format!("{admin} redrive --user {rider}"),
        "backfill" | "connect" | "disconnect" | "duplicates" | "forget" | "held" | "link" | "notify" | "reconcile"
        | "resync" | "rules" | "split" | "why" => format!("{admin} {verb} {rider} {rest}"),
        _ => piece.to_owned(),
    };
    form.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_told_to_ask_and_never_to_type() {
        for code in Code::ALL {
            let step = code.next_step_for(Reader::Guest);
            assert!(!["`fitbridge", "`--", "FITBRIDGE_"].iter().any(|typed| step.contains(typed)), "{code}: {step}");
            assert!(!step.ends_with([' ', ':', ',', '(']), "{code}: {step}");
            let (before, command) = code.next_step().split_once("`fitbridge ").unwrap_or_default();
            let is_riders = !command.is_empty() && !command.starts_with("admin");
            assert!(!is_riders || before.ends_with(": "), "{code} does not say first what is to be done: {before}");
        }
        assert_eq!(
            Code::TokenExpired.next_step_for(Reader::Guest),
            "ask whoever runs FitBridge for you: connect again with a fresh token"
        );
        assert_eq!(
            Code::Stopped.next_step_for(Reader::Guest),
            "ask whoever runs FitBridge for you, and name the code of this message"
        );
        assert_eq!(Code::BadPassword.next_step_for(Reader::Guest), Code::BadPassword.next_step());
    }

    #[test]
    fn an_operator_is_told_the_operators_commands() {
        let rider = UserId::from_any("ada");
        let said = |code: Code, on_aws| code.next_step_for(Reader::Operator { rider: &rider, on_aws }).into_owned();
        assert_eq!(
            said(Code::TokenExpired, true),
            "connect again with a fresh token: `fitbridge admin --aws connect ada igpsport`"
        );
        assert_eq!(
            said(Code::HeldElsewhere, false),
            "say whether it is to be sent: `fitbridge admin held ada send RIDE`, or `fitbridge admin held ada skip RIDE`"
        );
        assert_eq!(
            said(Code::AttemptsUsedUp, true),
            "have it tried again when the cause is mended: `fitbridge admin --aws redrive --user ada`"
        );
        assert_eq!(said(Code::NoSuchRide, false), "see the rides: `fitbridge admin rides ada`");
        assert_eq!(said(Code::Stopped, false), "go on with `fitbridge admin go`");
        assert_eq!(said(Code::Stopped, true), "go on with `fitbridge admin --aws go`");
        assert_eq!(said(Code::RideGone, true), "if you did not delete it, import the file from the head unit");
        assert_eq!(said(Code::RideForgotten, false), "bring it back: `fitbridge admin resync ada RIDE`");
        for code in [Code::BadPassword, Code::NeverFinished] {
            assert_eq!(said(code, true), code.next_step(), "it is nobody else's");
        }
    }

    #[test]
    fn a_rider_is_told_what_the_catalogue_says() {
        for code in Code::ALL {
            assert_eq!(code.next_step_for(Reader::Rider), code.next_step());
        }
    }
}
