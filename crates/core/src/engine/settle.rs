//! Putting waiting rides back to work after a connection was made, or made again.

use super::{Engine, EngineError, walk::activity_prefix};
use crate::{
    Code,
    domain::{
        Activity, ActivityId, ActivityState, Connection, ConnectionId, ContentId, Delivery, DeliveryState, Origin,
        Role, UserId, connection::Resume,
    },
    ports::{Due, Job, Key, Task, Write},
    store::Stored,
};

/// Rides that are looked at in one step; each is at most one write.
const PAGE: usize = 80;

impl Engine {
    /// Goes through a rider's rides page by page. The place is kept in the connection, so that a crash
    /// resumes there. `true` when there was something to do.
    #[tracing::instrument(skip_all, fields(user = %user, connection = %connection))]
    pub async fn settle(&self, user: &UserId, connection: &ConnectionId) -> Result<bool, EngineError> {
        let mut worked = false;
        while let Some(mut stored) = self.store.connection(user, connection).await? {
            let Some(resume) = resume_of(&stored.doc).cloned() else { break };
            if !stored.doc.is_active() {
                self.resume_at(&mut stored, None).await?;
                break;
            }
            worked = true;
            let next = match &stored.doc.role {
                Role::Source(_) => self.wake_rides(&stored.doc, &resume).await?,
                Role::Sink(_) => self.wake_deliveries(&stored.doc, &resume).await?,
            };
            self.resume_at(&mut stored, next).await?;
        }
        Ok(worked)
    }

    /// Keeps the place; `None` is the end. Where another worker was faster, its place counts.
    async fn resume_at(&self, stored: &mut Stored<Connection>, next: Option<Resume>) -> Result<(), EngineError> {
        let mut moved = stored.doc.clone();
        let due = next.is_some().then(|| self.handed_over(&moved.user, self.now()));
        match &mut moved.role {
            Role::Source(source) => source.resume = next,
            Role::Sink(sink) => sink.resume = next,
        }
        if self.save(stored, &moved, due).await? {
            self.ports.observer.connection(&moved);
        }
        Ok(())
    }

    /// A page of a source's rides: those that waited for the token, and those that a wider history lets in.
    async fn wake_rides(&self, source: &Connection, resume: &Resume) -> Result<Option<Resume>, EngineError> {
        let (rides, next) = self.page_of_rides(source, &activity_prefix(source), resume).await?;
        let now = self.now();
        for stored in &rides {
            let mut woken = stored.doc.clone();
            match &stored.doc.state {
                state if state.stage().is_some() && stored.due.is_none() => {}
                // The time that a refused token was left alone is over with the new token.
                ActivityState::Unavailable { failure, .. } if failure.code == Code::TokenRefused => {}
                ActivityState::Filtered { .. } => {
                    let Origin::Cloud { ride_id, .. } = stored.doc.origin else { continue };
                    let date = stored.doc.ride.listed.as_ref().and_then(|listed| listed.date);
                    if source.filters_listed(ride_id, date).is_some() {
                        continue;
                    }
                    woken.state = ActivityState::Discovered;
                }
                _ => continue,
            }
            woken.updated_at = now;
            let task = match woken.state.stage() {
                Some(crate::domain::Stage::Fetch) => Task::Fetch { activity: woken.id.clone() },
                _ => Task::Resolve { activity: woken.id.clone() },
            };
            let due = self.due_for(&woken.user, &task, now);
            if self.save(stored, &woken, Some(due)).await? {
                self.ports.observer.activity(&woken);
                self.hand_over(vec![Job { user: woken.user, task }]).await;
            }
        }
        Ok(next)
    }

    /// A page of a rider's rides: each that the sink wants has a delivery, and what waited for the
    /// connection goes on.
    async fn wake_deliveries(&self, sink: &Connection, resume: &Resume) -> Result<Option<Resume>, EngineError> {
        let (rides, next) = self.page_of_rides(sink, "activity/", resume).await?;
        let now = self.now();
        let due = self.handed_over(&sink.user, now);
        let mut fetched = Vec::new();
        for ride in &rides {
            if let ActivityState::Fetched { content, .. } = ride.doc.state {
                // What another ride stands for has deliveries only where the rider asked for them.
                fetched.push((ride, content));
            }
        }
        let keys: Vec<_> = fetched.iter().map(|(_, content)| Key::delivery(&sink.user, &sink.id, content)).collect();
        let known = self.store.read_many::<Delivery>(&keys).await?;
        let mut woken = Vec::new();
        for ((ride, content), known) in fetched.into_iter().zip(known) {
            let delivery = match known {
                None => self.first_delivery(sink, &ride.doc, content, &due)?,
                Some(known) => Self::wake_delivery(&known, &due)?,
            };
            let Some((delivery, write)) = delivery else { continue };
            // One by one: a delivery that changed meanwhile must not hold up the page. A ride that was linked
            // or forgotten meanwhile gets none.
            if self.store.commit(vec![write, ride.unchanged()]).await? {
                woken.push(delivery);
            }
        }
        self.hand_over_deliveries(woken).await;
        Ok(next)
    }

    /// The delivery of a ride that the sink wants, and its write.
    fn first_delivery(
        &self,
        sink: &Connection,
        ride: &Activity,
        content: ContentId,
        due: &Due,
    ) -> Result<Option<(Delivery, Write)>, EngineError> {
        if ride.link.is_some() || !sink.wants_ride(ride.ride.start(), ride.ride.local_date()) {
            return Ok(None);
        }
        let delivery = Delivery::for_sink(ride, sink, content, self.now());
        let write = self.store.create(&delivery, delivery.state.is_open().then(|| due.clone()), None)?;
        Ok(Some((delivery, write)))
    }

    /// A delivery that waited for the connection, pending again, and its write.
    fn wake_delivery(known: &Stored<Delivery>, due: &Due) -> Result<Option<(Delivery, Write)>, EngineError> {
        if !known.doc.waits_for_connection(known.due.is_some()) {
            return Ok(None);
        }
        let mut delivery = known.doc.clone();
        if !matches!(delivery.state, DeliveryState::Accepted { .. }) {
            delivery.state = DeliveryState::Pending;
        }
        let write = known.replace(&delivery, Some(due.clone()))?;
        Ok(Some((delivery, write)))
    }

    async fn page_of_rides(
        &self,
        connection: &Connection,
        prefix: &str,
        resume: &Resume,
    ) -> Result<(Vec<Stored<Activity>>, Option<Resume>), EngineError> {
        let path = |id: &ActivityId| Key::activity(&connection.user, id).path;
        let after = resume.after.as_ref().map(path);
        let (rides, next) = self.store.page::<Activity>(&connection.user, prefix, after.as_deref(), PAGE).await?;
        let last = rides.last().map(|ride| ride.doc.id.clone());
        Ok((rides, next.and(last).map(|last| Resume { after: Some(last) })))
    }
}

pub(super) fn resume_of(connection: &Connection) -> Option<&Resume> {
    match &connection.role {
        Role::Source(source) => source.resume.as_ref(),
        Role::Sink(sink) => sink.resume.as_ref(),
    }
}
