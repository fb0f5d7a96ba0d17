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
    common::{Whose, print_deliveries, print_failures},
    tally::Tally,
};
use crate::{
    args::RulesArgs,
    exit::{Exit, Stop},
    out::{bold, plain},
    rule_args::RuleChange,
};

/// What is asked for.
#[derive(Debug)]
pub(super) enum Asked<'a> {
    /// Nothing is changed.
    Look(Look<'a>),
    /// A change.
    Set(&'a str, RuleChange),
    /// Sending what was left out and passes now, after a change if there is one.
    Apply(&'a str, Option<RuleChange>),
}

/// What is to be seen.
#[derive(Debug)]
pub(super) enum Look<'a> {
    /// The rules of all sinks.
    All,
    /// The rules of this sink.
    One(&'a str),
    /// What they do with so many rides, after a change that is tried out.
    Preview(&'a str, RuleChange, usize),
}

impl RulesArgs {
    /// What is asked for; what does not do is refused.
    pub(super) fn read(&self) -> Result<Asked<'_>, Failure> {
        let change = self.change.read(self.clear)?;
        let changes = self.clear || !self.change.is_empty();
        Ok(match (self.sink.as_deref(), self.preview) {
            (None, None) if !changes && !self.apply => Asked::Look(Look::All),
            (None, _) => return Err(Failure::new(Code::RulesInvalid, "name the sink that they are for")),
            (Some(sink), Some(count)) => Asked::Look(Look::Preview(sink, change, count)),
            (Some(sink), None) if self.apply => Asked::Apply(sink, changes.then_some(change)),
            (Some(sink), None) if changes => Asked::Set(sink, change),
            (Some(sink), None) => Asked::Look(Look::One(sink)),
        })
    }

    /// Whether nothing is changed.
    pub(super) fn only_looks(&self) -> bool {
        !matches!(self.read(), Ok(Asked::Set(..) | Asked::Apply(..)))
    }
}

/// Shows, tries out, sets or applies the rules of this machine's rider.
pub(crate) async fn run(context: &Context, args: RulesArgs) -> Result<Exit, Stop> {
    match args.read()? {
        Asked::Apply(name, change) => set_and_apply(context, name, change.as_ref()).await,
        Asked::Set(name, change) => {
            let app = context.open()?;
            let of = context.whose(&app);
            shown(&of, &set(&of, name, &change).await?).await
        }
        Asked::Look(what) => look(&context.whose(&context.look()?), &what).await,
    }
}

/// Shows or tries out a rider's rules.
pub(super) async fn look(of: &Whose<'_>, what: &Look<'_>) -> Result<Exit, Stop> {
    match what {
        Look::All => show_all(of).await,
        Look::One(name) => shown(of, &sink_of(of, name).await?).await,
        Look::Preview(name, change, count) => preview(of, name, change, *count).await,
    }
}

/// Changes a sink's rules; the sink as it is then.
pub(super) async fn set(of: &Whose<'_>, name: &str, change: &RuleChange) -> Result<Connection, Stop> {
    Ok(of.engine.set_rules(of.user, name, &|old| change.onto(old)).await?)
}

/// Shows one sink's rules, and nothing else.
pub(super) async fn shown(of: &Whose<'_>, sink: &Connection) -> Result<Exit, Stop> {
    show(of, sink).await?;
    of.out.record(&json!({ "type": "summary", "sinks": 1 }));
    Ok(Exit::Done)
}

async fn show_all(of: &Whose<'_>) -> Result<Exit, Stop> {
    let mut shown = 0;
    for sink in of.connections().await?.iter().filter(|connection| connection.sink().is_some()) {
        show(of, sink).await?;
        shown += 1;
    }
    if shown == 0 {
        of.out.line("no sink is connected");
    }
    of.out.record(&json!({ "type": "summary", "sinks": shown }));
    Ok(Exit::Done)
}

async fn show(of: &Whose<'_>, sink: &Connection) -> Result<(), Stop> {
    let Some(progress) = sink.sink() else { return Ok(()) };
    let prefix = format!("delivery/{}/", sink.id);
    let deliveries = of.engine.store().all::<Delivery>(of.user, &prefix).await?;
    let is_filtered = |state: &DeliveryState| matches!(state, DeliveryState::Filtered { .. });
    let filtered = deliveries.iter().filter(|stored| is_filtered(&stored.doc.state)).count();
    let out = of.out;
    let every = if progress.rules.is_empty() { " every ride, under its title" } else { "" };
    out.line(format!("{}:{every}", bold(&sink.name)));
    for line in lines(&progress.rules) {
        out.line(format!("  {line}"));
    }
    if filtered > 0 {
        out.line(format!(
            "  {filtered} rides were left out so far; `{} {} --apply` sends those that pass now",
            of.command("rules"),
            sink.name
        ));
    }
    let mut record = rules_record(&progress.rules);
    record["type"] = "rules".into();
    record["sink"] = sink.name.clone().into();
    record["filtered"] = filtered.into();
    of.record(record);
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

async fn sink_of(of: &Whose<'_>, name: &str) -> Result<Connection, Stop> {
    let found = of.engine.find_connection(of.user, name).await?.doc;
    match found.sink() {
        Some(_) => Ok(found),
        None => Err(Failure::new(Code::RulesInvalid, format!("{name} is a source; rules are for sinks")).into()),
    }
}

/// What the rules, after the change that is tried out, do with the last rides of the archive.
async fn preview(of: &Whose<'_>, name: &str, change: &RuleChange, count: usize) -> Result<Exit, Stop> {
    let mut sink = sink_of(of, name).await?;
    if let Role::Sink(progress) = &mut sink.role {
        progress.rules = change.onto(&progress.rules);
        progress.rules.check().map_err(Failure::from)?;
    }
    let prefix = format!("delivery/{}/", sink.id);
    let store = of.engine.store();
    let known: BTreeMap<ContentId, &'static str> = store
        .all::<Delivery>(of.user, &prefix)
        .await?
        .into_iter()
        .map(|stored| (stored.doc.content, stored.doc.state.name()))
        .collect();
    let mut rides: Vec<(Activity, ContentId)> = Vec::new();
    for stored in store.all::<Activity>(of.user, "activity/").await? {
        if let ActivityState::Fetched { content, .. } = stored.doc.state {
            rides.push((stored.doc, content));
        }
    }
    rides.sort_by_key(|(ride, _)| (ride.ride.start(), ride.ride.local_date()));
    let out = of.out;
    let (mut sent, mut filtered) = (0_usize, 0_usize);
    for (ride, content) in rides.iter().rev().take(count) {
        let judged = Delivery::for_sink(ride, &sink, *content, of.engine.now());
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
        of.record(json!({
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
async fn set_and_apply(context: &Context, name: &str, change: Option<&RuleChange>) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("rules")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    let (sink, applied) = apply(&context.whose(&app), name, change).await?;
    app.lanes.drain().await;
    tally.bar().finish_and_clear();
    let sinks = [sink];
    let counts = tally.counts(&sinks);
    for record in tally.records(&sinks) {
        context.out.record(&record);
    }
    context.out.line(line_of(&applied));
    let exit = print_deliveries(context, &tally, &counts);
    let exit = print_failures(context, &app.lanes.take_failures(), exit);
    let mut record = counts.record();
    (record["sent"], record["filtered"]) = (applied.sent.into(), applied.filtered.into());
    context.out.record(&record);
    Ok(exit)
}

/// Changes a sink's rules, if there is a change, and begins to send what was left out before and passes now.
pub(super) async fn apply(
    of: &Whose<'_>,
    name: &str,
    change: Option<&RuleChange>,
) -> Result<(Connection, Applied), Stop> {
    let sink = match change {
        Some(change) => set(of, name, change).await?,
        None => sink_of(of, name).await?,
    };
    let applied = of.engine.apply_rules(of.user, &sink.id).await?;
    Ok((sink, applied))
}

/// What came of it, in a line.
pub(super) fn line_of(Applied { sent, filtered }: &Applied) -> String {
    format!("{sent} rides that were left out pass now, {filtered} are left out still")
}
