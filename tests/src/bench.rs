//! A test's own world: simulated services, a rider, a data folder, and the binary.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use fitbridge_simulator::{
    AthleteId, Config, MemberId, NewAthlete, NewMember, NewRide, Region, RideBatch, RideId, Role, Simulator, World,
};
use tempfile::TempDir;

use crate::binary;
use crate::output::Output;
use crate::process::Running;
use crate::secrets::forms_of;
use crate::tree::{Tree, tree_of};

/// What the simulated webhook receiver verifies with; made up.
pub const WEBHOOK_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const TWENTY_YEARS_S: u32 = 20 * 365 * 24 * 3600;
const PASSWORD: &str = "correct horse battery";

/// How a bench differs from the usual one.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Rides there from the start, 26 hours apart; closer where there are many, since FIT has no dates before 1998.
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
        let mut batch = RideBatch::small(setup.rides);
        let most_apart = TWENTY_YEARS_S / u32::try_from(setup.rides).unwrap_or(u32::MAX).max(1);
        batch.spacing_s = batch.spacing_s.min(most_apart);
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
