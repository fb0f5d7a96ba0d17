//! One machine under load: ten simulated days of 10,000 riders with about a million records in SQLite.
//!
//! `cargo bench --profile sim -p fitbridge-local --bench load [-- riders=10000 history=20 days=10]`
//!
//! Sources, files and sinks are in this process and keep nothing; the clock is virtual; the ledger is the real
//! one, on disk. It prints tables and judges nothing: memory should be flat from day to day, and a tick's time
//! in proportion to what is planned for its minute and due, not to how many riders and records there are.

mod fill;
mod world;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use fitbridge_core::{
    Engine, Policy,
    domain::{Service, Shard},
    engine::{Eagerness, NoObserver, Ports},
    ports::Sink,
    testkit::{FakeScanner, ManualClock, MemoryVault, SeededEntropy},
};
use fitbridge_local::{
    Owners, SqliteLedger,
    run::{Lanes, Limits, LocalQueue},
};
use jiff::{SignedDuration, Timestamp};

type Failed = Box<dyn std::error::Error>;

const SHARD: Shard = Shard(0);
const MINUTES_A_DAY: u64 = 24 * 60;
/// Looks for due work in a minute, as `serve` has them: one a second.
const SWEEPS: usize = 60;

/// How much is run.
#[derive(Debug, Clone, Copy)]
struct Scale {
    riders: u64,
    history: u64,
    days: u64,
}

impl Scale {
    fn asked() -> Result<Self, Failed> {
        let mut scale = Self { riders: 10_000, history: 20, days: 10 };
        for argument in std::env::args() {
            let Some((name, value)) = argument.split_once('=') else { continue };
            let place = match name {
                "riders" => &mut scale.riders,
                "history" => &mut scale.history,
                "days" => &mut scale.days,
                _ => return Err(format!("nobody knows {name}").into()),
            };
            *place = value.parse()?;
        }
        Ok(scale)
    }
}

/// The machine and its world.
struct Machine {
    engine: Arc<Engine>,
    lanes: Lanes,
    clock: ManualClock,
    cloud: Arc<world::Cloud>,
    sink: Arc<world::Counter>,
    vault: MemoryVault,
    ledger: Arc<SqliteLedger>,
}

impl Machine {
    fn open(home: &Path, scale: Scale, begin: Timestamp) -> Result<(Self, fitbridge_local::OwnerGuard), Failed> {
        let owners = Owners::open(home);
        let owner = owners.register()?;
        let ledger = Arc::new(SqliteLedger::open(&home.join("ledger.sqlite"), owners)?);
        let clock = ManualClock::at(begin - SignedDuration::from_hours(24 * 5));
        let pages = AtomicU64::new(0);
        let cloud = Arc::new(world::Cloud { clock: clock.clone(), begin, history: scale.history, pages });
        // On the second evening the sink is away for two hours: then much comes due.
        let away = begin + SignedDuration::from_hours(24 + 18)..begin + SignedDuration::from_hours(24 + 20);
        let sink = Arc::new(world::Counter { clock: clock.clone(), away, created: AtomicU64::new(0) });
        let (queue, jobs) = LocalQueue::new();
        let vault = MemoryVault::default();
        let ports = Ports {
            ledger: Arc::clone(&ledger) as _,
            vault: Arc::new(vault.clone()),
            archive: Arc::new(world::Shelf::default()),
            queue: Arc::new(queue),
            source: Arc::clone(&cloud) as _,
            files: Arc::new(world::FileHost),
            scanner: Arc::new(FakeScanner::default()),
            sinks: BTreeMap::from([(Service::new("counter")?, Arc::clone(&sink) as Arc<dyn Sink>)]),
            notifiers: BTreeMap::new(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::new(7)),
            observer: Arc::new(NoObserver),
        };
        let engine = Arc::new(Engine::new(ports, Policy::default(), owner.id().clone()));
        let lanes = Lanes::new(Arc::clone(&engine), jobs, Limits { source: 8, files: 8, sink: 4 });
        Ok((Self { engine, lanes, clock, cloud, sink, vault, ledger }, owner))
    }

    /// One minute of `serve`: the tick, the work, and what comes due of it. Says what the tick handed over and
    /// how long the tick alone took.
    async fn minute(&mut self) -> Result<(usize, usize, Duration), Failed> {
        self.clock.advance(SignedDuration::from_mins(1));
        let begun = Instant::now();
        let tick = self.engine.tick(SHARD).await?;
        let took = begun.elapsed();
        self.lanes.drain().await;
        for _ in 0..SWEEPS {
            if self.engine.sweep(SHARD, Eagerness::Due).await? == 0 {
                break;
            }
            self.lanes.drain().await;
        }
        if let Some(failure) = self.lanes.take_failures().first() {
            return Err(failure.to_string().into());
        }
        self.vault.take_opened();
        Ok((tick.polls, tick.due, took))
    }
}

/// What ticks of about the same size took.
#[derive(Debug, Default, Clone, Copy)]
struct Bin {
    ticks: u32,
    polls: usize,
    due: usize,
    took: Duration,
}

/// Ticks by how much they handed over.
#[derive(Debug, Default)]
struct Bins(BTreeMap<usize, Bin>);

/// Upper ends of the table's rows.
const EDGES: [usize; 9] = [0, 30, 100, 200, 300, 400, 500, 700, usize::MAX];

impl Bins {
    fn add(&mut self, (polls, due, took): (usize, usize, Duration)) {
        let edge = EDGES.into_iter().find(|edge| polls + due <= *edge).unwrap_or(usize::MAX);
        let bin = self.0.entry(edge).or_default();
        (bin.ticks, bin.polls, bin.due) = (bin.ticks + 1, bin.polls + polls, bin.due + due);
        bin.took += took;
    }

    fn print(&self) {
        println!("| planned + due | ticks | planned, mean | due, mean | tick, mean ms | µs for each |");
        println!("|---|---|---|---|---|---|");
        for (edge, bin) in &self.0 {
            let mean = |sum: usize| sum as f64 / f64::from(bin.ticks);
            let ms = bin.took.as_secs_f64() * 1e3;
            let each = ms * 1e3 / (bin.polls + bin.due).max(1) as f64;
            let edge = if *edge == usize::MAX { "more".to_owned() } else { format!("to {edge}") };
            let (polls, due, ms) = (mean(bin.polls), mean(bin.due), ms / f64::from(bin.ticks));
            println!("| {edge} | {} | {polls:.0} | {due:.0} | {ms:.2} | {each:.1} |", bin.ticks);
        }
    }
}

/// A line of this process's memory, MB.
fn memory_mb(name: &str) -> Result<u64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

fn size_mb(home: &Path) -> Result<u64, Failed> {
    let mut bytes = 0;
    for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
        bytes += std::fs::metadata(home.join(name)).map_or(0, |file| file.len());
    }
    Ok(bytes / (1 << 20))
}

fn main() -> Result<(), Failed> {
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: memory is read from /proc");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(Scale::asked()?))
}

async fn run(scale: Scale) -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let begin: Timestamp = "2026-03-02T00:00:00Z".parse()?;
    let (mut machine, _owner) = Machine::open(home.path(), scale, begin)?;
    let source = fill::connect(&machine.engine, 0).await?;
    while machine.clock_is_before(begin) {
        machine.minute().await?;
    }
    let history = usize::try_from(scale.history)?;
    if fill::delivered(&machine.engine, 0).await? != history {
        return Err("the first rider's history did not arrive".into());
    }
    let mould = fill::Mould::of(&*machine.ledger, &source).await?;
    println!("\nscale: {} riders, {} rides each from before, {} days", scale.riders, scale.history, scale.days);
    println!("{} records a rider, so {} before the first day", mould.len(), mould.len() as u64 * scale.riders);

    println!("\n| riders | records | planned, mean | idle tick, mean ms | µs for each | ledger, MB |");
    println!("|---|---|---|---|---|---|");
    let mut filled = 1;
    for tenths in [1, 3, 10] {
        let until = (scale.riders * tenths / 10).max(filled);
        mould.fill(&machine.engine, filled..until, begin + SignedDuration::from_hours(24)).await?;
        filled = until;
        // The first tick after a fill is not like the others: the pages are not in memory yet.
        machine.minute().await?;
        let (mut polls, mut took) = (0, Duration::ZERO);
        for _ in 0..IDLE_MINUTES {
            let (planned, _, tick) = machine.minute().await?;
            (polls, took) = (polls + planned, took + tick);
        }
        println!(
            "| {until} | {} | {} | {:.2} | {:.1} | {} |",
            until * mould.len() as u64,
            polls / IDLE_MINUTES as usize,
            took.as_secs_f64() * 1e3 / f64::from(IDLE_MINUTES),
            took.as_secs_f64() * 1e6 / polls.max(1) as f64,
            size_mb(home.path())?
        );
    }

    println!("\n| day | polls a rider | pages | rides delivered | minutes of work, s | VmRSS, MB | ledger, MB |");
    println!("|---|---|---|---|---|---|---|");
    let mut bins = Bins::default();
    for day in 1..=scale.days {
        let (begun, mut polls) = (Instant::now(), 0);
        let (pages, created) = (machine.cloud.pages.load(Relaxed), machine.sink.created.load(Relaxed));
        for _ in 0..MINUTES_A_DAY {
            let minute = machine.minute().await?;
            polls += minute.0;
            bins.add(minute);
        }
        fill::all_active(&machine.engine, scale.riders).await?;
        println!(
            "| {day} | {:.1} | {} | {} | {:.0} | {} | {} |",
            polls as f64 / scale.riders as f64,
            machine.cloud.pages.load(Relaxed) - pages,
            machine.sink.created.load(Relaxed) - created,
            begun.elapsed().as_secs_f64(),
            memory_mb("VmRSS")?,
            size_mb(home.path())?
        );
    }
    println!();
    bins.print();
    println!("\npeak of memory: {} MB", memory_mb("VmHWM")?);
    Ok(())
}

/// Ticks of each step of the first table.
const IDLE_MINUTES: u32 = 60;

impl Machine {
    fn clock_is_before(&self, moment: Timestamp) -> bool {
        fitbridge_core::ports::Clock::now(&self.clock) < moment
    }
}
