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
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_told() {
    let Some(clients) = moto::clients() else { return };
    let endpoint = moto::endpoint().unwrap();
    let queue = SqsQueue::new(clients.sqs, format!("{endpoint}/123456789012/nowhere"));
    let error = queue.hand_over(jobs(12)).await.unwrap_err().to_string();
    assert!(error.contains("12 of 12 jobs were not taken"), "{error}");
}
