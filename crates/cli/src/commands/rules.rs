//! `fitbridge rules`: what a sink gets and under which name; shown, tried out, set, applied.

use std::{collections::BTreeMap, sync::Arc};

use fitbridge_core::{
    Code, Failure,
    domain::{
        Activity, ActivityState, Connection, ContentId, Delivery, DeliveryState, Indoor, Role, Rules,
        rules::{length, time},
    },
    engine::rules::Applied,
    ports::Clock,
};
use fitbridge_local::SystemClock;
use serde_json::{Value, json};

use super::{
    Context,
    common::{connections, print_deliveries, print_failures},
    tally::Tally,
};
use crate::{
    app::App,
    args::RulesArgs,
    exit::{Exit, Stop},
    out::{bold, plain},
    rule_args::RuleChange,
};

/// Shows, tries out, sets or applies rules.
pub(crate) async fn run(context: &Context, args: RulesArgs) -> Result<Exit, Stop> {
    let change = args.change.read(args.clear)?;
    let changes = args.clear || !args.change.is_empty();
    let Some(name) = &args.sink else {
        if changes || args.apply || args.preview.is_some() {
            return Err(Failure::new(Code::RulesInvalid, "name the sink that they are for").into());
        }
        return show_all(context).await;
    };
    if let Some(count) = args.preview {
        return preview(context, name, &change, count).await;
    }
    if args.apply {
        return set_and_apply(context, name, &change, changes).await;
    }
    if !changes {
        let app = context.look()?;
        let sink = sink_of(&app, name).await?;
        show(context, &app, &sink).await?;
        context.out.record(&json!({ "type": "summary", "sinks": 1 }));
        return Ok(Exit::Done);
    }
    let app = context.open()?;
    let sink = app.engine.set_rules(&app.user, name, &|old| change.onto(old)).await?;
    show(context, &app, &sink).await?;
    context.out.record(&json!({ "type": "summary", "sinks": 1 }));
    Ok(Exit::Done)
}

async fn show_all(context: &Context) -> Result<Exit, Stop> {
    let app = context.look()?;
    let mut shown = 0;
    for sink in connections(&app).await?.iter().filter(|connection| connection.sink().is_some()) {
        show(context, &app, sink).await?;
        shown += 1;
    }
    if shown == 0 {
        context.out.line("no sink is connected");
    }
    context.out.record(&json!({ "type": "summary", "sinks": shown }));
    Ok(Exit::Done)
}

async fn show(context: &Context, app: &App, sink: &Connection) -> Result<(), Stop> {
    let Some(progress) = sink.sink() else { return Ok(()) };
    let prefix = format!("delivery/{}/", sink.id);
    let deliveries = app.engine.store().all::<Delivery>(&app.user, &prefix).await?;
    let is_filtered = |state: &DeliveryState| matches!(state, DeliveryState::Filtered { .. });
    let filtered = deliveries.iter().filter(|stored| is_filtered(&stored.doc.state)).count();
    let out = context.out;
    let every = if progress.rules.is_empty() { " every ride, under its title" } else { "" };
    out.line(format!("{}:{every}", bold(&sink.name)));
    for line in lines(&progress.rules) {
        out.line(format!("  {line}"));
    }
    if filtered > 0 {
        out.line(format!(
            "  {filtered} rides were left out so far; `fitbridge rules {} --apply` sends those that pass now",
            sink.name
        ));
    }
    let mut record = rules_record(&progress.rules);
    record["type"] = "rules".into();
    record["sink"] = sink.name.clone().into();
    record["filtered"] = filtered.into();
    out.record(&record);
    Ok(())
}

/// The rules for people, one a line; without those that are not set.
pub(crate) fn lines(rules: &Rules) -> Vec<String> {
    let list = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let range = |what: &str, min: Option<String>, max: Option<String>| match (min, max) {
        (Some(min), Some(max)) => Some(format!("{what} from {min} to {max}")),
        (Some(min), None) => Some(format!("{what} from {min} on")),
        (None, Some(max)) => Some(format!("{what} up to {max}")),
        (None, None) => None,
    };
    let say = |say: fn(f64) -> String, value: Option<u32>| value.map(|value| say(f64::from(value)));
    let day = |date: Option<jiff::civil::Date>| date.map(|date| date.to_string());
    [
        range("dates", day(rules.from), day(rules.until)),
        (!rules.sports.is_empty()).then(|| format!("only {}", list(&rules.sports))),
        (!rules.not_sports.is_empty()).then(|| format!("no {}", list(&rules.not_sports))),
        rules.indoor.map(|indoor| match indoor {
            Indoor::Only => "only indoor rides".to_owned(),
            Indoor::Never => "no indoor rides".to_owned(),
        }),
        range("duration", say(time, rules.min_duration_s), say(time, rules.max_duration_s)),
        range("distance", say(length, rules.min_distance_m), say(length, rules.max_distance_m)),
        rules.name.as_ref().map(|name| format!("called {}", plain(name.as_str()))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The rules for programs.
pub(crate) fn rules_record(rules: &Rules) -> Value {
    json!({
        "sports": rules.sports,
        "not_sports": rules.not_sports,
        "indoor": rules.indoor,
        "min_duration_s": rules.min_duration_s,
        "max_duration_s": rules.max_duration_s,
        "min_distance_m": rules.min_distance_m,
        "max_distance_m": rules.max_distance_m,
        "from": rules.from,
        "until": rules.until,
        "ride_name": rules.name.as_ref().map(|name| name.as_str()),
    })
}

async fn sink_of(app: &App, name: &str) -> Result<Connection, Stop> {
    let found = app.engine.find_connection(&app.user, name).await?.doc;
    match found.sink() {
        Some(_) => Ok(found),
        None => Err(Failure::new(Code::RulesInvalid, format!("{name} is a source; rules are for sinks")).into()),
    }
}

/// What the rules, after the change that is tried out, do with the last rides of the archive.
async fn preview(context: &Context, name: &str, change: &RuleChange, count: usize) -> Result<Exit, Stop> {
    let app = context.look()?;
    let mut sink = sink_of(&app, name).await?;
    if let Role::Sink(progress) = &mut sink.role {
        progress.rules = change.onto(&progress.rules);
        progress.rules.check().map_err(Failure::from)?;
    }
    let prefix = format!("delivery/{}/", sink.id);
    let known: BTreeMap<ContentId, &'static str> = app
        .engine
        .store()
        .all::<Delivery>(&app.user, &prefix)
        .await?
        .into_iter()
        .map(|stored| (stored.doc.content, stored.doc.state.name()))
        .collect();
    let mut rides: Vec<(Activity, ContentId)> = Vec::new();
    for stored in app.engine.store().all::<Activity>(&app.user, "activity/").await? {
        if let ActivityState::Fetched { content, .. } = stored.doc.state {
            rides.push((stored.doc, content));
        }
    }
    rides.sort_by_key(|(ride, _)| (ride.ride.start(), ride.ride.local_date()));
    let out = context.out;
    let (mut sent, mut filtered) = (0_usize, 0_usize);
    for (ride, content) in rides.iter().rev().take(count) {
        let judged = Delivery::for_sink(ride, &sink, *content, app.engine.now());
        let why = match &judged.state {
            DeliveryState::Filtered { why } => Some(why),
            _ => None,
        };
        match why {
            Some(_) => filtered += 1,
            None => sent += 1,
        }
        let title = judged.about.name.as_deref().map_or_else(|| "(no name)".into(), plain);
        let date = ride.ride.local_date().map(|date| date.to_string()).unwrap_or_default();
        let what = match why {
            Some(why) => format!("left out: {} [{}]", plain(&why.sentence), why.rule),
            None => format!("sent as {title}"),
        };
        let now = known.get(content).copied();
        out.line(format!(
            "{} {date} {what}{}",
            ride.rider_id(),
            now.map(|now| format!("  (now {now})")).unwrap_or_default()
        ));
        out.record(&json!({
            "type": "preview",
            "ride": ride.rider_id(),
            "activity": ride.id,
            "date": ride.ride.local_date(),
            "action": if why.is_some() { "filter" } else { "send" },
            "name": judged.about.name,
            "code": why.map(|why| why.rule.as_str()),
            "detail": why.map(|why| why.sentence.as_str()),
            "state": now,
        }));
    }
    out.line(format!(
        "of the last {} rides {sent} pass, {filtered} are left out; nothing was changed",
        sent + filtered
    ));
    out.record(&json!({ "type": "summary", "sent": sent, "filtered": filtered, "preview": true }));
    Ok(Exit::Done)
}

/// Sets the rules, if some are given, and sends what was left out before and passes now.
async fn set_and_apply(context: &Context, name: &str, change: &RuleChange, changes: bool) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("rules")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    let sink = match changes {
        true => app.engine.set_rules(&app.user, name, &|old| change.onto(old)).await?,
        false => sink_of(&app, name).await?,
    };
    let Applied { sent, filtered } = app.engine.apply_rules(&app.user, &sink.id).await?;
    app.lanes.drain().await;
    tally.bar().finish_and_clear();
    let sinks = [sink];
    let counts = tally.counts(&sinks);
    for record in tally.records(&sinks) {
        context.out.record(&record);
    }
    context.out.line(format!("{sent} rides that were left out pass now, {filtered} are left out still"));
    let exit = print_deliveries(context, &tally, &counts);
    let exit = print_failures(context, &app.lanes.take_failures(), exit);
    let mut record = counts.record();
    (record["sent"], record["filtered"]) = (sent.into(), filtered.into());
    context.out.record(&record);
    Ok(exit)
}
