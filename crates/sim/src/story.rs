//! What happened, for people: time, worker, action, effect.

use std::{collections::BTreeSet, sync::Mutex};

use crate::clockwork::{Clockwork, lock};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which promise: `I1` to `I7`; `notice` where a rider is told too much or too little, `gone` where something
    /// was to be erased, `quiet` where the world never came to rest.
    pub law: &'static str,
    /// What was seen.
    pub what: String,
}

#[derive(Debug)]
struct Told {
    lines: Vec<String>,
    violations: BTreeSet<Violation>,
}

/// The story of a run, and what was found wrong in it.
#[derive(Debug)]
pub(crate) struct Story {
    clockwork: Clockwork,
    begun_ms: i64,
    /// Whether lines are kept; the run itself is the same either way.
    is_kept: bool,
    told: Mutex<Told>,
}

impl Story {
    pub(crate) fn new(clockwork: &Clockwork, is_kept: bool) -> Self {
        let told = Told { lines: Vec::new(), violations: BTreeSet::new() };
        Self { clockwork: clockwork.clone(), begun_ms: clockwork.now_ms(), is_kept, told: Mutex::new(told) }
    }

    /// Tells what somebody did.
    pub(crate) fn tell(&self, who: &str, what: impl FnOnce() -> String) {
        if self.is_kept {
            let line = format!("{} {who:<10} {}", self.time(), what());
            lock(&self.told).lines.push(line);
        }
    }

    /// Tells of a broken promise; the same one is kept once.
    pub(crate) fn broken(&self, law: &'static str, what: String) {
        self.tell("!!", || format!("{law} is broken: {what}"));
        lock(&self.told).violations.insert(Violation { law, what });
    }

    /// Whether anything is broken.
    pub(crate) fn is_broken(&self) -> bool {
        !lock(&self.told).violations.is_empty()
    }

    /// All lines and all violations.
    pub(crate) fn end(&self) -> (Vec<String>, Vec<Violation>) {
        let mut told = lock(&self.told);
        (std::mem::take(&mut told.lines), told.violations.iter().cloned().collect())
    }

    /// The time since the beginning: days, hours, minutes, seconds, ms.
    fn time(&self) -> String {
        let ms = self.clockwork.now_ms() - self.begun_ms;
        let (seconds, rest) = (ms / 1000, ms % 1000);
        let (minutes, hours) = (seconds / 60, seconds / 3600);
        format!("{}d {:02}:{:02}:{:02}.{rest:03}", hours / 24, hours % 24, minutes % 60, seconds % 60)
    }
}
