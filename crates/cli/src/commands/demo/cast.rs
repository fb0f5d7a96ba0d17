//! Who plays in the demo, and what happens to them.

use std::{
    cell::Cell,
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use fitbridge_core::{
    Code, Failure,
    domain::{ConnectionId, ContentId, Service, UserId},
    engine::{connect::Wish, secrets::SourceSecret},
};
use fitbridge_simulator::{
    Fault, FaultRule, FileSpec, MemberId, NewAthlete, NewMember, NewRide, Region, RideBatch, Role, Simulator,
    WebhookAttempt,
};
use secrecy::SecretString;
use serde_json::json;

use super::{failed, unwritable};
use crate::{app::App, exit::Stop};

/// How many ride.
pub(crate) const RIDERS: usize = 3;
/// Their names, and how many rides each starts with: one has more than a page.
const NAMES: [(&str, usize); RIDERS] = [("Ada", 24), ("Bo", 7), ("Chen", 3)];
/// What goes wrong, for people.
pub(crate) const FAULTS: &str = "lost acknowledgements, cut files, web pages instead of files, 5xx bursts, rate limits";
/// When each new ride is uploaded, and whose it is.
const UPLOADS: [(u64, usize); 6] = [(6, 0), (8, 1), (10, 2), (12, 0), (14, 1), (16, 2)];

/// A rider of the demo.
#[derive(Debug)]
struct Rider {
    member: MemberId,
    folder: PathBuf,
    webhook_path: String,
    athlete: String,
}

/// Everybody, and the story so far.
#[derive(Debug)]
pub(crate) struct Cast<'a> {
    simulator: &'a Simulator,
    riders: Vec<Rider>,
    sinks: BTreeMap<(UserId, ConnectionId), &'static str>,
    /// Uploads that have happened.
    played: Cell<usize>,
}

/// What arrived, as counted at the services.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub rides: usize,
    pub intervals: usize,
    pub folder: usize,
    pub webhook: usize,
    pub missing: usize,
    pub doubled: usize,
}

impl<'a> Cast<'a> {
    /// Makes the riders, connects them, and sets the faults up.
    pub(crate) async fn gather(simulator: &'a Simulator, app: &App, home: &Path) -> Result<Self, Stop> {
        let world = simulator.world();
        let mut cast = Self { simulator, riders: Vec::new(), sinks: BTreeMap::new(), played: Cell::new(0) };
        let secret = fitbridge_sinks::webhook::new_secret([7; 32]);
        world.set_webhook_secrets(&[secrecy::ExposeSecret::expose_secret(&secret).to_owned()]).map_err(failed)?;
        for (name, rides) in NAMES {
            let member = NewMember { nickname: name.into(), ..NewMember::default() };
            let member = world.add_member(member).map_err(failed)?;
            world.add_rides(Region::Global, member, &RideBatch::small(rides)).map_err(failed)?;
            let (athlete, key) = world.add_athlete(NewAthlete { name: name.into(), ..NewAthlete::default() });
            let user = UserId::from_any(&name.to_lowercase());
            let token = SecretString::from(world.token(Region::Global, member).map_err(failed)?);
            let engine = &app.engine;
            let found =
                engine.ports().source.identify(&token, Some("global")).await.map_err(|error| error.failure())?;
            let found = found.first().ok_or_else(|| Failure::from(Code::TokenRefused))?;
            let wish = |service: &str| Wish { user: user.clone(), name: service.into(), history: None };
            engine.connect_source(&wish("igpsport"), found, &SourceSecret { token, login: None }).await?;
            let folder = home.join("rides").join(name);
            std::fs::create_dir_all(&folder).map_err(unwritable)?;
            let webhook_path = name.to_lowercase();
            let url = format!("{}/{webhook_path}", simulator.webhook_url());
            let key = fitbridge_sinks::intervals::api_key_secret(&SecretString::from(key));
            let signing = fitbridge_sinks::webhook::sealed_secret(&secret).map_err(Failure::from)?;
            let places = [
                ("intervals", json!({}), Some(key)),
                ("folder", json!({ "path": folder }), None),
                ("webhook", json!({ "url": url, "mode": "raw" }), Some(signing)),
            ];
            for (service, settings, secret) in places {
                let Some(sink) = engine.ports().sinks.get(&Service::from_any(service)) else { continue };
                let identity = sink.check(&settings, secret.as_ref()).await.map_err(|error| error.failure().clone())?;
                let connection = engine.connect_sink(&wish(service), &identity, secret.as_ref()).await?;
                cast.sinks.insert((user.clone(), connection.id), service);
            }
            let athlete = athlete.to_string();
            cast.riders.push(Rider { member, folder, webhook_path, athlete });
        }
        cast.trouble()?;
        Ok(cast)
    }

    fn trouble(&self) -> Result<(), Stop> {
        let world = self.simulator.world();
        let rules = [
            // Committed, then the connection is cut: the one that finds duplicate bugs.
            FaultRule::new(Fault::DropAfterCommit).on(Role::Intervals).route("upload").skip(3).times(3),
            FaultRule::new(Fault::Status { code: 503, retry_after: None })
                .on(Role::Intervals)
                .route("upload")
                .skip(8)
                .times(2),
            FaultRule::new(Fault::TruncateBody { keep: 700 }).on(Role::Files).skip(4).times(3),
            FaultRule::new(Fault::HtmlErrorPage { code: 200 }).on(Role::Files).skip(9).times(2),
            FaultRule::new(Fault::Status { code: 500, retry_after: None }).on(Role::Webhook).skip(5).times(4),
            FaultRule::new(Fault::TooManyRequests { retry_after: Some(20) }).on(Role::Webhook).skip(12).times(2),
        ];
        for rule in rules {
            world.add_fault(rule);
        }
        Ok(())
    }

    /// What each sink is called.
    pub(crate) fn sinks(&self) -> &BTreeMap<(UserId, ConnectionId), &'static str> {
        &self.sinks
    }

    /// Uploads the rides whose time has come.
    pub(crate) fn play(&self, elapsed: Duration) -> Result<(), Stop> {
        while let Some((second, rider)) = UPLOADS.get(self.played.get()) {
            if elapsed.as_secs() < *second {
                break;
            }
            let Some(rider) = self.riders.get(*rider) else { break };
            let ride = NewRide { title: Some("Just uploaded".into()), file: FileSpec::Small, ..NewRide::default() };
            self.simulator.world().add_ride(Region::Global, rider.member, &ride).map_err(failed)?;
            self.played.set(self.played.get() + 1);
        }
        Ok(())
    }

    /// Whether nothing more will happen upstream.
    pub(crate) fn is_over(&self) -> bool {
        self.played.get() == UPLOADS.len()
    }

    /// Rides upstream.
    pub(crate) fn rides(&self) -> usize {
        NAMES.iter().map(|(_, rides)| rides).sum::<usize>() + self.played.get()
    }

    /// How many faults struck.
    pub(crate) fn faults_played(&self, simulator: &Simulator) -> u64 {
        let left: u64 = simulator.world().faults().iter().filter_map(|rule| rule.times).map(u64::from).sum();
        let set: u64 = 3 + 2 + 3 + 2 + 4 + 2;
        set.saturating_sub(left)
    }

    /// Compares what lies at each service with what lies upstream, byte for byte.
    pub(crate) fn check(&self, simulator: &Simulator) -> Result<Arrived, Stop> {
        let world = simulator.world();
        let mut arrived = Arrived::default();
        for rider in &self.riders {
            let mut upstream = Vec::new();
            for ride in world.rides(Region::Global, rider.member) {
                upstream.push(world.ride_sha256(Region::Global, ride.ride_id).map_err(failed)?);
            }
            arrived.rides += upstream.len();
            let uploads = world
                .uploads()
                .into_iter()
                .filter(|upload| upload.athlete.to_string() == rider.athlete && upload.status == 201);
            let at_intervals: Vec<_> = uploads.map(|upload| upload.sha256).collect();
            let in_folder = files_of(&rider.folder)?;
            let path = format!("/{}", rider.webhook_path);
            // A repeat under the same id is none to the receiver; the ping of connecting is no ride.
            let hooks = world.webhook_attempts().into_iter().filter(|hook| {
                hook.path.ends_with(&path) && hook.refused.is_none() && !hook.duplicate && is_ride(hook)
            });
            let at_webhook: Vec<_> = hooks.map(|hook| hook.sha256).collect();
            for (there, count) in [
                (&at_intervals, &mut arrived.intervals),
                (&in_folder, &mut arrived.folder),
                (&at_webhook, &mut arrived.webhook),
            ] {
                *count += there.len();
                for sha in &upstream {
                    match there.iter().filter(|other| *other == sha).count() {
                        0 => arrived.missing += 1,
                        1 => {}
                        more => arrived.doubled += more - 1,
                    }
                }
            }
        }
        Ok(arrived)
    }
}

fn is_ride(hook: &WebhookAttempt) -> bool {
    hook.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("content-type") && value.contains("fit"))
}

fn files_of(folder: &Path) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unwritable)? {
        let path = entry.map_err(unwritable)?.path();
        if path.extension().is_some_and(|extension| extension == "fit") {
            found.push(ContentId::of(&std::fs::read(&path).map_err(unwritable)?).to_string());
        }
    }
    Ok(found)
}
