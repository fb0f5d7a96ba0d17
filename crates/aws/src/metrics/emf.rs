//! One line per invocation, with everything that was counted in it.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use fitbridge_core::domain::Shard;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "FitBridge";
/// Most values of one metric in a line, as the format's specification has it.
const MAX_VALUES: usize = 100;

/// The unit of a metric, as `CloudWatch` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    /// As `CloudWatch` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident $unit:ident;)*) => {
        /// What is measured. The variant's name is the metric's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $($(#[$doc])* $name,)*
        }

        impl Metric {
            /// Every metric.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in `CloudWatch`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Its unit.
            pub fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }
        }
    };
}

metrics! {
    /// Ticks that were done; by shard too. When it is missing, nothing runs: the heartbeat.
    TicksDone Count;
    /// Minutes of the plan whose polls are not made at the end of a tick; by shard too. Where it grows, there are more
    /// polls than `RequestsPerSecond` has room for.
    MinutesBehind Count;
    /// Polls that the source answered.
    PollSucceeded Count;
    /// Polls that failed; the line's `PollFailedCodes` says with which codes.
    PollFailed Count;
    /// Calls that a provider asked to slow down for, source or sink.
    ProviderThrottled Count;
    /// Rides seen for the first time.
    ActivitiesDiscovered Count;
    /// Rides handed to the sink function: their files are located.
    ActivitiesQueued Count;
    /// Rides whose file is in the archive.
    ActivitiesStored Count;
    /// Rides that wait for another try; the line's `ActivityRetryCodes` says with which codes.
    ActivityRetries Count;
    /// Rides and deliveries that were given up; the line's `DeadLetterCodes` says with which codes.
    DeadLetters Count;
    /// Deliveries that are done.
    Delivered Count;
    /// Deliveries that wait for another try; the line's `DeliveryRetryCodes` says with which codes.
    DeliveryRetries Count;
    /// From a ride being seen upstream (or taken off the backlog) to one of its deliveries being done, s. What waited
    /// for its rider, or was sent later by the rider's wish, is not among them.
    DiscoveredToDeliveredSeconds Seconds;
    /// From the end of a ride to one of its deliveries being done, s, where it was seen upstream within a day: rider, phone
    /// and provider have their part in this one.
    RideEndToDeliveredSeconds Seconds;
    /// Connections that wait for their rider to connect again; the line's `ReauthCodes` says with which
    /// codes.
    ReauthRequired Count;
    /// Records of a batch that go back to the queue.
    RecordsFailed Count;
    /// Messages that are no jobs; the line's `MessageReasons` says why.
    MessagesRefused Count;
    /// 1 in the first invocation of a process.
    ColdStart Count;
    /// From the start of a process to its first invocation, ms.
    InitMs Milliseconds;
}

impl Metric {
    /// Whether it is told for each shard too.
    fn is_per_shard(self) -> bool {
        matches!(self, Self::TicksDone | Self::MinutesBehind)
    }

    /// The property that says why, where the metric is about failures.
    fn reasons(self) -> Option<&'static str> {
        match self {
            Self::PollFailed => Some("PollFailedCodes"),
            Self::ActivityRetries => Some("ActivityRetryCodes"),
            Self::DeadLetters => Some("DeadLetterCodes"),
            Self::DeliveryRetries => Some("DeliveryRetryCodes"),
            Self::ReauthRequired => Some("ReauthCodes"),
            Self::MessagesRefused => Some("MessageReasons"),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
struct Counted {
    counts: BTreeMap<Metric, f64>,
    values: BTreeMap<Metric, Vec<f64>>,
    reasons: BTreeMap<Metric, BTreeMap<&'static str, u64>>,
}

/// The metrics of a function; shared by all that count.
#[derive(Debug)]
pub struct Metrics {
    function: String,
    counted: Mutex<Counted>,
}

impl Metrics {
    /// Nothing counted yet, for the function of this name (`fitbridge-poller`).
    pub fn new(function: impl Into<String>) -> Self {
        Self { function: function.into(), counted: Mutex::default() }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a thing.
    pub fn count(&self, metric: Metric) {
        self.add(metric, 1);
    }

    /// Counts many things. 0 is told too: an alarm on a ratio needs it.
    pub fn add(&self, metric: Metric, count: usize) {
        // A count beyond 2^52 does not happen in an invocation.
        *self.counted().counts.entry(metric).or_default() += count as f64;
    }

    /// Counts a failure and notes its code, which must be one of a fixed list: it becomes a field's name.
    pub fn count_failure(&self, metric: Metric, code: &'static str) {
        self.count(metric);
        *self.counted().reasons.entry(metric).or_default().entry(code).or_default() += 1;
    }

    /// Notes a value, of which percentiles are wanted.
    pub fn value(&self, metric: Metric, value: f64) {
        self.counted().values.entry(metric).or_default().push(value);
    }

    /// Takes what was counted since the last time, as lines; none where nothing was.
    pub fn take_lines(&self, now: Timestamp, shard: Option<Shard>) -> Vec<String> {
        let mut counted = std::mem::take(&mut *self.counted());
        let mut lines = Vec::new();
        loop {
            let mut line = Map::new();
            for (metric, count) in std::mem::take(&mut counted.counts) {
                line.insert(metric.name().to_owned(), json!(count));
            }
            for (metric, values) in &mut counted.values {
                let some: Vec<_> = values.drain(..values.len().min(MAX_VALUES)).collect();
                if !some.is_empty() {
                    line.insert(metric.name().to_owned(), json!(some));
                }
            }
            if line.is_empty() {
                return lines;
            }
            for (metric, reasons) in std::mem::take(&mut counted.reasons) {
                if let Some(property) = metric.reasons() {
                    line.insert(property.to_owned(), json!(reasons));
                }
            }
            lines.push(self.framed(line, now, shard));
        }
    }

    fn framed(&self, mut line: Map<String, Value>, now: Timestamp, shard: Option<Shard>) -> String {
        let directive = |per_shard: bool| {
            let metrics: Vec<_> = Metric::ALL
                .iter()
                .filter(|metric| line.contains_key(metric.name()) && metric.is_per_shard() == per_shard)
                .map(|metric| json!({ "Name": metric.name(), "Unit": metric.unit().as_str() }))
                .collect();
            let dimensions = if per_shard && shard.is_some() {
                json!([["Function"], ["Function", "Shard"]])
            } else {
                json!([["Function"]])
            };
            (!metrics.is_empty())
                .then(|| json!({ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics }))
        };
        let directives: Vec<_> = [false, true].into_iter().filter_map(directive).collect();
        line.insert("_aws".into(), json!({ "Timestamp": now.as_millisecond(), "CloudWatchMetrics": directives }));
        line.insert("Function".into(), json!(self.function));
        if let Some(shard) = shard {
            line.insert("Shard".into(), json!(shard.0.to_string()));
        }
        Value::Object(line).to_string()
    }

    /// Writes what was counted since the last time; at the end of an invocation.
    pub fn flush(&self, now: Timestamp, shard: Option<Shard>, out: &mut dyn Write) -> io::Result<()> {
        for line in self.take_lines(now, shard) {
            // In one piece, so that no other line of the process gets between.
            out.write_all(format!("{line}\n").as_bytes())?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-02T03:04:05.678Z".parse().unwrap()
    }

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let metrics = Metrics::new("poller");
        metrics.add(Metric::PollSucceeded, 3);
        metrics.count_failure(Metric::PollFailed, "token_refused");
        metrics.count_failure(Metric::PollFailed, "token_refused");
        metrics.value(Metric::DiscoveredToDeliveredSeconds, 61.5);
        metrics.count(Metric::TicksDone);
        let mut out = Vec::new();
        metrics.flush(now(), Some(Shard(2)), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        let counted = |name: &str| json!({ "Name": name, "Unit": "Count" });
        let expected = json!({
            "_aws": {
                "Timestamp": 1_767_323_045_678_i64,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "FitBridge",
                        "Dimensions": [["Function"]],
                        "Metrics": [
                            counted("PollSucceeded"),
                            counted("PollFailed"),
                            { "Name": "DiscoveredToDeliveredSeconds", "Unit": "Seconds" },
                        ],
                    },
                    {
                        "Namespace": "FitBridge",
                        "Dimensions": [["Function"], ["Function", "Shard"]],
                        "Metrics": [counted("TicksDone")],
                    },
                ],
            },
            "Function": "poller",
            "Shard": "2",
            "PollSucceeded": 3.0,
            "PollFailed": 2.0,
            "PollFailedCodes": { "token_refused": 2 },
            "DiscoveredToDeliveredSeconds": [61.5],
            "TicksDone": 1.0,
        });
        assert_eq!(line, expected);
        assert_eq!(metrics.take_lines(now(), None), Vec::<String>::new(), "nothing is told twice");
    }

    #[test]
    fn a_zero_is_told_and_many_values_take_several_lines() {
        let metrics = Metrics::new("sink");
        metrics.add(Metric::RecordsFailed, 0);
        for number in 0..250_u32 {
            metrics.value(Metric::DiscoveredToDeliveredSeconds, f64::from(number));
        }
        let lines = metrics.take_lines(now(), None);
        let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let lengths: Vec<_> =
            lines.iter().map(|line| line["DiscoveredToDeliveredSeconds"].as_array().unwrap().len()).collect();
        assert_eq!((lengths, &lines[0]["RecordsFailed"]), (vec![100, 100, 50], &json!(0.0)));
        assert!(lines[1].get("RecordsFailed").is_none() && lines[0].get("Shard").is_none());
    }

    #[test]
    fn names_are_the_ones_that_alarms_are_set_on() {
        let names: Vec<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), 19);
        for name in [
            "TicksDone",
            "PollFailed",
            "DeadLetters",
            "DiscoveredToDeliveredSeconds",
            "RideEndToDeliveredSeconds",
            "ReauthRequired",
            "ProviderThrottled",
        ] {
            assert!(names.contains(&name), "{name}");
        }
    }
}
