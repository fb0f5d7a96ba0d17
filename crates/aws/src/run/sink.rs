//! One batch of jobs, each record with an end of its own.

use std::{io, sync::Arc};

use fitbridge_core::{Code, Engine, Failure, ports::Job};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    Deadline,
    work::{isolated, name},
};
use crate::{
    logs::BatchLine,
    metrics::{Metric, Metrics},
    queue::judge,
};

/// Records at a time. Each may hold a file of 32 MiB.
const AT_A_TIME: usize = 4;

/// Why an invocation of the sink failed as a whole: its records could not even be named. All of them go
/// back to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The event is not one of SQS.
    #[error("the event is no batch of SQS: it has no list of records with message ids")]
    Foreign,
}

impl From<SinkError> for Diagnostic {
    fn from(error: SinkError) -> Self {
        Self { error_type: Code::EventForeign.to_string(), error_message: error.to_string() }
    }
}

/// Which records of a batch go back to the queue: the answer that `ReportBatchItemFailures` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BatchAnswer {
    /// Those records.
    #[serde(rename = "batchItemFailures")]
    pub failures: Vec<FailedItem>,
}

/// A record that goes back to the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedItem {
    /// The message's id.
    #[serde(rename = "itemIdentifier")]
    pub id: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    message_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    event_source: String,
    body: String,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Refused,
    GivenBack,
}

/// The sink function.
#[derive(Debug)]
pub struct SinkWorker {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    stopped: bool,
}

impl SinkWorker {
    /// Over an engine that calls no source. One that is `stopped` lets go of its messages without doing
    /// anything: what they are about is in the ledger, and comes due again.
    pub fn new(engine: Arc<Engine>, metrics: Arc<Metrics>, stopped: bool) -> Self {
        Self { engine, metrics, stopped }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.engine.now()
    }

    /// Works on a batch, and names the records that go back: those whose work failed at our own end
    /// (storage, a panic), those that are no jobs (they end as dead letters), and those for which no time
    /// was left. What a sink or the file host refused is in the ledger, and no failure of the record.
    pub async fn handle(&self, event: &Value, deadline: Deadline) -> Result<BatchAnswer, SinkError> {
        let begun = Instant::now();
        let Event { records } = Event::deserialize(event).map_err(|_| SinkError::Foreign)?;
        let named: Result<Vec<_>, _> = records.iter().map(Named::deserialize).collect();
        let named = named.map_err(|_| SinkError::Foreign)?;
        let stopped = self.is_stopped().await;
        let run = async |id: String, record: &Value| (self.record(&id, record, &deadline, stopped).await, id);
        let work = named.into_iter().zip(&records).map(|(named, record)| run(named.message_id, record));
        let ends: Vec<_> = stream::iter(work).buffer_unordered(AT_A_TIME).collect().await;

        let count = |end: End| ends.iter().filter(|(other, _)| *other == end).count();
        let line = BatchLine {
            records: ends.len(),
            done: count(End::Done),
            failed: count(End::Failed),
            refused: count(End::Refused),
            given_back: count(End::GivenBack),
            took: begun.elapsed(),
        };
        line.log();
        self.metrics.add(Metric::RecordsFailed, line.failed);
        if let Err(error) = self.metrics.flush(self.now(), None, &mut io::stdout()) {
            tracing::warn!(%error, "the metrics could not be written: {error}");
        }
        let back = ends.into_iter().filter(|(end, _)| *end != End::Done);
        Ok(BatchAnswer { failures: back.map(|(_, id)| FailedItem { id }).collect() })
    }

    /// Whether the deployment is stopped, or the operator has stopped the service since. A ledger that does
    /// not answer stops nothing: each record meets it again.
    async fn is_stopped(&self) -> bool {
        self.stopped
            || self
                .engine
                .halted()
                .await
                .unwrap_or_else(|error| {
                    tracing::warn!(%error, "whether the service is stopped cannot be read: {error}");
                    None
                })
                .is_some()
    }

    async fn record(&self, id: &str, record: &Value, deadline: &Deadline, stopped: bool) -> End {
        let job = match job_of(record) {
            Ok(job) => job,
            Err(failure) => {
                let reason = failure.code.as_str();
                tracing::warn!(message.id = id, reason, "message {id} is refused: {failure}");
                self.metrics.count_failure(Metric::MessagesRefused, reason);
                return End::Refused;
            }
        };
        if stopped {
            tracing::warn!(message.id = id, "stopped: message {id} is let go; its record comes due again");
            return End::Done;
        }
        if !deadline.may_begin() {
            return End::GivenBack;
        }
        match timeout_at(deadline.end(), isolated(&self.engine, &job)).await {
            Ok(Ok(())) => End::Done,
            Ok(Err(_)) => End::Failed,
            Err(_) => {
                tracing::warn!(message.id = id, task = name(&job.task), "message {id} was cut: no time was left");
                End::Failed
            }
        }
    }
}

/// The job in a record, or why there is none.
fn job_of(record: &Value) -> Result<Job, Failure> {
    let foreign = || Failure::new(Code::MessageForeign, "it is no message of SQS");
    let message = Message::deserialize(record).map_err(|_| foreign())?;
    if message.event_source != "aws:sqs" {
        return Err(foreign());
    }
    judge(&message.body)
}
