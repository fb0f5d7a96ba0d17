//! What riders do: ride, connect, renew, disconnect, import, and answer what they are asked.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use fitbridge_core::{
    Code, Engine,
    domain::{Connection, ContentId, History, ListedFacts, RemoteAccount, RideId, UserId},
    engine::{EngineError, connect::Wish, held::Word, secrets::SourceSecret},
    ports::{Identity, Key, Login, Source, SourceIdentity},
    store::Store,
    testkit::FakeRide,
};
use futures::FutureExt;
use secrecy::SecretString;

use crate::{
    clockwork::{HOUR, MINUTE, SECOND, lock, to_timestamp, within},
    trouble::Fault,
    workers::{Plan, engine},
    world::{Kind, Manner, Mortal, Process, SECRET_CANARY, SimFile, TrueRide, World, date_of, sink_account},
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
    /// Whether this rider mends a pause as soon as it is there.
    is_prompt: bool,
    next_ride: u64,
    next_number: i64,
    next_late: i64,
    token: Mutex<Option<SecretString>>,
    /// How many processes served this rider.
    lives: u64,
}

/// Something a rider asks for; again and again until it is done.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    ConnectSource,
    ConnectSink(Manner),
    DisconnectSource,
    DisconnectSink(Manner),
    Import(SimFile),
}

impl Ask {
    fn is_import(&self) -> bool {
        matches!(self, Self::Import(_))
    }
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
        let mut rider = Self {
            user: UserId::from_any(&name),
            account,
            wants_source: true,
            sinks,
            asked,
            imported: Mutex::default(),
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
        rider
    }

    fn tell(&self, world: &World, what: impl FnOnce() -> String) {
        world.story.tell(self.user.as_str(), what);
    }

    /// A new ride comes to the cloud, today or with a date long past, in whatever state.
    fn ride(&mut self, world: &World) {
        let clockwork = &world.clockwork;
        self.next_ride += 1;
        let is_late = clockwork.one_in(5);
        let number = if is_late { self.next_late } else { self.next_number };
        if is_late {
            self.next_late -= 1;
        } else {
            self.next_number += 1;
        }
        let kind = match clockwork.below(24) {
            0 => Kind::Settings,
            1 => Kind::Junk,
            _ => Kind::Ride,
        };
        let earlier = lock(&world.truth)
            .accounts
            .get(self.user.as_str())
            .and_then(|known| known.rides.values().next_back().map(|ride| ride.file.clone()));
        let again = earlier.filter(|_| clockwork.one_in(10));
        let is_new = again.is_none();
        let file = again.unwrap_or_else(|| SimFile::new(self.user.as_str(), number, kind));
        let now = world.now_ms();
        let later = |rarely: i64, longest: i64| {
            if clockwork.one_in(rarely) { now + clockwork.between(MINUTE, longest) } else { 0 }
        };
        let ready_at = if clockwork.one_in(60) { i64::MAX } else { later(6, 3 * HOUR) };
        let (whole_at, kills) = (later(10, HOUR), clockwork.one_in(60));
        let mut truth = lock(&world.truth);
        // What was imported before went well already.
        let is_new = is_new && !truth.served.contains_key(&(self.user.clone(), file.content()));
        if is_new && clockwork.one_in(40) {
            truth.unwanted.insert(file.content());
        } else if is_new && clockwork.one_in(60) {
            truth.deadly.insert(file.content());
        }
        if clockwork.one_in(8) {
            lock(&world.sinks).came_elsewhere(&self.user, number);
        }
        let id = RideId(self.next_ride);
        let facts =
            ListedFacts { title: Some(format!("Ride {id}")), date: Some(date_of(number)), ..ListedFacts::default() };
        let row = FakeRide { id, facts, bytes: file.bytes.clone(), twice: clockwork.one_in(20) };
        let shifts = clockwork.one_in(4);
        let uploaded_at = if shifts { i64::MAX } else { now };
        let ride = TrueRide { file, ready_at, whole_at, kills, uploaded_at, is_deleted: false };
        truth.accounts.entry(self.user.to_string()).or_default().rides.insert(id, ride);
        drop(truth);
        self.tell(world, || {
            format!("uploads ride {id} of {}{}", date_of(number), if shifts { ", while a list is read" } else { "" })
        });
        if shifts {
            let page = u32::try_from(clockwork.between(1, 2)).unwrap_or(1);
            world.source.upload_after_page(&self.account, page, row);
        } else {
            world.source.upload(&self.account, row);
        }
    }

    fn delete_a_ride(&self, world: &World) {
        let mut truth = lock(&world.truth);
        let now = world.now_ms();
        let Some(account) = truth.accounts.get_mut(self.user.as_str()) else { return };
        let there: Vec<RideId> = account
            .rides
            .iter()
            .filter(|(_, ride)| ride.uploaded_at <= now && !ride.is_deleted)
            .map(|(id, _)| *id)
            .collect();
        let Some(id) = world.clockwork.pick(&there).copied() else { return };
        if let Some(ride) = account.rides.get_mut(&id) {
            ride.is_deleted = true;
        }
        account.deleted_at = now;
        world.source.delete(&self.account, id);
        self.tell(world, || format!("deletes ride {id}"));
    }

    /// Thinks of something new to do.
    fn fancy(&mut self, world: &World) {
        let clockwork = &world.clockwork;
        match clockwork.below(20) {
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

    /// What waits for this rider, as a status page shows it.
    fn look(&mut self, world: &World) {
        for manner in self.sinks.clone() {
            if is_paused(world, &self.user, &sink_account(manner, &self.user)) {
                self.asked.push(Ask::ConnectSink(manner));
            }
        }
        if self.wants_source && is_paused(world, &self.user, &self.account) {
            self.asked.push(Ask::ConnectSource);
        }
    }

    async fn does(&self, world: &World, engine: &Engine, ask: &Ask) -> Result<(), EngineError> {
        let wish = |name: String| Wish { user: self.user.clone(), name, history: Some(History::All) };
        match ask {
            Ask::ConnectSource => {
                let life = match world.trouble.is_on() {
                    true if world.clockwork.one_in(2) => world.clockwork.between(20, 300) * MINUTE,
                    true => world.clockwork.between(1, 40) * HOUR,
                    false => 40 * 24 * HOUR,
                };
                let token = world.source.token(&self.account, Some(to_timestamp(world.now_ms() + life)));
                let stays = world.clockwork.one_in(2);
                let password = SecretString::from(format!("{SECRET_CANARY}-password"));
                let login = stays.then(|| Login { username: self.user.to_string(), password });
                *lock(&self.token) = Some(token.clone());
                if let Some(account) = lock(&world.truth).accounts.get_mut(self.user.as_str()) {
                    account.logged_in_until = None;
                }
                // What is there at connecting is history, and comes little by little.
                let known = world.source.identify(&token, Some(&self.account.realm)).now_or_never();
                let latest = known.and_then(Result::ok).and_then(|mut known| known.pop()).map(|known| known.latest);
                let latest = latest.unwrap_or_default();
                let identity = SourceIdentity { account: self.account.clone(), nickname: None, latest };
                let wish = wish("igpsport".into());
                engine.connect_source(&wish, &identity, &SourceSecret { token, login }).await?;
            }
            Ask::ConnectSink(manner) => {
                let key = lock(&world.sinks).new_key(*manner, &self.user);
                let identity = Identity {
                    account: sink_account(*manner, &self.user),
                    label: self.user.to_string(),
                    settings: serde_json::json!({ "account": self.user.as_str() }),
                };
                engine.connect_sink(&wish(manner.service().to_string()), &identity, Some(&key)).await?;
            }
            Ask::DisconnectSource => drop(engine.disconnect(&self.user, "igpsport").await?),
            Ask::DisconnectSink(manner) => drop(engine.disconnect(&self.user, manner.service().as_str()).await?),
            Ask::Import(file) => {
                let served = (self.user.clone(), file.content());
                lock(&world.truth).served.insert(served, file.clone());
                engine.import(&self.user, "ride.fit", file.bytes.clone()).await?;
                lock(&self.imported).insert(file.content());
            }
        }
        Ok(())
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

/// What the ledger says of a connection, however it is meant.
pub(crate) fn connection(world: &World, user: &UserId, account: &RemoteAccount) -> Option<Connection> {
    let store = Store::new(Arc::new(world.ledger.clone()));
    let key = Key::connection(user, &account.connection_id());
    store.read::<Connection>(&key).now_or_never()?.ok()?.map(|stored| stored.doc)
}

fn is_paused(world: &World, user: &UserId, account: &RemoteAccount) -> bool {
    connection(world, user, account).is_some_and(|known| known.paused().is_some())
}

/// One rider's days, until the world ends. What the rider asks for is done by processes that may die.
pub(crate) async fn days(world: Arc<World>, rider: Arc<futures::lock::Mutex<Rider>>, plan: Plan) {
    let mut is_called = false;
    loop {
        let paused = world.paused.next();
        let is_prompt = {
            let mut rider = rider.lock().await;
            if world.trouble.is_on() && !is_called {
                rider.fancy(&world);
            }
            if !world.trouble.is_on() || rider.is_prompt || world.clockwork.one_in(3) {
                rider.look(&world);
            }
            rider.lives += 1;
            let name = format!("{}'s web", rider.user);
            let process = Arc::new(Process::new(&world, &name, rider.lives, false));
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
                Err(EngineError::Refused(failure)) if failure.code != Code::Contended => {
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
