//! Every `fitbridge …` that the documents or the help name can be typed: the command is there, and has these flags.

use std::path::Path;

use clap::{CommandFactory as _, error::ErrorKind};
use fitbridge_core::{Code, Reader, domain::UserId};

use super::Cli;

/// Documents whose commands readers type.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "CONTRIBUTING.md",
    "docs/DEPLOY.md",
    "docs/ERRORS.md",
    "docs/OUTAGES.md",
    "docs/SETTINGS.md",
    "docs/USB.md",
    "infra/RUNBOOK.md",
    "crates/simulator/README.md",
];

/// The commands of a document: lines of its code blocks, and what stands between backticks in its text.
fn commands_of(text: &str) -> Vec<String> {
    let (mut commands, mut prose, mut is_code) = (Vec::new(), String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            prose.push('\n');
        } else if is_code {
            commands.push(line.trim().trim_start_matches("$ ").to_owned());
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    // What is between backticks may run over the end of a line, but never over the end of a paragraph.
    for paragraph in prose.split("\n\n") {
        let spans = paragraph.split('`').skip(1).step_by(2);
        commands.extend(spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    commands.into_iter().filter(|command| command.starts_with("fitbridge ")).collect()
}

/// The lines of the program's own help that are examples.
fn examples_of(command: &clap::Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let own = help.lines().map(|line| line.trim().to_owned()).filter(|line| line.starts_with("fitbridge "));
    own.chain(command.get_subcommands().flat_map(examples_of)).collect()
}

/// What of a line is typed to the program: not the remark behind it, nor what the shell does with the rest. What
/// stands in quotes is one word.
fn words(command: &str) -> Vec<String> {
    let typed = command.split("  ").next().unwrap_or_default();
    let typed = typed.split([';', '|', '<', '>', '#', '&']).next().unwrap_or_default();
    let quoted = typed.split(['\'', '"']).enumerate();
    let one_word = quoted.map(|(place, part)| if place % 2 == 1 { part.replace(' ', "_") } else { part.to_owned() });
    one_word.collect::<String>().split_whitespace().filter(|word| *word != "…").map(str::to_owned).collect()
}

/// Why a command cannot be typed. Placeholders need not be values that do, and a text that only names a command
/// need not give all that it asks for.
fn refusal(command: &str) -> Option<String> {
    let error = Cli::command().try_get_matches_from(words(command)).err()?;
    let is_wrong = !matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayVersion
            | ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::ValueValidation
    );
    is_wrong.then(|| format!("{command:?}: {error}"))
}

#[test]
fn commands_in_documents_and_help_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut refused = Vec::new();
    for name in DOCUMENTS {
        let text = std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let commands = commands_of(&text);
        refused.extend(commands.iter().filter_map(|command| refusal(command)).map(|why| format!("{name}: {why}")));
        assert!(!commands.is_empty(), "{name} names no command: is it still read as it is written?");
    }
    let examples = examples_of(&Cli::command());
    assert!(examples.len() > 20, "{examples:?}");
    refused.extend(examples.iter().filter_map(|command| refusal(command)));
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn the_next_steps_of_riders_and_of_operators_can_be_typed() {
    let rider = UserId::from_any("ada");
    let operator = |on_aws| Reader::Operator { rider: &rider, on_aws };
    let (mut refused, mut typed) = (Vec::new(), 0);
    for code in Code::ALL {
        for reader in [Reader::Rider, operator(false), operator(true)] {
            let commands = commands_of(&code.next_step_for(reader));
            typed += commands.len();
            refused.extend(commands.iter().filter_map(|command| refusal(command)).map(|why| format!("{code}: {why}")));
        }
    }
    assert!(typed > 100 && refused.is_empty(), "{typed} commands\n{}", refused.join("\n"));
}

#[test]
fn what_is_misspelt_is_found() {
    let text = "Say `fitbridge admin --aws\nusers lst`.\n\n```sh\nfitbridge sync --dry    # remark\nother\n```\n`fitbridge sync`";
    let commands = commands_of(text);
    assert_eq!(commands, ["fitbridge sync --dry    # remark", "fitbridge admin --aws users lst", "fitbridge sync"]);
    let refused: Vec<_> = commands.iter().map(|command| refusal(command).is_some()).collect();
    assert_eq!(refused, [true, true, false]);
    assert!(refusal("fitbridge connect webhook https://example.com/rides --secret-stdin < secret.txt").is_none());
}
