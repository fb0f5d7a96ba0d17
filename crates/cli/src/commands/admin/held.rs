//! `admin held`: rides that wait for a rider's word, and the word for a rider who has no command of their own.

use fitbridge_core::{domain::UserId, engine::held::Word};
use serde_json::json;

use super::{Act, Desk};
use crate::{
    args::admin::{HeldArgs, HeldWord},
    commands::held::{Waiting, becomes, ended, meant, show, waiting},
    exit::{Exit, Stop},
};

/// Lists them, or takes a word for some; whoever works through the queue sends them.
pub(super) async fn run(desk: &Desk, rider: &UserId, word: Option<HeldWord>) -> Result<Exit, Stop> {
    // A misspelt name has nothing held either.
    desk.rider(rider).await?;
    match word {
        None => list(desk, rider).await,
        Some(HeldWord::Send(args)) => say(desk, rider, &args, Word::Send).await,
        Some(HeldWord::Skip(args)) => say(desk, rider, &args, Word::Skip).await,
    }
}

async fn list(desk: &Desk, rider: &UserId) -> Result<Exit, Stop> {
    let all = waiting(&desk.engine, rider).await?;
    print(desk, rider, &all);
    ended(desk.out, &desk.whose(rider).command("held"), all.len());
    Ok(Exit::Done)
}

async fn say(desk: &Desk, rider: &UserId, args: &HeldArgs, word: Word) -> Result<Exit, Stop> {
    let all = meant(&desk.engine, rider, &args.which).await?;
    print(desk, rider, &all);
    let mut told = 0;
    if !args.dry_run && !all.is_empty() {
        let verb = match word {
            Word::Send => "held send",
            Word::Skip => "held skip",
        };
        let detail = format!("{} deliveries", all.len());
        let work = async {
            let mut told = 0;
            for one in &all {
                told += usize::from(desk.engine.say(&one.delivery, word).await?);
            }
            Ok(told)
        };
        told = desk.act(Act { verb, user: Some(rider), detail: &detail }, work).await?;
    }
    let (found, becomes) = (all.len(), becomes(word));
    desk.out.line(match args.dry_run {
        true => format!("dry run: {found} held deliveries would be {becomes}; nothing was changed"),
        false => format!("{told} of {found} held deliveries are {becomes}"),
    });
    desk.out.record(&json!({ "type": "summary", "dry_run": args.dry_run, "found": found, "told": told }));
    Ok(Exit::Done)
}

fn print(desk: &Desk, rider: &UserId, all: &[Waiting]) {
    for one in all {
        desk.whose(rider).record(show(desk.out, one));
    }
}
