//! `fitbridge held`: rides that wait for the rider's word.

use std::sync::Arc;

use fitbridge_core::{
    Engine,
    domain::{Delivery, DeliveryState, HeldReason, UserId},
    engine::held::Word as Said,
    ports::Clock,
    store::Stored,
};
use fitbridge_local::SystemClock;
use serde_json::{Value, json};

use super::{Context, common::connections_of, duplicates::work_off, find, tally::Tally};
use crate::{
    args::{Word, WordArgs},
    exit::{Exit, Stop},
    out::{Out, plain},
};

/// A delivery that waits for a word.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The delivery.
    pub delivery: Stored<Delivery>,
    /// Why it waits.
    reason: HeldReason,
    /// Its sink's name.
    sink: String,
}

/// Lists them, or takes a word for some.
pub(crate) async fn run(context: &Context, word: Option<Word>) -> Result<Exit, Stop> {
    match word {
        None => list(context).await,
        Some(Word::Send(args)) => say(context, &args, Said::Send).await,
        Some(Word::Skip(args)) => say(context, &args, Said::Skip).await,
    }
}

async fn list(context: &Context) -> Result<Exit, Stop> {
    let app = context.look()?;
    let all = waiting(&app.engine, &app.user).await?;
    for one in &all {
        context.out.record(&show(context.out, one));
    }
    ended(context.out, "fitbridge held", all.len());
    Ok(Exit::Done)
}

/// What ends a list: how to answer, as it is typed, and the summary.
pub(super) fn ended(out: Out, command: &str, count: usize) {
    out.line(match count {
        0 => "no ride is held".to_owned(),
        _ => format!("say `{command} send RIDE…` or `{command} skip RIDE…`, or `--all`"),
    });
    out.record(&json!({ "type": "summary", "held": count }));
}

async fn say(context: &Context, args: &WordArgs, word: Said) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("held")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    if word == Said::Send {
        app.engine.refuse_when_halted().await?;
    }
    let mut told = 0;
    for one in meant(&app.engine, &app.user, args).await? {
        told += usize::from(app.engine.say(&one.delivery, word).await?);
    }
    context.out.line(format!("{told} held deliveries are {}", becomes(word)));
    // Those to be sent were handed over to this process.
    let (exit, mut summary) = work_off(context, &mut app, &tally).await?;
    summary["told"] = told.into();
    context.out.record(&summary);
    Ok(exit)
}

/// What a word makes of a held delivery. Whether it then arrives is told by what follows.
pub(super) fn becomes(word: Said) -> &'static str {
    match word {
        Said::Send => "to be sent",
        Said::Skip => "left alone",
    }
}

/// A rider's deliveries that wait for a word.
pub(super) async fn waiting(engine: &Engine, user: &UserId) -> Result<Vec<Waiting>, Stop> {
    let connections = connections_of(engine, user).await?;
    let explained = |delivery: Stored<Delivery>| {
        let DeliveryState::Held { reason } = delivery.doc.state.clone() else { return None };
        let sink = connections.iter().find(|connection| connection.id == delivery.doc.sink);
        let sink = sink.map_or_else(|| delivery.doc.sink.to_string(), |sink| sink.name.clone());
        Some(Waiting { delivery, reason, sink })
    };
    Ok(engine.held(user).await?.into_iter().filter_map(explained).collect())
}

/// Those of them that are meant.
pub(super) async fn meant(engine: &Engine, user: &UserId, args: &WordArgs) -> Result<Vec<Waiting>, Stop> {
    let mut wanted = Vec::new();
    for ride in &args.rides {
        wanted.push(find::ride_of(engine, user, ride).await?.id);
    }
    let mut all = waiting(engine, user).await?;
    all.retain(|one| args.all || wanted.contains(&one.delivery.doc.activity));
    all.retain(|one| args.sink.as_deref().is_none_or(|name| name == one.sink));
    Ok(all)
}

/// Prints one of them for people; the record is for programs.
pub(super) fn show(out: Out, one: &Waiting) -> Value {
    let delivery = &one.delivery.doc;
    let HeldReason::Elsewhere { remote_id, route } = &one.reason;
    let number = delivery.rider_id();
    let start = delivery.about.local_start.map(|start| start.to_string()).unwrap_or_default();
    out.line(format!(
        "{number}  {start}  {}  already at {} through {} as {}",
        delivery.about.name.as_deref().map(plain).unwrap_or_default(),
        one.sink,
        plain(route),
        plain(&remote_id.0)
    ));
    json!({
        "type": "held",
        "ride": number,
        "activity": delivery.activity,
        "sink": one.sink,
        "route": route,
        "remote_id": remote_id,
    })
}
