//! `fitbridge simulator`.

use fitbridge_core::{Code, Failure};
use fitbridge_simulator::{Config, Ports, Region, Simulator, StartError};
use serde_json::json;

use super::{Context, serve::stopped};
use crate::{
    args::SimulatorArgs,
    exit::{Exit, Stop},
    out::bold,
};

/// A simulator that could not be started.
pub(super) fn not_started(error: &StartError) -> Stop {
    let code = match error {
        StartError::Listen { .. } => Code::PortUnavailable,
        _ => Code::Bug,
    };
    Stop::failed(Failure::new(code, error.to_string()))
}

/// Plays every service until stopped.
pub(crate) async fn run(context: &Context, args: &SimulatorArgs) -> Result<Exit, Stop> {
    let failed = |code, error: &dyn std::fmt::Display| Stop::failed(Failure::new(code, error.to_string()));
    let ports = args.port.map_or_else(Ports::default, Ports::from);
    let config = Config { ports, seed: args.seed, ..Config::default() };
    let simulator = Simulator::demo_world(config).await.map_err(|error| not_started(&error))?;
    if let Some(folder) = &args.folder {
        let world = simulator.world();
        let Some(rider) = world.members(Region::Global).into_iter().next() else {
            return Err(failed(Code::Bug, &"the simulated world has no rider"));
        };
        for ride in world.rides(Region::Global, rider.member_id) {
            world.delete_ride(Region::Global, ride.ride_id).map_err(|error| failed(Code::Bug, &error))?;
        }
        let rides = world.load_folder(Region::Global, rider.member_id, folder);
        let rides = rides.map_err(|error| failed(Code::FileUnreadable, &error))?;
        context.out.line(format!("{} rides from {}", rides.len(), folder.display()));
    }
    let help = simulator.connection_help();
    let out = context.out;
    out.line(format!("{} — in another terminal:", bold("simulated iGPSport, Intervals.icu and webhook receiver")));
    out.line("");
    out.line("export FITBRIDGE_HOME=$(mktemp -d)");
    for line in help.exports().lines() {
        out.line(line);
    }
    for command in &help.commands {
        out.line(command);
    }
    out.line("");
    out.line(format!("control: {} (see crates/simulator/README.md); stop with Ctrl-C", help.control_url));
    out.record(&json!({ "type": "simulator", "help": help }));
    stopped()?.await;
    out.record(&json!({ "type": "summary", "requests": simulator.world().request_counts().values().sum::<u64>() }));
    Ok(Exit::Done)
}
