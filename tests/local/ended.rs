//! A token that ends behind everybody's back.

use fitbridge_core::{
    domain::{ConnectionId, UserId},
    engine::secrets::SourceSecret,
    ports::{SealedKey, Vault as _},
};
use fitbridge_local::FileVault;
use fitbridge_simulator::Region;
use fitbridge_tests::{Bench, ledger_rows};
use jiff::SignedDuration;
use secrecy::SecretString;

/// Lets the connected source's token be one that has ended, as if its week had passed: the binary has no switch that
/// moves its clock, and a token that ends in a moment may do so while it is being connected. The token that has ended
/// now.
pub(crate) fn let_the_token_end(bench: &Bench) -> String {
    let ended = bench.world().token_for(Region::Global, bench.member, SignedDuration::from_mins(-1)).expect("a token");
    bench.keep_secret(&ended);
    let secret = SourceSecret { token: SecretString::from(ended.clone()), login: None };
    let sealing = async { FileVault::open(bench.home()).seal(&sealed_key(bench), &secret.to_sealed()).await };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(sealing).expect("the vault takes it");
    ended
}

/// The source's secret in the vault.
fn sealed_key(bench: &Bench) -> SealedKey {
    let rows = ledger_rows(bench.home());
    let source = rows.iter().filter_map(|(_, path, ..)| path.strip_prefix("connection/"));
    let source = source.into_iter().find(|id| id.starts_with("igpsport")).expect("a source is connected");
    SealedKey { user: UserId::from_any("me"), connection: ConnectionId::from_any(source) }
}
