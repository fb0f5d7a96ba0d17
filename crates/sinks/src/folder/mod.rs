//! A folder of this machine: one file per ride, under a name that follows from a template.
//!
//! A file appears whole or not at all, is on the disk before success is reported, and never replaces another.

mod template;
mod write;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use fitbridge_core::{
    Code, Failure,
    domain::{About, RemoteAccount, RemoteId, Service},
    ports::{Attempt, Identity, Outcome, Resend, Sink, SinkError, SinkFile, SinkTarget},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::spawn_blocking;
use tracing::instrument;

pub use self::template::{DEFAULT_TEMPLATE, TemplateError};

/// The names, folders first, of a file under a template, or why the template is refused.
#[cfg(feature = "fuzzing")]
pub(crate) fn placed(
    template: &str,
    about: &fitbridge_core::domain::About,
    content: fitbridge_core::domain::ContentId,
) -> Result<Vec<String>, String> {
    let place = Template::parse(template).map_err(|error| error.to_string())?.place(about, content);
    let name = format!("{}{}", place.stem, place.extension);
    Ok(place.folders.into_iter().chain([name]).collect())
}
use self::{
    template::Template,
    write::{WriteError, Written, try_out, write},
};

/// The sink's short name.
pub const SERVICE: &str = "folder";

/// Files of stopped processes are looked for at a folder's first delivery and then once in so many.
const SWEEP_EVERY: u32 = 100;

/// Most folders whose deliveries are counted.
const MAX_COUNTED: usize = 1000;

/// The sink.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    deliveries: Arc<Mutex<BTreeMap<PathBuf, u32>>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    path: String,
    #[serde(default = "default_template")]
    template: String,
}

fn default_template() -> String {
    DEFAULT_TEMPLATE.to_owned()
}

impl Settings {
    fn read(settings: &Value) -> Result<(Self, Template), Failure> {
        let read = Self::deserialize(settings).map_err(|error| Failure::new(Code::SinkSettings, error.to_string()))?;
        let template = Template::parse(&read.template)
            .map_err(|error| Failure::new(Code::SinkSettings, format!("the template does not do: {error}")))?;
        Ok((read, template))
    }
}

impl Folder {
    /// Whether this delivery to the folder also looks for abandoned files.
    fn sweeps(&self, root: &Path) -> bool {
        let mut counts = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_COUNTED {
            counts.clear();
        }
        let count = counts.entry(root.to_owned()).or_default();
        let sweeps = count.is_multiple_of(SWEEP_EVERY);
        *count = count.wrapping_add(1);
        sweeps
    }
}

/// Tries to write to the folder, and returns its real path. A folder that is not there is not made: a disk that is
/// not mounted would get its rides elsewhere.
fn prepare(path: &str) -> Result<String, SinkError> {
    let settings = |detail: String| SinkError::Settings(Failure::new(Code::FolderUnwritable, detail));
    let unwritable = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            SinkError::Away { failure: Failure::new(Code::FolderFull, error.to_string()), retry_after: None }
        }
        _ => settings(error.to_string()),
    };
    if path.trim().is_empty() {
        return Err(settings("no path is given".to_owned()));
    }
    let path = std::path::absolute(path).map_err(unwritable)?;
    let path = path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => settings("the folder is not there".to_owned()),
        _ => unwritable(error),
    })?;
    if !path.is_dir() {
        return Err(settings("it is a file, not a folder".to_owned()));
    }
    try_out(&path).map_err(unwritable)?;
    path.into_os_string().into_string().map_err(|_| settings("its path is not Unicode".to_owned()))
}

fn outcome(written: Result<Written, WriteError>) -> Outcome {
    let again = |code, error: &WriteError| Outcome::Transient {
        failure: Failure::new(code, error.to_string()),
        retry_after: None,
    };
    match written {
        Ok(Written::Created(path)) => Outcome::Created { remote_id: Some(RemoteId(path)) },
        Ok(Written::AlreadyThere(path)) => Outcome::AlreadyThere { remote_id: Some(RemoteId(path)) },
        Err(error @ WriteError::Conflict(_)) => {
            Outcome::Rejected(Failure::new(Code::FolderConflict, error.to_string()))
        }
        Err(error) if error.is_full() => again(Code::FolderFull, &error),
        Err(error) => again(Code::FolderUnwritable, &error),
    }
}

#[async_trait]
impl Sink for Folder {
    fn resend(&self) -> Resend {
        Resend::Repeat
    }

    /// Tries to write and removes what it wrote.
    #[instrument(skip_all)]
    async fn check(&self, settings: &Value, _secret: Option<&SecretString>) -> Result<Identity, SinkError> {
        let (settings, _) = Settings::read(settings).map_err(SinkError::Settings)?;
        let given = settings.path;
        let path = spawn_blocking(move || prepare(&given)).await.map_err(|error| SinkError::Away {
            failure: Failure::new(Code::Bug, error.to_string()),
            retry_after: None,
        })??;
        let stored = Settings { path: path.clone(), template: settings.template };
        let settings = serde_json::to_value(&stored)
            .map_err(|error| SinkError::Settings(Failure::new(Code::SinkSettings, error.to_string())))?;
        let account =
            RemoteAccount { service: Service::from_any(SERVICE), realm: String::new(), account: path.clone() };
        Ok(Identity { account, label: path, settings })
    }

    #[instrument(skip_all, fields(delivery.id = %attempt.id, attempt = attempt.number))]
    async fn deliver(&self, target: &SinkTarget, file: &SinkFile, about: &About, attempt: &Attempt) -> Outcome {
        let (settings, template) = match Settings::read(&target.settings) {
            Ok(read) => read,
            Err(failure) => return Outcome::NeedsReauth(failure),
        };
        let place = template.place(about, file.content);
        let tag: String = file.content.to_string().chars().take(8).collect();
        let root = PathBuf::from(settings.path);
        let (sweep, bytes) = (self.sweeps(&root), file.bytes.clone());
        let written = spawn_blocking(move || write(&root, &place, &tag, &bytes, sweep)).await;
        written.map_or_else(|error| Outcome::Unknown(Failure::new(Code::Bug, error.to_string())), outcome)
    }
}

#[cfg(test)]
mod tests;
