//! Groups of rides that are one: who stands for them, and what the rider says about it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Engine, EngineError, contended};
use crate::{
    Code, Failure,
    domain::{
        Activity, ActivityId, ActivityState, Cause, Connection, Delivery, DeliveryState, EventKind, Link, LinkReason,
        Story, Trace, UserId, Withdrawal,
        link::{MOST_TOGETHER, worth},
        story::{self, News},
    },
    ports::{Key, Write},
    store::Stored,
};

/// How often a change to a group is tried again when somebody else was faster.
const TRIES: usize = 8;
/// So full is a commit at most when a delivery to take back is put in it; the rest of its room is for the rides of two
/// groups, their news, and what a new file brings.
pub(super) const MOST_TAKEN_BACK: usize = 40;
/// Rides that one ride is remembered to be apart from.
const MOST_APART: usize = 64;

/// One ride of a group that is being put in order.
pub(super) struct Member {
    /// As it was read; `None` for a ride that the caller writes itself.
    stored: Option<Stored<Activity>>,
    /// It has no deliveries yet because another ride stood for it, or because it is new.
    is_fresh: bool,
    pub(super) doc: Activity,
}

impl Member {
    pub(super) fn of(stored: Stored<Activity>) -> Self {
        Self { is_fresh: stored.doc.link.is_some(), doc: stored.doc.clone(), stored: Some(stored) }
    }

    /// A ride whose record the caller writes.
    pub(super) fn new(doc: Activity) -> Self {
        // What is sent again to all sinks by the rider's word is seen to elsewhere.
        Self { stored: None, is_fresh: doc.resync.as_ref().is_none_or(|only| !only.is_empty()), doc }
    }
}

/// Who is to be told of what, once it is committed.
#[derive(Default)]
pub(super) struct Told {
    pub(super) rides: Vec<Activity>,
    pub(super) deliveries: Vec<Delivery>,
    /// Deliveries to take back that have no room in the commit. They follow it: whoever delivers looks at the ride and
    /// sends none of them before.
    later: Vec<(Stored<Delivery>, Delivery)>,
    /// What it means for notices that deliveries are taken back.
    news: Vec<(Cause, News)>,
}

impl Told {
    fn and(mut self, other: Self) -> Self {
        self.rides.extend(other.rides);
        self.deliveries.extend(other.deliveries);
        self.later.extend(other.later);
        self.news.extend(other.news);
        self
    }
}

/// A group as it stands after a rider's word.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What is sent.
    pub primary: Activity,
    /// What it stands for.
    pub others: Vec<Activity>,
}

impl Engine {
    /// Links rides that the rider says are one. What was delivered first stays the primary; where nothing
    /// was, it is the first named.
    #[tracing::instrument(skip_all, fields(user = %user))]
    pub async fn link(&self, user: &UserId, rides: &[ActivityId]) -> Result<Group, EngineError> {
        for _ in 0..TRIES {
            let (mut members, mut named) = (Vec::<Stored<Activity>>::new(), Vec::<ActivityId>::new());
            for id in rides {
                let ride = self.ride_with_file(user, id).await?;
                if !named.contains(&ride.doc.id) {
                    named.push(ride.doc.id.clone());
                }
                if !members.iter().any(|known| known.doc.id == ride.doc.id) {
                    members.extend(self.family(user, ride.doc.primary()).await?);
                }
            }
            if named.len() < 2 {
                return Err(Failure::from(Code::LinkNeedsTwo).into());
            }
            if members.len() > MOST_TOGETHER {
                let detail = format!("{} rides, at most {MOST_TOGETHER}", members.len());
                return Err(Failure::new(Code::GroupTooLarge, detail).into());
            }
            let ids: BTreeSet<_> = members.iter().map(|member| member.doc.id.clone()).collect();
            let mut members: Vec<_> = members.into_iter().map(Member::of).collect();
            for member in &mut members {
                member.doc.apart.retain(|id| !ids.contains(id));
            }
            let (writes, members, told) = self.arrange(members, named.first(), LinkReason::Rider).await?;
            let group = group_of(members)?;
            let linked = EventKind::Linked {
                activity: group.primary.id.clone(),
                others: group.others.iter().map(|other| other.id.clone()).collect(),
            };
            if self.commit_group(user, writes, told, &Story::event(linked)).await? {
                return Ok(group);
            }
        }
        Err(busy())
    }

    /// Takes a ride out of its group for good. Whatever loses its primary by that is sent: the ride itself,
    /// or the best of those that it stood for. The inner group is what is left of the old one.
    #[tracing::instrument(skip_all, fields(user = %user, ride = %ride))]
    pub async fn split(&self, user: &UserId, ride: &ActivityId) -> Result<(Activity, Group), EngineError> {
        for _ in 0..TRIES {
            let Some(stored) = self.store.activity(user, ride).await? else { return Err(no_such(ride)) };
            let family = self.family(user, stored.doc.primary()).await?;
            let (mine, rest): (Vec<_>, Vec<_>) = family.into_iter().partition(|member| member.doc.id == *ride);
            let (Some(mine), false) = (mine.into_iter().next(), rest.is_empty()) else {
                return Err(Failure::new(Code::NotLinked, ride.as_str()).into());
            };
            let mut mine = Member::of(mine);
            let others = rest.iter().map(|other| other.doc.id.clone());
            mine.doc.apart.extend(others);
            let surplus = mine.doc.apart.len().saturating_sub(MOST_APART);
            mine.doc.apart.drain(..surplus);
            let rest = rest.into_iter().map(Member::of).collect();
            let (mut writes, rest, told) = self.arrange(rest, None, LinkReason::SameRide).await?;
            let (own, mine, own_told) = self.arrange(vec![mine], None, LinkReason::SameRide).await?;
            // Both check the rider's connections.
            let seen: BTreeSet<_> = writes.iter().map(|write| write.key.clone()).collect();
            writes.extend(own.into_iter().filter(|write| !seen.contains(&write.key)));
            let split = Story::event(EventKind::Split { activity: ride.clone() });
            if self.commit_group(user, writes, told.and(own_told), &split).await? {
                let Some(mine) = mine.into_iter().next() else { return Err(no_such(ride)) };
                return Ok((mine.doc, group_of(rest)?));
            }
        }
        Err(busy())
    }

    /// A ride that has its file, or the one that a duplicate is of.
    async fn ride_with_file(&self, user: &UserId, id: &ActivityId) -> Result<Stored<Activity>, EngineError> {
        let mut found = self.store.activity(user, id).await?;
        if let Some(ActivityState::Duplicate { of, .. }) = found.as_ref().map(|found| &found.doc.state) {
            found = self.store.activity(user, of).await?;
        }
        let Some(found) = found else { return Err(no_such(id)) };
        match found.doc.state {
            ActivityState::Fetched { .. } => Ok(found),
            _ => Err(Failure::new(Code::NoFileYet, found.doc.rider_id()).into()),
        }
    }

    /// Puts a group in order: elects its primary, links the others to it, takes back what is not to be sent
    /// and makes the deliveries of a primary that has none. The writes check the rider's connections.
    pub(super) async fn arrange(
        &self,
        mut members: Vec<Member>,
        preferred: Option<&ActivityId>,
        why: LinkReason,
    ) -> Result<(Vec<Write>, Vec<Member>, Told), EngineError> {
        let now = self.now();
        let (mut writes, mut told) = (Vec::new(), Told::default());
        let Some(user) = members.first().map(|member| member.doc.user.clone()) else {
            return Ok((writes, members, told));
        };
        let (mut sinks, mut ever) = (Vec::new(), Vec::new());
        if let Some(user) = self.store.user(&user).await? {
            if members.len() > 1 {
                ever = self.sinks_ever(&user.doc.user).await?;
            }
            sinks = self.store.connections(&user.doc).await?;
            sinks.retain(|sink| sink.doc.sink().is_some() && !sink.doc.is_removed());
            if !planted!(self, UserUnchecked) {
                writes.push(user.unchanged());
            }
        }
        let known = if members.len() > 1 { self.known_deliveries(&members, &ever).await? } else { BTreeMap::new() };
        let Some(primary) = elect(&members, &known, preferred) else { return Ok((writes, members, told)) };
        relink(&mut members, &primary, why, now);
        for member in &members {
            let is_primary = member.doc.id == primary;
            if (is_primary || planted!(self, LinkedSentToo)) && member.is_fresh {
                let (made, deliveries) = self.deliveries_of(&member.doc, &sinks, member.stored.is_none()).await?;
                writes.extend(made);
                told.deliveries.extend(deliveries);
            }
        }
        for member in &members {
            // What the rider wants sent of a ride that is linked is seen to elsewhere.
            let was_sent = (!member.is_fresh || member.stored.is_none()) && member.doc.resync.is_none();
            if member.doc.id == primary || !was_sent {
                continue;
            }
            for delivery in known.get(&member.doc.id).into_iter().flatten() {
                match delivery.doc.withdrawn(Withdrawal::Linked, now) {
                    Some(withdrawn) if writes.len() < MOST_TAKEN_BACK => {
                        writes.push(delivery.replace(&withdrawn, None)?);
                        told.news.extend(story::of_delivery(&delivery.doc, &withdrawn).news);
                        told.deliveries.push(withdrawn);
                    }
                    Some(withdrawn) => told.later.push((delivery.clone(), withdrawn)),
                    None => {}
                }
            }
        }
        for member in &mut members {
            if let Some(stored) = member.stored.as_ref().filter(|stored| stored.doc != member.doc) {
                member.doc.updated_at = now;
                writes.push(stored.replace(&member.doc, stored.due.clone())?);
                told.rides.push(member.doc.clone());
            }
        }
        Ok((writes, members, told))
    }

    /// The rider's sinks with those that are disconnected now: they may be connected again, with their deliveries.
    pub(super) async fn sinks_ever(&self, user: &UserId) -> Result<Vec<Stored<Connection>>, EngineError> {
        let mut sinks = self.store.all::<Connection>(user, "connection/").await?;
        sinks.retain(|sink| sink.doc.sink().is_some());
        Ok(sinks)
    }

    /// Every delivery of the members' files to those sinks, by member.
    async fn known_deliveries(
        &self,
        members: &[Member],
        sinks: &[Stored<Connection>],
    ) -> Result<BTreeMap<ActivityId, Vec<Stored<Delivery>>>, EngineError> {
        let mut keys = Vec::new();
        for member in members {
            for file in member.doc.files() {
                keys.extend(sinks.iter().map(|sink| Key::delivery(&member.doc.user, &sink.doc.id, &file)));
            }
        }
        let mut known = BTreeMap::<_, Vec<_>>::new();
        for delivery in self.store.read_many::<Delivery>(&keys).await?.into_iter().flatten() {
            known.entry(delivery.doc.activity.clone()).or_default().push(delivery);
        }
        Ok(known)
    }

    /// The deliveries that a ride lacks at those sinks, or that can go on now; `arrives` with its file just now.
    pub(super) async fn deliveries_of(
        &self,
        ride: &Activity,
        sinks: &[Stored<Connection>],
        arrives: bool,
    ) -> Result<(Vec<Write>, Vec<Delivery>), EngineError> {
        let (mut writes, mut made) = (Vec::new(), Vec::new());
        let ActivityState::Fetched { content, .. } = ride.state else { return Ok((writes, made)) };
        let now = self.now();
        // Where the rider asked for it by name it is sent by that word.
        let is_asked_for = |sink: &Connection| ride.resync.as_ref().is_some_and(|only| only.contains(&sink.id));
        let wanting: Vec<_> = sinks.iter().filter(|sink| sink.doc.wants(ride) && !is_asked_for(&sink.doc)).collect();
        let key = |sink: &Connection, file| Key::delivery(&ride.user, &sink.id, &file);
        let keys: Vec<_> = wanting.iter().map(|sink| key(&sink.doc, content)).collect();
        let known = self.store.read_many::<Delivery>(&keys).await?;
        for (sink, known) in wanting.into_iter().zip(known) {
            let begins = known.as_ref().is_none_or(|known| begins_anew(&known.doc));
            if begins {
                let (taken_back, stays) = self.earlier_files(ride, content, &sink.doc).await?;
                for (delivery, withdrawn) in taken_back {
                    writes.push(delivery.replace(&withdrawn, None)?);
                    made.push(withdrawn);
                }
                if stays {
                    continue;
                }
            }
            let delivery = match &known {
                Some(known) => match goes_on(known, ride, &sink.doc, now) {
                    Some(delivery) => delivery,
                    None => continue,
                },
                None => {
                    let delivery = Delivery::for_sink(ride, &sink.doc, content, now);
                    let is_on_its_way = arrives && delivery.state.is_open();
                    Delivery { discovered_at: ride.discovered_at().filter(|_| is_on_its_way), ..delivery }
                }
            };
            let due = delivery.state.is_open().then(|| self.handed_over(&ride.user, now));
            writes.push(match &known {
                Some(known) => known.replace(&delivery, due)?,
                None => self.store.create(&delivery, due, None)?,
            });
            made.push(delivery);
        }
        Ok((writes, made))
    }

    /// A ride that was fetched again with other bytes than before is a revision of itself: where the first
    /// file is at the sink, or the rider does not want it there, it stays at that (`true`). What was not sent
    /// yet is taken back.
    pub(super) async fn earlier_files(
        &self,
        ride: &Activity,
        content: crate::domain::ContentId,
        sink: &Connection,
    ) -> Result<(Vec<(Stored<Delivery>, Delivery)>, bool), EngineError> {
        let earlier = ride.files().filter(|file| *file != content);
        let keys: Vec<_> = earlier.map(|file| Key::delivery(&ride.user, &sink.id, &file)).collect();
        let known: Vec<_> = self.store.read_many::<Delivery>(&keys).await?.into_iter().flatten().collect();
        let stays = |known: &Stored<Delivery>| known.doc.is_begun() || known.doc.state == DeliveryState::Skipped;
        if known.iter().any(stays) {
            return Ok((Vec::new(), true));
        }
        let now = self.now();
        let withdrawn = known
            .into_iter()
            .filter_map(|known| known.doc.withdrawn(Withdrawal::Replaced, now).map(|back| (known, back)));
        Ok((withdrawn.collect(), false))
    }

    /// Commits what was arranged and tells of it; `false` when something changed meanwhile.
    pub(super) async fn commit_group(
        &self,
        user: &UserId,
        writes: Vec<Write>,
        told: Told,
        story: &Story,
    ) -> Result<bool, EngineError> {
        let news = story.news.iter().cloned().chain(told.news).collect();
        let story = Story { events: story.events.clone(), news };
        if !self.commit_told(user, writes, &story).await? {
            return Ok(false);
        }
        for ride in &told.rides {
            self.ports.observer.activity(ride);
        }
        self.hand_over_deliveries(told.deliveries).await;
        self.take_back_later(told.later).await?;
        Ok(true)
    }

    /// Takes deliveries back that are not to be sent any more. What somebody else changes meanwhile is theirs.
    pub(super) async fn take_back_later(&self, later: Vec<(Stored<Delivery>, Delivery)>) -> Result<(), EngineError> {
        let writes = later.iter().map(|(known, back)| known.replace(back, None)).collect::<Result<Vec<_>, _>>()?;
        let done = self.commit_each(writes).await?;
        let back = later.into_iter().zip(done).filter(|(_, done)| *done).map(|((_, back), _)| back);
        self.hand_over_deliveries(back.collect()).await;
        Ok(())
    }
}

/// Who stands for the group: what the rider wants gone, so that it stays away; else what was sent first;
/// else what the rider named; else the best file.
fn elect(
    members: &[Member],
    known: &BTreeMap<ActivityId, Vec<Stored<Delivery>>>,
    preferred: Option<&ActivityId>,
) -> Option<ActivityId> {
    let forgotten = members.iter().find(|member| matches!(member.doc.state, ActivityState::Forgotten { .. }));
    let sent_first = || {
        let begun = known.iter().flat_map(|(id, all)| all.iter().map(move |one| (id, &one.doc)));
        let begun =
            begun.filter(|(id, delivery)| delivery.is_begun() && members.iter().any(|member| member.doc.id == **id));
        begun.min_by_key(|(id, delivery)| (begun_at(delivery), (*id).clone())).map(|(id, _)| id.clone())
    };
    let named = || {
        let by_rider = |member: &&Member| member.doc.link.as_ref().is_some_and(|link| link.why == LinkReason::Rider);
        preferred.cloned().or_else(|| {
            let named = members.iter().find(by_rider)?.doc.primary().clone();
            members.iter().any(|member| member.doc.id == named).then_some(named)
        })
    };
    let best = || members.iter().max_by_key(|member| worth(&member.doc)).map(|member| member.doc.id.clone());
    forgotten.map(|member| member.doc.id.clone()).or_else(sent_first).or_else(named).or_else(best)
}

/// Whether a known delivery begins anew when its ride has a file: it was taken back, or given up for want of that.
fn begins_anew(delivery: &Delivery) -> bool {
    matches!(delivery.state, DeliveryState::Withdrawn { .. }) || delivery.lost_its_file()
}

/// A known delivery, opened again where it was taken back, or where it waited for a connection that was made
/// anew while the file was being fetched.
fn goes_on(known: &Stored<Delivery>, ride: &Activity, sink: &Connection, now: Timestamp) -> Option<Delivery> {
    let mut delivery = Delivery { updated_at: now, ..known.doc.clone() };
    match known.doc.state {
        // It may be there, under the name that was told then.
        _ if begins_anew(&known.doc) && known.doc.maybe_there => {
            delivery.given_up = known.doc.state.given_up_as().or(known.doc.given_up);
            delivery.attempts = 0;
            delivery.state = match sink.paused() {
                Some(failure) => DeliveryState::Blocked { failure: failure.clone() },
                None => DeliveryState::Pending,
            };
        }
        // Nothing of it was ever told: name and rules are those of today.
        _ if begins_anew(&known.doc) => {
            return Some(Delivery {
                given_up: known.doc.state.given_up_as().or(known.doc.given_up),
                created_at: delivery.created_at,
                send_anyway: delivery.send_anyway,
                ..Delivery::for_sink(ride, sink, delivery.content, now)
            });
        }
        _ if !sink.is_active() || !known.doc.waits_for_connection(known.due.is_some()) => return None,
        DeliveryState::Accepted { .. } => {}
        _ => delivery.state = DeliveryState::Pending,
    }
    Some(delivery)
}

fn begun_at(delivery: &Delivery) -> Timestamp {
    match delivery.state {
        DeliveryState::Delivered { at, .. } => at,
        _ => delivery.created_at,
    }
}

fn relink(members: &mut [Member], primary: &ActivityId, why: LinkReason, now: Timestamp) {
    let mut others: Vec<_> = members.iter().map(|member| member.doc.id.clone()).filter(|id| id != primary).collect();
    others.sort();
    let trace = members.iter().find(|member| member.doc.id == *primary).and_then(|member| Trace::of(&member.doc));
    for member in members {
        let doc = &mut member.doc;
        if doc.id == *primary {
            (doc.link, doc.linked) = (None, others.clone());
            continue;
        }
        doc.linked.clear();
        let known = doc.link.take();
        if known.as_ref().is_some_and(|link| link.to == *primary) {
            doc.link = known;
            continue;
        }
        let seen = || trace.as_ref()?.likeness(&Trace::of(doc)?)?.reason();
        let why = match (known.map(|link| link.why), why) {
            (Some(LinkReason::Rider), _) | (None, LinkReason::Rider) => LinkReason::Rider,
            (known, why) => seen().or(known).unwrap_or(why),
        };
        doc.link = Some(Link { to: primary.clone(), why, at: now });
    }
}

fn group_of(members: Vec<Member>) -> Result<Group, EngineError> {
    let (primary, others): (Vec<_>, Vec<_>) =
        members.into_iter().map(|member| member.doc).partition(|ride| ride.link.is_none());
    match primary.into_iter().next() {
        Some(primary) => Ok(Group { primary, others }),
        None => Err(Failure::new(Code::Bug, "a group without a primary").into()),
    }
}

fn no_such(ride: &ActivityId) -> EngineError {
    Failure::new(Code::NoSuchRide, ride.as_str()).into()
}

fn busy() -> EngineError {
    contended("the rider's records")
}
