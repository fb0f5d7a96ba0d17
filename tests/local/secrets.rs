//! No secret in any output, log, database or file but, sealed, the vault.

use fitbridge_simulator::{Fault, FaultRule, Region, Role};
use fitbridge_tests::{Bench, WEBHOOK_SECRET, forms_of};

#[test]
fn no_secret_appears_however_much_is_said() {
    let bench = Bench::new(8);
    bench.set("FITBRIDGE_LOG", "debug");
    bench.set("RUST_LOG", "trace");
    bench.set("RUST_BACKTRACE", "1");
    let email = bench.world().members(Region::Global)[0].email.clone();
    let sign_in = ["-vv", "connect", "igpsport", "--login", &email, "--password-stdin", "--stay-signed-in"];
    bench.run_with(&sign_in, "correct horse battery\n").exits(0);
    bench.run_with(&["-vv", "connect", "igpsport", "--token-stdin"], &bench.token()).exits(0);
    bench.run_with(&["-vv", "connect", "intervals", "--api-key-stdin"], &bench.api_key).exits(0);
    let url = bench.simulator().webhook_url();
    bench.run_with(&["-vv", "connect", "webhook", &url, "--secret-stdin"], WEBHOOK_SECRET).exits(0);
    bench.connect_folder().exits(0);
    for (role, fault) in [
        (Role::IgpsportGlobal, Fault::DropBeforeCommit),
        (Role::IgpsportGlobal, Fault::InvalidJson),
        (Role::Files, Fault::HtmlErrorPage { code: 403 }),
        (Role::Intervals, Fault::DropAfterCommit),
        (Role::Intervals, Fault::Status { code: 500, retry_after: None }),
        (Role::Webhook, Fault::Status { code: 500, retry_after: None }),
    ] {
        bench.world().add_fault(FaultRule::new(fault).on(role).skip(2).times(1));
    }
    bench.set("FITBRIDGE_LOG_FORMAT", "json");
    bench.run(&["-vv", "--json", "sync"]);
    bench.set("FITBRIDGE_LOG_FORMAT", "");
    bench.run(&["-vv", "sync"]).exits(0);
    bench.world().revoke_tokens(Region::Global, bench.member);
    bench.world().revoke_athlete(&bench.athlete);
    bench.add_rides(1);
    for arguments in [&["sync"][..], &["list"], &["status"], &["doctor"], &["sync", "--dry-run"], &["held"]] {
        bench.run(&[&["-vv"], arguments].concat());
        bench.run(&[&["-vv", "--json"], arguments].concat());
    }
    // Refused secrets are not quoted either.
    let wrong = "whsec_bm90LWxvbmctZW5vdWdo";
    bench.keep_secret(wrong);
    bench.run_with(&["-vv", "connect", "webhook", &url, "--name", "two", "--secret-stdin"], wrong);
    let pasted = format!("{} and more", bench.token());
    bench.run_with(&["-vv", "connect", "igpsport", "--token-stdin"], &pasted);
    bench.run_with(&["-vv", "connect", "intervals", "--api-key-stdin"], "k3y-that-nobody-knows-0001").exits(3);
    bench.keep_secret("k3y-that-nobody-knows-0001");
    bench.assert_no_secret_leaked();
    bench.assert_harmless();
}

#[test]
fn the_vault_and_its_key_are_for_the_rider_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new(1);
    bench.connect_all();
    let mut looked_at = 0;
    for name in bench.home_tree().keys() {
        let mode = std::fs::metadata(bench.home().join(name)).expect("a file").permissions().mode() & 0o777;
        if name.contains("key") || name.contains("secret") || name.contains("vault") {
            looked_at += 1;
            assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
        }
    }
    assert!(looked_at >= 2, "a key and a vault: {:?}", bench.home_tree().keys());
    let mode = std::fs::metadata(bench.home()).expect("the home").permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[test]
fn a_made_webhook_secret_is_shown_when_it_is_made_and_lies_nowhere_open() {
    let bench = Bench::new(1);
    let url = bench.simulator().webhook_url();
    // The receiver does not know it yet, so the check when connecting fails, and nothing is kept.
    let refused = bench.run(&["connect", "webhook", &url]);
    assert_ne!(refused.code, Some(0), "{refused}");
    assert!(bench.run(&["--json", "status"]).exits(0).of_type("connection").is_empty());
    let text = refused.text();
    let secret = text.split_whitespace().find(|word| word.starts_with("whsec_")).expect("the secret is shown");
    bench.world().set_webhook_secrets(&[secret.to_owned()]).expect("a secret of the right form");
    bench.run_with(&["connect", "webhook", &url, "--secret-stdin"], secret).exits(0);
    bench.connect_source().exits(0);
    bench.sync().exits(0);
    let signed = bench.world().webhook_deliveries();
    assert_eq!(signed.iter().filter(|delivery| !delivery.id.starts_with("ping_")).count(), 1);
    for (name, bytes) in bench.home_tree() {
        let bare = secret.trim_start_matches("whsec_").as_bytes();
        assert!(!bytes.windows(bare.len()).any(|window| window == bare), "{name}");
    }
}

#[test]
fn the_bearer_goes_to_the_api_host_only_and_in_one_header() {
    let bench = Bench::new(4);
    let token = bench.token();
    bench.run_with(&["connect", "igpsport", "--token-stdin"], &token).exits(0);
    bench.connect_intervals().exits(0);
    bench.connect_webhook().exits(0);
    bench.sync().exits(0);
    let forms = forms_of(&token);
    for entry in bench.simulator().journal() {
        let mut seen = vec![entry.path.clone(), entry.query.clone().unwrap_or_default()];
        let elsewhere = |name: &str| entry.role != Role::IgpsportGlobal || name != "authorization";
        seen.extend(entry.headers.iter().filter(|(name, _)| elsewhere(name)).map(|(_, value)| value.clone()));
        for text in seen {
            assert!(!forms.iter().any(|form| text.contains(form)), "{} {}: {text}", entry.role, entry.route);
        }
    }
    bench.assert_harmless();
}
