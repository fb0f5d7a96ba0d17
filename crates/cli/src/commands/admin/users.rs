//! `admin users`.

use fitbridge_core::{
    domain::{Activity, Connection, Delivery, User, UserId},
    ports::Key,
    store::Stored,
};
use serde_json::json;

use super::{Act, Desk, account, changed, rides::newest_first};
use crate::{
    args::admin::Users,
    commands::{
        status::{by_state, count_of_rides, show_connection},
        tally::{delivery_record, ride_record},
        why::{delivery_state, state_of},
    },
    exit::{Exit, Stop},
    out::{bold, plain},
};

/// Does it.
pub(super) async fn run(desk: &Desk, what: Users) -> Result<Exit, Stop> {
    match what {
        Users::Add { rider } => add(desk, &rider).await,
        Users::List { limit, after } => list(desk, limit, after).await,
        Users::Show { rider, limit } => show(desk, &rider, limit).await,
        Users::Pause { rider } => pause(desk, &rider).await,
        Users::Resume { rider } => resume(desk, &rider).await,
        Users::Wake { rider } => wake(desk, &rider).await,
        Users::Remove { rider } => remove(desk, &rider).await,
        Users::Export { rider, output, force } => account::export(desk, &rider, &output, force).await,
        Users::Delete { rider, yes } => account::delete(desk, &rider, yes).await,
    }
}

async fn add(desk: &Desk, rider: &UserId) -> Result<Exit, Stop> {
    let act = Act { verb: "users add", user: Some(rider), detail: "" };
    let added = desk.act(act, async { Ok(desk.engine.add_rider(rider).await?) }).await?;
    desk.out.record(&json!({ "type": "added", "rider": rider, "new": added }));
    desk.out.line(match added {
        true => format!("{rider} is added; next: `{} igpsport`", desk.whose(rider).command("connect")),
        false => format!("{rider} is there already"),
    });
    Ok(changed(desk, usize::from(added)))
}

async fn list(desk: &Desk, limit: usize, after: Option<UserId>) -> Result<Exit, Stop> {
    let (mut after, mut shown) = (after, 0);
    let more = loop {
        let (riders, next) = desk.riders(after.as_ref()).await?;
        let keys: Vec<_> = riders.iter().map(|listed| Key::user(&listed.user)).collect();
        let users = desk.engine.store().read_many::<User>(&keys).await?;
        for user in users.into_iter().flatten().take(limit - shown) {
            shown += 1;
            after = Some(user.doc.user.clone());
            print(desk, &user.doc);
        }
        let last = riders.last().map(|listed| &listed.user);
        if shown == limit && (next.is_some() || last != after.as_ref()) {
            break true;
        }
        match next {
            Some(user) => after = Some(user),
            None => break false,
        }
    };
    let next = after.filter(|_| more);
    if let Some(next) = &next {
        desk.out.line(format!("there are more: `--after {next}`"));
    }
    desk.out.record(&json!({ "type": "summary", "riders": shown, "next": next }));
    Ok(Exit::Done)
}

fn print(desk: &Desk, user: &User) {
    desk.out.record(&json!({
        "type": "rider",
        "rider": user.user,
        "phase": user.phase(),
        "connections": user.connections.len(),
        "since": user.created_at.to_string(),
        "paused_at": user.paused_at.map(|at| at.to_string()),
    }));
    let connections = user.connections.len();
    desk.out.line(format!("{}  {}  {connections} connections  since {:.0}", user.user, user.phase(), user.created_at));
}

async fn show(desk: &Desk, rider: &UserId, limit: usize) -> Result<Exit, Stop> {
    let user = desk.rider(rider).await?;
    print(desk, &user);
    let connections = desk.connections(&user).await?;
    let mut exit = Exit::Done;
    for connection in &connections {
        exit = exit.max(show_connection(&desk.whose(rider), connection, true).await?);
    }
    let store = desk.engine.store();
    let mut rides: Vec<_> = store.all::<Activity>(rider, "activity/").await?.into_iter().map(|ride| ride.doc).collect();
    let states = by_state(&rides);
    desk.out.line(count_of_rides(&states));
    let count = rides.len();
    newest_first(&mut rides);
    rides.truncate(limit);
    for ride in &rides {
        show_ride(desk, ride, &connections).await?;
    }
    desk.out.record(&json!({ "type": "summary", "rides": count, "states": states }));
    Ok(exit)
}

/// Shows a ride with its deliveries.
pub(super) async fn show_ride(desk: &Desk, ride: &Activity, connections: &[Connection]) -> Result<(), Stop> {
    let of = desk.whose(&ride.user);
    of.record(ride_record(ride));
    let date = ride.ride.local_date().map(|date| date.to_string()).unwrap_or_default();
    let title = ride.ride.title().map(|title| plain(&title)).unwrap_or_default();
    desk.out.line(format!("{} {date} {title}: {}", bold(ride.rider_id()), state_of(&of, ride)));
    of.explain(ride.state.failure());
    let Some(content) = ride.state.content() else { return Ok(()) };
    let sinks: Vec<_> = connections.iter().filter(|connection| connection.sink().is_some()).collect();
    let keys: Vec<_> = sinks.iter().map(|sink| Key::delivery(&ride.user, &sink.id, &content)).collect();
    let deliveries = desk.engine.store().read_many::<Delivery>(&keys).await?;
    for (sink, delivery) in sinks.iter().zip(deliveries) {
        let Some(Stored { doc: delivery, .. }) = delivery else { continue };
        of.record(delivery_record(&delivery, &sink.name));
        desk.out.line(format!("  {}: {}", sink.name, delivery_state(&delivery)));
        of.explain(delivery.state.failure());
    }
    Ok(())
}

async fn pause(desk: &Desk, rider: &UserId) -> Result<Exit, Stop> {
    let act = Act { verb: "users pause", user: Some(rider), detail: "" };
    let count = desk.act(act, async { Ok(desk.engine.pause_rider(rider).await?) }).await?;
    desk.out.record(&json!({ "type": "paused", "rider": rider, "connections": count }));
    desk.out.line(format!("{rider} is paused: no call is made for {count} connections; what is under way is finished"));
    Ok(changed(desk, count))
}

async fn resume(desk: &Desk, rider: &UserId) -> Result<Exit, Stop> {
    let act = Act { verb: "users resume", user: Some(rider), detail: "" };
    let count = desk.act(act, async { Ok(desk.engine.resume_rider(rider).await?) }).await?;
    desk.out.record(&json!({ "type": "resumed", "rider": rider, "connections": count }));
    desk.out.line(format!("{rider} goes on: {count} connections"));
    Ok(changed(desk, count))
}

async fn wake(desk: &Desk, rider: &UserId) -> Result<Exit, Stop> {
    let act = Act { verb: "users wake", user: Some(rider), detail: "" };
    let count = desk.act(act, async { Ok(desk.engine.wake_all(rider).await?) }).await?;
    desk.out.record(&json!({ "type": "woken", "rider": rider, "connections": count }));
    desk.out.line(format!("{count} sources of {rider} are looked at as often as is allowed, for some minutes"));
    Ok(changed(desk, count))
}

async fn remove(desk: &Desk, rider: &UserId) -> Result<Exit, Stop> {
    let act = Act { verb: "users remove", user: Some(rider), detail: "" };
    let count = desk.act(act, async { Ok(desk.engine.remove_rider(rider).await?) }).await?;
    desk.out.record(&json!({ "type": "removed", "rider": rider, "connections": count }));
    desk.out.line(format!(
        "{rider} is removed: {count} connections are disconnected and their secrets forgotten; rides and files stay, so that nothing is sent twice if {rider} comes back"
    ));
    Ok(changed(desk, count))
}
