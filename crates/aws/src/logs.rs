//! Logs of a function: JSON, one line per batch at `info`, and a line per failure where it is handled.
//!
//! Lambda's own lines say when an invocation starts and ends, so a line of ours is about the work only. A
//! line per user and poll would cost more than all computing does (`debug` has them). Each line has a
//! `level` and a `timestamp` (RFC 3339), without which Lambda's filter takes it for one of level INFO.

use std::time::Duration;

use tracing::{Level, Subscriber};
use tracing_subscriber::{
    Layer, Registry,
    filter::LevelFilter,
    fmt::{MakeWriter, format::JsonFields},
    layer::SubscriberExt,
};

/// Writes the log of this process to standard output from now on; only the first call does anything.
/// Programs other than ours (SDK, HTTP) are heard from `warn` on.
pub fn init(level: Level) {
    // A second subscriber is refused, which is what a test that starts two functions wants.
    drop(tracing::subscriber::set_global_default(subscriber(level, std::io::stdout)));
}

/// The subscriber that [`init`] installs, with its writer.
pub fn subscriber<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let ours = tracing_subscriber::filter::filter_fn(move |metadata| {
        let own = metadata.target().starts_with("fitbridge") || metadata.target().starts_with("bootstrap");
        *metadata.level() <= if own { level } else { level.min(Level::WARN) }
    });
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .fmt_fields(JsonFields::new())
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer);
    Registry::default().with(lines.with_filter(ours).with_filter(LevelFilter::from_level(level)))
}

/// The one line of a batch of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchLine {
    /// Records in it.
    pub records: usize,
    /// Records that were done, or had nothing left to do.
    pub done: usize,
    /// Records that go back to the queue.
    pub failed: usize,
    /// Records that were no jobs.
    pub refused: usize,
    /// Records that were not begun, because the function's time was nearly over.
    pub given_back: usize,
    /// How long it took.
    pub took: Duration,
}

impl BatchLine {
    /// Writes the line.
    pub fn log(&self) {
        let Self { records, done, failed, refused, given_back, took } = *self;
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            batch.records = records,
            batch.done = done,
            batch.failed = failed,
            batch.refused = refused,
            batch.given_back = given_back,
            duration_ms,
            "{done} of {records} records done in {duration_ms} ms, {failed} failed, {refused} refused, {given_back} given back"
        );
    }
}

/// The one line of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TickLine {
    /// Which shard.
    pub shard: u16,
    /// Connections that were polled.
    pub polls: usize,
    /// Due records that were handed over.
    pub due: usize,
    /// Jobs that were worked on in this process.
    pub worked: usize,
    /// Of these, those that failed.
    pub failed: usize,
    /// How long it took.
    pub took: Duration,
}

impl TickLine {
    /// Writes the line.
    pub fn log(&self) {
        let Self { shard, polls, due, worked, failed, took } = *self;
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            shard,
            tick.polls = polls,
            tick.due = due,
            tick.worked = worked,
            tick.failed = failed,
            duration_ms,
            "shard {shard}: {polls} polls, {due} due, {worked} jobs done here in {duration_ms} ms, {failed} failed"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, MutexGuard},
    };

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut kept: MutexGuard<'_, Vec<u8>> = self.0.lock().unwrap();
            kept.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(level: Level, log: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let writer = kept.clone();
        tracing::subscriber::with_default(subscriber(level, move || writer.clone()), log);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_batch_is_one_line_that_reads_and_filters() {
        let batch =
            BatchLine { records: 10, done: 8, failed: 1, refused: 1, given_back: 0, took: Duration::from_millis(1234) };
        let mut lines = lines(Level::INFO, || batch.log());
        let stamp = lines[0].as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(stamp.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{stamp}");
        let expected = json!({
            "level": "INFO",
            "target": "fitbridge_aws::logs",
            "message": "8 of 10 records done in 1234 ms, 1 failed, 1 refused, 0 given back",
            "batch.records": 10,
            "batch.done": 8,
            "batch.failed": 1,
            "batch.refused": 1,
            "batch.given_back": 0,
            "duration_ms": 1234,
        });
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn levels_are_kept_and_others_are_quieter() {
        let told = |level| {
            lines(level, || {
                TickLine::default().log();
                tracing::debug!("ours");
                tracing::info!(target: "aws_smithy_runtime", "chatter");
                tracing::warn!(target: "aws_smithy_runtime", "trouble");
            })
        };
        let texts =
            |level| told(level).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(Level::ERROR), Vec::<String>::new());
        assert_eq!(texts(Level::WARN), ["trouble"]);
        assert_eq!(texts(Level::INFO).len(), 2);
        assert_eq!(texts(Level::DEBUG).len(), 3);
    }
}
