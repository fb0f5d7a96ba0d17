//! `fitbridge export` and `fitbridge delete-account`.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use fitbridge_core::{
    Code, Engine, Failure,
    domain::UserId,
    ports::{Bundle, BundleError, Clock},
    store::Receipt,
};
use fitbridge_local::{Owners, ServeLock, SystemClock};
use jiff::Timestamp;
use serde_json::json;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::Context;
use crate::{
    app::App,
    exit::{Exit, Stop},
    out::Out,
};

/// A ZIP file that appears under its name when it is complete.
struct ZipBundle {
    zip: ZipWriter<tempfile::NamedTempFile>,
    target: PathBuf,
}

fn unwritable(error: impl std::fmt::Display) -> BundleError {
    BundleError(error.to_string())
}

impl From<BundleError> for Stop {
    fn from(error: BundleError) -> Self {
        Self::failed(Failure::new(Code::OutputUnwritable, error.0))
    }
}

impl ZipBundle {
    fn create(target: &Path) -> Result<Self, BundleError> {
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Beside the target, readable by its owner only, and gone if it is not finished.
        let file = tempfile::Builder::new().prefix(".fitbridge-export-").tempfile_in(folder).map_err(unwritable)?;
        Ok(Self { zip: ZipWriter::new(file), target: target.to_owned() })
    }

    fn finish(self, force: bool) -> Result<u64, BundleError> {
        let file = self.zip.finish().map_err(unwritable)?;
        file.as_file().sync_all().map_err(unwritable)?;
        let placed = if force { file.persist(&self.target) } else { file.persist_noclobber(&self.target) };
        let placed: File = placed.map_err(|error| unwritable(error.error))?;
        Ok(placed.metadata().map_err(unwritable)?.len())
    }
}

impl Bundle for ZipBundle {
    fn begin(&mut self, name: &str) -> Result<(), BundleError> {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(true);
        self.zip.start_file(name, options).map_err(unwritable)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.zip.write_all(bytes).map_err(unwritable)
    }
}

/// Writes everything about the rider into a ZIP file.
pub(crate) async fn export(context: &Context, output: &Path, force: bool) -> Result<Exit, Stop> {
    may_write(output, force)?;
    let app = context.open()?;
    write(context.out, &app.engine, &app.user, output, force).await
}

/// Refuses to write over a file that is there.
pub(super) fn may_write(output: &Path, force: bool) -> Result<(), Stop> {
    if !force && output.exists() {
        let detail = format!("{} is there already; --force writes over it", output.display());
        return Err(Stop::failed(Failure::new(Code::OutputUnwritable, detail)));
    }
    Ok(())
}

/// Writes everything about a rider into a ZIP file, and tells what it holds.
pub(super) async fn write(out: Out, engine: &Engine, user: &UserId, output: &Path, force: bool) -> Result<Exit, Stop> {
    let mut bundle = ZipBundle::create(output)?;
    let exported = engine.export(user, &mut bundle).await?;
    let bytes = bundle.finish(force)?;
    let records: u64 = exported.records.values().sum();
    out.line(format!(
        "{}: {records} records, {} original files, {bytes} bytes; manifest.json lists each with its SHA-256",
        output.display(),
        exported.files
    ));
    if !exported.missing.is_empty() {
        out.line(format!("  {} files are no longer in the archive; the manifest names them", exported.missing.len()));
    }
    out.record(&json!({
        "type": "summary",
        "output": output,
        "records": exported.records,
        "files": exported.files,
        "missing": exported.missing.len(),
        "bytes": bytes,
    }));
    Ok(Exit::Done)
}

/// Deletes everything about the rider; a receipt stays.
pub(crate) async fn delete(context: &Context, yes: bool) -> Result<Exit, Stop> {
    confirmed(yes)?;
    let app = context.open()?;
    let receipt = delete_here(&app, &app.user).await?;
    told(context.out, &receipt, None);
    Ok(Exit::Done)
}

/// Nothing brings it back.
pub(super) fn confirmed(yes: bool) -> Result<(), Stop> {
    let detail = "this deletes all rides, files and secrets for good: say --yes, and export first if in doubt";
    if yes { Ok(()) } else { Err(Stop::failed(Failure::new(Code::Usage, detail))) }
}

/// Deletes everything about a rider from this machine, also from the free pages of its database.
pub(super) async fn delete_here(app: &App, user: &UserId) -> Result<Receipt, Stop> {
    // `serve` would go on with what it has in hand.
    let _lock = ServeLock::take(&app.home, SystemClock.now())
        .map_err(|error| Stop::failed(Failure::new(Code::ServeRunning, error.to_string())))?;
    // So would any other command, and write down for an account that is gone what it finds.
    let others = Owners::open(&app.home).others_alive(app.engine.owner());
    if others > 0 {
        return Err(Stop::failed(Failure::new(Code::OthersAtWork, format!("{others} of them"))));
    }
    let receipt = app.engine.delete_account(user).await?;
    // Deleted rows lie in free pages until they are written over.
    fitbridge_local::scrub(&app.home.join("ledger.sqlite")).map_err(|error| Stop::failed(error.failure()))?;
    Ok(receipt)
}

/// Tells what was deleted, and until when backups of the records go back behind it, where there are any.
pub(super) fn told(out: Out, receipt: &Receipt, backups_until: Option<Timestamp>) {
    out.line(format!(
        "deleted: {} records, {} files, the secrets of {} connections; what stays is this receipt: {}",
        receipt.records, receipt.files, receipt.secrets, receipt.digest
    ));
    if let Some(until) = backups_until {
        out.line(format!(
            "  and, until {until:.0}, point-in-time recovery: until then the records as they were can be restored from \
             it, with those secrets that lie in the table (vault keyring); files cannot"
        ));
    }
    let mut summary = json!({
        "type": "summary",
        "records": receipt.records,
        "files": receipt.files,
        "secrets": receipt.secrets,
        "receipt": receipt.digest,
        "done_at": receipt.done_at.map(|at| at.to_string()),
    });
    if let Some(until) = backups_until {
        summary["backups_until"] = until.to_string().into();
    }
    out.record(&summary);
}
