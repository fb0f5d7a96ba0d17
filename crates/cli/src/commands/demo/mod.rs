//! `fitbridge demo`: simulator and serve together, a few riders, compressed time, faults that heal.

mod board;
mod cast;

use std::{io::IsTerminal, sync::Arc, time::Duration};

use fitbridge_core::{Code, Failure, ports::PollClass};
use fitbridge_local::{ScaledClock, SystemClock, run::serve};
use fitbridge_simulator::{Config, Region, Simulator};
use serde_json::json;

use self::{board::Board, cast::Cast};
use super::{Context, serve::stopped, simulate::not_started};
use crate::{
    app::{Access, App},
    exit::{Exit, Stop},
    out::bold,
    settings::{LogFormat, Settings},
};

/// A minute of the demo takes a second.
const SPEED: u32 = 60;
/// The demo gives up when nothing has got any further for so long. How long it takes in all depends on the machine.
const STUCK: Duration = Duration::from_secs(50);
/// How often the table is drawn.
const FRAME: Duration = Duration::from_millis(250);

/// What the demo does with its own simulator, and which cannot fail.
fn failed(error: impl std::fmt::Display) -> Stop {
    Stop::failed(Failure::new(Code::Bug, error.to_string()))
}

/// The folder in which the demo's data lie.
fn unwritable(error: impl std::fmt::Display) -> Stop {
    Stop::failed(Failure::new(Code::OutputUnwritable, format!("the demo's folder: {error}")))
}

/// Runs the demo in a folder that goes when it ends.
pub(crate) async fn run(context: &Context, keep: bool) -> Result<Exit, Stop> {
    let home = tempfile::tempdir().map_err(unwritable)?;
    let simulator = Simulator::start(Config { keep_bodies: false, ..Config::seeded(7) }).await;
    let simulator = simulator.map_err(|error| not_started(&error))?;
    simulator.world().clock().set_speed(f64::from(SPEED));
    let now = fitbridge_core::ports::Clock::now(&SystemClock);
    simulator.world().clock().set(now);
    let clock = Arc::new(ScaledClock::starting(now, SPEED));
    let board = Arc::new(Board::default());
    let settings = settings(&simulator);
    let mut app = App::open_with(home.path(), &settings, Access::Write, Arc::clone(&board) as _, clock)?;
    let out = context.out;
    out.line(format!(
        "{} — three riders, a minute takes a second, nothing leaves this machine",
        bold("FitBridge demo")
    ));
    let cast = Cast::gather(&simulator, &app, home.path()).await?;
    board.name_sinks(&cast);
    out.line(format!("  data: {}   faults: {}", home.path().display(), cast::FAULTS));
    out.line("");

    let stop_user = stopped()?;
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let engine = Arc::clone(&app.engine);
    let story = async {
        let started = tokio::time::Instant::now();
        let mut screen = board::Screen::new(out, std::io::stdout().is_terminal());
        let (mut done, mut last_progress) = (0, started);
        loop {
            tokio::time::sleep(FRAME).await;
            cast.play(started.elapsed())?;
            screen.draw(&board, engine.now(), started.elapsed());
            if done != board.done() {
                (done, last_progress) = (board.done(), tokio::time::Instant::now());
            }
            let quiet = cast.is_over() && board.is_quiet(cast.rides());
            if !keep && (quiet || last_progress.elapsed() > STUCK) {
                break;
            }
        }
        screen.draw(&board, engine.now(), started.elapsed());
        // The loop may have been stopped already.
        let _ = finish.send(());
        Ok::<(), Stop>(())
    };
    let stop = async {
        tokio::select! {
            () = stop_user => {}
            _ = finished => {}
        }
    };
    let serving = serve(&mut app.lanes, stop);
    tokio::pin!(story);
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => drop(served?),
        told = &mut story => {
            told?;
            serving.await?;
        }
    }
    summary(context, &simulator, &board, &cast)
}

/// The settings that point everything at the simulator; the caller's own play no part.
fn settings(simulator: &Simulator) -> Settings {
    Settings {
        igpsport_url: Some(simulator.igpsport_url(Region::Global)),
        igpsport_china_url: None,
        intervals_url: Some(simulator.intervals_url()),
        trusted_hosts: simulator.trusted_hosts().split(',').map(str::to_owned).collect(),
        requests_per_second: None,
        poll_class: PollClass::Hot,
        adaptive: false,
        downloads: 4,
        uploads: 4,
        log: None,
        log_format: LogFormat::Text,
    }
}

/// Counts at the simulated services, not from our own books.
fn summary(context: &Context, simulator: &Simulator, board: &Board, cast: &Cast) -> Result<Exit, Stop> {
    let out = context.out;
    let arrived = cast.check(simulator)?;
    let healed = board.healed();
    let complete = arrived.missing == 0 && arrived.doubled == 0;
    out.line("");
    out.line(format!(
        "{} rides of {} riders: {} at Intervals.icu, {} in folders, {} at webhooks; {} missing, {} twice, all bytes compared",
        arrived.rides, cast::RIDERS, arrived.intervals, arrived.folder, arrived.webhook, arrived.missing, arrived.doubled
    ));
    out.line(format!(
        "{} faults were played, {healed} rides and deliveries healed by themselves",
        cast.faults_played(simulator)
    ));
    out.line("");
    out.line("With your own account:");
    out.line("  fitbridge connect igpsport      # asks for the token of iGPSport's web app; or --login EMAIL");
    out.line(
        "  fitbridge connect intervals     # asks for the API key; or: connect folder ~/rides, connect webhook URL",
    );
    out.line("  fitbridge serve                 # or `fitbridge sync` for one pass");
    out.record(&json!({
        "type": "summary",
        "riders": cast::RIDERS,
        "rides": arrived.rides,
        "intervals": arrived.intervals,
        "folder": arrived.folder,
        "webhook": arrived.webhook,
        "missing": arrived.missing,
        "doubled": arrived.doubled,
        "healed": healed,
    }));
    Ok(if complete { Exit::Done } else { Exit::Unfinished })
}
