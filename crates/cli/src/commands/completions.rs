//! `fitbridge completions`.

use std::io::Write;

use clap::CommandFactory;

use crate::{args::Cli, exit::Exit};

/// Prints the script.
pub(crate) fn print(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fitbridge", &mut script);
    // Whoever closed the pipe has read enough.
    let _ = std::io::stdout().write_all(&script);
    Exit::Done
}
