//! A small file system of its own, where the tests may have one.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Tells a test's process that it was started again inside a namespace in which it may mount.
const INSIDE: &str = "FITBRIDGE_TEST_MAY_MOUNT";

/// A small disk in memory, gone when dropped.
#[derive(Debug)]
pub struct Mount {
    folder: TempDir,
}

impl Mount {
    /// A disk of so many kilobytes. `None` where the tests may not mount, or where the whole test has just been
    /// run in a process that may: a user's and mount's namespace of its own. `test` is its name with its
    /// modules.
    ///
    /// # Panics
    /// When the test fails in that process.
    #[must_use]
    pub fn of(kilobytes: u32, test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let size = format!("size={kilobytes}k");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        if is_inside() || !run_inside(test) {
            println!("skipped: this machine does not let the tests mount a small disk");
        }
        None
    }

    /// Mounts it anew with other options.
    ///
    /// # Panics
    /// When that is refused.
    pub fn remount(&self, options: &str) {
        let option = format!("remount,{options}");
        let done = Command::new("mount").args(["-o", &option]).arg(self.folder.path()).status();
        assert!(done.expect("mount starts").success(), "{option}");
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A data folder on it.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

#[expect(clippy::disallowed_methods, reason = "a switch of the tests themselves; no product code reads it")]
fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs one test of this program again in namespaces of its own; false where these may not be made.
fn run_inside(test: &str) -> bool {
    let namespace = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]);
        command
    };
    if !namespace().arg("true").output().is_ok_and(|output| output.status.success()) {
        return false;
    }
    let program = std::env::current_exe().expect("the test knows where it lies");
    let mut again = namespace();
    again.arg(program).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = again.output().expect("unshare starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "in a namespace of its own:\n{said}");
    println!("{said}");
    true
}
