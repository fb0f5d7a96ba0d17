//! The payload of a message: references to records, never tokens or bytes.

use fitbridge_core::{Code, Failure, ports::Job};
use serde::{Deserialize, Serialize};

/// The version of payloads that is written, and the only one that is understood.
const VERSION: u64 = 1;
/// Longest payload that is looked at, in bytes. Ours are below 600.
pub const MAX_MESSAGE_BYTES: usize = 4096;

#[derive(Serialize)]
struct Payload<'a> {
    v: u64,
    #[serde(flatten)]
    job: &'a Job,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// Why a message is no job. None of it gets better with another try; the message belongs in the dead letter
/// queue, where a person finds it. Nothing of its text is repeated here, since anybody's could be in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is longer than any job.
    #[error("the message has {length} bytes, more than the {MAX_MESSAGE_BYTES} of any job")]
    Oversized {
        /// Its length in bytes.
        length: usize,
    },
    /// It comes from somewhere else: no JSON object with a version.
    #[error("the message is not one of ours: no JSON object with a version `v`")]
    Foreign,
    /// It was written by another version of this program.
    #[error("the message has version {found}, but this program understands {VERSION} only")]
    UnknownVersion {
        /// The version it has.
        found: u64,
    },
    /// It has our version, but is no job.
    #[error(
        "the message is no job (line {line}, column {column}): a task is unknown, or a reference missing or malformed"
    )]
    Malformed {
        /// Where reading stopped.
        line: usize,
        /// Where reading stopped.
        column: usize,
    },
}

impl DecodeError {
    /// Its code in the catalogue.
    pub fn code(&self) -> Code {
        match self {
            Self::Oversized { .. } => Code::MessageOversized,
            Self::Foreign => Code::MessageForeign,
            Self::UnknownVersion { .. } => Code::MessageVersionUnknown,
            Self::Malformed { .. } => Code::MessageMalformed,
        }
    }
}

/// A job as the body of a message: `{"v":1,"user":…,"task":…,…}`.
pub fn encode(job: &Job) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Payload { v: VERSION, job })
}

/// The job in the body of a message.
pub fn decode(body: &str) -> Result<Job, DecodeError> {
    if body.len() > MAX_MESSAGE_BYTES {
        return Err(DecodeError::Oversized { length: body.len() });
    }
    let Version { v } = serde_json::from_str(body).map_err(|_| DecodeError::Foreign)?;
    if v != VERSION {
        return Err(DecodeError::UnknownVersion { found: v });
    }
    serde_json::from_str(body).map_err(|error| DecodeError::Malformed { line: error.line(), column: error.column() })
}

/// The job in the body of a message, if the sink may do it; else why not.
pub fn judge(body: &str) -> Result<Job, Failure> {
    let job = decode(body).map_err(|error| Failure::new(error.code(), error.to_string()))?;
    if job.task.calls_source() {
        return Err(Code::TaskOfThePoller.into());
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use fitbridge_core::{
        domain::{ActivityId, ConnectionId, ContentId, UserId},
        ports::Task,
    };
    use proptest::prelude::*;

    use super::*;

    fn job(task: Task) -> Job {
        Job { user: UserId::new("rider").unwrap(), task }
    }

    #[test]
    fn every_task_comes_back_from_the_text_that_is_promised() {
        let (connection, activity) = (ConnectionId::new("c-1").unwrap(), ActivityId::new("a-1").unwrap());
        let content = ContentId::of(b"x");
        let cases = [
            (Task::Poll { connection: connection.clone() }, r#""task":"poll","connection":"c-1""#.to_owned()),
            (Task::Resolve { activity: activity.clone() }, r#""task":"resolve","activity":"a-1""#.to_owned()),
            (Task::Erase { activity: activity.clone() }, r#""task":"erase","activity":"a-1""#.to_owned()),
            (Task::Fetch { activity }, r#""task":"fetch","activity":"a-1""#.to_owned()),
            (
                Task::Deliver { sink: connection.clone(), content },
                format!(r#""task":"deliver","sink":"c-1","content":"{content}""#),
            ),
            (Task::Reconcile { connection: connection.clone() }, r#""task":"reconcile","connection":"c-1""#.to_owned()),
            (Task::Verify { connection: connection.clone() }, r#""task":"verify","connection":"c-1""#.to_owned()),
            (Task::Backfill { connection: connection.clone() }, r#""task":"backfill","connection":"c-1""#.to_owned()),
            (Task::Settle { connection }, r#""task":"settle","connection":"c-1""#.to_owned()),
            (
                Task::Notify { notice: fitbridge_core::domain::NoticeId::new("n-1").unwrap() },
                r#""task":"notify","notice":"n-1""#.to_owned(),
            ),
        ];
        for (task, text) in cases {
            let job = job(task);
            let body = encode(&job).unwrap();
            assert_eq!(body, format!(r#"{{"v":1,"user":"rider",{text}}}"#));
            assert_eq!(decode(&body), Ok(job));
        }
    }

    #[test]
    fn what_is_no_job_says_why_and_repeats_nothing() {
        let whole = r#"{"v":1,"user":"rider","task":"fetch","activity":"a-1"}"#;
        let cases = [
            ("x".repeat(MAX_MESSAGE_BYTES + 1), "message_oversized"),
            (String::new(), "message_foreign"),
            ("secret token".to_owned(), "message_foreign"),
            ("{\"Records\":[]}".to_owned(), "message_foreign"),
            (whole.replace("1,", "\"1\","), "message_foreign"),
            (whole.replace("1,", "2,"), "message_version_unknown"),
            (whole.replace("fetch", "secret"), "message_malformed"),
            (whole.replace("a-1", "secret/../x"), "message_malformed"),
            (whole.replace("rider", ""), "message_malformed"),
            (whole.replace(",\"activity\":\"a-1\"", ""), "message_malformed"),
        ];
        for (body, reason) in cases {
            let error = decode(&body).unwrap_err();
            assert_eq!(error.code().as_str(), reason, "{body}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let more = whole.replace('}', ",\"later\":true}");
        assert!(decode(&more).is_ok(), "what a later program adds within the version does no harm");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(body in ".{0,200}") {
            prop_assert!(decode(&body).is_err());
        }

        #[test]
        fn the_longest_references_fit(user in "[A-Za-z0-9._-]{1,128}", sink in "[A-Za-z0-9._-]{1,128}") {
            let sink = ConnectionId::new(sink).unwrap();
            let job = Job { user: UserId::new(user).unwrap(), task: Task::Deliver { sink, content: ContentId::of(b"") } };
            let body = encode(&job).unwrap();
            prop_assert!(body.len() < 600);
            prop_assert_eq!(decode(&body), Ok(job));
        }
    }
}
