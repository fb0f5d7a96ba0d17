//! What riders ask for, by the commands that there are.

use std::sync::Arc;

use fitbridge_core::{
    Engine,
    domain::{
        Activity, ActivityId, ActivityState, Connection, Delivery, DeliveryState, History, Origin, Quiet,
        RemoteAccount, RideId, Rules, UserId,
    },
    engine::{EngineError, connect::Wish, redrive::Which, resync::Resynced, secrets::SourceSecret},
    ports::{Bundle, BundleError, Identity, Key, Ledger, Login, Source, SourceIdentity},
    store::Store,
};
use futures::FutureExt;
use jiff::civil::Date;
use secrecy::SecretString;

use crate::{
    clockwork::{HOUR, MINUTE, lock, to_timestamp},
    riders::Rider,
    world::{Manner, SECRET_CANARY, SimFile, Via, World, sink_account},
};

/// Something a rider asks for; again and again until it is done.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    ConnectSource,
    ConnectSink(Manner),
    DisconnectSource,
    DisconnectSink(Manner),
    Import(SimFile),
    /// `forget`, with its file or without.
    Forget(ActivityId, bool),
    /// `resync`: to that sink or to all, fetched again or not.
    Resync(ActivityId, Option<Manner>, bool),
    /// Takes a copy away at the sink, and has it sent again.
    Replace(ActivityId, Manner),
    /// `retry`.
    Redrive,
    Link(Vec<ActivityId>),
    Split(ActivityId),
    /// No shorter rides for that sink than so many metres; `None` for all of them, those left out before as well.
    Rules(Manner, Option<u32>),
    Backfill(Option<Date>),
    StopBackfill,
    Reconcile,
    /// `sync`.
    Wake,
    SetChannel(Via),
    DropChannel(Via),
    Quiet(Quiet),
    Export,
    DeleteAccount,
}

impl Ask {
    pub(crate) fn is_import(&self) -> bool {
        matches!(self, Self::Import(_))
    }
}

/// An export that is only read, for secrets.
struct Paper<'a>(&'a World);

impl Bundle for Paper<'_> {
    fn begin(&mut self, name: &str) -> Result<(), BundleError> {
        self.0.has_no_secret("the name of an export's entry", name);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.0.has_no_secret("an export", &String::from_utf8_lossy(bytes));
        Ok(())
    }
}

/// What the ledger says of a connection, however it is meant.
pub(crate) fn connection(world: &World, user: &UserId, account: &RemoteAccount) -> Option<Connection> {
    let store = Store::new(Arc::new(world.ledger.clone()));
    let key = Key::connection(user, &account.connection_id());
    store.read::<Connection>(&key).now_or_never()?.ok()?.map(|stored| stored.doc)
}

/// What the ledger says of a ride; of the one whose file it has, where it is a duplicate.
pub(crate) fn ride(world: &World, user: &UserId, id: &ActivityId) -> Option<Activity> {
    let store = Store::new(Arc::new(world.ledger.clone()));
    let read = |id: &ActivityId| store.activity(user, id).now_or_never()?.ok()?.map(|stored| stored.doc);
    let ride = read(id)?;
    match &ride.state {
        ActivityState::Duplicate { of, .. } => read(of),
        _ => Some(ride),
    }
}

impl Rider {
    pub(crate) async fn does(&self, world: &World, engine: &Engine, ask: &Ask) -> Result<(), EngineError> {
        match ask {
            Ask::ConnectSource => self.connect_source(world, engine).await?,
            Ask::ConnectSink(manner) => self.connect_sink(world, engine, *manner).await?,
            Ask::DisconnectSource => drop(self.disconnect(world, engine, "igpsport", &self.account).await?),
            Ask::DisconnectSink(manner) => {
                let account = sink_account(*manner, &self.user);
                self.disconnect(world, engine, manner.service().as_str(), &account).await?;
            }
            Ask::Import(file) => {
                let served = (self.user.clone(), file.content());
                lock(&world.truth).served.insert(served, file.clone());
                engine.import(&self.user, "ride.fit", file.bytes.clone()).await?;
                lock(&self.imported).insert(file.content());
            }
            Ask::Forget(ride, erase) => {
                world.wishes(&self.user, |wishes| wishes.asks_to_forget(ride));
                let forgot = engine.forget(&self.user, ride, *erase).await?;
                world.wishes(&self.user, |wishes| wishes.forgot(&forgot, *erase, world.now_ms()));
            }
            Ask::Resync(ride, sink, fetch) => self.resync(world, engine, ride, *sink, *fetch).await?,
            Ask::Replace(ride, manner) => {
                self.take_copies_away(world, ride, *manner);
                self.resync(world, engine, ride, Some(*manner), false).await?;
            }
            Ask::Redrive => drop(engine.redrive(&self.user, &Which::default()).await?),
            Ask::Link(rides) => {
                world.wishes(&self.user, |wishes| wishes.regroups(rides));
                let group = engine.link(&self.user, rides).await?;
                let all: Vec<_> = group.others.iter().chain([&group.primary]).map(|ride| ride.id.clone()).collect();
                world.wishes(&self.user, |wishes| wishes.regroups(&all));
            }
            Ask::Split(ride) => {
                world.wishes(&self.user, |wishes| wishes.regroups(std::slice::from_ref(ride)));
                engine.split(&self.user, ride).await?;
            }
            Ask::Rules(manner, least) => self.set_rules(engine, *manner, *least).await?,
            Ask::Backfill(since) => {
                world.wishes(&self.user, |wishes| wishes.not_before = None);
                engine.begin_backfill(&self.user, &self.account.connection_id(), *since).await?;
            }
            Ask::StopBackfill => drop(engine.stop_backfill(&self.user, &self.account.connection_id()).await?),
            Ask::Reconcile => drop(engine.begin_reconcile(&self.user, &self.account.connection_id()).await?),
            Ask::Wake => drop(engine.wake_all(&self.user).await?),
            Ask::SetChannel(via) => {
                let secret = SecretString::from(format!("{SECRET_CANARY}-channel"));
                let settings = serde_json::json!({ "to": self.user.as_str() });
                let channel = engine.check_channel(&via.service(), &settings, Some(&secret), false).await?;
                engine.set_channel(&self.user, channel, Some(&secret)).await?;
            }
            Ask::DropChannel(via) => {
                world.wishes(&self.user, |wishes| wishes.lost_a_channel = true);
                engine.drop_channels(&self.user, Some(&via.service())).await?;
            }
            Ask::Quiet(quiet) => {
                engine.set_quiet(&self.user, Some(quiet.clone())).await?;
                world.wishes(&self.user, |wishes| wishes.quiet_since = Some(world.now_ms()));
            }
            Ask::Export => drop(engine.export(&self.user, &mut Paper(world)).await?),
            Ask::DeleteAccount => {
                world.wishes(&self.user, |wishes| wishes.is_leaving = true);
                engine.delete_account(&self.user).await?;
                world.wishes(&self.user, |wishes| {
                    wishes.deleted_at = wishes.deleted_at.or(Some(world.now_ms()));
                });
            }
        }
        Ok(())
    }

    async fn connect_source(&self, world: &World, engine: &Engine) -> Result<(), EngineError> {
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
        self.has_another_token(world);
        // What is there at connecting is history, and comes little by little.
        let known = world.source.identify(&token, Some(&self.account.realm)).now_or_never();
        let latest = known.and_then(Result::ok).and_then(|mut known| known.pop()).map(|known| known.latest);
        let latest = latest.unwrap_or_default();
        let identity = SourceIdentity { account: self.account.clone(), nickname: None, latest };
        let wish = self.wish("igpsport".into(), self.source_history);
        engine.connect_source(&wish, &identity, &SourceSecret { token, login }).await?;
        // A login that was under way is for a token that is no more.
        self.has_another_token(world);
        Ok(())
    }

    fn has_another_token(&self, world: &World) {
        if let Some(account) = lock(&world.truth).accounts.get_mut(self.user.as_str()) {
            account.logged_in_until = None;
        }
    }

    async fn connect_sink(&self, world: &World, engine: &Engine, manner: Manner) -> Result<(), EngineError> {
        let key = lock(&world.sinks).new_key(manner, &self.user);
        let identity = Identity {
            account: sink_account(manner, &self.user),
            label: self.user.to_string(),
            settings: serde_json::json!({ "account": self.user.as_str() }),
        };
        let wish = self.wish(manner.service().to_string(), self.sink_history);
        engine.connect_sink(&wish, &identity, Some(&key)).await?;
        Ok(())
    }

    fn wish(&self, name: String, history: History) -> Wish {
        Wish { user: self.user.clone(), name, history: Some(history) }
    }

    async fn disconnect(
        &self,
        world: &World,
        engine: &Engine,
        name: &str,
        account: &RemoteAccount,
    ) -> Result<Connection, EngineError> {
        world.wishes(&self.user, |wishes| wishes.disconnected.insert(account.connection_id()));
        engine.disconnect(&self.user, name).await
    }

    async fn resync(
        &self,
        world: &World,
        engine: &Engine,
        id: &ActivityId,
        sink: Option<Manner>,
        fetch: bool,
    ) -> Result<(), EngineError> {
        let Some(known) = ride(world, &self.user, id) else { return Ok(()) };
        world.wishes(&self.user, |wishes| wishes.asks_again(&known));
        let sinks: Vec<_> = sink.into_iter().map(|manner| sink_account(manner, &self.user).connection_id()).collect();
        if let Resynced::Sent(_, begun) = engine.resync(&self.user, id, &sinks, fetch).await? {
            world.wishes(&self.user, |wishes| wishes.sent_again(&begun));
        }
        Ok(())
    }

    /// Deletes what lies of a ride at a sink.
    fn take_copies_away(&self, world: &World, id: &ActivityId, manner: Manner) {
        let Some(known) = ride(world, &self.user, id) else { return };
        for file in known.files() {
            if lock(&world.sinks).take_away(manner, &self.user, file) {
                world.wishes(&self.user, |wishes| wishes.taken_away.insert((manner, file)));
            }
        }
    }

    async fn set_rules(&self, engine: &Engine, manner: Manner, least: Option<u32>) -> Result<(), EngineError> {
        let change = |_: &Rules| Rules { min_distance_m: least, ..Rules::default() };
        let sink = engine.set_rules(&self.user, manner.service().as_str(), &change).await?;
        if least.is_none() {
            engine.apply_rules(&self.user, &sink.id).await?;
        }
        Ok(())
    }

    /// Whether a sink's rules still keep rides out.
    pub(crate) fn is_left_out(&self, world: &World, manner: Manner) -> bool {
        let store = Store::new(Arc::new(world.ledger.clone()));
        let prefix = format!("delivery/{}/", sink_account(manner, &self.user).connection_id());
        let all = store.all::<Delivery>(&self.user, &prefix).now_or_never().and_then(Result::ok);
        all.unwrap_or_default().iter().any(|stored| matches!(stored.doc.state, DeliveryState::Filtered { .. }))
    }

    /// Some of a rider's rides, by chance.
    pub(crate) fn some_rides(&self, world: &World, how_many: usize) -> Vec<ActivityId> {
        let store = Store::new(Arc::new(world.ledger.clone()));
        let all = store.all::<Activity>(&self.user, "activity/").now_or_never().and_then(Result::ok);
        let mut ids: Vec<_> = all.unwrap_or_default().into_iter().map(|stored| stored.doc.id).collect();
        let mut some = Vec::new();
        while some.len() < how_many && !ids.is_empty() {
            let at = world.clockwork.below(i64::try_from(ids.len()).unwrap_or(1));
            some.push(ids.swap_remove(usize::try_from(at).unwrap_or(0)));
        }
        some
    }

    /// Whether a ride of the cloud has a record.
    pub(crate) fn knows(&self, world: &World, ride: RideId) -> bool {
        let id = Origin::cloud_id(&self.account.connection_id(), ride);
        let known = world.ledger.get(&Key::activity(&self.user, &id)).now_or_never();
        matches!(known, Some(Ok(Some(_))))
    }
}
