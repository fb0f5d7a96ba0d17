//! `fitbridge show RIDE|FILE`.

use std::{io::Read, path::Path};

use fitbridge_core::{Code, Failure};

use super::{Context, find};
use crate::{
    exit::{Exit, Stop},
    show,
};

/// Shows a file that is there under that name, else the ride.
pub(crate) async fn run(context: &Context, what: &str, svg: Option<&Path>) -> Result<Exit, Stop> {
    let path = Path::new(what);
    let (title, bytes) = if path.is_file() {
        // One byte more than a file may have: then the scanner says that it is too large.
        let bytes = read_bounded(path, fitbridge_fit::limits::MAX_FILE_BYTES as u64 + 1)
            .map_err(|error| Stop::failed(Failure::new(Code::FileUnreadable, format!("{what}: {error}"))))?;
        (what.to_owned(), bytes.into())
    } else {
        let app = context.look()?;
        let ride = find::ride(&app, what).await?;
        let content = ride.state.content().ok_or_else(|| {
            Failure::new(Code::ArchiveMissing, format!("{} has no file yet: {}", ride.rider_id(), ride.state.name()))
        })?;
        let opened = app.engine.ports().archive.open(&app.user, content).await;
        let bytes = opened.map_err(|error| Stop::failed(Failure::new(Code::ArchiveMissing, error.to_string())))?;
        (ride.ride.title().unwrap_or_else(|| ride.rider_id()), bytes)
    };
    if let fitbridge_fit::Verdict::Rejected(code) = fitbridge_fit::scan(&bytes).verdict {
        return Err(Stop::failed(Failure::new(code.entry(), title)));
    }
    match show::show(context.out, &title, &bytes, svg) {
        Ok(()) => {
            context.out.record(&serde_json::json!({ "type": "summary", "shown": 1 }));
            Ok(Exit::Done)
        }
        Err(error) => Err(Stop::failed(Failure::new(Code::OutputUnwritable, error.to_string()))),
    }
}

fn read_bounded(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
