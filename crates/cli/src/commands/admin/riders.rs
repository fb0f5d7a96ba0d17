//! `admin notify` and `admin audit`: for a rider, what riders have on their own machine.

use fitbridge_core::domain::UserId;
use jiff::Timestamp;

use super::{Act, Desk};
use crate::{
    args::{Notify, admin::Moment},
    commands::{audit, notify},
    exit::{Exit, Stop},
};

/// Sets or shows how a rider is told.
pub(super) async fn notify(desk: &Desk, rider: &UserId, what: Notify) -> Result<Exit, Stop> {
    // A misspelt name must not make a rider of its own.
    desk.rider(rider).await?;
    let of = desk.whose(rider);
    if what.only_looks() {
        return notify::set_or_show(&of, what).await;
    }
    let detail = match &what {
        Notify::Webhook(_) => "webhook",
        Notify::Email(_) => "email",
        Notify::Off { .. } => "off",
        Notify::Test => "test",
        Notify::Quiet { .. } => "quiet",
        Notify::Show => "show",
    };
    desk.act(Act { verb: "notify", user: Some(rider), detail }, notify::set_or_show(&of, what)).await
}

/// Shows what happened to a rider.
pub(super) async fn audit(desk: &Desk, rider: &UserId, since: Option<Moment>, now: Timestamp) -> Result<Exit, Stop> {
    let connections = desk.connections(&desk.rider(rider).await?).await?;
    let since = since.map(|since| since.seen_from(now));
    audit::print(desk.out, &desk.engine, rider, &connections, since).await
}
