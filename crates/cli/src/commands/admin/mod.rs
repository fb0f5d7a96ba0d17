//! `fitbridge admin`: what the operator of a service does, on AWS or with this machine's data.

mod account;
mod aws;
mod connections;
mod dead_letters;
mod desk;
mod held;
mod redrive;
mod riders;
mod rides;
mod switch;
mod users;
mod vault;

use fitbridge_core::ports::Clock;
use fitbridge_local::SystemClock;
use serde_json::json;

use self::desk::{Act, Desk, Need};
use super::Context;
use crate::{
    args::admin::{AdminArgs, DeadLetters, Users, Verb},
    exit::{Exit, Stop},
    out::Out,
};

/// Over AWS. Neither data folder nor local settings are read.
pub(crate) async fn over_aws(out: Out, args: AdminArgs) -> Result<Exit, Stop> {
    let desk = Desk::over_aws(out, &args.place).await?;
    verb(&desk, args.verb).await
}

/// With this machine's data.
pub(crate) async fn local(context: &Context, args: AdminArgs) -> Result<Exit, Stop> {
    let desk = Desk::local(context, need(&args.verb))?;
    verb(&desk, args.verb).await
}

/// Whether a verb only looks.
fn need(verb: &Verb) -> Need {
    match verb {
        Verb::Users(Users::List { .. } | Users::Show { .. })
        | Verb::Connections { .. }
        | Verb::Audit { .. }
        | Verb::Rides { .. }
        | Verb::Why { .. }
        | Verb::Duplicates { .. }
        | Verb::DeadLetters(DeadLetters::List(_) | DeadLetters::Replay { dry_run: true, .. })
        | Verb::Status => Need::Look,
        Verb::Redrive(args) if args.dry_run => Need::Look,
        Verb::Held { word, .. } if word.as_ref().is_none_or(|word| word.args().dry_run) => Need::Look,
        Verb::Notify { what, .. } if what.only_looks() => Need::Look,
        Verb::Backfill { args, .. } if args.status => Need::Look,
        Verb::Rules { args, .. } if args.only_looks() => Need::Look,
        _ => Need::Change,
    }
}

async fn verb(desk: &Desk, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::Users(what) => users::run(desk, what).await,
        Verb::Connect { rider, what } => connections::connect(desk, &rider, what).await,
        Verb::Disconnect { rider, name } => connections::disconnect(desk, &rider, &name).await,
        Verb::Connections { rider } => connections::list(desk, &rider).await,
        Verb::Reconcile { rider, name } => account::reconcile(desk, &rider, name.as_deref()).await,
        Verb::Rides { rider, limit } => rides::list(desk, &rider, limit).await,
        Verb::Why { rider, ride } => rides::why(desk, &rider, &ride).await,
        Verb::Backfill { rider, args } => rides::backfill(desk, &rider, &args).await,
        Verb::Duplicates { rider } => rides::duplicates(desk, &rider).await,
        Verb::Link { rider, args } => rides::link(desk, &rider, &args.rides).await,
        Verb::Split { rider, ride } => rides::split(desk, &rider, &ride).await,
        Verb::Forget { rider, args } => rides::forget(desk, &rider, &args).await,
        Verb::Resync { rider, args } => rides::resync(desk, &rider, &args).await,
        Verb::Rules { rider, args } => rides::rules(desk, &rider, &args).await,
        Verb::Held { rider, word } => held::run(desk, &rider, word).await,
        Verb::Redrive(args) => redrive::run(desk, &args, SystemClock.now()).await,
        Verb::DeadLetters(what) => dead_letters::run(desk, what).await,
        Verb::Notify { rider, what } => riders::notify(desk, &rider, what).await,
        Verb::Audit { rider, since } => riders::audit(desk, &rider, since, SystemClock.now()).await,
        Verb::Vault(what) => vault::run(desk, what).await,
        Verb::Stop { note } => switch::stop(desk, &note).await,
        Verb::Go => switch::go(desk).await,
        Verb::Status => switch::status(desk).await,
    }
}

/// The last line of a command that changed one thing.
fn changed(desk: &Desk, count: usize) -> Exit {
    desk.out.record(&json!({ "type": "summary", "changed": count }));
    Exit::Done
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn needed(typed: &str) -> Need {
        let words = ["fitbridge", "admin"].into_iter().chain(typed.split(' '));
        match Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).command {
            Command::Admin(args) => need(&args.verb),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_only_looks_at_a_riders_rides_changes_no_data_folder() {
        for typed in [
            "rides ada",
            "rides ada --limit 5",
            "why ada 31827705",
            "backfill ada --status",
            "duplicates ada",
            "rules ada",
            "rules ada intervals",
            "rules ada intervals --min-duration 10min --preview",
            "rules ada intervals --preview=5",
            "rules ada --clear",
            "rules ada intervals --min-duration soon",
            "held ada",
        ] {
            assert_eq!(needed(typed), Need::Look, "{typed}");
        }
        for typed in [
            "backfill ada",
            "backfill ada --since 2024-01-01 --name igpsport",
            "backfill ada --stop",
            "link ada 31827705 31827711",
            "split ada 31827711",
            "forget ada 31827705 31827711 --delete-file",
            "resync ada 31827705 --sink intervals --fetch --yes",
            "rules ada intervals --min-duration 10min",
            "rules ada intervals --clear",
            "rules ada intervals --apply",
        ] {
            assert_eq!(needed(typed), Need::Change, "{typed}");
        }
    }
}
