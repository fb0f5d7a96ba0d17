//! `fitbridge serve`: keep going until stopped.

use std::sync::Arc;

use fitbridge_core::{Code, Engine, Failure};
use fitbridge_local::{ServeLock, ServeLockError, SystemClock, run::serve};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, serve_log::ServeLog};
use crate::exit::{Exit, Stop};

/// Serves until SIGTERM or Ctrl-C, then finishes or gives back what it holds.
pub(crate) async fn run(context: &Context) -> Result<Exit, Stop> {
    let mut app = context.open_watched(Arc::new(ServeLog::default()))?;
    let now = fitbridge_core::ports::Clock::now(&SystemClock);
    let _lock = ServeLock::take(&app.home, now).map_err(|error| match error {
        ServeLockError::Taken { holder } => Stop::failed(Failure::new(Code::ServeRunning, holder)),
        error @ ServeLockError::Unusable { .. } => Stop::failed(Failure::new(Code::LedgerReadOnly, error.to_string())),
    })?;
    // How often is polled may have been set anew since the sources were connected.
    replan_all(&app.engine).await?;
    context.out.line(format!("serving {}; stop with Ctrl-C", app.home.display()));
    context.out.record(&json!({ "type": "serving", "home": app.home }));
    let served = serve(&mut app.lanes, stopped()?).await?;
    context.out.line(format!("stopped: {} jobs finished, {} left for the next run", served.finished, served.released));
    context.out.record(&json!({ "type": "summary", "finished": served.finished, "released": served.released }));
    Ok(Exit::Done)
}

/// Everybody's, page by page: an operator may have added riders beside the one of this machine.
async fn replan_all(engine: &Engine) -> Result<(), Stop> {
    let mut after = None;
    loop {
        let (riders, next) = engine.store().riders(after.as_ref(), 100).await?;
        for rider in riders {
            engine.replan(&rider.user).await?;
        }
        match next {
            Some(user) => after = Some(user),
            None => return Ok(()),
        }
    }
}

/// Comes with SIGTERM or SIGINT.
pub(crate) fn stopped() -> Result<impl Future<Output = ()>, Stop> {
    let failed = |error: std::io::Error| Stop::failed(Failure::new(Code::Bug, error.to_string()));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
