//! Finding out what a deployment consists of.

use std::path::Path;

use fitbridge_aws::context::Outputs;
use fitbridge_core::{Code, Failure};
use tokio::process::Command;

use crate::exit::Stop;

/// Longest list of outputs that is read, in bytes. Ours have two thousand.
const MAX_BYTES: u64 = 1024 * 1024;

/// The outputs in a file.
pub(super) fn outputs_of_file(file: &Path) -> Result<Outputs, Stop> {
    let unreadable = |why: &dyn std::fmt::Display| unreadable(format!("{}: {why}", file.display()));
    let about = std::fs::metadata(file).map_err(|error| unreadable(&error))?;
    if about.len() > MAX_BYTES {
        return Err(unreadable(&"it is too long"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(&error))?;
    Outputs::parse(&text).map_err(|error| unreadable(&error))
}

/// The outputs of a stack, as the AWS CLI tells them. It is needed to deploy, so it is there; a client of
/// CloudFormation of our own would be a third larger program for one call.
pub(super) async fn outputs_of_stack(stack: &str) -> Result<Outputs, Stop> {
    let mut command = Command::new("aws");
    command.args(["cloudformation", "describe-stacks", "--output", "json", "--stack-name", stack]);
    let unreadable = |why: String| unreadable(format!("stack {stack}: {why}"));
    let said = command.kill_on_drop(true).output().await.map_err(|error| {
        let help = "the AWS CLI is needed to read it, or --outputs FILE, or FITBRIDGE_TABLE and the like";
        unreadable(format!("`aws` does not start: {error}; {help}"))
    })?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr);
        return Err(unreadable(
            why.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").to_owned(),
        ));
    }
    Outputs::parse(&String::from_utf8_lossy(&said.stdout)).map_err(|error| unreadable(error.to_string()))
}

fn unreadable(why: String) -> Stop {
    Stop::failed(Failure::new(Code::StackUnreadable, why))
}
