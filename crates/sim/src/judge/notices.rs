//! Whether a rider knows how things stand: what failed was told, and that it works again.

use std::{collections::BTreeMap, sync::Arc};

use fitbridge_core::{
    Code,
    domain::{Cause, Connection, Contact, Message, Notice, NoticeState},
    ports::Key,
    store::Store,
};
use futures::FutureExt;

use crate::{clockwork::lock, riders::Rider, world::World};

/// Causes that end when the connection works; others end with another ride, with the rider's word, or with a pause.
fn ends_with_the_pause(code: Code) -> bool {
    matches!(
        code,
        Code::TokenExpired | Code::TokenRefused | Code::TokenMissing | Code::SinkReconnect | Code::ProviderAway
    )
}

/// Once it is quiet, nothing is left to be told, and nobody believes that something fails that works.
pub(super) fn judge(world: &World, rider: &Rider) {
    let store = Store::new(Arc::new(world.ledger.clone()));
    let broken = |what: String| world.broken_unless_jumped("notice", format!("{}: {what}", rider.user));
    let contact = store.read::<Contact>(&Key::contact(&rider.user)).now_or_never().and_then(Result::ok).flatten();
    let channels = contact.map(|contact| contact.doc.channels).unwrap_or_default();
    if channels.is_empty() {
        return;
    }
    let notices = store.all::<Notice>(&rider.user, "notice/").now_or_never().and_then(Result::ok).unwrap_or_default();
    let notices: BTreeMap<_, _> = notices.into_iter().map(|stored| (stored.doc.cause.id(), stored.doc)).collect();
    let attempts = u32::try_from(world.policy.notice_backoff.len()).unwrap_or(0);
    for notice in notices.values() {
        if notice.pending().is_some() {
            broken(format!("{:?} is still to be told", notice.cause));
        }
        let was_refused = lock(&world.notices).was_refused(&notice.message_id());
        if let NoticeState::Undelivered { why, .. } = &notice.state
            && !was_refused
            && notice.attempts <= attempts
        {
            broken(format!("{:?} was given up after {} attempts: {why}", notice.cause, notice.attempts));
        }
    }
    let words = lock(&world.notices).last_words(&rider.user);
    let (lost_a_channel, disconnected) =
        world.wishes(&rider.user, |wishes| (wishes.lost_a_channel, wishes.disconnected.clone()));
    let all = store.all::<Connection>(&rider.user, "connection/").now_or_never().and_then(Result::ok);
    for connection in all.unwrap_or_default().into_iter().map(|stored| stored.doc) {
        if !connection.is_active() || disconnected.contains(&connection.id) || lost_a_channel {
            continue;
        }
        for told in words.iter().filter(|told| told.connection.as_ref() == Some(&connection.name)) {
            let id = Cause::of(told.code, &connection.id).id();
            let was_given_up = notices.get(&id).is_some_and(|notice| {
                notice.untold.is_some()
                    || matches!(notice.state, NoticeState::Undelivered { which: Message::Recovery, .. })
                    || lock(&world.notices).was_refused(&notice.message_id())
            });
            if told.message == Message::Failure && ends_with_the_pause(told.code) && !was_given_up {
                broken(format!("nobody told by {:?} that {} works again: {}", told.via, connection.name, told.code));
            }
        }
    }
}
