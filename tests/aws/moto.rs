//! The emulator of everything but DynamoDB: one for all tests, alive as long as the pipe to it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// Serves on a free port, says where, and ends when nobody listens to it any more.
const SERVE: &str = "
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
print('http://%s:%d' % server.get_host_and_port(), flush=True)
sys.stdin.read()
";

struct Moto {
    endpoint: String,
    /// Its standard input is the pipe that it lives by.
    _process: Child,
}

/// Where it answers; `None`, said once per test, where it is not to be had.
pub(crate) fn endpoint() -> Option<&'static str> {
    static MOTO: OnceLock<Result<Moto, String>> = OnceLock::new();
    match MOTO.get_or_init(start) {
        Ok(moto) => Some(&moto.endpoint),
        Err(why) => {
            println!("{why}");
            None
        }
    }
}

fn start() -> Result<Moto, String> {
    let skipped = |why: &str| format!("skipped: moto could not be installed: {why}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = Command::new(root.join(".ci/venv")).output().map_err(|error| skipped(&error.to_string()))?;
    if !venv.status.success() {
        return Err(skipped(String::from_utf8_lossy(&venv.stderr).trim()));
    }
    let programs = String::from_utf8_lossy(&venv.stdout).trim().to_owned();
    let mut command = Command::new(Path::new(&programs).join("python"));
    let process = command.args(["-c", SERVE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = process.spawn().map_err(|error| skipped(&error.to_string()))?;
    let mut endpoint = String::new();
    if let Some(output) = process.stdout.take() {
        let read = BufReader::new(output).read_line(&mut endpoint);
        read.map_err(|error| skipped(&error.to_string()))?;
    }
    let endpoint = endpoint.trim().to_owned();
    if endpoint.is_empty() { Err(skipped("it did not start")) } else { Ok(Moto { endpoint, _process: process }) }
}
