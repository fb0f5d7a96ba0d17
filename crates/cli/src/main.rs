//! The `fitbridge` command.

mod app;
mod args;
mod commands;
mod exit;
mod inspect;
mod logging;
mod out;
mod render;
mod rule_args;
mod settings;
mod show;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Cli, exit::Exit};

fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => commands::run(cli),
        Err(error) => {
            // Help and version are no errors, and go to standard output; a closed one needs no help.
            let _ = error.print();
            if error.use_stderr() { Exit::Failed } else { Exit::Done }
        }
    };
    ExitCode::from(u8::from(exit))
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit as Self
    }
}
