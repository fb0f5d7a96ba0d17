//! What riders do: ride, think of something, look how things stand, and have done what they ask for.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::Ordering},
};

use fitbridge_core::{
    Code, Engine,
    domain::{ContentId, History, Quiet, RemoteAccount, UserId},
    engine::{EngineError, held::Word},
};
use secrecy::SecretString;

use crate::{
    asks::{Ask, connection},
    clockwork::{HOUR, MINUTE, SECOND, lock, within},
    trouble::Fault,
    workers::{Plan, engine},
    world::{Kind, Manner, Mortal, Process, SimFile, Via, World, date_of, sink_account},
};

/// What a rider wants and has done. The world reads it when it judges.
#[derive(Debug)]
pub(crate) struct Rider {
    pub(crate) user: UserId,
    pub(crate) account: RemoteAccount,
    /// Whether rides are to come from the cloud.
    pub(crate) wants_source: bool,
    /// Where they are to go.
    pub(crate) sinks: BTreeSet<Manner>,
    /// What is asked for but not known to be done.
    pub(crate) asked: Vec<Ask>,
    /// Files that were imported.
    pub(crate) imported: Mutex<BTreeSet<ContentId>>,
    /// How far back the source reaches, and sinks.
    pub(crate) source_history: History,
    pub(crate) sink_history: History,
    /// How the rider wants to be told.
    channels: BTreeSet<Via>,
    /// Whether the account is gone, or going.
    pub(crate) is_leaving: bool,
    /// Sinks that do not get everything.
    ruled: BTreeSet<Manner>,
    /// Whether everything was asked for once nothing goes wrong any more.
    wants_all: bool,
    /// Whether this rider mends a pause as soon as it is there.
    is_prompt: bool,
    pub(crate) next_ride: u64,
    pub(crate) next_number: i64,
    pub(crate) next_late: i64,
    pub(crate) token: Mutex<Option<SecretString>>,
    /// How many processes served this rider.
    lives: u64,
}

impl Rider {
    pub(crate) fn new(world: &World, number: u32) -> Self {
        let name = format!("rider{number}");
        let realm = if world.clockwork.one_in(3) { "china" } else { "global" };
        let account = world.source.account(realm, &name);
        let clockwork = &world.clockwork;
        let mut sinks = BTreeSet::new();
        for manner in Manner::ALL {
            if clockwork.one_in(2) {
                sinks.insert(manner);
            }
        }
        if sinks.is_empty() {
            sinks.insert(Manner::Forgets);
        }
        let mut asked = vec![Ask::ConnectSource];
        asked.extend(sinks.iter().copied().map(Ask::ConnectSink));
        asked.extend(first_words(world));
        let mut rider = Self {
            user: UserId::from_any(&name),
            account,
            wants_source: true,
            sinks,
            asked,
            imported: Mutex::default(),
            source_history: reach(world),
            sink_history: if clockwork.one_in(8) { History::None } else { History::All },
            channels: BTreeSet::new(),
            is_leaving: false,
            ruled: BTreeSet::new(),
            wants_all: false,
            is_prompt: clockwork.one_in(2),
            next_ride: 1000,
            next_number: 500,
            next_late: 499,
            token: Mutex::default(),
            lives: 0,
        };
        // More than fit on a page of the list; and now and then more than any page of the ledger holds.
        let rides = clockwork.pick(&[0, 1, 2, 4, 6, 9, 14, 22, 43]).copied().unwrap_or(0);
        let rides = if clockwork.one_in(60) { clockwork.between(80, 130) } else { rides };
        for _ in 0..rides {
            rider.ride(world);
        }
        if let History::Since(_) = rider.source_history {
            world.wishes(&rider.user, |wishes| wishes.not_before = Some(HISTORY_FROM));
        }
        for via in rider.asked.iter().filter_map(|ask| if let Ask::SetChannel(via) = ask { Some(*via) } else { None }) {
            rider.channels.insert(via);
        }
        rider
    }

    pub(crate) fn tell(&self, world: &World, what: impl FnOnce() -> String) {
        world.story.tell(self.user.as_str(), what);
    }

    /// Thinks of something new to do.
    fn fancy(&mut self, world: &World) {
        let clockwork = &world.clockwork;
        match clockwork.below(30) {
            0..=7 => self.ride(world),
            8 => self.delete_a_ride(world),
            9 | 10 => self.asked.push(Ask::ConnectSource),
            11 => {
                let manner = clockwork.pick(&Manner::ALL).copied().unwrap_or(Manner::Knows);
                self.sinks.insert(manner);
                self.asked.push(Ask::ConnectSink(manner));
                if clockwork.one_in(2) {
                    self.next_number += 1;
                    let file = SimFile::new(self.user.as_str(), self.next_number, Kind::Ride);
                    self.asked.push(Ask::Import(file));
                }
            }
            12 if self.sinks.len() > 1 => {
                if let Some(manner) = self.sinks.pop_first() {
                    self.asked.push(Ask::DisconnectSink(manner));
                }
            }
            13 if clockwork.one_in(4) => {
                self.asked.push(Ask::DisconnectSource);
                self.asked.push(Ask::ConnectSource);
            }
            18..=25 => self.fancy_of_rides(world),
            26 if clockwork.one_in(12) => {
                self.is_leaving = true;
                self.wants_source = false;
                self.sinks.clear();
                self.asked = vec![Ask::DeleteAccount];
            }
            14 | 15 => {
                let known = lock(&world.truth).accounts.get(self.user.as_str()).and_then(|account| {
                    account.rides.values().find(|ride| ride.file.kind == Kind::Ride && !ride.is_deleted).cloned()
                });
                self.next_number += 1;
                let file = match known {
                    Some(ride) if clockwork.one_in(2) => ride.file,
                    _ => SimFile::new(self.user.as_str(), self.next_number, Kind::Ride),
                };
                self.asked.push(Ask::Import(file));
            }
            16 if world.trouble.hits(Fault::Revoked) => {
                let token = lock(&self.token).take();
                if let Some(token) = token {
                    self.tell(world, || "FAULT Revoked: the token is no longer taken".to_owned());
                    world.source.revoke(&token);
                }
            }
            17 if world.trouble.hits(Fault::Revoked) => {
                let manners: Vec<_> = self.sinks.iter().copied().collect();
                if let Some(manner) = clockwork.pick(&manners) {
                    self.tell(world, || format!("FAULT Revoked: the key of {} is no longer taken", manner.service()));
                    lock(&world.sinks).new_key(*manner, &self.user);
                }
            }
            _ => {}
        }
    }

    /// Thinks of something to do with the rides that are there, or with how they come.
    fn fancy_of_rides(&mut self, world: &World) {
        let clockwork = &world.clockwork;
        let manners: Vec<_> = self.sinks.iter().copied().collect();
        let manner = clockwork.pick(&manners).copied();
        let mut some = self.some_rides(world, 2);
        let ask = match (clockwork.below(22), some.pop(), manner) {
            (0..=3, Some(ride), _) => Ask::Forget(ride, clockwork.one_in(2)),
            (4 | 5, Some(ride), _) => Ask::Resync(ride, manner.filter(|_| clockwork.one_in(2)), clockwork.one_in(3)),
            (6 | 7, Some(ride), Some(manner)) => Ask::Replace(ride, manner),
            (8, ..) => {
                // What a sink would not take, it takes now.
                let unwanted = lock(&world.truth).unwanted.clone();
                lock(&world.truth).mended.extend(unwanted);
                lock(&world.truth).unwanted.clear();
                Ask::Redrive
            }
            (9, ..) => Ask::Redrive,
            (10 | 11, Some(ride), _) => Ask::Link(some.into_iter().chain([ride]).collect()),
            (12 | 13, Some(ride), _) => Ask::Split(ride),
            (14, _, Some(manner)) => {
                self.ruled.insert(manner);
                Ask::Rules(manner, Some(30_000))
            }
            (15, _, Some(manner)) => Ask::Rules(manner, None),
            (16, ..) => Ask::StopBackfill,
            (17, ..) => Ask::Backfill(Some(date_of(clockwork.between(440, 520)))),
            (18, ..) => Ask::Reconcile,
            (19, ..) => Ask::Wake,
            (20, ..) => Ask::Export,
            _ => match self.channels.pop_first() {
                Some(via) => Ask::DropChannel(via),
                None => {
                    self.channels.insert(Via::Hook);
                    Ask::SetChannel(Via::Hook)
                }
            },
        };
        if let Ask::Backfill(Some(since)) = &ask {
            world.wishes(&self.user, |wishes| wishes.not_before = None);
            self.source_history = self.source_history.widened(Some(*since));
        }
        self.asked.push(ask);
    }

    /// What waits for this rider, as a status page shows it.
    fn look(&mut self, world: &World) {
        if self.is_leaving {
            // What was under way may have written something since.
            if !world.trouble.is_on() && world.knows_of(&self.user) {
                self.asked.push(Ask::DeleteAccount);
            }
            return;
        }
        if !world.trouble.is_on() {
            self.want_all(world);
        }
        for manner in self.sinks.clone() {
            if is_paused(world, &self.user, &sink_account(manner, &self.user)) {
                self.asked.push(Ask::ConnectSink(manner));
            }
        }
        if self.wants_source && is_paused(world, &self.user, &self.account) {
            self.asked.push(Ask::ConnectSource);
        }
    }

    /// Once nothing goes wrong any more, the rider wants every ride everywhere.
    fn want_all(&mut self, world: &World) {
        if !std::mem::replace(&mut self.wants_all, true) {
            if self.sink_history != History::All {
                self.asked.extend(self.sinks.iter().copied().map(Ask::ConnectSink));
            }
            (self.source_history, self.sink_history) = (History::All, History::All);
            world.wishes(&self.user, |wishes| wishes.not_before = None);
            self.asked.push(Ask::Backfill(None));
            if world.has_jumped.load(Ordering::Relaxed) {
                // What a wrong clock gave up too soon.
                self.asked.push(Ask::Redrive);
            }
        }
        let left_out = self.ruled.intersection(&self.sinks).filter(|manner| self.is_left_out(world, **manner));
        let left_out: Vec<_> = left_out.map(|manner| Ask::Rules(*manner, None)).collect();
        self.asked.extend(left_out);
        if self.misses_a_row(world) {
            self.asked.push(Ask::Reconcile);
        }
    }

    /// Whether a row that could not be decoded for a while is still not known.
    fn misses_a_row(&self, world: &World) -> bool {
        let truth = lock(&world.truth);
        let Some(account) = truth.accounts.get(self.user.as_str()) else { return false };
        account.rides.iter().any(|(id, ride)| {
            let is_good_now = (1..world.now_ms()).contains(&ride.bad_until) && !ride.is_deleted;
            is_good_now && world.source.bytes(&self.account, *id).is_some() && !self.knows(world, *id)
        })
    }

    async fn answer_held(&self, world: &World, engine: &Engine) -> Result<(), EngineError> {
        for held in engine.held(&self.user).await? {
            let word = if world.clockwork.one_in(2) { Word::Send } else { Word::Skip };
            self.tell(world, || format!("says {word:?} to {}", held.doc.about.external_id));
            engine.say(&held, word).await?;
        }
        Ok(())
    }
}

fn is_paused(world: &World, user: &UserId, account: &RemoteAccount) -> bool {
    // What the operator paused, the operator resumes.
    connection(world, user, account)
        .is_some_and(|known| known.paused().is_some_and(|why| why.code != Code::RiderPaused))
}

/// The first ride that a rider wants who does not want all of them.
const HISTORY_FROM: i64 = 504;

fn reach(world: &World) -> History {
    match world.clockwork.below(8) {
        0 => History::None,
        1 => History::Since(date_of(HISTORY_FROM)),
        _ => History::All,
    }
}

/// How a rider wants to be told.
fn first_words(world: &World) -> Vec<Ask> {
    let clockwork = &world.clockwork;
    let mut words = Vec::new();
    if clockwork.one_in(2) {
        words.push(Ask::SetChannel(Via::Hook));
    }
    if clockwork.one_in(3) {
        words.push(Ask::SetChannel(Via::Mail));
    }
    if !words.is_empty() && clockwork.one_in(3) {
        let from = clockwork.below(24);
        let to = (from + clockwork.between(1, 9)) % 24;
        words.extend(Quiet::parse(&format!("{from:02}:00-{to:02}:00"), "UTC").ok().map(Ask::Quiet));
    }
    words
}

/// One rider's days, until the world ends. What the rider asks for is done by processes that may die.
pub(crate) async fn days(world: Arc<World>, rider: Arc<futures::lock::Mutex<Rider>>, plan: Plan) {
    let mut is_called = false;
    loop {
        let paused = world.paused.next();
        let is_prompt = {
            let mut rider = rider.lock().await;
            if world.trouble.is_on() && !is_called && !rider.is_leaving {
                rider.fancy(&world);
            }
            if !world.trouble.is_on() || rider.is_prompt || world.clockwork.one_in(3) {
                rider.look(&world);
            }
            rider.lives += 1;
            let name = format!("{}'s web", rider.user);
            let process = Arc::new(Process::new(&world, &name, rider.lives, false).of_rider(&rider.user));
            let served = Mortal::new(&process, serve(&world, &mut rider, engine(&process, &plan))).await;
            if served.is_none() {
                process.tell(|| "DIES here".to_owned());
                world.ledger.kill(&process.owner);
            }
            rider.is_prompt
        };
        let longest = if world.trouble.is_on() { 40 * MINUTE } else { 3 * HOUR };
        let wait = world.clockwork.between(SECOND, longest);
        if is_prompt {
            world.clockwork.sleep(SECOND).await;
            is_called = within(&world.clockwork, wait, paused).await.is_some();
        } else {
            world.clockwork.sleep(wait).await;
        }
    }
}

/// Does what the rider asks for, in this order; what fails is asked for again the next time.
async fn serve(world: &World, rider: &mut Rider, engine: Engine) {
    while let Some(first) = rider.asked.first().cloned() {
        // An import goes on while something is connected, as in two windows.
        let second = rider.asked.get(1).filter(|second| second.is_import() != first.is_import()).cloned();
        let asks: Vec<Ask> = std::iter::once(first).chain(second).collect();
        rider.tell(world, || format!("asks for {asks:?}"));
        let results = futures::future::join_all(asks.iter().map(|ask| rider.does(world, &engine, ask))).await;
        let mut failed = Vec::new();
        for (ask, result) in asks.iter().zip(results) {
            match result {
                Ok(()) => {}
                Err(EngineError::Refused(failure))
                    if ![Code::Contended, Code::OthersAtWork, Code::RiderPaused].contains(&failure.code) =>
                {
                    is_refused(world, rider, ask);
                    rider.tell(world, || format!("is refused {ask:?}: {failure}"));
                }
                Err(error) => {
                    rider.tell(world, || format!("fails to get {ask:?}: {error}"));
                    failed.push(ask.clone());
                }
            }
        }
        let is_done = failed.is_empty();
        rider.asked.splice(..asks.len(), failed);
        if !is_done {
            return;
        }
    }
    if (!world.trouble.is_on() || world.clockwork.one_in(4))
        && let Err(error) = rider.answer_held(world, &engine).await
    {
        rider.tell(world, || format!("cannot answer what is held: {error}"));
    }
}

/// What is refused is not asked again; a deletion is refused where there is nothing left.
fn is_refused(world: &World, rider: &Rider, ask: &Ask) {
    if matches!(ask, Ask::DeleteAccount) {
        world.wishes(&rider.user, |wishes| wishes.deleted_at = wishes.deleted_at.or(Some(world.now_ms())));
    }
}
