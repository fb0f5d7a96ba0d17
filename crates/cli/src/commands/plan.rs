//! What a dry run says of one ride, as far as its row in the list tells.

use fitbridge_core::{
    Code,
    domain::{Connection, Filtered, ListedFacts, Ride, RideId, template::Facts},
    ports::ListedRow,
};
use serde_json::{Value, json};

use crate::out::plain;

/// What would become of a ride at one sink.
#[derive(Debug)]
struct AtSink<'a> {
    sink: &'a str,
    /// The name it would have there; `None` where the sink chooses one.
    name: Option<String>,
    why: Option<Filtered>,
}

/// What would become of a ride.
#[derive(Debug)]
pub(crate) struct Plan<'r, 'a> {
    ride: RideId,
    facts: &'r ListedFacts,
    /// Why it would not be fetched at all.
    rule: Option<Code>,
    sinks: Vec<AtSink<'a>>,
}

impl<'r, 'a> Plan<'r, 'a> {
    /// Of a row of a source's list.
    pub(crate) fn of(row: &'r ListedRow, source: &Connection, sinks: &[&'a Connection]) -> Self {
        let rule = source.filters_listed(row.ride_id, row.facts.date);
        let ride = Ride { listed: Some(row.facts.clone()), ..Ride::default() };
        let facts = Facts::of_ride(&ride, source.account.service.as_str(), &row.ride_id.to_string());
        let wanted = sinks.iter().filter(|sink| rule.is_none() && sink.wants_ride(None, row.facts.date));
        let at_sink = |sink: &&'a Connection| {
            let rules = sink.sink().map(|progress| &progress.rules);
            AtSink {
                sink: &sink.name,
                name: rules.and_then(|rules| rules.name_from(&facts)).or_else(|| ride.title()),
                why: rules.and_then(|rules| rules.judge(&ride)),
            }
        };
        Self { ride: row.ride_id, facts: &row.facts, rule, sinks: wanted.map(at_sink).collect() }
    }

    /// Whether it would be fetched.
    pub(crate) fn is_fetched(&self) -> bool {
        self.rule.is_none()
    }

    /// The sinks that would get it.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = &'a str> {
        self.sinks.iter().filter(|at| at.why.is_none()).map(|at| at.sink)
    }

    /// For people.
    pub(crate) fn line(&self) -> String {
        let title = self.facts.title.as_deref().map(plain).unwrap_or_default();
        let date = self.facts.date.map(|date| date.to_string()).unwrap_or_default();
        if let Some(rule) = self.rule {
            return format!("{} {date} {title}: filtered [{rule}]", self.ride);
        }
        let under = |at: &AtSink<'_>| match &at.name {
            Some(name) if Some(name) != self.facts.title.as_ref() => format!("{} as \"{}\"", at.sink, plain(name)),
            _ => at.sink.to_owned(),
        };
        let to: Vec<_> = self.sinks.iter().filter(|at| at.why.is_none()).map(under).collect();
        let to = if to.is_empty() { "would go nowhere".into() } else { format!("would go to {}", to.join(", ")) };
        let out = |at: &AtSink<'_>| {
            at.why.as_ref().map(|why| format!("; not to {}: {} [{}]", at.sink, plain(&why.sentence), why.rule))
        };
        let out: String = self.sinks.iter().filter_map(out).collect();
        format!("{} {date} {title}: {to}{out}", self.ride)
    }

    /// For programs.
    pub(crate) fn record(&self) -> Value {
        let sent = || self.sinks.iter().filter(|at| at.why.is_none());
        let names: serde_json::Map<_, _> = sent().map(|at| (at.sink.to_owned(), json!(at.name))).collect();
        let why = |at: &AtSink<'_>| {
            let why = at.why.as_ref()?;
            Some((at.sink.to_owned(), json!({ "code": why.rule, "detail": why.sentence })))
        };
        let filtered: serde_json::Map<_, _> = self.sinks.iter().filter_map(why).collect();
        json!({
            "type": "plan",
            "ride": self.ride.to_string(),
            "date": self.facts.date,
            "title": self.facts.title,
            "action": if self.rule.is_some() { "filter" } else { "fetch" },
            "code": self.rule.map(Code::as_str),
            "sinks": sent().map(|at| at.sink).collect::<Vec<_>>(),
            "names": names,
            "filtered": filtered,
        })
    }
}
