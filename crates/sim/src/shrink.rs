//! Making a failing run small: fewer kinds of faults, then fewer faults.

use crate::{Fault, Options, Report, run};

/// The smallest run that was found which still breaks a promise.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// How to run it.
    pub options: Options,
    /// What became of it, with its story.
    pub report: Report,
}

/// Switches off one kind of fault after the other, and then cuts the faults short, as long as the same
/// promise is still broken.
pub fn shrink(failing: &Options) -> Option<Shrunk> {
    let mut best = Options { story: false, ..failing.clone() };
    let laws = |report: &Report| report.violations.iter().map(|violation| violation.law).collect::<Vec<_>>();
    let wrong = laws(&run(&best));
    if wrong.is_empty() {
        return None;
    }
    let still = |options: &Options| laws(&run(options)).iter().any(|law| wrong.contains(law));
    for fault in Fault::ALL {
        let mut fewer = best.clone();
        fewer.without.insert(*fault);
        if still(&fewer) {
            best = fewer;
        }
    }
    let (mut enough, mut too_few) = (run(&best).faults.values().sum::<u64>(), 0);
    while too_few + 1 < enough {
        let middle = too_few + (enough - too_few) / 2;
        let fewer = Options { most_faults: middle, ..best.clone() };
        if still(&fewer) { enough = middle } else { too_few = middle }
    }
    let cut = Options { most_faults: enough, ..best.clone() };
    if still(&cut) {
        best = cut;
    }
    best.story = true;
    let report = run(&best);
    Some(Shrunk { options: best, report })
}
