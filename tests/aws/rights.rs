//! What the functions ask of AWS, held against what their roles in the template may do. The emulators let everybody do
//! everything; which function asked is told by the name it signs with ([`crate::runtime::command`]).

use std::collections::BTreeSet;

use crate::service::Service;

/// What the functions may do on the indexes of the table, beside its records.
const INDEX: &str = "dynamodb:Query of an index";

impl Service {
    /// Asserts that each function asked for nothing that its role may not do.
    #[track_caller]
    pub(crate) fn assert_rights(&self) {
        for (function, role) in [("poller", "PollerRole"), ("sink", "SinkRole")] {
            let may = allowed(role);
            let mut asked = self.table.asked_by(function);
            for connection in self.sent.connections() {
                if signer(&connection) == Some(function) {
                    asked.extend(actions(&connection));
                }
            }
            let forbidden: Vec<_> = asked.difference(&may).collect();
            assert!(forbidden.is_empty(), "the {function} may not {forbidden:?}; it may {may:?}");
        }
    }
}

/// The actions of a role in the template.
fn allowed(role: &str) -> BTreeSet<String> {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    let template = std::fs::read_to_string(template).expect("the template");
    let of_role = template.split(&format!("\n  {role}:\n")).nth(1).expect("the role");
    // Until the next resource, whose name stands two spaces from the left.
    let is_of_role = |line: &&str| !line.starts_with("  ") || line.starts_with("   ");
    let lines: Vec<_> = of_role.lines().take_while(is_of_role).collect();
    let words = lines.iter().filter(|line| !line.contains("arn:")).flat_map(|line| line.split([' ', ',', '[', ']']));
    let services = ["dynamodb:", "secretsmanager:", "sqs:", "s3:"];
    let mut may: BTreeSet<_> =
        words.filter(|word| services.iter().any(|service| word.starts_with(service))).map(str::to_owned).collect();
    assert!(may.len() > 5, "{role}: {may:?}");
    if lines.iter().any(|line| line.contains("Sid: WhatIsDueAndPlanned")) {
        may.insert(INDEX.to_owned());
    }
    may
}

/// The name that signed the first request of a connection.
pub(crate) fn signer(request: &str) -> Option<&str> {
    request.split("Credential=").nth(1)?.split(['/', '%']).next()
}

/// The actions that a request to DynamoDB needs.
pub(crate) fn of_table(operation: &str, request: &str) -> Vec<String> {
    let parts: &[(&str, &str)] = match operation {
        "TransactWriteItems" => {
            &[("PutItem", "\"Put\""), ("DeleteItem", "\"Delete\""), ("ConditionCheckItem", "\"ConditionCheck\"")]
        }
        "Query" if request.contains("\"IndexName\"") => return vec![INDEX.to_owned()],
        operation => return vec![format!("dynamodb:{operation}")],
    };
    let asked = parts.iter().filter(|(_, part)| request.contains(part));
    asked.map(|(action, _)| format!("dynamodb:{action}")).collect()
}

/// The actions that the requests of a connection to any other service need.
fn actions(connection: &str) -> BTreeSet<String> {
    let of = |line: &str| {
        let (head, rest) = line.split_once(' ')?;
        let (target, path) = (rest.trim(), rest.split(' ').next()?);
        Some(match head {
            head if head.eq_ignore_ascii_case("x-amz-target:") => match target.split_once('.')? {
                ("AmazonSQS", "SendMessageBatch") => "sqs:SendMessage".to_owned(),
                ("AmazonSQS", operation) => format!("sqs:{operation}"),
                (service, operation) => format!("{service}:{operation}"),
            },
            "GET" | "HEAD" if path.contains("list-type") => "s3:ListBucket".to_owned(),
            "GET" | "HEAD" => "s3:GetObject".to_owned(),
            "PUT" => "s3:PutObject".to_owned(),
            "DELETE" => "s3:DeleteObject".to_owned(),
            "POST" if path.contains("?delete") => "s3:DeleteObject".to_owned(),
            _ => return None,
        })
    };
    connection.lines().filter_map(of).collect()
}
