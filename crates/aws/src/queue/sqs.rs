//! Jobs as messages of a standard SQS queue.

use async_trait::async_trait;
use aws_sdk_sqs::{Client, types::SendMessageBatchRequestEntry};
use fitbridge_core::ports::{Job, QueueError, WorkQueue};
use futures::{StreamExt, stream};

use super::message::encode;
use crate::failure::describe;

/// Most messages in a request, as the API reference of SQS has it.
const BATCH: usize = 10;
/// Requests at a time: a sweep hands over hundreds of jobs.
const REQUESTS: usize = 8;

/// The queue between poller and sink. Each message carries its user as message group: on a standard queue
/// that makes it a fair queue, on which a rider with years of history does not hold up the others.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue at this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// Sends at most [`BATCH`] jobs; says how many were not taken, and why.
    async fn send(&self, jobs: Vec<Job>) -> Result<(), (usize, String)> {
        let all = |why: String| (jobs.len(), why);
        let mut batch = self.client.send_message_batch().queue_url(&self.url);
        for (number, job) in jobs.iter().enumerate() {
            let body = encode(job).map_err(|error| all(error.to_string()))?;
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body);
            let entry = entry.message_group_id(job.user.as_str()).build();
            batch = batch.entries(entry.map_err(|error| all(error.to_string()))?);
        }
        let answer = batch.send().await.map_err(|error| all(describe(&error)))?;
        match answer.failed() {
            [] => Ok(()),
            [first, ..] => {
                let message = first.message().unwrap_or_default();
                Err((answer.failed().len(), format!("{}: {message}", first.code())))
            }
        }
    }
}

#[async_trait]
impl WorkQueue for SqsQueue {
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), QueueError> {
        let batches: Vec<_> = jobs.chunks(BATCH).map(<[Job]>::to_vec).collect();
        let sent = stream::iter(batches).map(|jobs| self.send(jobs)).buffer_unordered(REQUESTS);
        let failures: Vec<_> = sent.filter_map(async |sent| sent.err()).collect().await;
        let lost: usize = failures.iter().map(|(count, _)| count).sum();
        match failures.first() {
            None => Ok(()),
            Some((_, why)) => Err(QueueError(format!("{lost} of {} jobs were not taken: {why}", jobs.len()))),
        }
    }
}
