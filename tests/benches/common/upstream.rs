//! The simulated outside world in a process of its own, so that neither its processor time nor its memory
//! is taken for ours. The bench starts itself again to be that process.

use std::{
    io::{BufRead, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use fitbridge_fit::synthetic::RideSpec;
use fitbridge_simulator::{
    Config, Fault, FaultRule, FileSpec, MemberId, NewAthlete, NewMember, NewRide, Region, RideBatch, Role, Simulator,
    World,
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Cpu, Outcome};

/// The argument by which a bench knows that it is to be the world.
const ROLE: &str = "simulate";
/// Signs the webhooks; made up, and known to both processes.
const WEBHOOK_KEY: [u8; 32] = [7; 32];

/// Length of a ride whose file has about 75 KB, one record a second.
const DURATION_S: u32 = 3120;

/// Who is in the world.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// How many members.
    pub members: usize,
    /// How many rides each has.
    pub rides: usize,
    /// Whether the rides' files are downloaded: about 75 KB each, and made in advance.
    pub files: bool,
    /// How long an answer with a list takes, ms.
    pub latency_ms: u64,
}

/// How the world is reached.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub igpsport: String,
    pub intervals: String,
    pub webhook: String,
    pub trusted: String,
    pub tokens: Vec<String>,
    pub api_key: String,
    pub webhook_secret: String,
    /// Size of all files that are downloaded.
    pub file_bytes: usize,
}

/// The world, as seen from outside. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    pub facts: Facts,
}

impl Upstream {
    /// Does the world's part and answers `true`, in a process that was started for it.
    pub(crate) fn played() -> Outcome<bool> {
        let mut arguments = std::env::args().skip(1);
        let (Some(ROLE), Some(plan)) = (arguments.next().as_deref(), arguments.next()) else { return Ok(false) };
        play(serde_json::from_str(&plan)?)?;
        Ok(true)
    }

    /// Starts the world.
    pub(crate) fn start(plan: Plan) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([ROLE, &serde_json::to_string(&plan)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = child.stdin.take().ok_or("no standard input")?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let facts = serde_json::from_str(&answers.next().ok_or("the simulator ended")??)?;
        Ok(Self { child, asks, answers, facts })
    }

    /// How many requests the world's hosts had so far.
    pub(crate) fn requests(&mut self) -> Outcome<u64> {
        writeln!(self.asks)?;
        Ok(self.answers.next().ok_or("the simulator ended")??.parse()?)
    }

    /// Processor time of the world's process.
    pub(crate) fn cpu(&self) -> Outcome<Cpu> {
        Cpu::of(&self.child.id().to_string())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Adds rides of about 75 KB, two a day; says how many bytes they have.
fn add_files(world: &World, member: MemberId, count: usize) -> Outcome<usize> {
    let mut total = 0;
    for seed in 0..u32::try_from(count)? {
        let start = world.now().checked_sub(SignedDuration::from_hours(12) * seed.saturating_add(1).cast_signed())?;
        let bytes = RideSpec { duration_s: DURATION_S, ..RideSpec::new(seed.into(), start) }.encode()?;
        total += bytes.len();
        let ride = NewRide { file: FileSpec::Bytes(bytes.into()), ..NewRide::at(start) };
        world.add_ride(Region::Global, member, &ride)?;
    }
    Ok(total)
}

fn play(plan: Plan) -> Outcome {
    let simulator = Simulator::start_blocking(Config { journal_cap: 0, ..Config::default() })?;
    let world = simulator.world();
    if plan.latency_ms > 0 {
        let slow = FaultRule::new(Fault::Slow { ms: plan.latency_ms });
        world.add_fault(slow.on(Role::IgpsportGlobal).route("list"));
    }
    let mut tokens = Vec::with_capacity(plan.members);
    let mut file_bytes = 0;
    for _ in 0..plan.members {
        let member = world.add_member(NewMember::default())?;
        if plan.files {
            file_bytes += add_files(world, member, plan.rides)?;
        } else {
            world.add_rides(Region::Global, member, &RideBatch::small(plan.rides))?;
        }
        tokens.push(world.token(Region::Global, member)?);
    }
    let secret = fitbridge_sinks::webhook::new_secret(WEBHOOK_KEY);
    let webhook_secret = secrecy::ExposeSecret::expose_secret(&secret).to_owned();
    world.set_webhook_secrets(std::slice::from_ref(&webhook_secret))?;
    let (_, api_key) = world.add_athlete(NewAthlete::default());
    let facts = Facts {
        igpsport: simulator.igpsport_url(Region::Global),
        intervals: simulator.intervals_url(),
        webhook: simulator.webhook_url(),
        trusted: simulator.trusted_hosts(),
        tokens,
        api_key,
        webhook_secret,
        file_bytes,
    };
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::to_string(&facts)?)?;
    for line in std::io::stdin().lines() {
        line?;
        writeln!(out, "{}", world.request_counts().values().sum::<u64>())?;
    }
    Ok(())
}
