//! Finding the ride that a person means.

use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Activity, UserId},
};

use crate::{app::App, exit::Stop};

/// Finds a ride of this machine's rider.
pub(crate) async fn ride(app: &App, text: &str) -> Result<Activity, Stop> {
    ride_of(&app.engine, &app.user, text).await
}

/// Finds a rider's ride by iGPSport's number, our id, or the start of its SHA-256 (at least 6 digits).
pub(crate) async fn ride_of(engine: &Engine, user: &UserId, text: &str) -> Result<Activity, Stop> {
    let all = engine.store().all::<Activity>(user, "activity/").await?;
    let is_exact = |ride: &Activity| ride.rider_id() == text || ride.id.as_str() == text;
    let is_start = |ride: &Activity| {
        text.len() >= 6
            && ride.state.content().is_some_and(|content| content.to_string().starts_with(&text.to_lowercase()))
    };
    let mut found: Vec<_> = all.iter().map(|stored| &stored.doc).filter(|ride| is_exact(ride)).collect();
    if found.is_empty() {
        found = all.iter().map(|stored| &stored.doc).filter(|ride| is_start(ride)).collect();
    }
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::new(Code::NoSuchRide, text).into()),
        several => {
            let ids: Vec<_> = several.iter().map(|ride| ride.id.to_string()).collect();
            Err(Failure::new(Code::AmbiguousRide, ids.join(", ")).into())
        }
    }
}
