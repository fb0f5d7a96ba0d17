//! What the adaptive plan costs and brings: `cargo bench -p fitbridge-core --bench plan`.
//!
//! Riders of several kinds, drawn from seeds, ride for eight weeks and upload what they rode. The plan's own code
//! decides minute by minute who is polled and learns from what was found, as the engine does; nothing is known of
//! a rider at the beginning. A ride's lag is the time from its appearing upstream to the next poll. Fixed intervals
//! are reckoned over the same rides, with the same minutes of the hour.

use fitbridge_core::ports::Entropy as _;
use fitbridge_core::{
    domain::{Because, ConnectionId, Habits, Planned, RecordedFacts, Ride, UserId},
    engine::plan::{holds, next_turn, outlook, slot_of},
    ports::PollClass,
    testkit::SeededEntropy,
};
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::Offset,
};

const WEEKS: i64 = 8;
const RIDERS: u64 = 24;
/// How long a found ride keeps its rider hot: as the default policy has it.
const HOT: SignedDuration = SignedDuration::from_mins(10);
const ZONES: [i16; 8] = [-480, -300, 0, 60, 120, 345, 480, 600];

/// A ride as it will be: its end and when it appears upstream.
struct Planted {
    ended: Timestamp,
    appears: Timestamp,
}

struct Chance(SeededEntropy);

impl Chance {
    fn yes(&self, likely: f64) -> bool {
        self.0.fraction() < likely
    }

    /// About normal, by the sum of twelve.
    fn normal(&self, mean: f64, spread: f64) -> f64 {
        mean + spread * ((0..12).map(|_| self.0.fraction()).sum::<f64>() - 6.0)
    }

    fn exponential(&self, mean: f64) -> f64 {
        -mean * (1.0 - self.0.fraction()).ln()
    }

    fn uniform(&self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.0.fraction()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Commuter,
    Weekend,
    StageRacer,
    LateSyncer,
    ShiftWorker,
    Dormant,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Commuter, Self::Weekend, Self::StageRacer, Self::LateSyncer, Self::ShiftWorker, Self::Dormant];

    fn name(self) -> &'static str {
        match self {
            Self::Commuter => "commuter",
            Self::Weekend => "weekend rider",
            Self::StageRacer => "stage racer",
            Self::LateSyncer => "late syncer",
            Self::ShiftWorker => "shift worker",
            Self::Dormant => "dormant",
        }
    }

    /// The ends of a day's rides, in hours of the local day; `habit` tells riders of a kind apart.
    fn ends(self, day: i64, weekday: i8, habit: f64, chance: &Chance) -> Vec<f64> {
        let weekend = weekday >= 5;
        let mut ends = Vec::new();
        match self {
            Self::Commuter if !weekend => {
                if chance.yes(0.85) {
                    ends.push(chance.normal(7.5 + habit, 0.25));
                    ends.push(chance.normal(16.5 + 1.5 * habit, 0.6));
                }
            }
            Self::Commuter => ends.extend(chance.yes(0.3).then(|| chance.normal(12.5, 1.5))),
            Self::Weekend | Self::LateSyncer if weekend => {
                ends.extend(chance.yes(0.8).then(|| chance.normal(11.5 + 1.5 * habit, 1.3)));
            }
            Self::Weekend | Self::LateSyncer if weekday == 2 => {
                ends.extend(chance.yes(0.6).then(|| chance.normal(19.5, 0.6)));
            }
            Self::Weekend | Self::LateSyncer => {}
            // Training most days, and three weeks of stages in several files each.
            Self::StageRacer if (28..49).contains(&day) => {
                let last = chance.normal(16.5, 0.9);
                ends.extend([last - 0.4, last - 0.1, last]);
            }
            Self::StageRacer => ends.extend(chance.yes(0.75).then(|| chance.normal(13.0 + 2.0 * habit, 2.0))),
            Self::ShiftWorker => {
                let shift = [6.0, 14.0, 22.0][usize::try_from(day / 7 % 3).unwrap_or(0)];
                ends.extend(chance.yes(0.6).then(|| chance.normal(shift + 9.5, 0.7)));
            }
            Self::Dormant => ends.extend((day == 50).then(|| chance.normal(15.0, 1.0))),
        }
        ends
    }

    /// Hours from a ride's end to its appearing.
    fn delay(self, weekday: i8, end: f64, chance: &Chance) -> f64 {
        match self {
            // Synced on Sunday evening, whatever was ridden since.
            Self::LateSyncer => f64::from(6 - weekday) * 24.0 + chance.normal(20.0, 0.5).max(end + 0.1) - end,
            _ if chance.yes(0.9) => chance.exponential(5.0 / 60.0),
            // The phone was elsewhere.
            _ => chance.uniform(0.3, 3.0),
        }
    }

    fn rides(self, start: Date, offset_minutes: i16, chance: &Chance) -> Vec<Planted> {
        let habit = chance.uniform(0.0, 1.0);
        let offset = Offset::from_seconds(i32::from(offset_minutes) * 60).expect("a zone");
        let mut rides = Vec::new();
        for day in 0..WEEKS * 7 {
            let date = start.saturating_add(SignedDuration::from_hours(24 * day));
            let weekday = date.weekday().to_monday_zero_offset();
            for end in self.ends(day, weekday, habit, chance) {
                let hours = |hours: f64| SignedDuration::from_secs_f64(hours * 3600.0);
                let midnight = offset.to_timestamp(date.to_datetime(Time::midnight())).expect("a day");
                let ended = midnight + hours(end);
                rides.push(Planted { ended, appears: ended + hours(self.delay(weekday, end, chance)) });
            }
        }
        rides.sort_by_key(|ride| ride.appears);
        rides
    }
}

#[derive(Default)]
struct Measured {
    polls: u64,
    /// Of the second half of the time, when there was something to learn from.
    later_polls: u64,
    changes: u64,
    lags_s: Vec<i64>,
}

impl Measured {
    fn add(&mut self, other: &Self) {
        self.polls += other.polls;
        self.later_polls += other.later_polls;
        self.changes += other.changes;
        self.lags_s.extend(&other.lags_s);
    }

    /// That part of the lags is no longer than this, minutes.
    fn lag_min(&mut self, part: f64) -> f64 {
        self.lags_s.sort_unstable();
        let last = self.lags_s.len().saturating_sub(1);
        let lag = self.lags_s.get(((last as f64) * part).round() as usize).copied().unwrap_or(0);
        lag as f64 / 60.0
    }

    fn row(&mut self, kind: &str, how: &str, riders: u64) {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|part| self.lag_min(part));
        let days = (riders * 7 * u64::try_from(WEEKS).expect("positive")) as f64;
        println!(
            "{kind:<15} {how:<22} {:>10.1} {:>10.1} {:>9.1} {:>9.1} {:>10.1} {:>9.1}",
            self.polls as f64 / days,
            self.later_polls as f64 / days * 2.0,
            p50,
            p95,
            p99,
            self.changes as f64 / days,
        );
    }
}

/// Polls a rider by the plan, with the operator's floor, and learns.
fn adaptive(
    name: &str,
    rides: &[Planted],
    offset_minutes: i16,
    begin: Timestamp,
    floor: PollClass,
    out: &mut Measured,
) {
    let connection = ConnectionId::new("igpsport-global-1").expect("an id");
    let mut habits = Habits::new(UserId::new(name).expect("an id"), connection);
    let slot = |class| slot_of(name, "igpsport-global-1", class);
    let slots = PollClass::ALL.map(|class| (class, slot(class)));
    let slot = |class| slots.iter().find(|(one, _)| *one == class).map_or(0, |(_, slot)| *slot);
    let cold_slot = slot(PollClass::Cold);
    let mut class = PollClass::Warm;
    let mut planned = Planned { because: Because::New, since: begin, until: begin };
    let (mut found, mut now) = (0, begin);
    let end = begin + SignedDuration::from_hours(24 * 7 * WEEKS);
    loop {
        now = next_turn(class, slot(class), now);
        if now >= end {
            break;
        }
        out.polls += 1;
        out.later_polls += u64::from(now.duration_since(begin) >= SignedDuration::from_hours(12 * 7 * WEEKS));
        let new = rides[found..].iter().take_while(|ride| ride.appears <= now).count();
        for ride in &rides[found..found + new] {
            out.lags_s.push(now.duration_since(ride.appears).as_secs());
            let recorded = RecordedFacts {
                start: Some(ride.ended - SignedDuration::from_hours(1)),
                elapsed_s: Some(3600.0),
                utc_offset_s: Some(i32::from(offset_minutes) * 60),
                ..RecordedFacts::default()
            };
            habits.note(&Ride { recorded: Some(recorded), ..Ride::default() }, Some(now), now);
        }
        found += new;
        let turn = next_turn(PollClass::Cold, cold_slot, now);
        let before = (class, planned.until);
        if new > 0 {
            (class, planned) =
                (PollClass::Hot.max(floor), Planned { because: Because::Found, since: now, until: now + HOT });
        } else if !holds(&planned, class, now, turn) {
            let outlook = outlook(Some(&habits), begin, now, turn);
            class = outlook.class.max(floor);
            planned = Planned { because: outlook.because, since: now, until: outlook.until };
        }
        out.changes += u64::from(before != (class, planned.until));
    }
}

/// Polls each so many minutes.
fn fixed(name: &str, rides: &[Planted], begin: Timestamp, minutes: u64, out: &mut Measured) {
    let end = begin + SignedDuration::from_hours(24 * 7 * WEEKS);
    let phase = i64::from(slot_of(name, "igpsport-global-1", PollClass::Cold)) % i64::try_from(minutes).expect("small");
    let polls = u64::try_from(WEEKS).expect("positive") * 7 * 24 * 60 / minutes;
    (out.polls, out.later_polls) = (out.polls + polls, out.later_polls + polls / 2);
    for ride in rides.iter().filter(|ride| ride.appears < end) {
        let period = i64::try_from(minutes * 60).expect("small");
        let since = (ride.appears.as_second() - phase * 60).rem_euclid(period);
        out.lags_s.push((period - since) % period);
    }
}

fn main() {
    println!("{RIDERS} riders of each kind in {} time zones, {WEEKS} weeks, from knowing nothing", ZONES.len());
    println!(
        "{:<15} {:<22} {:>10} {:>10} {:>9} {:>9} {:>10} {:>9}",
        "", "", "polls/day", "weeks 5-8", "p50 min", "p95 min", "p99 min", "writes/d"
    );
    let begin: Timestamp = "2025-05-05T00:00:00Z".parse().expect("a moment");
    let ways = ["adaptive, floor 5 min", "adaptive, floor 1 min", "fixed 5 min", "fixed 20 min", "fixed 60 min"];
    let mut everybody: Vec<Measured> = ways.iter().map(|_| Measured::default()).collect();
    for kind in Kind::ALL {
        let mut measured: Vec<Measured> = ways.iter().map(|_| Measured::default()).collect();
        for number in 0..RIDERS {
            let chance = Chance(SeededEntropy::new(number * 7919 + 1));
            let offset = ZONES[usize::try_from(number).expect("small") % ZONES.len()];
            let rides = kind.rides(Date::constant(2025, 5, 5), offset, &chance);
            let rides: Vec<_> = rides.into_iter().filter(|ride| ride.appears >= begin).collect();
            let name = format!("{}-{number}", kind.name().replace(' ', "-"));
            adaptive(&name, &rides, offset, begin, PollClass::Warm, &mut measured[0]);
            adaptive(&name, &rides, offset, begin, PollClass::Hot, &mut measured[1]);
            for (place, minutes) in [(2, 5), (3, 20), (4, 60)] {
                fixed(&name, &rides, begin, minutes, &mut measured[place]);
            }
        }
        for ((way, measured), all) in ways.iter().zip(&mut measured).zip(&mut everybody) {
            measured.row(kind.name(), way, RIDERS);
            all.add(measured);
        }
    }
    let riders = RIDERS * Kind::ALL.len() as u64;
    for (way, measured) in ways.iter().zip(&mut everybody) {
        measured.row("everybody", way, riders);
    }
    let [adaptive, hot, fixed, ..] = &mut everybody[..] else { return };
    for (name, plan) in [(ways[0], adaptive), (ways[1], hot)] {
        let polls = plan.polls as f64 / fixed.polls as f64;
        let [p50, p95] = [0.5, 0.95].map(|part| plan.lag_min(part) / fixed.lag_min(part));
        println!("{name}, of fixed 5 min: {polls:.2} of its polls, {p50:.2} of its median lag, {p95:.2} of its p95");
    }
    println!("aim: at most half of its polls, and its lag or better");
}
