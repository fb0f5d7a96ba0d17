//! The queue over the SQS of the emulator.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::MessageSystemAttributeName;
use fitbridge_aws::{
    queue::{SqsQueue, decode},
    testkit::moto,
};
use fitbridge_core::{
    domain::{ActivityId, UserId},
    ports::{Job, Task, WorkQueue},
};
use serde_json::json;

use crate::script::{Scripted, done};

fn jobs(count: usize) -> Vec<Job> {
    (0..count)
        .map(|number| Job {
            user: UserId::new(format!("rider{}", number % 3)).unwrap(),
            task: Task::Fetch { activity: ActivityId::new(format!("a-{number:03}")).unwrap() },
        })
        .collect()
}

#[tokio::test]
async fn every_job_arrives_with_its_rider_as_group() {
    let Some(clients) = moto::clients() else { return };
    let url = clients.sqs.create_queue().queue_name("jobs").send().await.unwrap().queue_url.unwrap();
    let queue = SqsQueue::new(clients.sqs.clone(), &url);
    queue.hand_over(Vec::new()).await.unwrap();
    let sent = jobs(47);
    queue.hand_over(sent.clone()).await.unwrap();
    assert_eq!(queue.waiting().await.unwrap(), 47);

    let mut arrived = BTreeMap::new();
    loop {
        let receive = clients.sqs.receive_message().queue_url(&url).max_number_of_messages(10);
        let received = receive.message_system_attribute_names(MessageSystemAttributeName::All).send().await.unwrap();
        if received.messages().is_empty() {
            break;
        }
        for message in received.messages() {
            let job = decode(message.body().unwrap()).unwrap();
            let attributes = message.attributes().unwrap();
            assert_eq!(attributes.get(&MessageSystemAttributeName::MessageGroupId).unwrap(), job.user.as_str());
            let Task::Fetch { activity } = &job.task else { panic!("{job:?}") };
            arrived.insert(activity.to_string(), job);
        }
    }
    assert_eq!(arrived.into_values().collect::<Vec<_>>(), sent);
    assert_eq!(queue.waiting().await.unwrap(), 47, "received, and not done yet");
    clients.sqs.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(queue.waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_told() {
    let Some(clients) = moto::clients() else { return };
    let endpoint = moto::endpoint().unwrap();
    let queue = SqsQueue::new(clients.sqs, format!("{endpoint}/123456789012/nowhere"));
    let error = queue.hand_over(jobs(12)).await.unwrap_err().to_string();
    assert!(error.contains("12 of 12 jobs were not taken"), "{error}");
    let error = queue.waiting().await.unwrap_err().to_string();
    assert!(error.contains("NonExistentQueue"), "{error}");
}

#[tokio::test]
async fn what_a_request_took_in_part_is_sent_once_more_and_then_named() {
    let failed = |ids: &[usize]| {
        let failed =
            ids.iter().map(|id| json!({ "Id": id.to_string(), "Code": "InternalError", "SenderFault": false }));
        let failed: Vec<_> = failed.collect();
        done(json!({ "Successful": [], "Failed": failed }))
    };
    let scripted = Scripted::start([failed(&[2, 5]), failed(&[1]), failed(&[0, 1, 2]), failed(&[])]).await;
    let queue = SqsQueue::new(scripted.clients().sqs, format!("{}/123456789012/jobs", scripted.endpoint()));
    let sent = jobs(8);
    let left = queue.hand_over(sent.clone()).await.unwrap_err();
    assert_eq!(left.jobs, [sent[5].clone()], "{left}");
    assert!(left.to_string().contains("1 of 8 jobs were not taken: InternalError"), "{left}");
    queue.hand_over(sent).await.unwrap();
    assert_eq!(scripted.operations(), ["SendMessageBatch"; 4]);
}
