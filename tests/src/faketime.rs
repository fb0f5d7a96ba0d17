//! The clock of the tested program, moved by libfaketime; the program itself has no switch for it.

use std::path::{Path, PathBuf};

use crate::bench::Bench;

/// Where distributions put it. The program has several threads.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
    "/lib/faketime",
];

/// Moves the clock of a bench's programs, also of those that run.
#[derive(Debug)]
pub struct MovedClock {
    setting: PathBuf,
}

impl MovedClock {
    /// Puts the bench's programs under a clock that may be moved. `None`, said aloud, where libfaketime is not
    /// installed.
    #[must_use]
    pub fn over(bench: &Bench) -> Option<Self> {
        let (clock, variables) = Self::of(bench.path("clock"))?;
        variables.iter().for_each(|(name, value)| bench.set(name, value));
        Some(clock)
    }

    /// A clock that is set by this file, and what programs under it need in their environment. `None`, said aloud,
    /// where libfaketime is not installed.
    #[must_use]
    pub fn of(setting: PathBuf) -> Option<(Self, [(&'static str, String); 5])> {
        let library =
            FOLDERS.iter().map(|folder| Path::new(folder).join("libfaketimeMT.so.1")).find(|file| file.exists());
        let Some(library) = library else {
            println!("skipped: libfaketime is not installed (on Debian: apt-get install libfaketime)");
            return None;
        };
        let variables = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", setting.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // Waiting goes on as ever, as it does when somebody sets a machine's clock.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let clock = Self { setting };
        clock.set(0);
        Some((clock, variables))
    }

    /// Sets the clock so many seconds ahead of the machine's, or behind.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn set(&self, seconds: i64) {
        // Replaced whole: the program reads it at every look at the clock.
        let unfinished = self.setting.with_extension("new");
        std::fs::write(&unfinished, format!("{seconds:+}\n")).expect("written");
        std::fs::rename(&unfinished, &self.setting).expect("renamed");
    }
}
