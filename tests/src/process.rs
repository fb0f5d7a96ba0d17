//! Running the binary, with an end to every wait.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::output::Output;

/// No command of the tests needs longer; a machine under load is slow.
const PATIENCE: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(5);

/// Waits until `done`.
///
/// # Panics
/// When that takes absurdly long.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(GLANCE);
    }
}

/// A command that is under way. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    command: String,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(mut command: Command, stdin: &str) -> Self {
        let shown = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        if let Some(mut pipe) = child.stdin.take() {
            // The command may end without reading it.
            let _ = pipe.write_all(stdin.as_bytes());
        }
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(collect(pipe, Arc::clone(&stdout)));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(collect(pipe, Arc::clone(&stderr)));
        }
        Self { child, command: shown, stdout, stderr, readers }
    }

    /// What came on standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What came on both outputs so far.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}\n{}", text(&self.stdout), text(&self.stderr))
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When the system cannot tell.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// SIGKILL: no chance to tidy up.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(mut self) -> Output {
        self.child.kill().expect("a child can be killed");
        self.finish()
    }

    /// SIGTERM, as a service manager sends it.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// SIGSTOP: it stands still, with all that it holds, until [`Running::go_on`].
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn stand_still(&self) {
        self.signal("-STOP");
        // The signal is on its way when `kill` ends; a thread on another core still runs for a moment.
        wait_until("every thread stands still", || self.all_stopped());
    }

    /// Whether each of its threads is stopped. Where the system does not say, they are taken to be.
    fn all_stopped(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.child.id())) else { return true };
        threads.flatten().all(|thread| match std::fs::read_to_string(thread.path().join("stat")) {
            // The state follows the name, which stands in brackets and may hold any.
            Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T') || rest.starts_with('Z')),
            Err(_) => true,
        })
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Its number, as the system counts processes.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When that takes absurdly long.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status.code();
            }
            if begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("it does not end: {}", self.output(None));
            }
            thread::sleep(GLANCE);
        };
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        self.output(code)
    }

    fn output(&self, code: Option<i32>) -> Output {
        Output { command: self.command.clone(), code, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut pipe: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut piece = [0; 8192];
        while let Ok(read @ 1..) = pipe.read(&mut piece) {
            into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..read]);
        }
    })
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
