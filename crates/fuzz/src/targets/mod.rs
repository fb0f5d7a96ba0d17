//! What is fuzzed.

mod aws;
mod cloud;
mod fit;
mod ledger;
mod sinks;
mod urls;
mod zips;

/// One reader of bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, as cargo-fuzz knows it.
    pub name: &'static str,
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// More of them from a corpus that may lie beside the checkout.
    pub corpus: Option<fn() -> Vec<Vec<u8>>>,
    /// Words of the format.
    pub words: &'static [&'static [u8]],
    /// Checks an input; panics when something that must hold does not. The answer tells kinds of input apart.
    pub check: fn(&[u8]) -> String,
}

/// All targets.
pub fn all() -> Vec<Target> {
    let mut all = vec![fit::SCAN, fit::TRACK, zips::ZIP, urls::GUARD, urls::RETRY_AFTER];
    all.extend(cloud::ALL);
    all.extend(sinks::ALL);
    all.extend(ledger::ALL);
    all.extend(aws::ALL);
    all
}

/// The target of that name.
pub fn named(name: &str) -> Option<Target> {
    all().into_iter().find(|target| target.name == name)
}

/// Texts as seeds.
fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The input as text, as far as it is one.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
