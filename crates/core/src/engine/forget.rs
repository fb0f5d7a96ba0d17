//! Rides that the rider wants gone: they leave a tombstone, so that no inlet brings them back.

use std::collections::BTreeSet;

use super::{
    Engine, EngineError, contended,
    group::{MOST_TAKEN_BACK, Member},
};
use crate::{
    Code, Failure,
    domain::{Activity, ActivityId, ActivityState, ContentId, Delivery, LinkReason, UserId, Withdrawal, story},
    ports::{Job, Key, Task},
    store::Stored,
};

/// How often it is tried again when somebody else was faster.
const TRIES: usize = 8;
/// Records that are looked at in one step.
const PAGE: usize = 200;

/// What became of a ride that was to be forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct Forgot {
    /// The ride, now a tombstone.
    pub ride: Activity,
    /// Deliveries that will not happen.
    pub withdrawn: Vec<Delivery>,
    /// Deliveries that have happened, or may have: what is at a sink stays there.
    pub sent: Vec<Delivery>,
}

impl Engine {
    /// Forgets a ride. It never comes back, neither by its number nor as the same file nor as another file
    /// of the same recording; what was not sent yet is not sent; what is linked to it stays unsent. With
    /// `erase` its file is deleted from the archive, unless another ride has the same.
    #[tracing::instrument(skip_all, fields(user = %user, ride = %ride))]
    pub async fn forget(&self, user: &UserId, ride: &ActivityId, erase: bool) -> Result<Forgot, EngineError> {
        for _ in 0..TRIES {
            let Some(stored) = self.store.activity(user, ride).await? else {
                return Err(Failure::new(Code::NoSuchRide, ride.as_str()).into());
            };
            let now = self.now();
            let mut gone = stored.doc.clone();
            (gone.link, gone.resync, gone.attempts, gone.updated_at) = (None, None, 0, now);
            gone.only_to.clear();
            gone.state = match &stored.doc.state {
                // The file is another ride's.
                ActivityState::Duplicate { .. } => ActivityState::Forgotten { file: None, erase: false },
                ActivityState::Forgotten { file, erase: begun } => {
                    ActivityState::Forgotten { file: *file, erase: *begun || (erase && file.is_some()) }
                }
                _ => {
                    let file = stored.doc.files().last();
                    ActivityState::Forgotten { file, erase: erase && file.is_some() }
                }
            };
            let is_erasing = matches!(gone.state, ActivityState::Forgotten { erase: true, .. });
            let due = is_erasing.then(|| self.handed_over(user, now));
            let mut story = story::of_activity(&stored.doc, &gone);
            let tombstone = stored.replace(&gone, due)?;
            let mut writes = vec![if planted!(self, NoTombstone) { stored.delete() } else { tombstone }];
            // It may have been the last that kept a file which is to be erased.
            let mut erasing: Vec<_> = is_erasing.then(|| ride.clone()).into_iter().collect();
            if let ActivityState::Duplicate { of, .. } = &stored.doc.state
                && let Some(first) = self.store.activity(user, of).await?
                && matches!(first.doc.state, ActivityState::Forgotten { erase: true, .. })
            {
                writes.push(first.replace(&first.doc, Some(self.handed_over(user, now)))?);
                erasing.push(of.clone());
            }
            let (mut withdrawn, mut sent, mut later) = (Vec::new(), Vec::new(), Vec::new());
            for delivery in self.deliveries_anywhere(&stored.doc).await? {
                let back = delivery.doc.withdrawn(Withdrawal::Forgotten, now);
                if let Some(back) = back.filter(|_| !planted!(self, ForgetsUnsent)) {
                    if writes.len() < MOST_TAKEN_BACK {
                        writes.push(delivery.replace(&back, None)?);
                        story.news.extend(story::of_delivery(&delivery.doc, &back).news);
                        withdrawn.push(back);
                    } else {
                        // Whoever delivers looks at the ride, and sends none of them before.
                        later.push((delivery, back));
                    }
                } else if delivery.doc.is_begun() {
                    sent.push(delivery.doc);
                }
            }
            // Those that it was linked with go on without it.
            if let Some(link) = &stored.doc.link {
                let mut rest = self.family(user, &link.to).await?;
                rest.retain(|member| member.doc.id != *ride);
                let rest = rest.into_iter().map(Member::of).collect();
                let (others, _, told) = self.arrange(rest, None, LinkReason::SameRide).await?;
                writes.extend(others);
                if !self.commit_group(user, writes, told, &story).await? {
                    continue;
                }
            } else if !self.commit_told(user, writes, &story).await? {
                continue;
            }
            self.ports.observer.activity(&gone);
            withdrawn.iter().for_each(|delivery| self.ports.observer.delivery(delivery));
            withdrawn.extend(later.iter().map(|(_, back)| back.clone()));
            self.take_back_later(later).await?;
            let erase = |activity| Job { user: user.clone(), task: Task::Erase { activity } };
            self.hand_over(erasing.into_iter().map(erase).collect()).await;
            return Ok(Forgot { ride: gone, withdrawn, sent });
        }
        Err(contended("the rider's records"))
    }

    /// Deletes the file of a forgotten ride, and those that it had before; `false` when there was nothing to do. A
    /// file that another ride has, too, stays until that one is forgotten.
    #[tracing::instrument(skip_all, fields(user = %user, ride = %ride))]
    pub async fn erase(&self, user: &UserId, ride: &ActivityId) -> Result<bool, EngineError> {
        let Some(stored) = self.store.activity(user, ride).await? else { return Ok(false) };
        let ActivityState::Forgotten { file: Some(_), erase: true } = stored.doc.state else { return Ok(false) };
        let shared = self.shared_files(user, &stored.doc).await?;
        for file in stored.doc.files().filter(|file| !shared.contains(file)) {
            // One that another ride had first is that ride's.
            if self.owner_of(user, file).await?.as_ref() == Some(ride) && !planted!(self, EraseSkipped) {
                self.ports.archive.delete(user, file).await?;
            }
        }
        let kept = stored.doc.files().filter(|file| shared.contains(file)).last();
        let mut erased = stored.doc.clone();
        // By it the sinks that have the ride are known.
        erased.remember_file();
        erased.state = ActivityState::Forgotten { file: kept, erase: kept.is_some() };
        erased.updated_at = self.now();
        let saved = self.save(&stored, &erased, None).await?;
        if saved {
            self.ports.observer.activity(&erased);
        }
        Ok(saved)
    }

    /// Files that other rides have, too, which are duplicates of this one: they may still be asked for.
    async fn shared_files(&self, user: &UserId, ride: &Activity) -> Result<BTreeSet<ContentId>, EngineError> {
        let (mut shared, mut after) = (BTreeSet::new(), None::<String>);
        loop {
            let (rides, next) = self.store.page::<Activity>(user, "activity/", after.as_deref(), PAGE).await?;
            for other in rides {
                match other.doc.state {
                    ActivityState::Duplicate { of, content } if of == ride.id => shared.insert(content),
                    _ => false,
                };
            }
            match next {
                Some(path) => after = Some(path),
                None => return Ok(shared),
            }
        }
    }

    /// Every delivery of a ride's files, also to sinks that are paused or disconnected.
    pub(super) async fn deliveries_anywhere(&self, ride: &Activity) -> Result<Vec<Stored<Delivery>>, EngineError> {
        if matches!(ride.state, ActivityState::Duplicate { .. }) {
            return Ok(Vec::new());
        }
        let sinks = self.sinks_ever(&ride.user).await?;
        let mut keys = Vec::new();
        for file in ride.files() {
            keys.extend(sinks.iter().map(|sink| Key::delivery(&ride.user, &sink.doc.id, &file)));
        }
        Ok(self.store.read_many::<Delivery>(&keys).await?.into_iter().flatten().collect())
    }
}
