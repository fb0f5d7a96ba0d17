//! Putting waiting rides back to work after a connection was made, or made again.

use jiff::Timestamp;

use super::{Engine, EngineError, contended, policy::later, walk::activity_prefix};
use crate::{
    Code,
    domain::{
        Activity, ActivityId, ActivityState, Backfill, Connection, ConnectionId, ContentId, Delivery, DeliveryState,
        Origin, Role, Stage, UserId, Withdrawal, connection::Resume,
    },
    ports::{Due, Job, Key, Task, Write},
    store::Stored,
};

/// Rides that are looked at in one step; each is at most one write.
const PAGE: usize = 80;
/// How often a ride is looked at again that somebody else keeps changing.
const TRIES: usize = 5;

impl Engine {
    /// Goes through a rider's rides page by page. The place is kept in the connection, so that a crash
    /// resumes there. Deliveries are handed over a few at a time, newest rides first, so that a long archive
    /// holds up no new ride: when enough are under way, the connection comes due again. `true` when there was
    /// something to do.
    #[tracing::instrument(skip_all, fields(user = %user, connection = %connection))]
    pub async fn settle(&self, user: &UserId, connection: &ConnectionId) -> Result<bool, EngineError> {
        let mut worked = false;
        while let Some(mut stored) = self.store.connection(user, connection).await? {
            let Some(resume) = resume_of(&stored.doc).cloned() else {
                worked |= self.look_at_token_end(&mut stored).await?;
                break;
            };
            if !stored.doc.is_active() {
                self.resume_at(&mut stored, None, None).await?;
                break;
            }
            worked = true;
            let (next, is_enough) = match &stored.doc.role {
                Role::Source(_) => (self.wake_rides(&stored.doc, resume).await?, false),
                Role::Sink(_) => self.wake_deliveries(&stored.doc, resume).await?,
            };
            let wait = is_enough.then(|| Due::at(self.shard(user), later(self.now(), self.policy.backfill_gap)));
            self.resume_at(&mut stored, next, wait).await?;
            if is_enough {
                break;
            }
        }
        Ok(worked)
    }

    /// Keeps the place; `Turn::End` is the end. Where another worker was faster, its place counts.
    async fn resume_at(
        &self,
        stored: &mut Stored<Connection>,
        next: Option<Turn>,
        wait: Option<Due>,
    ) -> Result<(), EngineError> {
        let mut moved = stored.doc.clone();
        let now = self.now();
        let goes_on = matches!(next, Some(Turn::Next(_)));
        match (&mut moved.role, next) {
            (Role::Source(source), Some(Turn::End { on_backlog })) => {
                source.resume = None;
                if on_backlog > 0 {
                    let again = source.backfill.as_ref().map(|backfill| backfill.again(now, on_backlog));
                    source.backfill = Some(Box::new(again.unwrap_or_else(|| Backfill::new(now, on_backlog))));
                }
            }
            (Role::Source(source), next) => source.resume = next.and_then(Turn::place),
            (Role::Sink(sink), next) => sink.resume = next.and_then(Turn::place),
        }
        let due = match goes_on {
            true => Some(wait.unwrap_or_else(|| self.handed_over(&moved.user, now))),
            false => self.due_of(&moved),
        };
        if self.save(stored, &moved, due).await? {
            self.ports.observer.connection(&moved);
        }
        Ok(())
    }

    /// When a connection is due whose token ends some day: to warn its rider of that.
    pub(super) fn due_at_token_end(&self, connection: &Connection) -> Option<Due> {
        connection.warning().map(|(at, _)| Due::at(self.shard(&connection.user), at))
    }

    /// Warns the rider when the token ends soon, once per token's life: that it was done is written first.
    async fn look_at_token_end(&self, stored: &mut Stored<Connection>) -> Result<bool, EngineError> {
        // What goes on for it has a due time of its own, and warns on its way.
        if stored.doc.has_work() {
            return Ok(false);
        }
        let warning = stored.doc.warning().filter(|(at, _)| *at <= self.now());
        let due = self.due_at_token_end(&warned_of(&stored.doc, warning.map(|(_, end)| end)));
        if warning.is_none() && due == stored.due {
            return Ok(false);
        }
        self.warn_of_token_end(stored, warning.map(|(_, end)| end), due).await
    }

    /// The same on the way of something longer that has claimed the source; the claim stays.
    pub(super) async fn look_at_token_end_claimed(&self, stored: &mut Stored<Connection>) -> Result<(), EngineError> {
        let warning = stored.doc.warning().filter(|(at, _)| *at <= self.now());
        if let Some((_, end)) = warning {
            let due = stored.due.clone();
            self.warn_of_token_end(stored, Some(end), due).await?;
        }
        Ok(())
    }

    async fn warn_of_token_end(
        &self,
        stored: &mut Stored<Connection>,
        end: Option<Timestamp>,
        due: Option<Due>,
    ) -> Result<bool, EngineError> {
        let warned = warned_of(&stored.doc, end);
        if !self.save(stored, &warned, due.clone()).await? {
            return Ok(false);
        }
        (stored.doc, stored.due) = (warned, due);
        stored.version += 1;
        if let Some(end) = end {
            let warned = &stored.doc;
            tracing::info!(connection = %warned.id, "the token of connection {} ends {end:.0}", warned.id);
            self.ports.observer.expiring(warned, end);
        }
        Ok(end.is_some())
    }

    /// A page of a source's rides: those that waited for the token go on, and those that a wider history lets
    /// in are put on the backlog.
    async fn wake_rides(&self, source: &Connection, resume: Resume) -> Result<Option<Turn>, EngineError> {
        let path = |id: &ActivityId| Key::activity(&source.user, id).path;
        let after = resume.after.as_ref().map(path);
        let prefix = activity_prefix(source);
        let (rides, next) = self.store.page::<Activity>(&source.user, &prefix, after.as_deref(), PAGE).await?;
        let now = self.now();
        let mut on_backlog = resume.on_backlog;
        let (mut woken, mut writes) = (Vec::new(), Vec::new());
        for stored in &rides {
            let Some(ride) = woken_ride(source, stored) else {
                on_backlog += u64::from(stored.doc.state == ActivityState::Backlog);
                continue;
            };
            let ride = Activity { updated_at: now, ..ride };
            let due = task_of(&ride).map(|task| self.due_for(&ride.user, &task, now));
            writes.push(stored.replace(&ride, due)?);
            woken.push(ride);
        }
        let done = self.commit_each(writes).await?;
        let mut jobs = Vec::new();
        for (mut ride, done) in woken.into_iter().zip(done) {
            if !done {
                let Some(again) = self.wake_ride_again(source, &ride.id).await? else { continue };
                ride = again;
            }
            self.ports.observer.activity(&ride);
            on_backlog += u64::from(ride.state == ActivityState::Backlog);
            jobs.extend(task_of(&ride).map(|task| Job { user: ride.user, task }));
        }
        self.hand_over(jobs).await;
        let last = rides.last().map(|ride| ride.doc.id.clone());
        Ok(Some(match next.and(last) {
            Some(after) => Turn::Next(Resume { after: Some(after), on_backlog, moving: Vec::new() }),
            None => Turn::End { on_backlog },
        }))
    }

    /// A source's ride that changed while its page was worked on, as it is now.
    async fn wake_ride_again(&self, source: &Connection, ride: &ActivityId) -> Result<Option<Activity>, EngineError> {
        for _ in 0..TRIES {
            let Some(stored) = self.store.activity(&source.user, ride).await? else { return Ok(None) };
            let Some(ride) = woken_ride(source, &stored) else { return Ok(None) };
            let now = self.now();
            let ride = Activity { updated_at: now, ..ride };
            let due = task_of(&ride).map(|task| self.due_for(&ride.user, &task, now));
            if self.store.commit(vec![stored.replace(&ride, due)?]).await? {
                return Ok(Some(ride));
            }
        }
        Err(contended("the ride"))
    }

    /// A page of a rider's rides, newest first: each that the sink wants has a delivery, and what waited for
    /// the connection goes on; until enough are under way, which is the second value.
    async fn wake_deliveries(&self, sink: &Connection, resume: Resume) -> Result<(Option<Turn>, bool), EngineError> {
        let mut moving = self.still_sending(sink, &resume.moving).await?;
        let room = self.policy.backfill_window.saturating_sub(moving.len());
        if room == 0 {
            return Ok((Some(Turn::Next(Resume { moving, ..resume })), true));
        }
        let before = resume.after.as_ref().map(|id| Key::activity(&sink.user, id).path);
        let (rides, next) = self.store.page_back::<Activity>(&sink.user, "activity/", before.as_deref(), PAGE).await?;
        self.wake_leftovers(sink, &rides).await?;
        let mut fetched = Vec::new();
        for ride in &rides {
            if let ActivityState::Fetched { content, .. } = ride.doc.state {
                // What another ride stands for has deliveries only where the rider asked for them.
                fetched.push((ride, content));
            }
        }
        let keys: Vec<_> = fetched.iter().map(|(_, content)| Key::delivery(&sink.user, &sink.id, content)).collect();
        let known = self.store.read_many::<Delivery>(&keys).await?;
        let due = self.handed_over(&sink.user, self.now());
        let (mut woken, mut writes, mut rides_of) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = rides.last().map(|ride| ride.doc.id.clone());
        let (mut is_cut, mut is_open) = (false, 0);
        for ((ride, content), known) in fetched.into_iter().zip(known) {
            let delivery = match known {
                None => self.first_delivery(sink, &ride.doc, content, &due).await?,
                Some(known) => Self::wake_delivery(&known, &due)?,
            };
            let Some(Woken { delivery, taken_back, writes: mut group }) = delivery else { continue };
            is_open += usize::from(delivery.state.is_open());
            woken.push((delivery, taken_back));
            // A ride that was linked or forgotten meanwhile gets none.
            group.push(ride.unchanged());
            writes.push(group);
            rides_of.push(ride.doc.id.clone());
            if is_open == room {
                last = Some(ride.doc.id.clone());
                is_cut = true;
                break;
            }
        }
        let done = self.commit_groups(writes).await?;
        let missed: Vec<_> = rides_of.into_iter().zip(&done).filter(|(_, done)| !**done).map(|(id, _)| id).collect();
        let mut woken: Vec<_> = woken.into_iter().zip(done).filter(|(_, done)| *done).map(|(one, _)| one).collect();
        for ride in missed {
            woken.extend(self.wake_again(sink, &ride, &due).await?);
        }
        moving.extend(woken.iter().map(|(delivery, _)| delivery.content));
        let changed = woken.into_iter().flat_map(|(delivery, taken_back)| taken_back.into_iter().chain([delivery]));
        self.hand_over_deliveries(changed.collect()).await;
        let goes_on = is_cut || next.is_some();
        let turn =
            last.filter(|_| goes_on).map(|after| Turn::Next(Resume { after: Some(after), on_backlog: 0, moving }));
        Ok((turn, is_cut))
    }

    /// What was in hand, when the connection stopped, for files that are no ride's any more: their rides were
    /// forgotten, have another file now, or were fetched again and have none. What the sink took is asked after;
    /// nothing of it is sent once more. While a ride is fetched again, what was not sent waits for what comes of it.
    async fn wake_leftovers(&self, sink: &Connection, rides: &[Stored<Activity>]) -> Result<(), EngineError> {
        let (mut keys, mut reasons) = (Vec::new(), Vec::new());
        for ride in rides {
            let (file, because) = match &ride.doc.state {
                ActivityState::Fetched { content, .. } => (Some(*content), Some(Withdrawal::Replaced)),
                ActivityState::Forgotten { .. } => (None, Some(Withdrawal::Forgotten)),
                ActivityState::Rejected { .. } | ActivityState::DeadLetter { .. } => (None, Some(Withdrawal::Replaced)),
                state if state.stage().is_some() => (None, None),
                _ => continue,
            };
            for earlier in ride.doc.files().filter(|earlier| Some(*earlier) != file) {
                keys.push(Key::delivery(&sink.user, &sink.id, &earlier));
                reasons.push(because);
            }
        }
        let known = self.store.read_many::<Delivery>(&keys).await?;
        let now = self.now();
        let (mut changed, mut writes) = (Vec::new(), Vec::new());
        for (known, because) in known.into_iter().zip(reasons).filter_map(|(known, why)| Some((known?, why))) {
            if !known.doc.waits_for_connection(known.due.is_some()) {
                continue;
            }
            let is_accepted = matches!(known.doc.state, DeliveryState::Accepted { .. });
            // Of the two files one is to be there: whether it is the first is asked before the second goes.
            let is_asked_after = known.doc.maybe_there && because == Some(Withdrawal::Replaced);
            let mut delivery = Delivery { updated_at: now, ..known.doc.clone() };
            match because {
                _ if is_accepted => {}
                Some(_) if is_asked_after => delivery.state = DeliveryState::Pending,
                Some(because) => delivery.state = DeliveryState::Withdrawn { because },
                None => continue,
            }
            let due = (is_accepted || is_asked_after).then(|| self.handed_over(&sink.user, now));
            writes.push(known.replace(&delivery, due)?);
            changed.push(delivery);
        }
        // What somebody else changes meanwhile is theirs.
        let done = self.commit_each(writes).await?;
        let changed = changed.into_iter().zip(done).filter(|(_, done)| *done).map(|(delivery, _)| delivery);
        self.hand_over_deliveries(changed.collect()).await;
        Ok(())
    }

    /// One ride of a page that changed while the page was worked on, as it is now.
    async fn wake_again(
        &self,
        sink: &Connection,
        ride: &ActivityId,
        due: &Due,
    ) -> Result<Option<(Delivery, Vec<Delivery>)>, EngineError> {
        for _ in 0..TRIES {
            let Some(ride) = self.store.activity(&sink.user, ride).await? else { return Ok(None) };
            // Whoever fetches it makes its deliveries.
            let ActivityState::Fetched { content, .. } = ride.doc.state else { return Ok(None) };
            let delivery = match self.store.delivery(&sink.user, &sink.id, &content).await? {
                None => self.first_delivery(sink, &ride.doc, content, due).await?,
                Some(known) => Self::wake_delivery(&known, due)?,
            };
            let Some(Woken { delivery, taken_back, mut writes }) = delivery else { return Ok(None) };
            writes.push(ride.unchanged());
            if self.store.commit(writes).await? {
                return Ok(Some((delivery, taken_back)));
            }
        }
        Err(contended("the ride"))
    }

    /// Those of the deliveries handed over before that were not tried yet.
    async fn still_sending(&self, sink: &Connection, moving: &[ContentId]) -> Result<Vec<ContentId>, EngineError> {
        let keys: Vec<_> = moving.iter().map(|content| Key::delivery(&sink.user, &sink.id, content)).collect();
        let known = self.store.read_many::<Delivery>(&keys).await?;
        let now = self.now();
        let untried = |one: &Stored<Delivery>| {
            self.is_under_way(one.due.as_ref(), now)
                && matches!(one.doc.state, DeliveryState::Pending | DeliveryState::Sending)
        };
        Ok(known.into_iter().flatten().filter(untried).map(|one| one.doc.content).collect())
    }

    /// The delivery of a ride that the sink wants. None where an earlier file of the ride is there.
    pub(super) async fn first_delivery(
        &self,
        sink: &Connection,
        ride: &Activity,
        content: ContentId,
        due: &Due,
    ) -> Result<Option<Woken>, EngineError> {
        if ride.link.is_some() || !sink.wants(ride) {
            return Ok(None);
        }
        let (earlier, stays) = self.earlier_files(ride, content, sink).await?;
        if stays {
            return Ok(None);
        }
        let (mut taken_back, mut writes) = (Vec::new(), Vec::new());
        for (known, withdrawn) in earlier {
            writes.push(known.replace(&withdrawn, None)?);
            taken_back.push(withdrawn);
        }
        let delivery = Delivery::for_sink(ride, sink, content, self.now());
        writes.push(self.store.create(&delivery, delivery.state.is_open().then(|| due.clone()), None)?);
        Ok(Some(Woken { delivery, taken_back, writes }))
    }

    /// A delivery that waited for the connection, pending again.
    pub(super) fn wake_delivery(known: &Stored<Delivery>, due: &Due) -> Result<Option<Woken>, EngineError> {
        if !known.doc.waits_for_connection(known.due.is_some()) {
            return Ok(None);
        }
        let mut delivery = known.doc.clone();
        if !matches!(delivery.state, DeliveryState::Accepted { .. }) {
            delivery.state = DeliveryState::Pending;
        }
        let writes = vec![known.replace(&delivery, Some(due.clone()))?];
        Ok(Some(Woken { delivery, taken_back: Vec::new(), writes }))
    }
}

/// A source whose rider was warned of that end of its token.
fn warned_of(connection: &Connection, end: Option<Timestamp>) -> Connection {
    let mut warned = connection.clone();
    if let (Role::Source(source), Some(end)) = (&mut warned.role, end) {
        source.warned_of = Some(end);
    }
    warned
}

/// A delivery that begins or goes on.
pub(super) struct Woken {
    delivery: Delivery,
    /// Those of earlier files of its ride, which are not sent any more.
    taken_back: Vec<Delivery>,
    /// What makes it so.
    writes: Vec<Write>,
}

/// What a page led to.
enum Turn {
    /// Go on there.
    Next(Resume),
    /// That was the last; so many rides stand on the source's backlog.
    End { on_backlog: u64 },
}

impl Turn {
    fn place(self) -> Option<Resume> {
        match self {
            Self::Next(resume) => Some(resume),
            Self::End { .. } => None,
        }
    }
}

/// A source's ride as it goes on now, if it waited for the connection, or if another history holds for it.
fn woken_ride(source: &Connection, stored: &Stored<Activity>) -> Option<Activity> {
    let mut ride = stored.doc.clone();
    match &stored.doc.state {
        state if state.stage().is_some() && stored.due.is_none() => {}
        // The time that a refused token was left alone is over with the new token.
        ActivityState::Unavailable { failure, .. } if failure.code == Code::TokenRefused => {}
        ActivityState::Filtered { .. } if left_out(source, &ride).is_none() => ride.state = ActivityState::Backlog,
        // A narrower history holds for what was not begun.
        ActivityState::Backlog => ride.state = ActivityState::Filtered { rule: left_out(source, &ride)? },
        _ => return None,
    }
    Some(ride)
}

/// Which rule keeps a ride of a source out by what its list says, if one does.
pub(super) fn left_out(source: &Connection, ride: &Activity) -> Option<Code> {
    let Origin::Cloud { ride_id, .. } = ride.origin else { return None };
    source.filters_listed(ride_id, ride.ride.listed.as_ref().and_then(|listed| listed.date))
}

/// What a ride needs next, if it needs anything by itself.
pub(super) fn task_of(ride: &Activity) -> Option<Task> {
    let activity = ride.id.clone();
    Some(match ride.state.stage()? {
        Stage::Resolve => Task::Resolve { activity },
        Stage::Fetch => Task::Fetch { activity },
    })
}

pub(super) fn resume_of(connection: &Connection) -> Option<&Resume> {
    match &connection.role {
        Role::Source(source) => source.resume.as_ref(),
        Role::Sink(sink) => sink.resume.as_ref(),
    }
}
