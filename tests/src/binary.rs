//! Which programs are tested.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Names another binary to test, such as a packaged one; then nothing is built.
const GIVEN: &str = "FITBRIDGE_TEST_BINARY";

/// The `fitbridge` binary of the profile these tests were built with.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| given().unwrap_or_else(|| programs().join("fitbridge")))
}

/// The folder of `fitbridge` and of the functions `poller` and `sink`, of the profile these tests were built with.
/// Cargo brings them up to date first, so that never a stale one is tested; when they are, that takes no time.
///
/// # Panics
/// When they cannot be built.
#[must_use]
pub fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let built = build();
        assert!(built.status.success(), "the programs do not build:\n{}", String::from_utf8_lossy(&built.stderr));
        folder()
    })
}

/// Has cargo bring all programs up to date. In one go, as the Makefile does: what they share would be compiled once
/// more for each choice of them, with the features that just those ask for.
///
/// # Panics
/// When cargo cannot be started.
#[must_use]
pub fn build() -> Output {
    let profile = match folder().file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".to_owned(),
        Some(name) => name.to_owned(),
    };
    Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(["build", "--quiet", "-p", "fitbridge", "-p", "fitbridge-poller", "-p", "fitbridge-sink"])
        .args(["--profile", &profile])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts")
}

/// `target/<profile>`, with `deps/<this test>` in it.
fn folder() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows where it lies");
    test.ancestors().nth(2).expect("the folder of the profile").to_owned()
}

#[expect(clippy::disallowed_methods, reason = "a switch of the tests themselves; no product code reads it")]
fn given() -> Option<PathBuf> {
    std::env::var_os(GIVEN).map(PathBuf::from)
}
