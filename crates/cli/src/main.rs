//! The `fitbridge` command.

mod app;
mod args;
mod commands;
mod exit;
mod inlet;
mod inspect;
mod logging;
mod out;
mod render;
mod settings;
mod show;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Cli, exit::Exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(commands::run(cli) as u8)
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit as Self
    }
}
