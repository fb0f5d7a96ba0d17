//! Connections that only read, off the async threads.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use fitbridge_core::ports::LedgerError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{
    OpenError,
    failure::{Answer, translate},
    file,
};

/// Connections at most: SQLite's reads are short, so more would only wait for the processor.
const CONNECTIONS: usize = 4;
/// How often a read is repeated because the file changed under it.
const TRIES: u32 = 20;

/// What a file that nobody writes to looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    log_is_there: bool,
    length: u64,
    changed: Option<SystemTime>,
}

struct Reader {
    connection: Connection,
    /// What the file looked like when it was opened as one that nobody writes to. Such a connection takes
    /// no locks, so its answers count only if the file still looks the same afterwards.
    look: Option<Look>,
}

#[derive(Default)]
struct Idle {
    readers: Vec<Reader>,
    closed: bool,
}

pub(super) struct Readers {
    path: PathBuf,
    /// Whether no byte of any file may be changed.
    traceless: bool,
    idle: Mutex<Idle>,
    permits: Semaphore,
}

fn log_path(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Readers {
    /// For a process that has the file open for writing too.
    pub(super) fn beside_a_writer(path: &Path) -> Self {
        Self::new(path, false)
    }

    /// For a process that changes no byte. The file has to be there.
    pub(super) fn without_a_trace(path: &Path) -> Result<Self, OpenError> {
        if !path.exists() {
            return Err(OpenError::Missing(path.display().to_string()));
        }
        let readers = Self::new(path, true);
        readers.read(|connection| Ok(file::recognise(connection, path)))??;
        Ok(readers)
    }

    fn new(path: &Path, traceless: bool) -> Self {
        Self { path: path.to_owned(), traceless, idle: Mutex::default(), permits: Semaphore::new(CONNECTIONS) }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes every connection, and those in use as soon as they are done.
    pub(super) fn close(&self) {
        let mut idle = self.idle();
        idle.closed = true;
        idle.readers.clear();
    }

    /// Asks a question on a thread for blocking work.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl Fn(&Connection) -> Answer<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let ending = |_| LedgerError::Unavailable("the program is ending".into());
        let readers = Arc::clone(self);
        let _permit = self.permits.acquire().await.map_err(|_| ending(()))?;
        let asked = tokio::task::spawn_blocking(move || readers.read(question)).await;
        asked.unwrap_or_else(|_| Err(ending(())))
    }

    fn read<T>(&self, question: impl Fn(&Connection) -> Answer<T>) -> Result<T, LedgerError> {
        for _ in 0..TRIES {
            let idle = self.idle().readers.pop();
            let reader = match idle.filter(|reader| self.still_looks(reader)) {
                Some(reader) => reader,
                None => self.open()?,
            };
            let answer = question(&reader.connection);
            if self.still_looks(&reader) {
                let mut idle = self.idle();
                if !idle.closed {
                    idle.readers.push(reader);
                }
                return answer.map_err(|error| translate(&error, &self.path));
            }
        }
        Err(LedgerError::Locked(format!("{} changes all the time; try again", self.path.display())))
    }

    fn look(&self) -> Look {
        let meta = std::fs::metadata(&self.path).ok();
        Look {
            log_is_there: log_path(&self.path, "-wal").exists(),
            length: meta.as_ref().map_or(0, std::fs::Metadata::len),
            changed: meta.and_then(|meta| meta.modified().ok()),
        }
    }

    fn still_looks(&self, reader: &Reader) -> bool {
        reader.look.as_ref().is_none_or(|look| *look == self.look())
    }

    fn open(&self) -> Result<Reader, LedgerError> {
        let failed = |error: rusqlite::Error| translate(&error, &self.path);
        if !self.traceless {
            let connection = file::open_for_reading(&self.path, "").map_err(failed)?;
            return Ok(Reader { connection, look: None });
        }
        let look = self.look();
        if !look.log_is_there {
            // Opened in the usual way, SQLite would make a log beside the file, even to read.
            let connection = file::open_for_reading(&self.path, "&immutable=1").map_err(failed)?;
            return Ok(Reader { connection, look: Some(look) });
        }
        // The log's index is read and not written: where its processes died, SQLite makes one in memory.
        let connection = file::open_for_reading(&self.path, "&readonly_shm=1").map_err(|error| {
            if log_path(&self.path, "-shm").exists() {
                return failed(error);
            }
            let path = self.path.display();
            LedgerError::Unavailable(format!(
                "{path}-shm is missing beside {path}-wal; run `fitbridge sync` to mend it"
            ))
        })?;
        Ok(Reader { connection, look: None })
    }
}
