//! The running simulator.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::config::Config;
use crate::connection::{ConnectionHelp, connection_help};
use crate::demo;
use crate::igpsport::Region;
use crate::intervals::Upload;
use crate::journal::{Entry, Role};
use crate::server::serve;
use crate::state::Shared;
use crate::urls::Urls;
use crate::wire::WireListener;
use crate::world::{World, WorldError};

/// The simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken or not allowed.
    #[error("cannot listen on 127.0.0.1:{port} for {role}: {source}")]
    Listen {
        /// For which host.
        role: Role,
        /// Which port (0: any).
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// No threads for it.
    #[error("cannot start the simulator's runtime: {0}")]
    Runtime(std::io::Error),
    /// The demo world could not be furnished.
    #[error("cannot furnish the demo world: {0}")]
    World(#[from] WorldError),
}

/// All simulated hosts, on a runtime of their own; they vanish, connections included, when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    world: World,
    _threads: Threads,
}

/// A runtime that may be dropped anywhere, also inside another runtime, where waiting for its end is forbidden.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Simulator {
    /// Starts all listeners on 127.0.0.1. They accept connections when this returns.
    ///
    /// # Errors
    /// When a port cannot be had or no thread can be started.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_blocking(config)
    }

    /// [`Simulator::start`] for callers that are not asynchronous.
    ///
    /// # Errors
    /// As [`Simulator::start`].
    pub fn start_blocking(config: Config) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("fitbridge-sim")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let handle = runtime.handle().clone();
        let threads = Threads(Some(runtime));
        let mut listeners = Vec::with_capacity(Role::ALL.len());
        let mut addrs = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); Role::ALL.len()];
        for (role, addr) in Role::ALL.into_iter().zip(&mut addrs) {
            let port = config.ports.of(role);
            let (listener, at) = listen(&handle, port).map_err(|source| StartError::Listen { role, port, source })?;
            *addr = at;
            listeners.push((role, listener));
        }
        let shared = Arc::new(Shared::new(&config, Urls(addrs)));
        for (role, listener) in listeners {
            handle.spawn(serve(WireListener(listener), role, Arc::clone(&shared)));
        }
        Ok(Self { world: World { shared }, _threads: threads })
    }

    /// A simulator with one rider, 44 rides on three pages, an Intervals.icu athlete and a webhook secret.
    ///
    /// # Errors
    /// As [`Simulator::start`].
    pub async fn demo_world(config: Config) -> Result<Self, StartError> {
        let simulator = Self::start(config).await?;
        demo::furnish(&simulator.world, config.seed)?;
        Ok(simulator)
    }

    /// The handle to change and look at the world.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Base URL of a region's API, for `FITBRIDGE_IGPSPORT_URL`.
    #[must_use]
    pub fn igpsport_url(&self, region: Region) -> String {
        self.world.shared.urls.igpsport(region)
    }

    /// `host:port` of the file host.
    #[must_use]
    pub fn file_host(&self) -> String {
        self.world.shared.urls.addr(Role::Files).to_string()
    }

    /// Base URL of Intervals.icu, for `FITBRIDGE_INTERVALS_URL`.
    #[must_use]
    pub fn intervals_url(&self) -> String {
        self.world.shared.urls.of(Role::Intervals)
    }

    /// A URL that receives webhooks.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("{}/hook", self.world.shared.urls.of(Role::Webhook))
    }

    /// Base URL of the control listener.
    #[must_use]
    pub fn control_url(&self) -> String {
        self.world.shared.urls.of(Role::Control)
    }

    /// Base URL of the host nobody may ever reach.
    #[must_use]
    pub fn trap_url(&self) -> String {
        self.world.shared.urls.of(Role::Trap)
    }

    /// File host and webhook receiver as `host:port,host:port`, for `FITBRIDGE_TRUSTED_HOSTS`.
    #[must_use]
    pub fn trusted_hosts(&self) -> String {
        let urls = &self.world.shared.urls;
        format!("{},{}", urls.addr(Role::Files), urls.addr(Role::Webhook))
    }

    /// The newest requests, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.world.journal_since(0)
    }

    /// Everything Intervals.icu received.
    #[must_use]
    pub fn uploads(&self) -> Vec<Upload> {
        self.world.uploads()
    }

    /// The environment and the commands a person needs next.
    #[must_use]
    pub fn connection_help(&self) -> ConnectionHelp {
        connection_help(&self.world)
    }
}

fn listen(runtime: &Handle, port: u16) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let _entered = runtime.enter();
    Ok((TcpListener::from_std(listener)?, addr))
}
