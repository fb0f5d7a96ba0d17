//! What a deployment says of itself: the outputs of the stack, or of the Terraform module.

use std::collections::BTreeMap;

use serde_json::Value;

/// Each output as the template has it, and the variable that the functions are told the same by. In the
/// Terraform module the same names are in snake case.
const KNOWN: &[(&str, &str)] = &[
    ("TableName", "FITBRIDGE_TABLE"),
    ("BucketName", "FITBRIDGE_BUCKET"),
    ("QueueUrl", "FITBRIDGE_QUEUE_URL"),
    ("VaultKind", "FITBRIDGE_VAULT"),
    ("KeyringSecret", "FITBRIDGE_KEYRING_SECRET"),
    ("SecretPrefix", "FITBRIDGE_SECRET_PREFIX"),
    ("SecretRecovery", "FITBRIDGE_SECRET_RECOVERY_DAYS"),
    ("ShardCount", "FITBRIDGE_SHARDS"),
    ("PollInterval", "FITBRIDGE_POLL_MINUTES"),
    ("PollPlanKind", "FITBRIDGE_POLL_PLAN"),
    ("NoticeSender", "FITBRIDGE_MAIL_SENDER"),
];
/// An output that no function is told of.
const DEAD_LETTERS: &str = "DeadLetterQueueUrl";

/// Why a text is no list of outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputsError {
    /// It is no JSON.
    #[error("it is no JSON: line {line}, column {column}")]
    NoJson {
        /// Where reading stopped.
        line: usize,
        /// Where reading stopped.
        column: usize,
    },
    /// It is JSON, but names none of the outputs.
    #[error(
        "it has none of the outputs of FitBridge: expected what `aws cloudformation describe-stacks`, `sam list stack-outputs --output json` or `terraform output -json` prints"
    )]
    Foreign,
}

/// The outputs of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outputs {
    /// The variables of [`super::Environment`] that follow from them.
    pub variables: BTreeMap<String, String>,
    /// Where jobs lie that were never finished.
    pub dead_letter_queue_url: Option<String>,
}

impl Outputs {
    /// Understands the JSON of `CloudFormation` (`{"Stacks": [{"Outputs": […]}]}`, or the list alone, of
    /// `OutputKey` and `OutputValue`), of Terraform (`{"table_name": {"value": …}}`, or all of them as
    /// the value of one output), and a plain object of names and values. Unknown outputs are left alone, and empty ones count as missing.
    pub fn parse(text: &str) -> Result<Self, OutputsError> {
        let json: Value = serde_json::from_str(text)
            .map_err(|error| OutputsError::NoJson { line: error.line(), column: error.column() })?;
        let list = json.pointer("/Stacks/0/Outputs").or_else(|| json.get("Outputs")).unwrap_or(&json);
        let pairs: Vec<(String, &Value)> = match list {
            Value::Array(items) => items.iter().filter_map(listed).collect(),
            Value::Object(items) => items.iter().flat_map(named).collect(),
            _ => Vec::new(),
        };
        let mut outputs = Self::default();
        for (name, value) in pairs {
            let text = match value {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => continue,
            };
            if text.is_empty() {
                continue;
            }
            let name = bare(&name);
            if let Some((_, variable)) = KNOWN.iter().find(|(known, _)| bare(known) == name) {
                outputs.variables.insert((*variable).to_owned(), text);
            } else if bare(DEAD_LETTERS) == name {
                outputs.dead_letter_queue_url = Some(text);
            }
        }
        if outputs == Self::default() { Err(OutputsError::Foreign) } else { Ok(outputs) }
    }
}

fn listed(item: &Value) -> Option<(String, &Value)> {
    Some((item.get("OutputKey")?.as_str()?.to_owned(), item.get("OutputValue")?))
}

/// An output of Terraform; a root may hand on the module's, all as one.
fn named<'a>((name, item): (&'a String, &'a Value)) -> Vec<(String, &'a Value)> {
    match item.get("value").unwrap_or(item) {
        Value::Object(all) => all.iter().map(|(name, value)| (name.clone(), value)).collect(),
        value => vec![(name.clone(), value)],
    }
}

/// A name without its case: `TableName` and `table_name` are one output.
fn bare(name: &str) -> String {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_print_outputs_is_understood() {
        let list = r#"[{"OutputKey":"TableName","OutputValue":"fitbridge-ledger","Description":"The ledger"},
            {"OutputKey":"DeadLetterQueueUrl","OutputValue":"https://sqs/dead"},
            {"OutputKey":"ShardCount","OutputValue":"2"},{"OutputKey":"Else","OutputValue":"x"}]"#;
        let stack = format!(r#"{{"Stacks":[{{"StackName":"fitbridge","Outputs":{list}}}]}}"#);
        let terraform = r#"{"table_name":{"sensitive":false,"type":"string","value":"fitbridge-ledger"},
            "dead_letter_queue_url":{"value":"https://sqs/dead"},"shard_count":{"value":2},
            "keyring_secret":{"value":null}}"#;
        let whole = r#"{"fitbridge":{"sensitive":false,"type":["object",{}],"value":{"table_name":"fitbridge-ledger",
            "dead_letter_queue_url":"https://sqs/dead","shard_count":2,"keyring_secret":null}}}"#;
        let plain = r#"{"TableName":"fitbridge-ledger","DeadLetterQueueUrl":"https://sqs/dead","ShardCount":2,"KeyringSecret":""}"#;
        let expected = Outputs {
            variables: [("FITBRIDGE_TABLE", "fitbridge-ledger"), ("FITBRIDGE_SHARDS", "2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            dead_letter_queue_url: Some("https://sqs/dead".into()),
        };
        for text in [list, &stack, terraform, whole, plain] {
            assert_eq!(Outputs::parse(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn the_outputs_of_template_and_module_are_all_known() {
        let template = include_str!("../../../../template.yaml");
        let outputs = template.split("\nOutputs:\n").nth(1).unwrap();
        let module = include_str!("../../../../infra/outputs.tf");
        for (name, _) in KNOWN.iter().chain(&[(DEAD_LETTERS, "")]) {
            assert!(outputs.contains(&format!("  {name}: {{")), "{name}");
            assert!(module.contains(&format!("output \"{}\"", snake(name))), "{name}");
        }
    }

    fn snake(name: &str) -> String {
        let mut snake = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        snake
    }

    #[test]
    fn what_is_something_else_says_so() {
        assert_eq!(Outputs::parse("{"), Err(OutputsError::NoJson { line: 1, column: 1 }));
        for foreign in ["[]", "{}", "7", r#"{"Stacks":[]}"#, r#"{"TableName":""}"#, r#"[{"OutputKey":"TableName"}]"#] {
            assert_eq!(Outputs::parse(foreign), Err(OutputsError::Foreign), "{foreign}");
        }
    }
}
