//! Jobs as messages of a standard SQS queue.

use std::collections::HashSet;

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};
use fitbridge_core::ports::{Job, NotTaken, QueueError, WorkQueue};
use futures::{StreamExt, stream};

use super::message::encode;
use crate::failure::describe;

/// Most messages in a request, as the API reference of SQS has it.
const BATCH: usize = 10;
/// Requests at a time: a sweep hands over hundreds of jobs.
const REQUESTS: usize = 8;
/// What is to be received, and what is in somebody's hands.
const WAITING: [QueueAttributeName; 2] =
    [QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible];

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

    /// Sends at most [`BATCH`] jobs; names those that were not taken, and why.
    async fn send(&self, jobs: Vec<Job>) -> Result<(), NotTaken> {
        let mut batch = self.client.send_message_batch().queue_url(&self.url);
        for (number, job) in jobs.iter().enumerate() {
            match entry(number, job) {
                Ok(entry) => batch = batch.entries(entry),
                Err(why) => return Err(NotTaken::all(jobs, why)),
            }
        }
        let answer = match batch.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(NotTaken::all(jobs, describe(&error))),
        };
        let [first, ..] = answer.failed() else { return Ok(()) };
        let why = format!("{}: {}", first.code(), first.message().unwrap_or_default());
        let failed: HashSet<&str> = answer.failed().iter().map(|failed| failed.id()).collect();
        let is_lost = |number: usize| failed.contains(number.to_string().as_str());
        let lost = jobs.into_iter().enumerate().filter(|(number, _)| is_lost(*number)).map(|(_, job)| job);
        Err(NotTaken::all(lost.collect(), why))
    }

    /// Sends jobs, many requests at a time; names those that were not taken, and why the first was not.
    async fn send_all(&self, jobs: &[Job]) -> Result<(), NotTaken> {
        let batches: Vec<_> = jobs.chunks(BATCH).map(<[Job]>::to_vec).collect();
        let sent = stream::iter(batches).map(|jobs| self.send(jobs)).buffer_unordered(REQUESTS);
        let failures: Vec<_> = sent.filter_map(async |sent| sent.err()).collect().await;
        let merge = |mut all: NotTaken, one: NotTaken| {
            all.jobs.extend(one.jobs);
            all
        };
        failures.into_iter().reduce(merge).map_or(Ok(()), Err)
    }
}

fn entry(number: usize, job: &Job) -> Result<SendMessageBatchRequestEntry, String> {
    let body = encode(job).map_err(|error| error.to_string())?;
    let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body);
    entry.message_group_id(job.user.as_str()).build().map_err(|error| error.to_string())
}

#[async_trait]
impl WorkQueue for SqsQueue {
    /// What a request took in part is sent once more: SQS refuses single messages for moments.
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), NotTaken> {
        let mut sent = self.send_all(&jobs).await;
        if let Err(left) = &sent
            && left.jobs.len() < jobs.len()
        {
            sent = self.send_all(&left.jobs).await;
        }
        sent.map_err(|left| {
            let why = format!("{} of {} jobs were not taken: {}", left.jobs.len(), jobs.len(), left.error.0);
            NotTaken::all(left.jobs, why)
        })
    }

    /// The numbers of SQS are about a minute old at most.
    async fn waiting(&self) -> Result<usize, QueueError> {
        let asked = self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(WAITING.to_vec()));
        let answer = asked.send().await.map_err(|error| QueueError(describe(&error)))?;
        let numbers = answer.attributes.unwrap_or_default();
        WAITING.iter().try_fold(0_usize, |sum, name| {
            let number = numbers.get(name).and_then(|number| number.parse::<usize>().ok());
            let missing = || QueueError(format!("its {} is missing", name.as_str()));
            Ok(sum.saturating_add(number.ok_or_else(missing)?))
        })
    }
}
