//! Putting back to work what was given up, when the rider or the operator says that its cause is mended.

use jiff::Timestamp;

use super::{Engine, EngineError};
use crate::{
    Failure,
    domain::{Activity, ActivityId, ActivityState, ConnectionId, Delivery, DeliveryState, Origin, User, UserId, story},
    ports::{Job, Key, Task},
    store::{Document, Stored},
};

/// Records that are looked at in one step.
const PAGE: usize = 200;

/// Which of a rider's given-up rides and deliveries are meant. The default is all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Which {
    /// Only this ride, and its deliveries.
    pub ride: Option<ActivityId>,
    /// Only deliveries, to these sinks. An empty list means none.
    pub sinks: Option<Vec<ConnectionId>>,
    /// Only what was given up at this moment or later.
    pub since: Option<Timestamp>,
    /// Only what was given up before this moment.
    pub until: Option<Timestamp>,
    /// Only dead letters, not what was rejected.
    pub dead_letters_only: bool,
}

impl Which {
    /// One ride.
    pub fn ride(ride: ActivityId) -> Self {
        Self { ride: Some(ride), ..Self::default() }
    }

    fn is_in_time(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    fn takes_ride(&self, ride: &Activity) -> bool {
        let given_up = match ride.state {
            ActivityState::DeadLetter { .. } => true,
            ActivityState::Rejected { .. } => !self.dead_letters_only,
            _ => false,
        };
        // An imported file cannot be had again from anywhere.
        given_up && matches!(ride.origin, Origin::Cloud { .. }) && self.is_in_time(ride.updated_at)
    }

    fn takes_delivery(&self, delivery: &Delivery) -> bool {
        let given_up = match delivery.state {
            DeliveryState::DeadLetter { .. } => true,
            DeliveryState::Rejected { .. } => !self.dead_letters_only,
            _ => false,
        };
        let sink = self.sinks.as_ref().is_none_or(|sinks| sinks.contains(&delivery.sink));
        let ride = self.ride.as_ref().is_none_or(|ride| delivery.activity == *ride);
        given_up && sink && ride && self.is_in_time(delivery.updated_at)
    }
}

/// Something that was given up.
#[derive(Debug, Clone, PartialEq)]
pub enum GivenUp {
    /// A ride without a file.
    Ride(Box<Stored<Activity>>),
    /// A delivery.
    Delivery(Box<Stored<Delivery>>),
}

impl GivenUp {
    /// Why.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Ride(stored) => stored.doc.state.failure(),
            Self::Delivery(stored) => stored.doc.state.failure(),
        }
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Ride(stored) => stored.doc.updated_at,
            Self::Delivery(stored) => stored.doc.updated_at,
        }
    }
}

impl Engine {
    /// What of a rider was given up, rides first, each in the order of its key.
    pub async fn given_up(&self, user: &UserId, which: &Which) -> Result<Vec<GivenUp>, EngineError> {
        let mut rides = Vec::new();
        let mut deliveries = Vec::new();
        if let Some(ride) = &which.ride {
            let Some(ride) = self.store.activity(user, ride).await? else { return Ok(Vec::new()) };
            deliveries = self.deliveries_at_sinks(&ride.doc).await?;
            rides.push(ride);
        } else {
            // With sinks named, no ride is meant.
            if which.sinks.is_none() {
                rides = self.filtered(user, "activity/", |ride| which.takes_ride(ride)).await?;
            }
            let mut prefixes = vec!["delivery/".to_owned()];
            if let Some(sinks) = &which.sinks {
                prefixes = sinks.iter().map(|sink| format!("delivery/{sink}/")).collect();
            }
            for prefix in prefixes {
                deliveries.extend(self.filtered(user, &prefix, |delivery| which.takes_delivery(delivery)).await?);
            }
        }
        rides.retain(|stored| which.sinks.is_none() && which.takes_ride(&stored.doc));
        deliveries.retain(|stored| which.takes_delivery(&stored.doc));
        let rides = rides.into_iter().map(|stored| GivenUp::Ride(Box::new(stored)));
        Ok(rides.chain(deliveries.into_iter().map(|stored| GivenUp::Delivery(Box::new(stored)))).collect())
    }

    /// Begins anew with what was given up. Says how many there were.
    #[tracing::instrument(skip_all, fields(user = %user))]
    pub async fn redrive(&self, user: &UserId, which: &Which) -> Result<usize, EngineError> {
        let mut count = 0;
        for given_up in self.given_up(user, which).await? {
            count += usize::from(self.begin_anew(&given_up).await?);
        }
        Ok(count)
    }

    /// Begins anew with one of them; `false` when it changed meanwhile.
    pub async fn begin_anew(&self, given_up: &GivenUp) -> Result<bool, EngineError> {
        match given_up {
            GivenUp::Ride(stored) => self.begin_ride_anew(stored).await,
            GivenUp::Delivery(stored) => self.begin_delivery_anew(stored).await,
        }
    }

    /// The deliveries of one ride, by their keys.
    async fn deliveries_at_sinks(&self, ride: &Activity) -> Result<Vec<Stored<Delivery>>, EngineError> {
        let Some(content) = ride.state.content() else { return Ok(Vec::new()) };
        let Some(user) = self.store.user(&ride.user).await? else { return Ok(Vec::new()) };
        let User { user, connections, .. } = user.doc;
        let keys: Vec<_> = connections.iter().map(|sink| Key::delivery(&user, sink, &content)).collect();
        Ok(self.store.read_many(&keys).await?.into_iter().flatten().collect())
    }

    async fn filtered<T: Document>(
        &self,
        user: &UserId,
        prefix: &str,
        takes: impl Fn(&T) -> bool + Send + Sync,
    ) -> Result<Vec<Stored<T>>, EngineError> {
        let (mut after, mut taken): (Option<String>, _) = (None, Vec::new());
        loop {
            let (page, next) = self.store.page::<T>(user, prefix, after.as_deref(), PAGE).await?;
            taken.extend(page.into_iter().filter(|stored| takes(&stored.doc)));
            match next {
                Some(path) => after = Some(path),
                None => return Ok(taken),
            }
        }
    }

    async fn begin_ride_anew(&self, stored: &Stored<Activity>) -> Result<bool, EngineError> {
        let mut anew = stored.doc.clone();
        anew.begin_anew(self.now());
        let task = Task::Resolve { activity: anew.id.clone() };
        let due = self.due_for(&anew.user, &task, anew.updated_at);
        let saved = self.save(stored, &anew, Some(due)).await?;
        if saved {
            self.ports.observer.activity(&anew);
            self.hand_over(vec![Job { user: anew.user, task }]).await;
        }
        Ok(saved)
    }

    /// Only of a ride that is to be sent: not of one that was forgotten, that another stands for, or that has
    /// another file now. What the rider wants sent of those all the same is resynced.
    pub(super) async fn begin_delivery_anew(&self, stored: &Stored<Delivery>) -> Result<bool, EngineError> {
        let Some(ride) = self.store.activity(&stored.doc.user, &stored.doc.activity).await? else { return Ok(false) };
        let has_file =
            matches!(ride.doc.state, ActivityState::Fetched { content, .. } if content == stored.doc.content);
        if !has_file || ride.doc.link.is_some() {
            return Ok(false);
        }
        let mut anew = stored.doc.clone();
        anew.given_up = stored.doc.state.given_up_as();
        (anew.state, anew.attempts, anew.updated_at) = (DeliveryState::Pending, 0, self.now());
        let due = self.handed_over(&anew.user, anew.updated_at);
        let writes = vec![stored.replace(&anew, Some(due))?, ride.unchanged()];
        let saved = self.commit_told(&anew.user, writes, &story::of_delivery(&stored.doc, &anew)).await?;
        if saved {
            self.hand_over_deliveries(vec![anew]).await;
        }
        Ok(saved)
    }
}
