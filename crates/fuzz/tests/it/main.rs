//! Every target, for a bounded number of rounds, with its work bounded as well.

use std::{
    alloc::System,
    sync::{Mutex, PoisonError},
};

use fitbridge_fuzz::{Target, all, named, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One target at a time: allocations are counted for the whole process.
static TURN: Mutex<()> = Mutex::new(());

/// Bytes that one check may allocate in all, released or not: some times the longest input, and what the limits
/// of the ZIP inlet and the thinned tracks come to.
const MOST_BYTES_A_CHECK: usize = 12 << 20;

#[expect(clippy::disallowed_methods, reason = "how long to run is for who runs it")]
fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs a target for that many rounds.
fn fuzz(name: &str, rounds: u64) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let target = named(name).expect("a target of that name");
    let rounds = rounds * from_environment("FITBRIDGE_FUZZ_ROUNDS", 1);
    let region = Region::new(ALLOCATOR);
    let report = run(&target, rounds, from_environment("FITBRIDGE_FUZZ_SEED", 1));
    let allocated = region.change().bytes_allocated;
    let inputs = usize::try_from(report.inputs).expect("few");
    println!(
        "{name}: {} inputs of {} kinds, {} bytes allocated for each",
        report.inputs,
        report.kinds,
        allocated / inputs
    );
    if target.corpus.is_some() && !report.has_corpus {
        println!("skipped: no ../shared/fit, so {name} starts from generated files only");
    }
    assert!(report.inputs > rounds);
    assert!(report.kinds > 3, "the mutations of {name} lead nowhere: {} kinds", report.kinds);
    assert!(allocated / inputs < MOST_BYTES_A_CHECK, "{allocated} bytes for {inputs} inputs");
}

macro_rules! targets {
    ($($name:ident: $rounds:expr;)*) => {
        $(#[test] fn $name() { fuzz(stringify!($name), $rounds); })*

        #[test]
        fn no_target_is_forgotten() {
            let run = [$(stringify!($name)),*];
            let known: Vec<_> = all().iter().map(|target: &Target| target.name).collect();
            assert_eq!(run.as_slice(), known.as_slice());
            let libfuzzer = include_str!("../../../../fuzz/Cargo.toml");
            for name in known {
                assert!(libfuzzer.contains(&format!("name = \"{name}\"")), "{name} has no target in fuzz/Cargo.toml");
            }
        }
    };
}

targets! {
    scan: 20_000;
    track: 4_000;
    zip: 10_000;
    url_guard: 40_000;
    retry_after: 20_000;
    igpsport_list: 20_000;
    igpsport_detail: 20_000;
    igpsport_login: 20_000;
    igpsport_redaction: 20_000;
    igpsport_token: 20_000;
    intervals_answer: 20_000;
    sink_refusal: 20_000;
    folder_template: 20_000;
    name_template: 20_000;
    sink_secret: 20_000;
    queue_message: 20_000;
    ledger_document: 20_000;
    sealed_secret: 20_000;
    ses_answer: 20_000;
    stack_outputs: 20_000;
    lambda_event: 20_000;
    ledger_item: 20_000;
    keyring: 20_000;
}

#[test]
fn a_run_repeats_itself() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let target = named("queue_message").expect("a target");
    assert_eq!(run(&target, 500, 7), run(&target, 500, 7));
}

#[test]
fn a_check_that_fails_fails_the_run() {
    let broken = Target {
        name: "broken",
        seeds: || vec![b"seed".to_vec()],
        corpus: None,
        words: &[b"boom"],
        check: |bytes| {
            assert!(!bytes.windows(4).any(|window| window == b"boom"), "boom");
            bytes.len().to_string()
        },
    };
    let failed = std::panic::catch_unwind(|| run(&broken, 1_000, 1));
    assert!(failed.is_err());
}
