//! `admin connect`, `disconnect`, `connections`.

use fitbridge_core::{Code, Failure, domain::UserId};
use serde_json::json;

use super::{Act, Desk, changed};
use crate::{
    args::Connect,
    commands::{connect, status::show_connection},
    exit::{Exit, Stop},
    out::plain,
};

/// Connects something for a rider who is there.
pub(super) async fn connect(desk: &Desk, rider: &UserId, what: Connect) -> Result<Exit, Stop> {
    // A misspelt name must not make a rider of its own.
    desk.rider(rider).await?;
    let service = match &what {
        Connect::Igpsport(_) => "igpsport",
        Connect::Intervals(_) => "intervals",
        Connect::Webhook(_) => "webhook",
        Connect::Folder(_) if desk.cloud.is_some() => {
            let why = "a folder would be gone with the function that wrote it: connect another place";
            return Err(Stop::failed(Failure::new(Code::Usage, why)));
        }
        Connect::Folder(_) => "folder",
    };
    let act = Act { verb: "connect", user: Some(rider), detail: service };
    desk.act(act, connect::connect(&desk.place(rider), what)).await?;
    Ok(changed(desk, 1))
}

/// Disconnects something of a rider.
pub(super) async fn disconnect(desk: &Desk, rider: &UserId, name: &str) -> Result<Exit, Stop> {
    desk.rider(rider).await?;
    let act = Act { verb: "disconnect", user: Some(rider), detail: name };
    let connection = desk.act(act, async { Ok(desk.engine.disconnect(rider, name).await?) }).await?;
    desk.out.record(&json!({ "type": "disconnected", "name": connection.name, "id": connection.id }));
    desk.out.line(format!(
        "{} ({}) is disconnected and its secret forgotten",
        connection.name,
        plain(&connection.label)
    ));
    Ok(changed(desk, 1))
}

/// Shows a rider's connections.
pub(super) async fn list(desk: &Desk, rider: &UserId) -> Result<Exit, Stop> {
    let user = desk.rider(rider).await?;
    let connections = desk.connections(&user).await?;
    let mut exit = Exit::Done;
    for connection in &connections {
        exit = exit.max(show_connection(&desk.whose(rider), connection, true).await?);
    }
    if connections.is_empty() {
        desk.out.line(format!("{rider} has no connections"));
    }
    desk.out.record(&json!({ "type": "summary", "connections": connections.len() }));
    Ok(exit)
}
