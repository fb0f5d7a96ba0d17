//! Everything the simulated services know, behind one lock that is never held across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::config::Config;
use crate::fault::{Fault, Faults};
use crate::igpsport::{Region, RegionState, Ride, Tokens};
use crate::intervals::IntervalsState;
use crate::journal::{Journal, Role};
use crate::reply::{Incoming, Reply};
use crate::ridefile::RideFile;
use crate::rng::Rng;
use crate::route::Route;
use crate::urls::Urls;
use crate::webhook::WebhookState;

/// What the listeners, the typed handle and the control listener share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) urls: Urls,
    state: Mutex<State>,
    journal: Mutex<Journal>,
}

impl Shared {
    pub(crate) fn new(config: &Config, urls: Urls) -> Self {
        Self {
            clock: Clock::new(),
            state: Mutex::new(State::new(config, &urls)),
            journal: Mutex::new(Journal::new(config.journal_cap)),
            urls,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The world.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) seed: u64,
    pub(crate) keep_bodies: bool,
    pub(crate) faults: Faults,
    pub(crate) tokens: Tokens,
    /// Path at the file host → file.
    pub(crate) files: HashMap<String, Arc<RideFile>>,
    pub(crate) intervals: IntervalsState,
    pub(crate) webhook: WebhookState,
    pub(crate) bearer_at_file_host: u64,
    pub(crate) trap_hits: u64,
    pub(crate) trap_url: String,
    files_url: String,
    rng: Rng,
    global: RegionState,
    china: RegionState,
}

impl State {
    fn new(config: &Config, urls: &Urls) -> Self {
        Self {
            seed: config.seed,
            keep_bodies: config.keep_bodies,
            faults: Faults::default(),
            tokens: Tokens::default(),
            files: HashMap::new(),
            intervals: IntervalsState::default(),
            webhook: WebhookState::default(),
            bearer_at_file_host: 0,
            trap_hits: 0,
            trap_url: urls.of(Role::Trap),
            files_url: urls.of(Role::Files),
            rng: Rng::new(config.seed),
            global: RegionState::new(Region::Global),
            china: RegionState::new(Region::China),
        }
    }

    pub(crate) fn region(&self, region: Region) -> &RegionState {
        match region {
            Region::Global => &self.global,
            Region::China => &self.china,
        }
    }

    pub(crate) fn region_mut(&mut self, region: Region) -> &mut RegionState {
        match region {
            Region::Global => &mut self.global,
            Region::China => &mut self.china,
        }
    }

    /// Where a ride's file lies.
    pub(crate) fn file_url(&self, ride: &Ride) -> String {
        format!("{}{}", self.files_url, ride.file_path)
    }

    /// The answer, the real milliseconds to wait, and the fault that struck.
    pub(crate) fn judge_and_answer(&mut self, route: &Route, request: &Incoming) -> (Reply, u64, Option<Fault>) {
        if request.role == Role::Files && request.header("authorization").is_some() {
            self.bearer_at_file_host += 1;
        }
        let verdict = self.faults.judge(request.role, route.name(), &request.path, request.now, &mut self.rng);
        let reply = match &verdict.fault {
            Some(fault @ (Fault::RevokeUser | Fault::ExpireTokenNow)) => {
                self.end_credential(request, matches!(fault, Fault::RevokeUser));
                self.answer(route, request)
            }
            Some(fault) => match self.spoiled(fault, request) {
                Some(reply) => reply,
                None => self.answer(route, request),
            },
            None => self.answer(route, request),
        };
        (reply, verdict.delay_ms, verdict.fault)
    }

    fn answer(&mut self, route: &Route, request: &Incoming) -> Reply {
        match route {
            Route::Igpsport(region, call) => self.igpsport(*region, call, request),
            Route::File => self.file(request),
            Route::Intervals(call) => self.intervals(call, request),
            Route::Webhook => self.receive_webhook(request),
            Route::Trap => {
                self.trap_hits += 1;
                Reply::error(418, None)
            }
            Route::Control => Reply::error(404, None),
        }
    }

    fn end_credential(&mut self, request: &Incoming, for_good: bool) {
        match request.role {
            Role::IgpsportGlobal | Role::IgpsportChina => {
                if let Some(token) = request.bearer() {
                    if for_good {
                        self.tokens.revoke(token);
                    } else {
                        self.tokens.expire(token, request.now);
                    }
                }
            }
            Role::Intervals => self.intervals.end_credential(request),
            _ => {}
        }
    }
}
