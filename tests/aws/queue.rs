//! The queue's event source, as Lambda plays it: batches, what goes back, and dead letters.

use std::{collections::BTreeMap, sync::MutexGuard};

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName};
use fitbridge_aws::context::Clients;
use serde_json::{Value, json};

use crate::{runtime::Answer, service::Service};

/// As the template has it.
pub(crate) const MAX_RECEIVES: usize = 5;

impl Service {
    /// Receives a batch, as the event source does.
    pub(crate) async fn receive(&self) -> Vec<Message> {
        let receive = self.clients.sqs.receive_message().queue_url(&self.queue_url).max_number_of_messages(10);
        let receive = receive.visibility_timeout(720).message_system_attribute_names(MessageSystemAttributeName::All);
        receive.send().await.expect("a batch").messages.unwrap_or_default()
    }

    /// Settles a batch as the event source does: what is done is deleted, and what failed stays hidden until its
    /// visibility timeout is over ([`Service::end_hiding`]).
    pub(crate) async fn settle(&self, batch: &[Message], answer: &Answer) {
        let failed: Vec<&str> = match answer {
            Answer::Done(answer) => {
                let items = answer["batchItemFailures"].as_array().expect("a list of failures");
                items.iter().map(|item| item["itemIdentifier"].as_str().expect("an id")).collect()
            }
            Answer::Failed(_) | Answer::Died => batch.iter().filter_map(Message::message_id).collect(),
        };
        let is_back = |message: &&Message| failed.contains(&message.message_id().expect("an id"));
        for message in batch.iter().filter(is_back) {
            self.hidden().push(message.receipt_handle().expect("a handle").to_owned());
        }
        let mut delete = self.clients.sqs.delete_message_batch().queue_url(&self.queue_url);
        for message in batch.iter().filter(|message| !is_back(message)) {
            let entry = DeleteMessageBatchRequestEntry::builder().id(message.message_id().expect("an id"));
            let entry = entry.receipt_handle(message.receipt_handle().expect("a handle")).build();
            delete = delete.entries(entry.expect("an entry"));
        }
        if delete.get_entries().is_some() {
            delete.send().await.expect("they are deleted");
        }
    }

    fn hidden(&self) -> MutexGuard<'_, Vec<String>> {
        self.hidden.lock().expect("no test panicked with it")
    }

    /// Lets the visibility timeout of what failed be over.
    pub(crate) async fn end_hiding(&self) {
        let hidden = std::mem::take(&mut *self.hidden());
        for handle in hidden {
            let change = self.clients.sqs.change_message_visibility().queue_url(&self.queue_url).visibility_timeout(0);
            // What came to an end in another way since is not hidden any more.
            drop(change.receipt_handle(handle).send().await);
        }
    }

    /// Empties the queue, as if its messages were never delivered.
    pub(crate) async fn purge(&self) {
        self.clients.sqs.purge_queue().queue_url(&self.queue_url).send().await.expect("it is purged");
    }

    /// Sends a text as a message.
    pub(crate) async fn send(&self, body: &str) {
        let send = self.clients.sqs.send_message().queue_url(&self.queue_url).message_body(body);
        send.send().await.expect("it is sent");
    }

    /// The bodies of the dead letters.
    pub(crate) async fn dead_letters(&self) -> Vec<String> {
        let receive = self.clients.sqs.receive_message().queue_url(&self.dead_url).max_number_of_messages(10);
        let messages = receive.send().await.expect("messages").messages.unwrap_or_default();
        messages.into_iter().filter_map(|message| message.body).collect()
    }
}

/// A batch as the event that the function is given.
pub(crate) fn event(batch: &[Message]) -> Value {
    let record = |message: &Message| {
        let attributes: BTreeMap<_, _> = message
            .attributes()
            .map(|attributes| {
                attributes.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect()
            })
            .unwrap_or_default();
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:jobs",
            "awsRegion": "eu-central-1",
        })
    };
    json!({ "Records": batch.iter().map(record).collect::<Vec<_>>() })
}

/// A queue and the queue of its dead letters: their URLs.
pub(crate) async fn make_queues(clients: &Clients, number: usize) -> (String, String) {
    let create = async |name: String| {
        let created = clients.sqs.create_queue().queue_name(name).send().await.expect("a queue");
        created.queue_url.expect("its URL")
    };
    let (queue, dead) = (create(format!("jobs-{number}")).await, create(format!("dead-{number}")).await);
    let arn = clients.sqs.get_queue_attributes().queue_url(&dead).attribute_names(QueueAttributeName::QueueArn);
    let attributes = arn.send().await.expect("attributes").attributes.expect("attributes");
    let policy = json!({
        "deadLetterTargetArn": attributes[&QueueAttributeName::QueueArn],
        "maxReceiveCount": MAX_RECEIVES.to_string(),
    });
    let set = clients.sqs.set_queue_attributes().queue_url(&queue);
    set.attributes(QueueAttributeName::RedrivePolicy, policy.to_string()).send().await.expect("it is set");
    (queue, dead)
}
