//! `fitbridge admin`: what the operator of a service does, on AWS or with this machine's data.

mod account;
mod aws;
mod connections;
mod dead_letters;
mod desk;
mod held;
mod redrive;
mod riders;
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
        | Verb::DeadLetters(DeadLetters::List(_) | DeadLetters::Replay { dry_run: true, .. })
        | Verb::Status => Need::Look,
        Verb::Redrive(args) if args.dry_run => Need::Look,
        Verb::Held { word, .. } if word.as_ref().is_none_or(|word| word.args().dry_run) => Need::Look,
        Verb::Notify { what, .. } if what.only_looks() => Need::Look,
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
