//! Finding the ride that a person means.

use fitbridge_core::{Code, Failure, domain::Activity};

use crate::{app::App, exit::Stop};

/// Finds a ride by iGPSport's number, our id, or the start of its SHA-256 (at least 6 digits).
pub(crate) async fn ride(app: &App, text: &str) -> Result<Activity, Stop> {
    let all = app.engine.store().all::<Activity>(&app.user, "activity/").await?;
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
