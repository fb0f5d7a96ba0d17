//! A disk that fails: the kernel then lets nobody write to it any more, whoever has files open there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// An ext4 file system in a file. It fails on request, and is whole again after a repair.
#[derive(Debug)]
pub struct FailingDisk {
    folder: TempDir,
}

impl FailingDisk {
    /// A disk of so many megabytes; `None`, and said so, where the tests may not make one (root, a loop device
    /// and ext4's tools are needed).
    ///
    /// # Panics
    /// When there is no temporary folder.
    #[must_use]
    pub fn of(megabytes: u64) -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().expect("a folder") };
        let image = fs::File::create(disk.image()).expect("a file");
        image.set_len(megabytes * 1024 * 1024).expect("a sparse file");
        fs::create_dir(disk.path()).expect("a folder");
        let made = succeeds(Command::new("mkfs.ext4").arg("-q").arg(disk.image()));
        if made && disk.mount() && disk.trigger().is_some_and(|trigger| trigger.exists()) {
            return Some(disk);
        }
        println!("skipped: this machine does not let the tests make a disk that can fail");
        None
    }

    /// The kernel finds an error: what is there can be read, nothing can be written.
    ///
    /// # Panics
    /// When the kernel does not take the request.
    pub fn fail(&self) {
        let trigger = self.trigger().expect("the disk is mounted");
        fs::write(trigger, "asked for by a test").expect("an error on request");
        assert!(fs::write(self.path().join("probe"), "").is_err(), "nothing can be written");
    }

    /// What an operator does: unmounts it, checks it, mounts it again.
    ///
    /// # Panics
    /// When one of these fails, such as while a process has files open there.
    pub fn repair(&self) {
        assert!(succeeds(Command::new("umount").arg(self.path())), "somebody is still there");
        // 1 means: errors were found and mended.
        let checked = Command::new("e2fsck").args(["-f", "-y"]).arg(self.image()).output();
        assert!(checked.is_ok_and(|checked| matches!(checked.status.code(), Some(0 | 1))));
        assert!(self.mount(), "it can be mounted again");
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// A data folder on it.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount(&self) -> bool {
        let mut mount = Command::new("mount");
        succeeds(mount.args(["-o", "loop,errors=remount-ro"]).arg(self.image()).arg(self.path()))
    }

    /// The file by which this disk's errors are asked for.
    fn trigger(&self) -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/mounts").ok()?;
        let path = self.path();
        let mine = mounts.lines().find(|line| line.split(' ').nth(1).map(Path::new) == Some(&path))?;
        let device = mine.split(' ').next()?.strip_prefix("/dev/")?;
        Some(Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error"))
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        succeeds(Command::new("umount").arg("-l").arg(self.path()));
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
