//! How fresh what is known is, and how long rides took: lines and records.

use std::borrow::Cow;

use fitbridge_core::{
    Code,
    domain::{Because, DeliveryLags, Lags},
    engine::plan::{ENOUGH_RIDES, Freshness},
    ports::PollClass,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::out::plain;

/// Ticks come each minute; with none for longer than this, nothing runs.
const QUIET: SignedDuration = SignedDuration::from_mins(3);

/// When the source was looked at, and when it will be; `ticks` is what looks each minute.
pub(crate) fn line(fresh: &Freshness, now: Timestamp, ticks: &str) -> String {
    let last = fresh.last_polled_at.map_or("not looked at yet".into(), |at| format!("looked at {at:.0}"));
    let is_ticking = fresh.last_tick_at.is_some_and(|tick| now.duration_since(tick) <= QUIET);
    match fresh.next_poll_at {
        Some(at) if is_ticking => format!("{last}, next {at:.0}"),
        Some(_) => match fresh.last_tick_at {
            Some(tick) => format!("{last}; {ticks} has not run since {tick:.0}"),
            None => format!("{last}; {ticks} looks by itself"),
        },
        None => format!("{last}; not asked until it is connected again"),
    }
}

/// What keeps it from being read, and what is to be done by whoever reads it; no line while all is well.
pub(crate) fn failing(fresh: &Freshness, next_step: impl Fn(Code) -> Cow<'static, str>) -> Vec<String> {
    let Some((since, failure)) = &fresh.failing else { return Vec::new() };
    vec![format!("since {since:.0}: {}", plain(&failure.to_string())), format!("next: {}", next_step(failure.code))]
}

/// Why it is looked at so often.
pub(crate) fn why(fresh: &Freshness, now: Timestamp) -> String {
    let every = match fresh.class {
        PollClass::Hot => "each minute",
        PollClass::Warm => "each 5 minutes",
        PollClass::Cold => "once an hour",
    };
    let until = fresh.until.map(|until| format!(" until {until:.0}")).unwrap_or_default();
    match fresh.because {
        Because::Woken => format!("{every}{until}, because you asked for rides"),
        Because::Found => format!("{every}{until}, because a ride was just found"),
        Because::Fixed => format!("{every}, as everybody"),
        Because::Dormant => format!("{every}, because there was no ride for a long time"),
        Because::New => format!("{every}{until}, because fewer than {ENOUGH_RIDES} rides are known to learn from"),
        Because::Learned => match (&fresh.window_text, fresh.window) {
            (Some(hours), Some((from, _))) => {
                let (inside, of) = fresh.within;
                let when = if from <= now { "now" } else { "next" };
                format!(
                    "{every} now; each 5 minutes {hours} ({when}, your time), because {inside} of your last {of} rides appeared at those hours"
                )
            }
            _ => format!("{every}, because your rides appear at no hour in particular"),
        },
    }
}

/// The same for programs.
pub(crate) fn record(fresh: &Freshness) -> Value {
    let (inside, of) = fresh.within;
    json!({
        "every_minutes": fresh.class.slots(),
        "because": fresh.because.as_str(),
        "last_polled_at": fresh.last_polled_at.map(|at| at.to_string()),
        "next_poll_at": fresh.next_poll_at.map(|at| at.to_string()),
        "last_tick": fresh.last_tick_at.map(|at| at.to_string()),
        "window_from": fresh.window.map(|(from, _)| from.to_string()),
        "window_to": fresh.window.map(|(_, to)| to.to_string()),
        "rides_in_window": inside,
        "rides_looked_at": of,
        "failing_since": fresh.failing.as_ref().map(|(since, _)| since.to_string()),
        "failing_code": fresh.failing.as_ref().map(|(_, failure)| failure.code.as_str()),
    })
}

/// How long the last rides took to the sink; `None` where nothing tells.
pub(crate) fn lag_line(lags: &DeliveryLags) -> Option<String> {
    let of = |lags: &Lags| format!("half within {}, 95 % within {}", span(lags.p50_s), span(lags.p95_s));
    let found = lags.from_discovery.as_ref()?;
    let ended =
        lags.from_ride_end.as_ref().map(|lags| format!("; from the ride's end {}", of(lags))).unwrap_or_default();
    Some(format!("the last {} rides arrived: from being found {}{ended}", found.count, of(found)))
}

/// The same for programs.
pub(crate) fn lag_record(lags: &DeliveryLags) -> Value {
    let of =
        |lags: Option<Lags>| lags.map(|lags| json!({ "count": lags.count, "p50_s": lags.p50_s, "p95_s": lags.p95_s }));
    json!({ "from_discovery": of(lags.from_discovery), "from_ride_end": of(lags.from_ride_end) })
}

/// Seconds for people.
fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h", (seconds + 1800) / 3600),
    }
}

#[cfg(test)]
mod tests {
    use fitbridge_core::Code;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn fresh(because: Because) -> Freshness {
        Freshness {
            class: PollClass::Cold,
            because,
            until: Some(at("2025-06-01T14:20:00Z")),
            last_polled_at: Some(at("2025-06-01T12:07:00Z")),
            next_poll_at: Some(at("2025-06-01T13:07:00Z")),
            last_tick_at: Some(at("2025-06-01T12:30:00Z")),
            window: Some((at("2025-06-01T14:20:00Z"), at("2025-06-01T17:40:00Z"))),
            window_text: Some("16:20–19:40".into()),
            within: (14, 20),
            failing: None,
        }
    }

    const SERVE: &str = "`fitbridge serve`";

    #[test]
    fn a_plan_explains_itself() {
        let now = at("2025-06-01T12:31:00Z");
        let learned = fresh(Because::Learned);
        assert_eq!(line(&learned, now, SERVE), "looked at 2025-06-01T12:07:00Z, next 2025-06-01T13:07:00Z");
        assert_eq!(
            why(&learned, now),
            "once an hour now; each 5 minutes 16:20–19:40 (next, your time), because 14 of your last 20 rides appeared at those hours"
        );
        assert!(why(&fresh(Because::Found), now).contains("until 2025-06-01T14:20:00Z"));
        let quiet = line(&learned, at("2025-06-01T13:00:00Z"), SERVE);
        assert!(quiet.contains("`fitbridge serve` has not run since 2025-06-01T12:30:00Z"), "{quiet}");
        let paused = Freshness { next_poll_at: None, ..fresh(Because::New) };
        assert!(line(&paused, now, SERVE).contains("until it is connected again"));
    }

    #[test]
    fn what_fails_is_told_with_its_next_step() {
        let since = at("2025-06-01T12:00:00Z");
        let away = Freshness { failing: Some((since, Code::ProviderAway.into())), ..fresh(Because::New) };
        let next_step = |code: Code| code.next_step().into();
        let told = failing(&away, next_step).join("; ");
        assert!(told.starts_with("since 2025-06-01T12:00:00Z: ") && told.contains("[provider_away]; next: "), "{told}");
        assert_eq!(record(&away)["failing_code"], "provider_away");
        assert_eq!(failing(&fresh(Because::New), next_step), Vec::<String>::new());
    }

    #[test]
    fn lags_are_told_in_fitting_units() {
        let some = |p50_s, p95_s| Some(Lags { count: 20, p50_s, p95_s });
        let lags = DeliveryLags { from_discovery: some(8, 130), from_ride_end: some(600, 9000) };
        let expected = "the last 20 rides arrived: from being found half within 8 s, 95 % within 2 min; \
                        from the ride's end half within 10 min, 95 % within 3 h";
        assert_eq!(lag_line(&lags).unwrap(), expected);
        assert_eq!(lag_line(&DeliveryLags::default()), None);
        assert_eq!(lag_record(&lags)["from_discovery"]["p95_s"], 130);
    }
}
