//! Which binary is tested.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names another binary to test, such as a packaged one; then nothing is built.
const GIVEN: &str = "FITBRIDGE_TEST_BINARY";

/// The `fitbridge` binary of the profile these tests were built with. Cargo brings it up to date first, so
/// that never a stale one is tested; when it is, that takes no time.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| given().unwrap_or_else(build))
}

#[expect(clippy::disallowed_methods, reason = "a switch of the tests themselves; no product code reads it")]
fn given() -> Option<PathBuf> {
    std::env::var_os(GIVEN).map(PathBuf::from)
}

fn build() -> PathBuf {
    // target/<profile>/deps/<this test>
    let test = std::env::current_exe().expect("the test knows where it lies");
    let folder = test.ancestors().nth(2).expect("the folder of the profile");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "fitbridge", "--profile", profile])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "fitbridge does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    folder.join("fitbridge")
}
