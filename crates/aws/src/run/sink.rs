//! One batch of jobs, each record with an end of its own.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use fitbridge_core::{
    Code, Engine, Failure,
    ports::{Job, Task},
};
use futures::future::join_all;
use jiff::Timestamp;
use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

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
/// Of these, at most so many of one rider, and at most so many that ask the same service: one that hangs, or a rider
/// with years of history, leaves room for the others of the batch.
const ALIKE_AT_A_TIME: usize = 3;

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

/// The records of a batch, each with its message's id.
pub(crate) fn named(event: &Value) -> Result<Vec<(String, Value)>, SinkError> {
    let Event { records } = Event::deserialize(event).map_err(|_| SinkError::Foreign)?;
    let named = records.into_iter().map(|record| Ok((Named::deserialize(&record)?.message_id, record)));
    named.collect::<Result<_, serde_json::Error>>().map_err(|_| SinkError::Foreign)
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
}

impl SinkWorker {
    /// Over an engine that calls no source.
    pub fn new(engine: Arc<Engine>, metrics: Arc<Metrics>) -> Self {
        Self { engine, metrics }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.engine.now()
    }

    /// Works on a batch, and names the records that go back: those whose work failed at our own end
    /// (storage, a panic), and those that are no jobs (they end as dead letters). What a sink or the file host
    /// refused is in the ledger, and no failure of the record. Those for which no time was left are given back to
    /// the ledger instead: the poller hands them over again within a minute, where the queue would hide them for as
    /// long as a batch may take, and in the end call them dead.
    pub async fn handle(&self, event: &Value, deadline: Deadline) -> Result<BatchAnswer, SinkError> {
        let begun = Instant::now();
        let named = named(event)?;
        let stopped = self.is_stopped().await;
        let (room, lanes) = (Semaphore::new(AT_A_TIME), Lanes::default());
        let run = async |id: String, record: &Value| {
            let job = self.job_of(&id, record);
            let end = match &job {
                Some(job) => self.record(&id, job, &room, &lanes, &deadline, stopped).await,
                None => End::Refused,
            };
            (end, id, job)
        };
        let work = named.iter().map(|(id, record)| run(id.clone(), record));
        let mut ends = join_all(work).await;
        let left = ends.iter().filter(|(end, ..)| *end == End::GivenBack);
        let left: Vec<_> = left.filter_map(|(_, _, job)| job.clone()).collect();
        let is_given_back = left.is_empty() || {
            let back = deadline.closing("to give records back", self.engine.leave_jobs(&left)).await;
            back.is_some_and(|back| back.inspect_err(|error| tracing::warn!(%error, "{error}")).is_ok())
        };

        let count = |end: End| ends.iter().filter(|(other, ..)| *other == end).count();
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
        ends.retain(|(end, ..)| *end != End::Done && !(*end == End::GivenBack && is_given_back));
        Ok(BatchAnswer { failures: ends.into_iter().map(|(_, id, _)| FailedItem { id }).collect() })
    }

    /// Whether the operator has stopped the service: its messages are let go, then, for what they are about is in the
    /// ledger and comes due again. A ledger that does not answer stops nothing: each record meets it again.
    async fn is_stopped(&self) -> bool {
        let halted = self.engine.halted().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "whether the service is stopped cannot be read: {error}");
            None
        });
        halted.is_some()
    }

    /// The job in a record, if there is one that the sink may do.
    fn job_of(&self, id: &str, record: &Value) -> Option<Job> {
        let refuse = |failure: Failure| {
            let reason = failure.code.as_str();
            tracing::warn!(message.id = id, reason, "message {id} is refused: {failure}");
            self.metrics.count_failure(Metric::MessagesRefused, reason);
        };
        job_of(record).map_err(refuse).ok()
    }

    async fn record(
        &self,
        id: &str,
        job: &Job,
        room: &Semaphore,
        lanes: &Lanes,
        deadline: &Deadline,
        stopped: bool,
    ) -> End {
        if stopped {
            tracing::warn!(message.id = id, "stopped: message {id} is let go; its record comes due again");
            return End::Done;
        }
        // In this order for everybody, so that none waits for one who waits for it. They are never closed.
        let of_rider = lanes.of(&format!("rider {}", job.user));
        let of_service = lanes.of(&format!("service {}", service_of(&job.task)));
        let _places = (of_rider.acquire().await, of_service.acquire().await, room.acquire().await);
        if !deadline.may_begin() {
            return End::GivenBack;
        }
        match timeout_at(deadline.end(), isolated(job, self.engine.work_away_from_source(job))).await {
            Ok(Ok(())) => End::Done,
            Ok(Err(_)) => End::Failed,
            Err(_) => {
                tracing::warn!(message.id = id, task = name(&job.task), "message {id} was cut: no time was left");
                End::Failed
            }
        }
    }
}

/// Who has to wait for whom in a batch.
#[derive(Debug, Default)]
struct Lanes(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Lanes {
    fn of(&self, name: &str) -> Arc<Semaphore> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(ALIKE_AT_A_TIME)));
        Arc::clone(lane)
    }
}

/// The service that a task asks, or the task where that is none's: a connection's name begins with its service's.
fn service_of(task: &Task) -> &str {
    match task {
        Task::Deliver { sink, .. } | Task::Verify { connection: sink } => {
            sink.as_str().split_once('-').map_or(sink.as_str(), |(service, _)| service)
        }
        task => name(task),
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
