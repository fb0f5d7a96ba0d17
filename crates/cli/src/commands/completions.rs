//! `fitbridge completions`.

use clap::CommandFactory;

use crate::{args::Cli, exit::Exit};

/// Prints the script.
pub(crate) fn print(shell: clap_complete::Shell) -> Exit {
    clap_complete::generate(shell, &mut Cli::command(), "fitbridge", &mut std::io::stdout());
    Exit::Done
}
