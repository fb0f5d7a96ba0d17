//! The messages that were received again and again and never finished.

use std::collections::BTreeMap;

use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName,
        QueueAttributeName,
    },
};
use fitbridge_core::{
    Failure,
    domain::ContentId,
    ports::{Job, QueueError},
};
use jiff::Timestamp;

use crate::{failure::describe, queue::judge};

/// Most messages in a request, as the API reference of SQS has it.
const BATCH: i32 = 10;
/// For how long a message that was read is hidden from other readers, seconds. Whoever only looks puts it
/// back at once.
const HIDDEN: i32 = 120;
/// How long SQS looks for messages, seconds. Without a wait it asks only some of its machines.
const WAIT: i32 = 1;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadMessage {
    /// SQS's id of it.
    pub id: String,
    /// When it was sent first.
    pub sent_at: Option<Timestamp>,
    /// The length of its text in bytes.
    pub length: usize,
    /// The SHA-256 of its text, by which it is told from others. The text itself may hold anything.
    pub digest: ContentId,
    /// The job in it, or why there is none.
    pub job: Result<Job, Failure>,
    receipt: String,
}

impl DeadMessage {
    fn of(message: &Message) -> Option<Self> {
        let sent = message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
        let sent_at = sent.and_then(|ms| Timestamp::from_millisecond(ms.parse().ok()?).ok());
        let body = message.body().unwrap_or_default();
        Some(Self {
            id: message.message_id()?.to_owned(),
            sent_at,
            length: body.len(),
            digest: ContentId::of(body.as_bytes()),
            job: judge(body),
            receipt: message.receipt_handle()?.to_owned(),
        })
    }
}

/// The queue of dead letters.
#[derive(Debug, Clone)]
pub struct DeadLetterQueue {
    client: Client,
    url: String,
}

impl DeadLetterQueue {
    /// The queue at this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// About how many messages there are, as SQS knows it.
    pub async fn count(&self) -> Result<u64, QueueError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let answer = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone()).send().await;
        let answer = answer.map_err(|error| QueueError(describe(&error)))?;
        let count = answer.attributes().and_then(|all| all.get(&name)).and_then(|text| text.parse().ok());
        Ok(count.unwrap_or(0))
    }

    /// Reads up to `limit` messages, each once, oldest first. They are hidden from other readers until they are put
    /// back, deleted, or two minutes are over.
    pub async fn receive(&self, limit: usize) -> Result<Vec<DeadMessage>, QueueError> {
        let mut found = BTreeMap::new();
        while found.len() < limit {
            let left = i32::try_from(limit - found.len()).unwrap_or(BATCH).min(BATCH);
            let receive = self.client.receive_message().queue_url(&self.url).max_number_of_messages(left);
            let receive = receive.visibility_timeout(HIDDEN).wait_time_seconds(WAIT);
            let receive = receive.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
            let answer = receive.send().await.map_err(|error| QueueError(describe(&error)))?;
            let before = found.len();
            let messages = answer.messages().iter().filter_map(DeadMessage::of);
            found.extend(messages.map(|message| (message.id.clone(), message)));
            if found.len() == before {
                break;
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by_key(|message| message.sent_at);
        Ok(found)
    }

    /// Lets others read these messages again.
    pub async fn put_back(&self, messages: &[DeadMessage]) -> Result<(), QueueError> {
        for some in messages.chunks(BATCH as usize) {
            let mut change = self.client.change_message_visibility_batch().queue_url(&self.url);
            for (number, message) in some.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string());
                let entry = entry.receipt_handle(&message.receipt).visibility_timeout(0).build();
                change = change.entries(entry.map_err(|error| QueueError(error.to_string()))?);
            }
            change.send().await.map_err(|error| QueueError(describe(&error)))?;
        }
        Ok(())
    }

    /// Deletes these messages. What they were about is in the ledger.
    pub async fn delete(&self, messages: &[DeadMessage]) -> Result<(), QueueError> {
        for some in messages.chunks(BATCH as usize) {
            let mut delete = self.client.delete_message_batch().queue_url(&self.url);
            for (number, message) in some.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
                let entry = entry.receipt_handle(&message.receipt).build();
                delete = delete.entries(entry.map_err(|error| QueueError(error.to_string()))?);
            }
            let answer = delete.send().await.map_err(|error| QueueError(describe(&error)))?;
            if let Some(failed) = answer.failed().first() {
                let message = failed.message().unwrap_or_default();
                return Err(QueueError(format!(
                    "{} were not deleted: {}: {message}",
                    answer.failed().len(),
                    failed.code()
                )));
            }
        }
        Ok(())
    }
}
