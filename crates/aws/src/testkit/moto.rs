//! The emulator of everything but DynamoDB (moto): one for all tests of a binary. It lives as long as the pipe to
//! it, so it ends with the tests however they end.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};

use crate::context::{Clients, SdkHttp, unwatched};

/// Serves on a free port, says where, and ends when nobody listens to it any more. For each message that is sent to a
/// queue it would count all that are in it, several times over, only to see whether it is a FIFO queue, which none of
/// ours is: with some thousand messages in one test's queue it answered no other test for seconds.
const SERVE: &str = "
import sys, time
from moto.server import ThreadedMotoServer
from moto.sqs import models
told = models.Queue.attributes.fget
is_sending = lambda frame: frame.f_code.co_name in ('send_message', 'add_message')
models.Queue.attributes = property(lambda queue: {} if is_sending(sys._getframe(1)) else told(queue))
models.unix_time_millis = lambda: time.time() * 1000
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
print('http://%s:%d' % server.get_host_and_port(), flush=True)
sys.stdin.read()
";

/// A running emulator.
struct Moto {
    endpoint: String,
    /// Its standard input is the pipe that it lives by.
    _process: Child,
}

/// Where the emulator answers; `None`, said once per test, where it is not to be had.
pub fn endpoint() -> Option<&'static str> {
    static MOTO: OnceLock<Result<Moto, String>> = OnceLock::new();
    match MOTO.get_or_init(start) {
        Ok(moto) => Some(&moto.endpoint),
        Err(why) => {
            announce(why);
            None
        }
    }
}

/// Clients of the emulator.
pub fn clients() -> Option<Clients> {
    endpoint().map(|endpoint| Clients::new(config(endpoint)))
}

/// A configuration that asks this endpoint with invented credentials.
///
/// # Panics
/// When TLS cannot be set up.
pub fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("testing", "testing", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(SdkHttp::new().expect("a client"))
        .stalled_stream_protection(unwatched())
        .region(Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// How an object store of a test reaches the emulator.
pub fn connector() -> impl object_store::client::HttpConnector {
    crate::archive::Clients
}

fn start() -> Result<Moto, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let venv = Command::new(root.join(".ci/venv")).output().map_err(|error| skipped(&error.to_string()))?;
    if !venv.status.success() {
        let said = String::from_utf8_lossy(&venv.stderr);
        let why = said.lines().find(|line| line.starts_with("skipped: "));
        return Err(why.map_or_else(|| skipped(&said), str::to_owned));
    }
    let programs = String::from_utf8_lossy(&venv.stdout).trim().to_owned();
    let mut command = Command::new(Path::new(&programs).join("python"));
    command.args(["-c", SERVE]).env_remove("MOTO_IAM_LOAD_MANAGED_POLICIES");
    let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut process = process.map_err(|error| skipped(&error.to_string()))?;
    let mut endpoint = String::new();
    if let Some(output) = process.stdout.take() {
        let read = BufReader::new(output).read_line(&mut endpoint);
        read.map_err(|error| skipped(&error.to_string()))?;
    }
    let endpoint = endpoint.trim().to_owned();
    if endpoint.is_empty() { Err(skipped("it did not start")) } else { Ok(Moto { endpoint, _process: process }) }
}

fn skipped(why: &str) -> String {
    format!("skipped: moto could not be installed: {why}")
}

#[expect(clippy::print_stdout, reason = "who runs tests is told what is skipped")]
fn announce(why: &str) {
    println!("{why}");
}
