use bytes::Bytes;
use jiff::Timestamp;

use super::*;

fn about(id: &str) -> About {
    serde_json::from_value(serde_json::json!({ "external_id": id, "source": "igpsport" })).unwrap()
}

async fn send(sink: &FakeSink, bytes: &'static [u8]) -> Outcome {
    let target = SinkTarget { account: FakeSink::account("me"), settings: serde_json::Value::Null, secret: None };
    let file = SinkFile { content: ContentId::of(bytes), bytes: Bytes::from_static(bytes), link: None };
    let attempt = Attempt { id: "msg_1".into(), number: 1, now: Timestamp::UNIX_EPOCH };
    sink.deliver(&target, &file, &about("igpsport_1"), &attempt).await
}

#[tokio::test]
async fn a_repeat_is_known_by_its_hash_and_an_answer_can_be_lost() {
    let sink = FakeSink::default();
    let lost = Outcome::Unknown(Code::SinkUnknownOutcome.into());
    sink.reply_next(Reply::CommitThen(lost.clone()));
    assert_eq!(send(&sink, b"a").await, lost);
    assert!(matches!(send(&sink, b"a").await, Outcome::AlreadyThere { remote_id: Some(_) }));
    assert!(matches!(send(&sink, b"b").await, Outcome::Created { .. }));
    assert_eq!((sink.stored().len(), sink.take_calls().len()), (2, 3));
}

#[tokio::test]
async fn a_forgetful_sink_doubles_what_is_sent_twice_but_can_be_asked() {
    let sink = FakeSink::forgetful();
    assert_eq!(sink.resend(), Resend::ProbeFirst);
    let target = SinkTarget { account: FakeSink::account("me"), settings: serde_json::Value::Null, secret: None };
    assert_eq!(sink.probe(&target, &about("igpsport_1")).await, Ok(Found::NotThere));
    send(&sink, b"a").await;
    assert!(matches!(sink.probe(&target, &about("igpsport_1")).await, Ok(Found::There { .. })));
    send(&sink, b"a").await;
    assert_eq!(sink.stored().len(), 2);
}

#[tokio::test]
async fn an_accepted_file_is_there_once_it_is_followed() {
    let sink = FakeSink::default();
    sink.reply_next(Reply::Accept);
    let Outcome::Accepted { poll_token, .. } = send(&sink, b"a").await else { panic!("not accepted") };
    assert!(sink.stored().is_empty());
    let target = SinkTarget { account: FakeSink::account("me"), settings: serde_json::Value::Null, secret: None };
    assert!(matches!(sink.follow(&target, &poll_token).await, Outcome::Created { .. }));
    assert!(matches!(sink.follow(&target, "7").await, Outcome::Rejected(_)));
}
