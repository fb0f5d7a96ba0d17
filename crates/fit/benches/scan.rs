//! The scanner beside a plain CRC loop (its bound) and `fitparser`, in one run: `cargo bench -p fitbridge-fit`.

use fitbridge_fit::synthetic::RideSpec;
use fitbridge_fit::{crc16, scan, track};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Aim of the scanner for any file.
const MAX_ALLOCATIONS: usize = 4;

struct Measured {
    best: Duration,
    allocations: usize,
}

/// The best of several runs, which a busy machine disturbs least, and the allocations of one.
fn measure<T>(runs: u32, mut work: impl FnMut() -> T) -> Measured {
    let region = Region::new(ALLOCATOR);
    black_box(work());
    let change = region.change();
    let best = (0..runs).fold(Duration::MAX, |best, _| {
        let start = Instant::now();
        black_box(work());
        best.min(start.elapsed())
    });
    Measured { best, allocations: change.allocations + change.reallocations }
}

fn table(name: &str, bytes: &[u8]) {
    let rows = [
        ("plain CRC loop", measure(50, || crc16(0, bytes))),
        ("scan, with CRC", measure(50, || scan(bytes).verdict)),
        ("track of 1,000 points", measure(3, || track(bytes, 1000).map(|track| track.samples))),
        ("fitparser", measure(3, || fitparser::from_bytes(bytes).map(|found| found.len()))),
    ];
    let slowest = rows[3].1.best.as_secs_f64();
    println!("\n{name}, {} bytes", bytes.len());
    println!("{:<22} {:>12} {:>10} {:>13} {:>12}", "", "time", "MB/s", "x fitparser", "allocations");
    for (label, measured) in &rows {
        let seconds = measured.best.as_secs_f64();
        println!(
            "{label:<22} {:>9.3} ms {:>10.1} {:>13.1} {:>12}",
            seconds * 1e3,
            bytes.len() as f64 / 1e6 / seconds,
            slowest / seconds,
            measured.allocations
        );
    }
    let allocations = rows[1].1.allocations;
    assert!(allocations <= MAX_ALLOCATIONS, "{allocations} allocations");
}

/// A made-up ride about as large as the largest of the corpus.
fn large_ride() -> RideSpec {
    let start = "2026-05-01T06:00:00Z".parse().expect("a time");
    RideSpec { duration_s: 92_000, ..RideSpec::new(7, start) }
}

fn main() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fit/real");
    match std::fs::read(shared.join("big_activity.fit")) {
        Ok(bytes) => table("big_activity.fit", &bytes),
        Err(_) => println!("skipped big_activity.fit: no ../shared/fit"),
    }
    let large = large_ride();
    table("made-up ride, 1 Hz for a day", &large.encode().expect("encodable"));
    let hour = RideSpec { duration_s: 3600, ..large };
    let bytes = hour.encode().expect("encodable");
    table("made-up ride, 1 Hz for an hour", &bytes);
    let made = measure(10, || hour.encode().map(|bytes| bytes.len()));
    println!("\nmaking the last one up: {:.2} ms", made.best.as_secs_f64() * 1e3);
}
