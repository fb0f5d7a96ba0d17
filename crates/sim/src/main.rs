//! Runs worlds by their seeds, and tells what went wrong.

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use clap::Parser;
use fitbridge_sim::{Bug, Options, Report, run, shrink};

/// The real engine in a world that does its worst; a seed decides everything and replays exactly.
#[derive(Debug, Parser)]
#[command(name = "fitbridge-sim")]
struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed only
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// With --seed: print all that happened, as it is, not made small
    #[arg(long, requires = "seed")]
    story: bool,
    /// Plant a mistake; `list` names them
    #[arg(long)]
    bug: Option<String>,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bug = match arguments.bug.as_deref().map(|name| (name, Bug::named(name))) {
        None => None,
        Some((_, Some(bug))) => Some(bug),
        Some((_, None)) => {
            for bug in Bug::ALL {
                print(&format!("{:24} {}", bug.name(), bug.what()));
            }
            return ExitCode::from(2);
        }
    };
    if let (Some(seed), true) = (arguments.seed, arguments.story) {
        let report = run(&Options { story: true, bug, ..Options::of(seed) });
        report.story.iter().for_each(|line| print(line));
        return ended(&report);
    }
    let (from, seeds) = arguments.seed.map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let (failed, done, copies) = run_all(from, seeds, arguments.threads, bug);
    print(&format!("{done} worlds, {copies} copies at sinks, {} with a broken promise", failed.len()));
    let Some(first) = failed.iter().min_by_key(|report| report.seed) else { return ExitCode::SUCCESS };
    for report in &failed {
        for violation in &report.violations {
            print(&format!("seed {}: {}: {}", report.seed, violation.law, violation.what));
        }
    }
    if bug.is_none()
        && let Some(shrunk) = shrink(&Options { bug, ..Options::of(first.seed) })
    {
        print(&format!("\nthe story of seed {}, made small (without {:?}):", first.seed, shrunk.options.without));
        shrunk.report.story.iter().for_each(|line| print(line));
        return ended(&shrunk.report);
    }
    ExitCode::FAILURE
}

fn run_all(from: u64, seeds: u64, threads: u64, bug: Option<Bug>) -> (Vec<Report>, u64, u64) {
    let (next, done, copies) = (AtomicU64::new(from), AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - from >= seeds {
                        break;
                    }
                    let report = run(&Options { bug, ..Options::of(seed) });
                    done.fetch_add(1, Ordering::Relaxed);
                    copies.fetch_add(report.copies, Ordering::Relaxed);
                    if !report.violations.is_empty()
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(report);
                    }
                }
            });
        }
    });
    (failed.into_inner().unwrap_or_default(), done.into_inner(), copies.into_inner())
}

fn ended(report: &Report) -> ExitCode {
    print(&format!(
        "seed {}: {} copies, {} steps, {} virtual hours, faults {:?}",
        report.seed, report.copies, report.steps, report.hours, report.faults
    ));
    for violation in &report.violations {
        print(&format!("{}: {}", violation.law, violation.what));
    }
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(line: &str) {
    println!("{line}");
}
