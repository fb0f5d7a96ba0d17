//! Runs worlds by their seeds, and tells what went wrong.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use clap::Parser;
use fitbridge_sim::{Bug, Fault, Options, Report, hunt, laws_broken_by, run, shrink};

/// A bug that does not show in so many worlds is not found.
const MOST_WORLDS: u64 = 600;

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
    /// With --seed: leave out this kind of fault; the kinds are those that a story names
    #[arg(long, requires = "seed", value_parser = fault, value_name = "KIND")]
    without: Vec<Fault>,
    /// With --seed: no more faults than that
    #[arg(long, requires = "seed")]
    most_faults: Option<u64>,
    /// Plant a mistake; `list` names them
    #[arg(long)]
    bug: Option<String>,
    /// Plant each mistake in turn, and say in which world it was found; fails where one is not
    #[arg(long, conflicts_with_all = ["seed", "bug", "story"])]
    bugs: bool,
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
    if arguments.bugs {
        return catch_all(arguments.threads);
    }
    if let (Some(seed), true) = (arguments.seed, arguments.story) {
        let without = arguments.without.iter().copied().collect();
        let most_faults = arguments.most_faults.unwrap_or(u64::MAX);
        let report = run(&Options { seed, story: true, bug, without, most_faults });
        report.story.iter().for_each(|line| print(line));
        return ended(&report);
    }
    let (from, seeds) = arguments.seed.map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let Ran { failed, done, copies, messages, longest } = run_all(from, seeds, arguments.threads, bug);
    print(&format!(
        "{done} worlds from seed {from} on, {copies} copies at sinks, {messages} messages to riders, {longest} steps at \
         most, {} with a broken promise",
        failed.len()
    ));
    let Some(first) = failed.iter().min_by_key(|report| report.seed) else { return ExitCode::SUCCESS };
    for report in &failed {
        for violation in &report.violations {
            print(&format!("seed {}: {}: {}", report.seed, violation.law, violation.what));
        }
    }
    if bug.is_none()
        && let Some(shrunk) = shrink(&Options { bug, ..Options::of(first.seed) })
    {
        print(&format!("\nthe story of seed {}, made small:", first.seed));
        shrunk.report.story.iter().for_each(|line| print(line));
        print(&format!("this story again: {}", command_line(&shrunk.options)));
        return ended(&shrunk.report);
    }
    ExitCode::FAILURE
}

fn fault(name: &str) -> Result<Fault, String> {
    Fault::named(name).ok_or_else(|| {
        let all: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        format!("there are {}", all.join(", "))
    })
}

/// How to run exactly that again.
fn command_line(options: &Options) -> String {
    let mut line = format!("fitbridge-sim --seed {} --story", options.seed);
    for fault in &options.without {
        line.push_str(&format!(" --without {}", fault.name()));
    }
    if options.most_faults < u64::MAX {
        line.push_str(&format!(" --most-faults {}", options.most_faults));
    }
    if let Some(bug) = options.bug {
        line.push_str(&format!(" --bug {}", bug.name()));
    }
    line
}

/// What became of many worlds.
struct Ran {
    failed: Vec<Report>,
    done: u64,
    copies: u64,
    messages: usize,
    longest: u64,
}

fn run_all(from: u64, seeds: u64, threads: u64, bug: Option<Bug>) -> Ran {
    let ran = Mutex::new(Ran { failed: Vec::new(), done: 0, copies: 0, messages: 0, longest: 0 });
    in_turn(from..from.saturating_add(seeds), threads, |seed| {
        let report = run(&Options { bug, ..Options::of(seed) });
        let mut ran = ran.lock().unwrap_or_else(PoisonError::into_inner);
        (ran.done, ran.copies) = (ran.done + 1, ran.copies + report.copies);
        ran.messages += report.messages;
        ran.longest = ran.longest.max(report.steps);
        if !report.violations.is_empty() {
            ran.failed.push(report);
        }
    });
    ran.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Plants each bug in turn, and prints a table of how it was found.
fn catch_all(threads: u64) -> ExitCode {
    let rows = Mutex::new(BTreeMap::new());
    in_turn(0..u64::try_from(Bug::ALL.len()).unwrap_or(0), threads, |index| {
        let Some(bug) = usize::try_from(index).ok().and_then(|index| Bug::ALL.get(index)).copied() else { return };
        let catch = hunt(bug, MOST_WORLDS);
        rows.lock().unwrap_or_else(PoisonError::into_inner).insert(bug, catch);
    });
    print(&format!("{:24} {:6} {:>6}  what was seen there", "bug", "law", "seed"));
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (bug, catch) in &rows {
        let (law, seed, what) = match catch {
            Some(catch) => (catch.violation.law, catch.seed.to_string(), catch.violation.what.clone()),
            None => {
                let sought = laws_broken_by(*bug).join(" or ");
                ("-", "-".to_owned(), format!("NOT FOUND in {MOST_WORLDS} worlds: {sought}; {}", bug.what()))
            }
        };
        print(&format!("{:24} {law:6} {seed:>6}  {what:.110}", bug.name()));
    }
    let missed = rows.values().filter(|catch| catch.is_none()).count();
    print(&format!("{} planted bugs, {missed} not found", rows.len()));
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Does something for each number, on so many threads.
fn in_turn(numbers: std::ops::Range<u64>, threads: u64, act: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(numbers.start);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        break;
                    }
                    act(number);
                }
            });
        }
    });
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
