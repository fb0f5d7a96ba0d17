//! The decoders of this crate, for fuzzers: each takes any input, checks what must hold whatever comes, and tells
//! what kind of input it was.

use aws_sdk_dynamodb::types::AttributeValue;
use fitbridge_core::ports::NotifyError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{
    context::Outputs,
    ledger::{Item, item_of, record_of},
    notify::ses_result,
    run::{named, shard_of},
    vault::Keyring,
};

/// What SES answers; the first byte chooses the status. What a person is told of it is short and printable.
pub fn ses(input: &[u8]) -> String {
    let (first, body) = input.split_first().unwrap_or((&0, &[]));
    let status = [200, 400, 403, 404, 413, 429, 500, 503].get(usize::from(first % 8)).copied().unwrap_or(200);
    match ses_result(status, None, body) {
        Ok(()) => "sent".to_owned(),
        Err(error) => {
            let told = error.failure().to_string();
            assert!(told.chars().count() < 1_000 && !told.chars().any(char::is_control), "{told:?}");
            let kind = matches!(error, NotifyError::Permanent(_));
            format!("{kind} {}", told.split_whitespace().count().min(20))
        }
    }
}

/// What a deployment says of itself: no output is empty, and none is unknown.
pub fn outputs(text: &str) -> String {
    match Outputs::parse(text) {
        Ok(outputs) => {
            for (name, value) in &outputs.variables {
                assert!(name.starts_with("FITBRIDGE_") && !value.trim().is_empty(), "{name}={value:?}");
            }
            format!("{} {}", outputs.variables.len(), outputs.dead_letter_queue_url.is_some())
        }
        Err(error) => error.to_string().chars().take(20).collect(),
    }
}

/// The events of the functions: a tick, a batch of messages. Each record of a batch that is taken has its id.
pub fn event(text: &str) -> String {
    let Ok(event) = serde_json::from_str::<Value>(text) else { return "no JSON".to_owned() };
    let shard = shard_of(&event, 4).ok();
    assert!(shard.is_none_or(|shard| shard.0 < 4));
    let records = named(&event).ok().map(|records| {
        let all = event.get("Records").and_then(Value::as_array).map_or(0, Vec::len);
        assert_eq!(records.len(), all, "each goes back, or none");
        records.len().min(4)
    });
    format!("{shard:?} {records:?}")
}

/// An item of the ledger's table. One that is read comes back as it was.
pub fn item(text: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(text) else { return "no item".to_owned() };
    let item: Item = fields
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                Value::String(text) => AttributeValue::S(text),
                Value::Number(number) => AttributeValue::N(number.to_string()),
                Value::Bool(is_true) => AttributeValue::Bool(is_true),
                _ => AttributeValue::Null(true),
            };
            (name, value)
        })
        .collect();
    match record_of(item) {
        Ok(record) => {
            assert_eq!(record_of(item_of(record.clone(), 4)), Ok(record.clone()));
            format!("{} {}", record.due.map_or(0, |due| 1 + u8::from(due.claim.is_some())), record.plan.is_some())
        }
        Err(error) => {
            let name = error.to_string();
            name.split("attribute").nth(1).unwrap_or_default().chars().take(12).collect()
        }
    }
}

/// The text of a keyring's secret. Its keys are in no message, and it comes back as it was.
pub fn keyring(text: &str) -> String {
    match Keyring::parse(&SecretString::from(text)) {
        Ok(ring) => {
            let again = Keyring::parse(&ring.to_secret());
            assert!(again.is_ok_and(|again| again.kids() == ring.kids() && again.current() == ring.current()));
            for line in ring.to_secret().expose_secret().split('"').filter(|word| word.len() == 44) {
                assert!(!format!("{ring:?}").contains(line), "a key is shown");
            }
            format!("{} keys", ring.kids().len().min(4))
        }
        Err(error) => error.to_string().chars().take(16).collect(),
    }
}
