//! A folder of real FIT files as rides.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::igpsport::{FileSpec, NewRide};
use crate::ridefile::FileError;
use crate::synth;
use crate::world::{WorldError, recent};

/// The FIT files of `folder`, the oldest ride first.
pub(crate) fn read(folder: &Path, now: Timestamp) -> Result<Vec<NewRide>, WorldError> {
    let failed = |source| WorldError::Folder { path: folder.to_owned(), source };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    paths.retain(|path| {
        path.is_file() && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("fit"))
    });
    paths.sort();
    let mut rides: Vec<NewRide> = paths
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path)
                .map_err(|error| FileError::Read { path: path.clone(), reason: error.to_string() })?;
            let start = synth::read(&bytes).map_or_else(|| recent(now), |read| read.start);
            let title = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            Ok(NewRide { start: Some(start), title, file: FileSpec::Path { path }, ..NewRide::default() })
        })
        .collect::<Result<_, WorldError>>()?;
    rides.sort_by_key(|ride| ride.start);
    Ok(rides)
}
