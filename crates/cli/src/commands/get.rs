//! `fitbridge get RIDE -o FILE`: the original FIT.

use std::{io::Write, path::Path};

use fitbridge_core::{Code, Failure, ports::ArchiveError};
use serde_json::json;

use super::{Context, find};
use crate::exit::{Exit, Stop};

/// Writes the original file.
pub(crate) async fn run(context: &Context, ride: &str, output: &Path, force: bool) -> Result<Exit, Stop> {
    let app = context.look()?;
    let ride = find::ride(&app, ride).await?;
    let Some(content) = ride.state.content() else {
        let detail = format!("{} has no file yet: {}", ride.rider_id(), ride.state.name());
        return Err(Failure::new(Code::ArchiveMissing, detail).into());
    };
    let bytes = app.engine.ports().archive.open(&app.user, content).await.map_err(|error| {
        let code = match error {
            ArchiveError::Missing(_) => Code::ArchiveMissing,
            ArchiveError::Damaged(_) => Code::ArchiveCorrupt,
            ArchiveError::Full(_) | ArchiveError::Unavailable(_) => Code::ArchiveUnavailable,
        };
        Stop::failed(Failure::new(code, error.to_string()))
    })?;
    let unwritable = |error: std::io::Error| {
        let detail = match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                format!("{} is there already; --force writes over it", output.display())
            }
            _ => format!("{} cannot be written: {error}", output.display()),
        };
        Stop::failed(Failure::new(Code::OutputUnwritable, detail))
    };
    if output == Path::new("-") {
        std::io::stdout().write_all(&bytes).map_err(unwritable)?;
        return Ok(Exit::Done);
    }
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create_new(!force).create(true).truncate(force);
    options.open(output).and_then(|mut file| file.write_all(&bytes)).map_err(unwritable)?;
    context.out.line(format!("{}: {} bytes, sha256 {content}", output.display(), bytes.len()));
    context.out.record(&json!({
        "type": "file",
        "ride": ride.rider_id(),
        "file": output,
        "size_bytes": bytes.len(),
        "sha256": content.to_string(),
    }));
    context.out.record(&json!({ "type": "summary", "files": 1 }));
    Ok(Exit::Done)
}
