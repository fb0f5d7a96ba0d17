//! Sending a ride again because the rider asks for it: the only way back for what was forgotten, and the
//! only way in which a sink may get a ride twice.

use bytes::Bytes;

use super::{Engine, EngineError, contended, fetch::Accepted, import::Imported};
use crate::{
    Code, Failure,
    domain::{
        Activity, ActivityId, ActivityState, Connection, ConnectionId, ContentId, Delivery, DeliveryState, EventKind,
        Integrity, Origin, Story, UserId, Withdrawal,
    },
    ports::{ArchiveError, Job, Key, Task, Verdict, Write},
    store::Stored,
};

/// How often it is tried again when somebody else was faster.
const TRIES: usize = 8;

/// What a resync led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Resynced {
    /// Its file is here; these deliveries were begun (anew).
    Sent(Activity, Vec<Delivery>),
    /// Its file is fetched first, and sent then.
    Fetching(Activity),
}

/// What makes the deliveries of a resync.
pub(super) struct Again {
    pub(super) writes: Vec<Write>,
    pub(super) deliveries: Vec<Delivery>,
}

impl Engine {
    /// The deliveries of a ride that have happened, or may have: where a resync may make a second one.
    pub async fn sent_before(
        &self,
        user: &UserId,
        ride: &ActivityId,
        sinks: &[ConnectionId],
    ) -> Result<Vec<Delivery>, EngineError> {
        let ride = self.resyncable(user, ride).await?;
        let known = self.deliveries_anywhere(&ride.doc).await?.into_iter().map(|known| known.doc);
        let is_there = |known: &Delivery| known.is_begun() || matches!(known.state, DeliveryState::Held { .. });
        let connected = self.store.user(user).await?.map(|user| user.doc.connections).unwrap_or_default();
        let is_meant =
            |known: &Delivery| connected.contains(&known.sink) && (sinks.is_empty() || sinks.contains(&known.sink));
        Ok(known.filter(|known| is_there(known) && is_meant(known)).collect())
    }

    /// Sends a ride again to those sinks, or to all that want it where none is named. It is fetched again
    /// from its source where its file is not here, or where `fetch` asks for it.
    #[tracing::instrument(skip_all, fields(user = %user, ride = %ride))]
    pub async fn resync(
        &self,
        user: &UserId,
        ride: &ActivityId,
        sinks: &[ConnectionId],
        fetch: bool,
    ) -> Result<Resynced, EngineError> {
        for _ in 0..TRIES {
            let stored = self.resyncable(user, ride).await?;
            let mut anew = stored.doc.clone();
            anew.wanted_at(sinks);
            let is_from_cloud = matches!(anew.origin, Origin::Cloud { .. });
            if !(fetch && is_from_cloud) && self.has_file_again(&mut anew).await? {
                if let Some(begun) = self.send_again(&stored, anew.clone(), sinks).await? {
                    return Ok(Resynced::Sent(anew, begun));
                }
                continue;
            }
            if !is_from_cloud {
                return Err(Failure::new(Code::FileErased, anew.rider_id()).into());
            }
            anew.resync = Some(sinks.to_vec());
            if stored.doc.state.stage().is_some() {
                // It is on its way already.
                if self.save(&stored, &anew, stored.due.clone()).await? {
                    return Ok(Resynced::Fetching(anew));
                }
                continue;
            }
            anew.begin_anew(self.now());
            let task = Task::Resolve { activity: anew.id.clone() };
            let due = self.due_for(user, &task, anew.updated_at);
            if self.save(&stored, &anew, Some(due)).await? {
                self.ports.observer.activity(&anew);
                self.hand_over(vec![Job { user: user.clone(), task }]).await;
                return Ok(Resynced::Fetching(anew));
            }
        }
        Err(contended("the rider's records"))
    }

    /// Imports a file, also one whose ride was forgotten: that is sent again, then.
    pub async fn import_again(&self, user: &UserId, name: &str, bytes: Bytes) -> Result<Imported, EngineError> {
        let content = ContentId::of(&bytes);
        let imported = self.import(user, name, bytes.clone()).await?;
        let Imported::Forgotten { of } = &imported else { return Ok(imported) };
        for _ in 0..TRIES {
            let Some(stored) = self.store.activity(user, of).await? else { break };
            if !matches!(stored.doc.state, ActivityState::Forgotten { erase: false, .. }) {
                break;
            }
            self.ports.archive.put(user, content, bytes.clone()).await?;
            let mut anew = stored.doc.clone();
            anew.state = self.fetched(content, &bytes);
            if self.send_again(&stored, anew.clone(), &[]).await?.is_some() {
                return Ok(Imported::New(Box::new(anew)));
            }
        }
        Ok(imported)
    }

    /// A ride, or the one that a duplicate is of.
    async fn resyncable(&self, user: &UserId, ride: &ActivityId) -> Result<Stored<Activity>, EngineError> {
        let mut found = self.store.activity(user, ride).await?;
        if let Some(ActivityState::Duplicate { of, .. }) = found.as_ref().map(|found| &found.doc.state) {
            found = self.store.activity(user, of).await?;
        }
        found.ok_or_else(|| Failure::new(Code::NoSuchRide, ride.as_str()).into())
    }

    /// Whether a ride has its file; one that was forgotten gets it back from the archive.
    async fn has_file_again(&self, ride: &mut Activity) -> Result<bool, EngineError> {
        match ride.state {
            ActivityState::Fetched { .. } => Ok(true),
            ActivityState::Forgotten { file: Some(file), erase: false } => {
                match self.ports.archive.open(&ride.user, file).await {
                    Ok(bytes) => {
                        ride.state = self.fetched(file, &bytes);
                        Ok(true)
                    }
                    Err(ArchiveError::Missing(_) | ArchiveError::Damaged(_)) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
            _ => Ok(false),
        }
    }

    fn fetched(&self, content: ContentId, bytes: &Bytes) -> ActivityState {
        let Accepted { content, size_bytes, integrity } = self.file_again(content, bytes);
        ActivityState::Fetched { content, size_bytes, integrity }
    }

    /// A file that was accepted before and is in the archive.
    pub(super) fn file_again(&self, content: ContentId, bytes: &Bytes) -> Accepted {
        let integrity = match self.ports.scanner.scan(bytes).verdict {
            Verdict::Valid => Integrity::Intact,
            Verdict::Salvageable(code) | Verdict::Rejected(code) => Integrity::Salvageable { code },
        };
        Accepted { content, size_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX), integrity }
    }

    /// Begins the deliveries of a ride whose file is here; `None` when something changed meanwhile.
    async fn send_again(
        &self,
        stored: &Stored<Activity>,
        mut anew: Activity,
        sinks: &[ConnectionId],
    ) -> Result<Option<Vec<Delivery>>, EngineError> {
        let Some(user) = self.store.user(&anew.user).await? else { return Ok(Some(Vec::new())) };
        let Again { mut writes, deliveries } = self.deliveries_again(&anew, sinks).await?;
        writes.push(user.unchanged());
        if anew == stored.doc {
            writes.push(stored.unchanged());
        } else {
            anew.updated_at = self.now();
            writes.push(stored.replace(&anew, None)?);
        }
        let resynced = EventKind::Resynced { activity: anew.id.clone(), sinks: sinks.to_vec() };
        if !self.commit_told(&anew.user, writes, &Story::event(resynced)).await? {
            return Ok(None);
        }
        if anew != stored.doc {
            self.ports.observer.activity(&anew);
        }
        self.hand_over_deliveries(deliveries.clone()).await;
        Ok(Some(deliveries))
    }

    /// The deliveries of a ride that is sent again: what is done begins anew, what is under way goes on.
    pub(super) async fn deliveries_again(&self, ride: &Activity, only: &[ConnectionId]) -> Result<Again, EngineError> {
        let mut again = Again { writes: Vec::new(), deliveries: Vec::new() };
        let ActivityState::Fetched { content, .. } = ride.state else { return Ok(again) };
        let Some(user) = self.store.user(&ride.user).await? else { return Ok(again) };
        let now = self.now();
        for sink in self.store.connections(&user.doc).await? {
            let is_sink = sink.doc.sink().is_some() && !sink.doc.is_removed();
            let is_meant = only.contains(&sink.doc.id) || (only.is_empty() && sink.doc.wants(ride));
            if !is_sink || !is_meant {
                continue;
            }
            let keys: Vec<_> = ride.files().map(|file| Key::delivery(&ride.user, &sink.doc.id, &file)).collect();
            let known: Vec<_> = self.store.read_many::<Delivery>(&keys).await?.into_iter().flatten().collect();
            let (mine, older): (Vec<_>, Vec<_>) = known.into_iter().partition(|known| known.doc.content == content);
            for known in older {
                if let Some(back) = known.doc.withdrawn(Withdrawal::Replaced, now) {
                    again.writes.push(known.replace(&back, None)?);
                    again.deliveries.push(back);
                }
            }
            let mine = mine.into_iter().next();
            let delivery = match &mine {
                Some(known) if known.doc.state.is_open() => {
                    // It goes on, also where a ride that was linked meanwhile would end it.
                    if known.doc.unwanted(ride).is_some() && known.doc.state != DeliveryState::Sending {
                        let asked = Delivery { asked_at: Some(now), ..known.doc.clone() };
                        again.writes.push(known.replace(&asked, known.due.clone())?);
                    }
                    continue;
                }
                Some(known) => Delivery { updated_at: now, ..begun_again(&known.doc) },
                None => Delivery::for_sink(ride, &sink.doc, content, now),
            };
            let delivery = Delivery { asked_at: Some(now), ..delivery };
            let delivery = by_word(delivery, ride, &sink.doc, only.contains(&sink.doc.id));
            let due = delivery.state.is_open().then(|| self.handed_over(&ride.user, now));
            again.writes.push(match &mine {
                Some(known) => known.replace(&delivery, due)?,
                None => self.store.create(&delivery, due, None)?,
            });
            again.deliveries.push(delivery);
        }
        Ok(again)
    }
}

/// A delivery that is done, from its beginning. What was delivered is another message to a receiver that
/// drops repeats; a sink that can be asked is asked first, so that what is still there is not doubled.
fn begun_again(known: &Delivery) -> Delivery {
    let was_there = matches!(known.state, DeliveryState::Delivered { .. });
    let has_word = matches!(known.state, DeliveryState::Held { .. } | DeliveryState::Skipped);
    Delivery {
        state: DeliveryState::Pending,
        attempts: 0,
        discovered_at: None,
        resends: known.resends + u32::from(was_there),
        maybe_there: known.maybe_there || was_there,
        send_anyway: known.send_anyway || has_word,
        ..known.clone()
    }
}

/// What a sink's rules leave out is sent only where the rider names the sink; blocked where it is paused.
fn by_word(delivery: Delivery, ride: &Activity, sink: &Connection, is_named: bool) -> Delivery {
    let left_out = sink.sink().and_then(|progress| progress.rules.judge(&ride.ride)).filter(|_| !is_named);
    let state = match (left_out, sink.paused()) {
        (Some(why), _) if !delivery.is_begun() => DeliveryState::Filtered { why },
        (_, Some(failure)) => DeliveryState::Blocked { failure: failure.clone() },
        _ => DeliveryState::Pending,
    };
    Delivery { state, ..delivery }
}
