//! The live table: rides on their way to each sink.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anstyle::AnsiColor;
use fitbridge_core::{
    domain::{Activity, ActivityId, ConnectionId, ContentId, Delivery, DeliveryState, UserId},
    engine::Observer,
};
use jiff::Timestamp;

use super::cast::Cast;
use crate::out::{Out, paint};

/// Widest bar of the table, in characters.
const BAR: usize = 28;

#[derive(Debug, Default)]
struct State {
    rides: BTreeMap<(UserId, ActivityId), Activity>,
    deliveries: BTreeMap<(UserId, ConnectionId, ContentId), Delivery>,
    names: BTreeMap<(UserId, ConnectionId), &'static str>,
    /// Everything that ever failed and was not given up.
    stumbled: BTreeSet<String>,
    recent: Vec<String>,
}

/// Listens to the engine.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<State>,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns what the sinks are called.
    pub(crate) fn name_sinks(&self, cast: &Cast<'_>) {
        self.state().names = cast.sinks().clone();
    }

    /// Whether every ride is where it should be.
    pub(crate) fn is_quiet(&self, rides: usize) -> bool {
        let state = self.state();
        let there = |delivery: &Delivery| matches!(delivery.state, DeliveryState::Delivered { .. });
        state.rides.len() == rides
            && state.rides.values().all(|ride| ride.state.stage().is_none())
            && state.deliveries.len() == rides * 3
            && state.deliveries.values().all(there)
    }

    /// How many rides are fetched and deliveries made so far.
    pub(crate) fn done(&self) -> usize {
        let state = self.state();
        let fetched = state.rides.values().filter(|ride| ride.state.content().is_some()).count();
        let there = |delivery: &&Delivery| matches!(delivery.state, DeliveryState::Delivered { .. });
        fetched + state.deliveries.values().filter(there).count()
    }

    /// How much failed first and came through after all.
    pub(crate) fn healed(&self) -> usize {
        let state = self.state();
        let rides = state.rides.values().filter(|ride| ride.state.content().is_some());
        let rides = rides.filter(|ride| state.stumbled.contains(ride.id.as_str())).count();
        let there =
            state.deliveries.values().filter(|delivery| matches!(delivery.state, DeliveryState::Delivered { .. }));
        rides + there.filter(|delivery| state.stumbled.contains(&delivery.idempotency_id())).count()
    }

    fn rows(&self) -> Vec<String> {
        let state = self.state();
        let mut users: Vec<&UserId> = state.names.keys().map(|(user, _)| user).collect();
        users.dedup();
        let mut rows = Vec::new();
        for user in users {
            let rides: Vec<_> = state.rides.iter().filter(|((of, _), _)| of == user).map(|(_, ride)| ride).collect();
            let fetched = rides.iter().filter(|ride| ride.state.content().is_some()).count();
            rows.push(format!("{:<6} {:<11} {}", user.as_str(), "igpsport", bar(fetched, 0, rides.len())));
            for ((_, sink), name) in state.names.iter().filter(|((of, _), _)| of == user) {
                let mine = state.deliveries.iter().filter(|((of, to, _), _)| of == user && to == sink);
                let (mut there, mut retrying) = (0, 0);
                for (_, delivery) in mine {
                    match delivery.state {
                        DeliveryState::Delivered { .. } => there += 1,
                        DeliveryState::Retrying { .. } => retrying += 1,
                        _ => {}
                    }
                }
                rows.push(format!("{:<6} → {name:<9} {}", "", bar(there, retrying, rides.len())));
            }
        }
        rows
    }

    fn note(state: &mut State, text: String) {
        state.recent.push(text);
        let surplus = state.recent.len().saturating_sub(200);
        state.recent.drain(..surplus);
    }
}

fn bar(done: usize, retrying: usize, of: usize) -> String {
    let width = |count: usize| (count * BAR).checked_div(of).unwrap_or(0);
    let (full, broken) = (width(done), width(done + retrying) - width(done));
    let rest = BAR.saturating_sub(full + broken);
    format!(
        "{}{}{} {done:>3}/{of:<3}{}",
        paint(AnsiColor::Green, "█".repeat(full)),
        paint(AnsiColor::Yellow, "▒".repeat(broken)),
        "·".repeat(rest),
        if retrying > 0 { format!(" {retrying} retrying") } else { String::new() }
    )
}

impl Observer for Board {
    fn activity(&self, activity: &Activity) {
        let mut state = self.state();
        let id = activity.id.to_string();
        if let Some(failure) = activity.state.failure() {
            Self::note(&mut state, format!("{}: ride {}: {failure}", activity.user, activity.rider_id()));
            state.stumbled.insert(id);
        } else if activity.state.content().is_some() && state.stumbled.contains(&id) {
            Self::note(&mut state, format!("{}: ride {} healed: fetched", activity.user, activity.rider_id()));
        }
        state.rides.insert((activity.user.clone(), activity.id.clone()), activity.clone());
    }

    fn delivery(&self, delivery: &Delivery) {
        let mut state = self.state();
        let id = delivery.idempotency_id();
        let name = state.names.get(&(delivery.user.clone(), delivery.sink.clone())).copied().unwrap_or("sink");
        if let Some(failure) = delivery.state.failure() {
            Self::note(&mut state, format!("{}: {name}: {failure}", delivery.user));
            state.stumbled.insert(id);
        } else if matches!(delivery.state, DeliveryState::Delivered { .. }) && state.stumbled.contains(&id) {
            Self::note(
                &mut state,
                format!("{}: {name} healed: delivered after {} attempts", delivery.user, delivery.attempts),
            );
        }
        state.deliveries.insert((delivery.user.clone(), delivery.sink.clone(), delivery.content), delivery.clone());
    }
}

/// Draws the table over itself on a terminal; elsewhere it prints what happens, and the table once a while.
#[derive(Debug)]
pub(crate) struct Screen {
    out: Out,
    terminal: bool,
    drawn: usize,
    last_second: u64,
}

impl Screen {
    /// On this output.
    pub(crate) fn new(out: Out, terminal: bool) -> Self {
        Self { out, terminal: terminal && !out.is_json(), drawn: 0, last_second: 0 }
    }

    /// Draws the present state.
    pub(crate) fn draw(&mut self, board: &Board, now: Timestamp, elapsed: Duration) {
        let mut rows = board.rows();
        let clock = format!("demo time {}", now.strftime("%Y-%m-%d %H:%M"));
        if self.terminal {
            let recent: Vec<_> = board.state().recent.iter().rev().take(4).rev().cloned().collect();
            rows.insert(0, clock);
            rows.push(String::new());
            rows.extend((0..4).map(|n| recent.get(n).map(|text| text.chars().take(110).collect()).unwrap_or_default()));
            let mut frame = String::new();
            if self.drawn > 0 {
                frame.push_str(&format!("\u{1b}[{}A", self.drawn));
            }
            for row in &rows {
                frame.push_str(&format!("\u{1b}[2K{row}\n"));
            }
            // A terminal that has gone away needs no table.
            let _ = anstream::stdout().write_all(frame.as_bytes());
            let _ = anstream::stdout().flush();
            self.drawn = rows.len();
            return;
        }
        for text in std::mem::take(&mut board.state().recent) {
            self.out.line(format!("  {text}"));
        }
        if elapsed.as_secs() >= self.last_second + 5 {
            self.last_second = elapsed.as_secs();
            self.out.line(clock);
            for row in rows {
                self.out.line(row);
            }
        }
    }
}
