//! `admin users export` and `admin users delete`, and `admin reconcile`.

use std::path::Path;

use fitbridge_core::domain::{Role, UserId};
use jiff::SignedDuration;
use serde_json::json;

use super::{Act, Desk, changed};
use crate::{
    commands::account,
    exit::{Exit, Stop},
};

/// How far the table's point-in-time recovery goes back: 35 days, unless somebody shortened it.
const BACKUPS: SignedDuration = SignedDuration::from_hours(35 * 24);

/// Writes everything about a rider into a ZIP file.
pub(super) async fn export(desk: &Desk, rider: &UserId, output: &Path, force: bool) -> Result<Exit, Stop> {
    account::may_write(output, force)?;
    desk.rider(rider).await?;
    let act = Act { verb: "users export", user: Some(rider), detail: "" };
    desk.act(act, account::write(desk.out, &desk.engine, rider, output, force)).await
}

/// Deletes everything about a rider. No event tells of it: what stays is the receipt, and on AWS the
/// table's backups for their time.
pub(super) async fn delete(desk: &Desk, rider: &UserId, yes: bool) -> Result<Exit, Stop> {
    account::confirmed(yes)?;
    let act = Act { verb: "users delete", user: None, detail: "" };
    let work = async {
        match desk.app() {
            Some(app) => account::delete_here(app, rider).await,
            None => Ok(desk.engine.delete_account(rider).await?),
        }
    };
    let receipt = desk.act(act, work).await?;
    let backups = receipt.done_at.filter(|_| desk.cloud.is_some()).map(|at| at + BACKUPS);
    account::told(desk.out, &receipt, backups);
    if desk.app().is_none() {
        desk.out.line(
            "  a function that had a job of this rider in hand may have written since: run this again in an hour",
        );
    }
    Ok(Exit::Done)
}

/// Begins a reconcile of a rider's sources; whoever works through the queue goes on with it.
pub(super) async fn reconcile(desk: &Desk, rider: &UserId, name: Option<&str>) -> Result<Exit, Stop> {
    let sources = match name {
        Some(name) => vec![desk.engine.find_connection(rider, name).await?.doc],
        None => desk.connections(&desk.rider(rider).await?).await?,
    };
    let mut begun = 0;
    for source in sources.iter().filter(|one| matches!(one.role, Role::Source(_)) && !one.is_removed()) {
        let act = Act { verb: "reconcile", user: Some(rider), detail: &source.name };
        let is_new = desk.act(act, async { Ok(desk.engine.begin_reconcile(rider, &source.id).await?) }).await?;
        begun += usize::from(is_new);
        desk.out.record(&json!({ "type": "reconcile", "rider": rider, "name": source.name, "new": is_new }));
        let said = if is_new { "is begun" } else { "is under way already" };
        desk.out.line(format!(
            "{}: a reconcile {said}; `{} users show {rider}` tells what it found",
            source.name,
            desk.by().admin()
        ));
    }
    Ok(changed(desk, begun))
}
