//! What comes from AWS: answers, events, items, outputs, the secret with the keys.

use fitbridge_aws::fuzzing;

use super::{Target, text, texts};

/// All of them.
pub(super) const ALL: [Target; 5] = [
    Target {
        name: "ses_answer",
        seeds: || {
            texts(&[
                r#"0{"MessageId":"x"}"#,
                r#"1{"message":"Email address is not verified."}"#,
                r#"5{"Message":"Maximum sending rate exceeded"}"#,
                "6<html>busy</html>",
            ])
        },
        corpus: None,
        words: &[b"\"message\":\"", b"\"Message\":\"", b"\\u0000", b"\\u202e", b"null", b"{}"],
        check: fuzzing::ses,
    },
    Target {
        name: "stack_outputs",
        seeds: || {
            texts(&[
                r#"{"Stacks":[{"Outputs":[{"OutputKey":"TableName","OutputValue":"t"},{"OutputKey":"ShardCount","OutputValue":"2"}]}]}"#,
                r#"{"table_name":{"sensitive":false,"value":"t"},"dead_letter_queue_url":{"value":"https://q"},"shard_count":{"value":2}}"#,
                r#"{"TableName":"t","BucketName":" "}"#,
            ])
        },
        corpus: None,
        words: &[b"\"OutputKey\":\"", b"\"OutputValue\":", b"\"value\":", b"QueueUrl", b"vault_kind", b"null", b"[]"],
        check: |bytes| fuzzing::outputs(&text(bytes)),
    },
    Target {
        name: "lambda_event",
        seeds: || {
            texts(&[
                r#"{"shard":3}"#,
                r#"{"Records":[{"messageId":"m","eventSource":"aws:sqs","body":"{}"},{"messageId":"n","body":""}]}"#,
                r#"{"Records":[]}"#,
            ])
        },
        corpus: None,
        words: &[b"\"shard\":", b"65535", b"-1", b"\"Records\":[", b"\"messageId\":\"", b"null", b"{}", b"1e9"],
        check: |bytes| fuzzing::event(&text(bytes)),
    },
    Target {
        name: "ledger_item",
        seeds: || {
            texts(&[
                r##"{"pk":"U#ann","sk":"connection/igpsport-1","v":3,"body":"{}","d":"00007#1","da":1700000000123,"o":"poller-1","wk":true,"p":"00007#cold#09"}"##,
                r##"{"pk":"S#","sk":"cursor/00000","v":1,"body":"{}"}"##,
            ])
        },
        corpus: None,
        words: &[b"\"d\":\"", b"\"p\":\"", b"#warm#", b"#hot#", b"U#", b"18446744073709551616", b"-1", b"1.5", b"true"],
        check: |bytes| fuzzing::item(&text(bytes)),
    },
    Target {
        name: "keyring",
        seeds: || {
            texts(&[
                r#"{"current":"k1","keys":{"k1":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}"#,
                r#"{"current":"k2","keys":{"k1":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","k2":"//////////////////////////////////////////8="}}"#,
            ])
        },
        corpus: None,
        words: &[b"\"current\":\"", b"\"keys\":{", b"k18446744073709551615", b"=", b"\\u0000", b"null"],
        check: |bytes| fuzzing::keyring(&text(bytes)),
    },
];
