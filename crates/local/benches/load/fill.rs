//! Many riders quickly: one lives through the engine, the others are made of that one's records.

use fitbridge_core::{
    Engine,
    domain::{Arrival, Connection, ConnectionId, Delivery, DeliveryState, Habits, History, Service, Shard, UserId},
    engine::{connect::Wish, secrets::SourceSecret},
    ports::{Change, Due, Expect, Key, Ledger, MAX_BATCH, PlanSlot, PollClass, Record, Scope, SealedKey, Write},
};
use jiff::{SignedDuration, Timestamp, tz::Offset};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    Failed,
    world::{FIRST_MEMBER, upload_of_the_day},
};

/// Days of which each rider's habits are known, with a ride each.
const LEARNED_DAYS: i64 = 30;

/// The name of a rider.
pub(crate) fn rider(number: u64) -> Result<UserId, Failed> {
    Ok(UserId::new(format!("rider{number:06}"))?)
}

/// Connects a rider's source and sink, as the command line does.
pub(crate) async fn connect(engine: &Engine, number: u64) -> Result<Connection, Failed> {
    let user = rider(number)?;
    let token = SecretString::from((FIRST_MEMBER + number).to_string());
    let found = engine.ports().source.identify(&token, None).await?;
    let identity = found.first().ok_or("the token opens nothing")?;
    let wish = Wish { user: user.clone(), name: "igpsport".into(), history: Some(History::All) };
    let source = engine.connect_source(&wish, identity, &SourceSecret { token, login: None }).await?;
    let adapter = engine.ports().sinks.get(&Service::new("counter")?).ok_or("no sink")?;
    let identity = adapter.check(&json!({ "account": user.as_str() }), None).await?;
    let wish = Wish { user, name: "counter".into(), history: Some(History::All) };
    engine.connect_sink(&wish, &identity, None).await?;
    Ok(source)
}

/// How many of a rider's rides are delivered.
pub(crate) async fn delivered(engine: &Engine, number: u64) -> Result<usize, Failed> {
    let deliveries = engine.store().all::<Delivery>(&rider(number)?, "delivery/").await?;
    Ok(deliveries.iter().filter(|stored| matches!(stored.doc.state, DeliveryState::Delivered { .. })).count())
}

/// Fails where a rider's connection is paused: then nothing would be measured.
pub(crate) async fn all_active(engine: &Engine, riders: u64) -> Result<(), Failed> {
    for number in (0..riders).step_by(97) {
        for stored in engine.store().all::<Connection>(&rider(number)?, "connection/").await? {
            if !stored.doc.is_active() {
                return Err(format!("a connection is not active: {:?}", stored.doc).into());
            }
        }
    }
    Ok(())
}

/// What another rider is made of.
pub(crate) struct Mould {
    records: Vec<Record>,
    source: String,
}

impl Mould {
    /// Takes the records of rider 0.
    pub(crate) async fn of(ledger: &dyn Ledger, source: &Connection) -> Result<Self, Failed> {
        let scope = Scope::User(rider(0)?);
        let (mut records, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = ledger.range(&scope, "", after.as_deref(), 1000).await?;
            records.extend(page.records);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let listed = Key { scope: Scope::System, path: format!("rider/{}", rider(0)?) };
        records.extend(ledger.get(&listed).await?);
        Ok(Self { records, source: source.id.to_string() })
    }

    /// Records of each rider.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Makes the riders of a range, with habits that were learned; they are due for their nightly walk in the six
    /// hours after `begin`.
    pub(crate) async fn fill(
        &self,
        engine: &Engine,
        riders: std::ops::Range<u64>,
        begin: Timestamp,
    ) -> Result<(), Failed> {
        let old = (rider(0)?.to_string(), FIRST_MEMBER.to_string());
        let ledger = engine.store().ledger();
        let mut writes = Vec::with_capacity(MAX_BATCH);
        for number in riders {
            let user = rider(number)?;
            let member = (FIRST_MEMBER + number).to_string();
            // Ids of connections hold one or the other.
            let replaced = |text: &str| text.replace(&old.0, user.as_str()).replace(&old.1, &member);
            for record in &self.records {
                let scope = match &record.key.scope {
                    Scope::User(_) => Scope::User(user.clone()),
                    Scope::System => Scope::System,
                };
                let plan = record.plan.map(|plan| slot(plan.shard, number));
                let due = record.due.as_ref().map(|due| Due::at(due.shard, night(begin, number)));
                let change = Change::Put { body: replaced(&record.body), due, plan };
                writes.push(Write {
                    key: Key { scope, path: replaced(&record.key.path) },
                    expect: Expect::Absent,
                    change,
                });
                // One more comes with each rider.
                if writes.len() >= MAX_BATCH - 1 {
                    ledger.commit(std::mem::take(&mut writes)).await?;
                }
            }
            let source = ConnectionId::new(replaced(&self.source))?;
            writes.push(engine.store().create(&habits(&user, &source, begin, FIRST_MEMBER + number), None, None)?);
            let key = SealedKey { user, connection: source };
            let secret = SourceSecret { token: SecretString::from(member), login: None };
            engine.ports().vault.seal(&key, &secret.to_sealed()).await?;
        }
        if !writes.is_empty() {
            ledger.commit(writes).await?;
        }
        Ok(())
    }
}

/// A ride each evening, seen a few minutes after its end: the plan then polls at these hours.
fn habits(user: &UserId, source: &ConnectionId, begin: Timestamp, member: u64) -> Habits {
    let mut habits = Habits::new(user.clone(), source.clone());
    let ended = |days: i64| begin + upload_of_the_day(member) - SignedDuration::from_hours(24 * days + 1);
    let arrival = |days| Arrival { ended: Offset::UTC.to_datetime(ended(days)), seen_after: Some(12) };
    habits.arrivals.extend((1..=LEARNED_DAYS).rev().map(arrival));
    habits
}

/// A place to begin with, spread evenly; the first poll decides anew.
fn slot(shard: Shard, number: u64) -> PlanSlot {
    let class = PollClass::Cold;
    PlanSlot { shard, class, slot: u16::try_from(number % u64::from(class.slots())).unwrap_or(0) }
}

fn night(begin: Timestamp, number: u64) -> Timestamp {
    let minutes = SignedDuration::from_mins(i64::try_from(number * 7 % 360).unwrap_or(0));
    begin.checked_add(minutes).unwrap_or(begin)
}
