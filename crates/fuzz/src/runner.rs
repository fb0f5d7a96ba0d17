//! The runner of seeded mutations: bounded in rounds, the same inputs each time.

use std::collections::BTreeSet;

use crate::{Target, mutate::mutated, random::Random};

/// Most inputs that are kept for further mutation.
const MOST_KEPT: usize = 1_000;

/// What a run went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Inputs that were checked, seeds included.
    pub inputs: u64,
    /// Different kinds of input, as the checks tell them apart.
    pub kinds: usize,
    /// Whether the files of a corpus beside the checkout were among the seeds.
    pub has_corpus: bool,
}

/// Checks the seeds of a target and `rounds` mutations of them.
///
/// # Panics
/// When a check does; what came in is then printed as hexadecimal, to be made a test of its own.
pub fn run(target: &Target, rounds: u64, seed: u64) -> Report {
    let mut random = Random::new(seed);
    let own = (target.seeds)();
    let corpus = target.corpus.map_or_else(Vec::new, |corpus| corpus());
    let has_corpus = !corpus.is_empty();
    let (mut kinds, mut kept) = (BTreeSet::new(), Vec::new());
    let mut inputs = 0;
    for input in own.into_iter().chain(corpus) {
        inputs += 1;
        kinds.insert(told(target, &input));
        kept.push(input);
    }
    for _ in 0..rounds {
        let base = random.pick(&kept).map(Vec::as_slice).unwrap_or_default();
        let other = random.pick(&kept).map(Vec::as_slice).unwrap_or_default();
        let input = mutated(base, other, target.words, &mut random);
        inputs += 1;
        let is_new = kinds.insert(told(target, &input));
        if is_new && kept.len() < MOST_KEPT {
            kept.push(input);
        }
    }
    Report { inputs, kinds: kinds.len(), has_corpus }
}

/// The check's word, or what came in when it panics.
fn told(target: &Target, input: &[u8]) -> String {
    /// Prints the input unless it was told to be silent: a panic runs its `drop`.
    struct OnPanic<'a>(&'a Target, &'a [u8]);

    impl Drop for OnPanic<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let hex: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
                eprintln!("target {} fails for {} bytes: {hex}", self.0.name, self.1.len());
            }
        }
    }

    let _guard = OnPanic(target, input);
    (target.check)(input)
}
