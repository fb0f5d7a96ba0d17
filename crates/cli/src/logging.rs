//! Logs go to standard error; what a command prints goes to standard output.

use tracing::Level;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::{LogFormat, Settings};

/// Sets logging up, once. `verbose` raises the level; `usual` is the level without it.
pub(crate) fn start(settings: Option<&Settings>, verbose: u8, usual: Level) {
    let asked = match verbose {
        0 => settings.and_then(|settings| settings.log).unwrap_or(usual),
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    // Libraries speak only when something is wrong: their lines may quote what we keep out of logs.
    let targets = Targets::new().with_default(Level::WARN).with_targets(
        ["aws", "core", "host", "http", "igpsport", "sinks", "local", "simulator", "fit"]
            .map(|part| (format!("fitbridge_{part}"), asked)),
    );
    let targets = targets.with_target("fitbridge", asked);
    let registry = tracing_subscriber::registry().with(targets);
    let format = settings.map_or(LogFormat::Text, |settings| settings.log_format);
    // A second start in one process keeps the first.
    let _ = match format {
        LogFormat::Json => {
            registry.with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Text => {
            let layer = tracing_subscriber::fmt::layer().with_writer(anstream::stderr).with_target(false);
            registry.with(layer).try_init()
        }
    };
}
