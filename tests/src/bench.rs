//! A test's own world: simulated services, a rider, a data folder, and the binary.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use fitbridge_simulator::{
    AthleteId, Config, MemberId, NewAthlete, NewMember, NewRide, Region, RideBatch, RideId, Role, Simulator, World,
};
use tempfile::TempDir;

use crate::output::Output;
use crate::process::Running;
use crate::secrets::forms_of;
use crate::tree::{Tree, tree_of};
use crate::{binary, sha256};

/// What the simulated webhook receiver verifies with; made up.
pub const WEBHOOK_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const PASSWORD: &str = "correct horse battery";

/// How a bench differs from the usual one.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Rides there from the start, 26 hours apart.
    pub rides: usize,
    /// Where the data lies; below the bench's own folder when absent.
    pub home: Option<PathBuf>,
}

/// A simulated world with one rider, and a data folder.
#[derive(Debug)]
pub struct Bench {
    simulator: Simulator,
    /// The rider's number at iGPSport, global.
    pub member: MemberId,
    /// The rider at Intervals.icu.
    pub athlete: AthleteId,
    /// The rider's API key there.
    pub api_key: String,
    folder: TempDir,
    home: PathBuf,
    environment: Mutex<Vec<(String, String)>>,
    said: Mutex<Vec<Output>>,
    secrets: Mutex<Vec<String>>,
}

impl Bench {
    /// A world with `rides` rides.
    #[must_use]
    pub fn new(rides: usize) -> Self {
        Self::with(Setup { rides, ..Setup::default() })
    }

    /// A world as wished.
    ///
    /// # Panics
    /// When the machine has no port or no room left.
    #[must_use]
    pub fn with(setup: Setup) -> Self {
        let simulator = Simulator::start_blocking(Config::seeded(7)).expect("the simulator starts");
        let world = simulator.world();
        let member = NewMember { password: PASSWORD.to_owned(), ..NewMember::default() };
        let member = world.add_member(member).expect("a member");
        let batch = RideBatch::small(setup.rides);
        world.add_rides(Region::Global, member, &batch).expect("rides");
        let (athlete, api_key) = world.add_athlete(NewAthlete::default());
        world.set_webhook_secrets(&[WEBHOOK_SECRET.to_owned()]).expect("a webhook secret");
        let folder = tempfile::tempdir().expect("a folder");
        let home = setup.home.unwrap_or_else(|| folder.path().join("home"));
        let environment = vec![
            ("FITBRIDGE_IGPSPORT_URL".to_owned(), simulator.igpsport_url(Region::Global)),
            ("FITBRIDGE_INTERVALS_URL".to_owned(), simulator.intervals_url()),
            ("FITBRIDGE_TRUSTED_HOSTS".to_owned(), simulator.trusted_hosts()),
        ];
        let bare = WEBHOOK_SECRET.trim_start_matches("whsec_").to_owned();
        let secrets = vec![api_key.clone(), PASSWORD.to_owned(), bare];
        Self {
            simulator,
            member,
            athlete,
            api_key,
            folder,
            home,
            environment: Mutex::new(environment),
            said: Mutex::default(),
            secrets: Mutex::new(secrets),
        }
    }

    /// The simulated services.
    #[must_use]
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// The handle to change and look at them.
    #[must_use]
    pub fn world(&self) -> &World {
        self.simulator.world()
    }

    /// The data folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A path below the test's own folder, outside the data folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the folder sink writes.
    #[must_use]
    pub fn rides_folder(&self) -> PathBuf {
        self.path("rides")
    }

    /// Sets an environment variable of later commands; an empty value takes it away.
    pub fn set(&self, name: &str, value: &str) {
        let mut environment = self.environment.lock().unwrap_or_else(PoisonError::into_inner);
        environment.retain(|(known, _)| known != name);
        if !value.is_empty() {
            environment.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The second region too, at a host of its own.
    pub fn set_both_regions(&self) {
        self.set("FITBRIDGE_IGPSPORT_CHINA_URL", &self.simulator.igpsport_url(Region::China));
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// The same, with something on standard input.
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Output {
        let output = Running::start(self.command(arguments), stdin).finish();
        self.remember(output.clone());
        output
    }

    /// Starts a command.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments), "")
    }

    /// Keeps what a started command said, so that it too is searched for secrets.
    pub fn remember(&self, output: Output) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(output);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary::path());
        // Nothing of the developer's own settings may reach a test.
        command.env_clear().env("HOME", self.folder.path()).env("PATH", "/usr/bin:/bin");
        command.envs(self.environment.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        command.arg("--home").arg(&self.home).args(arguments).current_dir(self.folder.path());
        command
    }

    /// A fresh token of the rider.
    ///
    /// # Panics
    /// Never for the rider of this bench.
    #[must_use]
    pub fn token(&self) -> String {
        let token = self.world().token(Region::Global, self.member).expect("a token");
        self.keep_secret(&token);
        token
    }

    /// A text that must not appear anywhere but in the sealed vault.
    pub fn keep_secret(&self, secret: &str) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.push(secret.to_owned());
        // A token's signature alone is as good as the token to whoever has seen another one.
        secrets.extend(secret.split('.').nth(2).map(str::to_owned));
    }

    /// Connects iGPSport with a fresh token.
    pub fn connect_source(&self) -> Output {
        self.run_with(&["--json", "connect", "igpsport", "--token-stdin"], &self.token())
    }

    /// Connects Intervals.icu.
    pub fn connect_intervals(&self) -> Output {
        self.run_with(&["--json", "connect", "intervals", "--api-key-stdin"], &self.api_key)
    }

    /// Connects the folder.
    ///
    /// # Panics
    /// When the path is no text.
    pub fn connect_folder(&self) -> Output {
        let folder = self.rides_folder();
        std::fs::create_dir_all(&folder).expect("a folder");
        self.run(&["--json", "connect", "folder", folder.to_str().expect("a path of text")])
    }

    /// Connects the webhook.
    pub fn connect_webhook(&self) -> Output {
        let url = self.simulator.webhook_url();
        self.run_with(&["--json", "connect", "webhook", &url, "--secret-stdin"], WEBHOOK_SECRET)
    }

    /// Connects everything.
    #[track_caller]
    pub fn connect_all(&self) {
        self.connect_source().exits(0);
        self.connect_intervals().exits(0);
        self.connect_folder().exits(0);
        self.connect_webhook().exits(0);
    }

    /// `sync --json`.
    pub fn sync(&self) -> Output {
        self.run(&["--json", "sync"])
    }

    /// Adds rides that began now and earlier; their numbers, the oldest first.
    ///
    /// # Panics
    /// Never for the rider of this bench.
    pub fn add_rides(&self, count: usize) -> Vec<RideId> {
        self.world().add_rides(Region::Global, self.member, &RideBatch::small(count)).expect("rides")
    }

    /// Adds one ride.
    ///
    /// # Panics
    /// When its file cannot be made.
    pub fn add_ride(&self, ride: &NewRide) -> RideId {
        self.world().add_ride(Region::Global, self.member, ride).expect("a ride")
    }

    /// SHA-256 of the files of all rides that are upstream now, sorted, each file once.
    #[must_use]
    pub fn upstream(&self) -> Vec<String> {
        let rides = self.world().rides(Region::Global, self.member);
        let mut found: Vec<_> =
            rides.iter().filter(|ride| !ride.deleted).map(|ride| self.sha_of(ride.ride_id)).collect();
        found.sort();
        found.dedup();
        found
    }

    /// SHA-256 of a ride's file upstream.
    ///
    /// # Panics
    /// When there is no such ride.
    #[must_use]
    pub fn sha_of(&self, ride: RideId) -> String {
        self.world().ride_sha256(Region::Global, ride).expect("a ride's file")
    }

    /// SHA-256 of the file behind every activity that was uploaded at Intervals.icu, sorted.
    #[must_use]
    pub fn at_intervals(&self) -> Vec<String> {
        let activities = self.world().activities(&self.athlete);
        let mut found: Vec<_> = activities
            .into_iter()
            .filter(|activity| !activity.deleted)
            .filter_map(|activity| activity.sha256)
            .collect();
        found.sort();
        found
    }

    /// SHA-256 of every file in the folder sink, sorted. Unfinished files are hidden under a name of their
    /// own, and a process that is killed may leave one.
    #[must_use]
    pub fn in_folder(&self) -> Vec<String> {
        let tree = tree_of(&self.rides_folder());
        let unfinished = |name: &str| name.rsplit('/').next().is_some_and(|name| name.starts_with(".fitbridge-"));
        let files = tree.iter().filter(|(name, _)| !name.ends_with('/') && !unfinished(name));
        let mut found: Vec<_> = files.map(|(_, bytes)| sha256(bytes)).collect();
        found.sort();
        found
    }

    /// SHA-256 of the body of every webhook with a ride that was received under an id of its own, sorted.
    ///
    /// # Panics
    /// When one id came with two bodies, or one was refused.
    #[must_use]
    pub fn at_webhook(&self) -> Vec<String> {
        for attempt in self.world().webhook_attempts() {
            assert_eq!(attempt.refused, None, "{attempt:?}");
        }
        let mut deliveries = self.world().webhook_deliveries();
        // Connecting asks whether somebody is there.
        deliveries.retain(|delivery| !delivery.id.starts_with("ping_"));
        assert!(deliveries.iter().all(|delivery| delivery.same_body), "{deliveries:?}");
        let mut found: Vec<_> = deliveries.into_iter().map(|delivery| delivery.sha256).collect();
        found.sort();
        found
    }

    /// Asserts that exactly these files are in every sink, each once, byte for byte, and that the world is
    /// as it must be.
    ///
    /// # Panics
    /// When they are not.
    #[track_caller]
    pub fn assert_in_every_sink(&self, mut wanted: Vec<String>) {
        wanted.sort();
        let sinks =
            [("Intervals.icu", self.at_intervals()), ("folder", self.in_folder()), ("webhook", self.at_webhook())];
        for (sink, found) in sinks {
            let missing: Vec<_> = wanted.iter().filter(|sha| !found.contains(sha)).collect();
            assert!(missing.is_empty(), "{sink} lacks {} of {}: {missing:?}", missing.len(), wanted.len());
            let strange: Vec<_> = found.iter().filter(|sha| !wanted.contains(sha)).collect();
            assert!(strange.is_empty(), "{sink} has what it should not: {strange:?}");
            assert!(found.len() == wanted.len(), "{sink} has {} for {} files", found.len(), wanted.len());
        }
        self.assert_harmless();
    }

    /// Asserts that every ride upstream is in every sink exactly once.
    ///
    /// # Panics
    /// When they are not.
    #[track_caller]
    pub fn assert_exactly_once(&self) {
        self.assert_in_every_sink(self.upstream());
    }

    /// Asserts that no bearer reached the file host and nothing a forbidden address.
    ///
    /// # Panics
    /// When something did.
    #[track_caller]
    pub fn assert_harmless(&self) {
        assert_eq!(self.world().bearer_at_file_host(), 0, "a bearer at the file host");
        assert_eq!(self.world().trap_hits(), 0, "a forbidden address was reached");
    }

    /// How many requests a host, or one of its routes, has had.
    #[must_use]
    pub fn requests(&self, role: Role, route: Option<&str>) -> u64 {
        self.world().requests(role, route)
    }

    /// All requests at services, by host and route.
    #[must_use]
    pub fn request_counts(&self) -> std::collections::BTreeMap<String, u64> {
        self.world().request_counts()
    }

    /// The data folder's files.
    #[must_use]
    pub fn home_tree(&self) -> Tree {
        tree_of(&self.home)
    }

    /// Asserts that no secret appears in what was printed or lies in a file, in no form.
    ///
    /// # Panics
    /// When one does.
    #[track_caller]
    pub fn assert_no_secret_leaked(&self) {
        let mut places: Vec<(String, Vec<u8>)> = Vec::new();
        for output in self.said.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            places.push((output.command.clone(), output.text().into_bytes()));
        }
        places.extend(tree_of(self.folder.path()));
        places.extend(self.home_tree());
        assert!(places.iter().any(|(name, _)| name.ends_with("ledger.sqlite")), "the data was looked at");
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let forms: Vec<_> = secrets.iter().flat_map(|secret| forms_of(secret)).collect();
        for (place, bytes) in &places {
            // All forms are ASCII, so what is no text does not matter; searching text is much faster.
            let text = String::from_utf8_lossy(bytes);
            assert!(!forms.iter().any(|form| text.contains(form)), "a secret lies open in {place}");
        }
    }
}
