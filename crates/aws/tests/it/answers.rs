//! What no emulator shows: requests letter by letter, throttling, partial failures, expired credentials,
//! answers of AWS that moto words otherwise.

use bytes::Bytes;
use fitbridge_aws::{
    archive::S3Archive,
    queue::SqsQueue,
    testkit::moto,
    vault::{PerUserSecretVault, Recovery},
};
use fitbridge_core::{
    domain::{ActivityId, ContentId, UserId},
    ports::{Archive, ArchiveError, Job, Put, Task, Vault, VaultError, WorkQueue},
    testkit::conformance::vault::key,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::script::{Asked, Scripted, done, error};

const NAME: &str = "fitbridge/source/rider/igpsport-global-1";
const MARKED: &str = "You can't perform this operation on the secret because it was marked for deletion.";

async fn vault(answers: impl IntoIterator<Item = (u16, Value)>) -> (Scripted, PerUserSecretVault) {
    let server = Scripted::start(answers).await;
    let vault = PerUserSecretVault::new(server.clients().secrets, "fitbridge", Recovery::days(7));
    (server, vault)
}

/// Without the random token that makes a repeated request harmless; it has to be there where it counts.
fn without_token(mut asked: Asked) -> Asked {
    if let Some(token) = asked.body.as_object_mut().and_then(|body| body.remove("ClientRequestToken")) {
        assert!(token.as_str().is_some_and(|token| token.len() >= 32), "{token}");
    }
    asked
}

fn asked(operation: &str, body: Value) -> Asked {
    Asked { operation: operation.into(), body }
}

#[tokio::test]
async fn the_current_version_is_asked_for_by_its_stage() {
    let (server, vault) = vault([done(json!({ "Name": NAME, "SecretString": "{\"token\":\"t\"}" }))]).await;
    let opened = vault.open(&key("rider", "igpsport-global-1")).await.unwrap();
    assert_eq!(opened.expose_secret(), "{\"token\":\"t\"}");
    let body = json!({ "SecretId": NAME, "VersionStage": "AWSCURRENT" });
    assert_eq!(server.asked(), [asked("GetSecretValue", body)]);
}

#[tokio::test]
async fn a_secret_in_its_recovery_window_is_restored_before_it_is_sealed() {
    let marked = || error(400, "InvalidRequestException", MARKED);
    let (server, vault) = vault([marked(), done(json!({})), done(json!({})), marked(), marked()]).await;
    let key = key("rider", "igpsport-global-1");
    vault.seal(&key, &SecretString::from("new")).await.unwrap();
    let put = json!({ "SecretId": NAME, "SecretString": "new" });
    let expected = [
        asked("PutSecretValue", put.clone()),
        asked("RestoreSecret", json!({ "SecretId": NAME })),
        asked("PutSecretValue", put),
    ];
    assert_eq!(server.asked().into_iter().map(without_token).collect::<Vec<_>>(), expected);
    assert_eq!(vault.open(&key).await.map(drop), Err(VaultError::Missing(key.connection.clone())));
    assert_eq!(vault.forget(&key).await, Ok(()), "it is forgotten already");
    let delete = server.asked().pop().unwrap();
    assert_eq!(delete, asked("DeleteSecret", json!({ "SecretId": NAME, "RecoveryWindowInDays": 7 })));
}

#[tokio::test]
async fn a_first_seal_creates_and_a_race_is_no_failure() {
    let missing = error(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
    let exists = error(400, "ResourceExistsException", "The operation failed because the secret already exists.");
    let (server, vault) = vault([missing, exists, done(json!({}))]).await;
    vault.seal(&key("rider", "igpsport-global-1"), &SecretString::from("")).await.unwrap();
    let asked_for: Vec<_> = server.asked().into_iter().map(without_token).collect();
    let text = json!({ "Name": NAME, "SecretString": "~" });
    assert_eq!(asked_for[1], asked("CreateSecret", text), "no empty text is sent");
    assert_eq!(server.operations(), ["PutSecretValue", "CreateSecret", "PutSecretValue", "GetSecretValue"]);
}

#[tokio::test]
async fn a_renewal_puts_and_looks() {
    let (server, vault) = vault([done(json!({})), done(json!({ "Name": NAME, "SecretString": "new" }))]).await;
    vault.seal(&key("rider", "igpsport-global-1"), &SecretString::from("new")).await.unwrap();
    assert_eq!(server.operations(), ["PutSecretValue", "GetSecretValue"]);
}

#[tokio::test]
async fn what_passes_is_unavailable_and_pauses_nobody() {
    let answers = [
        error(400, "ThrottlingException", "Rate exceeded"),
        error(500, "InternalServiceError", "An error occurred on the server side."),
        error(400, "ExpiredTokenException", "The security token included in the request is expired"),
        error(400, "AccessDeniedException", "User is not authorized to perform: secretsmanager:GetSecretValue"),
        error(400, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text"),
        error(400, "InvalidRequestException", "The secret is managed by another service"),
    ];
    let codes: Vec<_> = answers.iter().map(|(_, body)| body["__type"].as_str().unwrap().to_owned()).collect();
    let (_server, vault) = vault(answers).await;
    for code in codes {
        match vault.open(&key("rider", "igpsport-global-1")).await {
            Err(VaultError::Unavailable(why)) => assert!(why.contains(&code), "{code}: {why}"),
            other => panic!("{code}: {other:?}"),
        }
    }
    let binary = done(json!({ "Name": NAME, "SecretBinary": "eA==" }));
    let (_server, vault) = self::vault([binary]).await;
    let opened = vault.open(&key("rider", "igpsport-global-1")).await.map(drop);
    assert!(matches!(opened, Err(VaultError::Unsealable(_))), "{opened:?}");
}

#[tokio::test]
async fn a_secret_that_is_too_long_is_refused_before_it_is_sent() {
    let (server, vault) = vault([]).await;
    let key = key("rider", "igpsport-global-1");
    let refused = vault.seal(&key, &SecretString::from("x".repeat(65_537))).await.unwrap_err().to_string();
    assert!(refused.contains("65537 bytes") && server.asked().is_empty(), "{refused}");
}

#[tokio::test]
async fn a_vault_that_is_away_repeats_no_secret() {
    let (_server, vault) = vault([error(400, "LimitExceededException", "too many secrets")]).await;
    let failed = vault.seal(&key("rider", "igpsport-global-1"), &SecretString::from("very secret")).await.unwrap_err();
    assert!(!format!("{failed:?} {vault:?}").contains("very secret"), "{failed:?}");
    assert_eq!(failed.to_string(), "the vault is unavailable: LimitExceededException: too many secrets");
}

fn jobs(count: usize) -> Vec<Job> {
    let user = UserId::new("rider").unwrap();
    let job = |number: usize| {
        let activity = ActivityId::new(format!("a-{number}")).unwrap();
        Job { user: user.clone(), task: Task::Fetch { activity } }
    };
    (0..count).map(job).collect()
}

#[tokio::test]
async fn a_batch_is_sent_letter_by_letter() {
    let taken = json!({ "Successful": [{ "Id": "0", "MessageId": "m", "MD5OfMessageBody": "ad5fa9cf67e68cf52d46ef4b1d36b4da" }] });
    let server = Scripted::start([done(taken)]).await;
    let queue = SqsQueue::new(server.clients().sqs, "http://queue/1/jobs");
    queue.hand_over(jobs(1)).await.unwrap();
    let entry = json!({
        "Id": "0",
        "MessageBody": "{\"v\":1,\"user\":\"rider\",\"task\":\"fetch\",\"activity\":\"a-0\"}",
        "MessageGroupId": "rider",
    });
    let body = json!({ "QueueUrl": "http://queue/1/jobs", "Entries": [entry] });
    assert_eq!(server.asked(), [asked("SendMessageBatch", body)]);
}

#[tokio::test]
async fn how_much_waits_is_asked_letter_by_letter() {
    let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
    let half = json!({ "Attributes": { names[0]: "40" } });
    let whole = json!({ "Attributes": { names[0]: "40", names[1]: "2" } });
    let server = Scripted::start([done(whole), done(half), error(403, "AccessDenied", "not you")]).await;
    let queue = SqsQueue::new(server.clients().sqs, "http://queue/1/jobs");
    assert_eq!(queue.waiting().await.unwrap(), 42);
    let missing = queue.waiting().await.unwrap_err().to_string();
    assert!(missing.contains(names[1]), "{missing}");
    let refused = queue.waiting().await.unwrap_err().to_string();
    assert!(refused.contains("AccessDenied"), "{refused}");
    let body = json!({ "QueueUrl": "http://queue/1/jobs", "AttributeNames": names });
    assert_eq!(server.asked()[0], asked("GetQueueAttributes", body));
}

#[tokio::test]
async fn what_was_not_taken_is_told_and_the_rest_is_sent() {
    let failed =
        |id: &str| json!({ "Id": id, "Code": "RequestThrottled", "SenderFault": false, "Message": "slow down" });
    let partly = json!({ "Successful": [], "Failed": [failed("3"), failed("7")] });
    let refused = || error(403, "RequestThrottled", "Rate exceeded");
    let taken = || done(json!({ "Successful": [] }));
    // Three batches; then what was not taken of them once more, twelve jobs in two: refused again.
    let server = Scripted::start([done(partly), refused(), taken(), refused(), refused()]).await;
    let queue = SqsQueue::new(server.clients().sqs, "http://queue/1/jobs");
    let error = queue.hand_over(jobs(30)).await.unwrap_err().to_string();
    assert_eq!(server.asked().len(), 5, "each batch is tried, and what was not taken once more");
    assert!(error.contains("12 of 30 jobs were not taken: RequestThrottled"), "{error}");
}

async fn put(answers: impl IntoIterator<Item = (u16, Value)>) -> (Scripted, Result<Put, ArchiveError>) {
    let server = Scripted::start(answers).await;
    let archive = S3Archive::new(&moto::config(server.endpoint()), "fit", Some(server.endpoint())).unwrap();
    let bytes = Bytes::from_static(b"ride");
    let put = archive.put(&UserId::new("rider").unwrap(), ContentId::of(&bytes), bytes).await;
    (server, put)
}

/// Method, path and condition of each request.
fn conditions(server: &Scripted) -> Vec<(String, Option<String>)> {
    let condition = |headers: &axum::http::HeaderMap| {
        let of = |name: &str| Some(format!("{name}: {}", headers.get(name)?.to_str().ok()?));
        of("if-none-match").or_else(|| of("if-match"))
    };
    server.heads().iter().map(|(head, headers)| (head.clone(), condition(headers))).collect()
}

#[tokio::test]
async fn a_file_is_put_once_and_with_its_checksum() {
    let (server, put) = self::put([done(Value::from(""))]).await;
    assert_eq!(put, Ok(Put::Created));
    let place = format!("/fit/fit/rider/{}/{}.fit", &ContentId::of(b"ride").to_string()[..2], ContentId::of(b"ride"));
    assert_eq!(conditions(&server), [(format!("PUT {place}"), Some("if-none-match: *".into()))]);
    let checksum = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, ContentId::of(b"ride").as_bytes());
    assert_eq!(server.heads()[0].1["x-amz-checksum-sha256"], checksum);
}

#[tokio::test]
async fn a_file_that_is_there_is_looked_at_and_a_damaged_one_replaced() {
    let taken = || (412, Value::from("<Error><Code>PreconditionFailed</Code></Error>"));
    let (_server, put) = self::put([taken(), done(Value::from("ride"))]).await;
    assert_eq!(put, Ok(Put::AlreadyThere));
    let (server, put) = self::put([taken(), done(Value::from("rot")), done(Value::from(""))]).await;
    assert_eq!(put, Ok(Put::Created));
    let conditions: Vec<_> = conditions(&server).into_iter().map(|(_, condition)| condition).collect();
    let expected = [Some("if-none-match: *".to_owned()), None, Some("if-match: \"etag-1\"".to_owned())];
    assert_eq!(conditions, expected, "exactly the copy that was seen is replaced");
}

#[tokio::test]
async fn a_refused_put_is_unavailable() {
    let denied = (403, Value::from("<Error><Code>AccessDenied</Code></Error>"));
    let (server, put) = self::put([denied]).await;
    assert!(matches!(put, Err(ArchiveError::Unavailable(_))), "{put:?}");
    assert_eq!(server.heads().len(), 1, "it is not tried again");
}
