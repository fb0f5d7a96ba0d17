//! A process for the tests to kill: this same test binary, which runs just the ignored test below. It claims
//! a record and then writes batches of three, each named on standard output once it is committed: until it
//! dies, or as many as asked for and then nothing more.

use std::{
    io::{BufRead, BufReader, Lines, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use fitbridge_core::ports::Claim;

use super::*;

/// A writing process. It is killed when this is dropped.
pub(crate) struct Writer {
    child: Child,
    // Kept, because the process ends when nobody can read what it says.
    lines: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    pub(crate) fn start(home: &Path, batches: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer::the_process", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{batches} {}", home.display()).unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next batches it says it committed, as prefixes of their paths: `owner/number/`.
    pub(crate) fn told(&mut self, batches: usize) -> Vec<String> {
        let told = self.lines.by_ref().map(Result::unwrap).filter(|line| line.ends_with('/'));
        told.take(batches).collect()
    }

    /// Kills it, and says what else it had committed.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.told(usize::MAX)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
#[ignore = "it is the other process of other tests"]
async fn the_process() {
    let mut order = String::new();
    std::io::stdin().read_line(&mut order).unwrap();
    let Some((batches, home)) = order.trim_end().split_once(' ') else { return };
    let home = Path::new(home);
    let guard = Owners::open(home).register().unwrap();
    let ledger = open(home);
    let claim = Some(Claim { owner: guard.id().clone(), working: true });
    let due = Some(Due { claim, ..due_at(4_000_000_000_000) });
    let change = Change::Put { body: "{}".into(), due, plan: None };
    let write = Write { key: key(&format!("claim/{}", guard.id())), expect: Expect::Absent, change };
    ledger.commit(vec![write]).await.unwrap();
    for number in 0..batches.parse::<usize>().unwrap() {
        let batch = format!("{}/{number:06}/", guard.id());
        ledger.commit((0..3).flat_map(|part| make(&format!("{batch}{part}"), "{}")).collect()).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{batch}").unwrap();
    }
    loop {
        std::thread::park();
    }
}
