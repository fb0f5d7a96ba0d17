//! `fitbridge import`.

use crate::{
    args::ImportArgs,
    commands::Context,
    exit::{Exit, Stop},
};

/// Under construction.
pub async fn run(_context: &Context, _args: ImportArgs) -> Result<Exit, Stop> {
    Ok(Exit::Failed)
}
