//! SQLite's errors as the port knows them, with the file's name and the next step.

use std::{io, path::Path};

use fitbridge_core::ports::LedgerError;
use rusqlite::{Error, ErrorCode};

const MAKE_ROOM: &str = "make room and try again; nothing is lost";
/// As much as SQLite's shared memory grows at a time, and a page.
const TRIAL: usize = 40 * 1024;

/// What a query answers.
pub(super) type Answer<T> = Result<T, Error>;

/// The port's error for one of SQLite's, met while using `path`.
pub(super) fn translate(error: &Error, path: &Path) -> LedgerError {
    let text = |next: &str| format!("{}: {error}; {next}", path.display());
    match error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                LedgerError::Locked(text("wait for the other process or stop it, then try again"))
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                LedgerError::Corrupt(text("keep the file, and restore a backup or start with another data folder"))
            }
            // Where SQLite grows a file that it has mapped, it calls a full disk an I/O error.
            ErrorCode::SystemIoFailure if !has_room(path) => LedgerError::Full(text(MAKE_ROOM)),
            ErrorCode::DiskFull => LedgerError::Full(text(MAKE_ROOM)),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
                LedgerError::ReadOnly(text("check the rights of the data folder and the disk"))
            }
            ErrorCode::CannotOpen => {
                LedgerError::Unavailable(text("check that the data folder is there, and its rights"))
            }
            _ => LedgerError::Unavailable(text("check the disk and try again")),
        },
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => {
            LedgerError::Corrupt(text("keep the file, and restore a backup or start with another data folder"))
        }
        _ => LedgerError::Unavailable(text("try again, and report it if it stays")),
    }
}

/// Whether the file system of a file takes a few more pages; also where that cannot be tried.
fn has_room(path: &Path) -> bool {
    let trial = path.with_extension(format!("room-{}", std::process::id()));
    let written = std::fs::write(&trial, vec![0; TRIAL]);
    drop(std::fs::remove_file(&trial));
    let full = |error: io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    !written.is_err_and(full)
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn each_error_names_the_file_and_the_next_step() {
        let translated = |code: std::ffi::c_int| {
            translate(&Error::SqliteFailure(ffi::Error::new(code), None), Path::new("/home/me/ledger.sqlite"))
        };
        for (code, kind) in [
            (ffi::SQLITE_BUSY, "Locked"),
            (ffi::SQLITE_CORRUPT, "Corrupt"),
            (ffi::SQLITE_NOTADB, "Corrupt"),
            (ffi::SQLITE_FULL, "Full"),
            (ffi::SQLITE_READONLY, "ReadOnly"),
            (ffi::SQLITE_CANTOPEN, "Unavailable"),
            (ffi::SQLITE_IOERR, "Unavailable"),
        ] {
            let error = translated(code);
            assert!(format!("{error:?}").starts_with(kind), "{code}: {error:?}");
            assert!(error.to_string().contains("/home/me/ledger.sqlite: "), "{error}");
            assert!(error.to_string().contains("; "), "{error}");
        }
    }
}
