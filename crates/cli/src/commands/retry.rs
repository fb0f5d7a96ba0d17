//! `fitbridge retry`: begin anew with what was given up.

use std::sync::Arc;

use fitbridge_core::{engine::redrive::Which, ports::Clock};
use fitbridge_local::SystemClock;

use super::{Context, duplicates::finish, find, tally::Tally};
use crate::exit::{Exit, Stop};

/// Puts rides and deliveries back to work and works on them.
pub(crate) async fn run(context: &Context, rides: &[String], all: bool) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("retry")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    app.engine.refuse_when_halted().await?;
    let mut begun = 0;
    if all {
        begun += app.engine.redrive(&app.user, &Which::default()).await?;
    }
    for ride in rides {
        let ride = find::ride(&app, ride).await?;
        begun += app.engine.redrive(&app.user, &Which::ride(ride.id)).await?;
    }
    context.out.line(format!("{begun} rides and deliveries are begun anew"));
    finish(context, &mut app, &tally).await
}
