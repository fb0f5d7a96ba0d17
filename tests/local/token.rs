//! Tokens that end, are revoked, or are somebody else's: stop, say so, lose nothing.

use fitbridge_simulator::{NewMember, Region, RideBatch, Role};
use fitbridge_tests::{Bench, ledger_rows};

use crate::ended::let_the_token_end;

#[test]
fn a_revoked_token_stops_at_the_first_refusal_and_the_missed_rides_arrive_later() {
    let bench = Bench::new(4);
    bench.connect_all();
    bench.sync().exits(0);
    bench.world().revoke_tokens(Region::Global, bench.member);
    bench.add_rides(3);
    let refused = bench.sync().exits(3);
    assert_eq!(refused.of_type("source")[0]["code"], "token_refused", "{refused}");
    bench.run(&["sync"]).exits(3).says("iGPSport refuses the token").says("fitbridge connect igpsport");
    bench.run(&["list"]).exits(3).says("token_refused");
    assert_eq!(bench.at_intervals().len(), 4);
    bench.connect_source().exits(0);
    assert_eq!(bench.sync().exits(0).summary()["new"], 3);
    bench.assert_exactly_once();
}

#[test]
fn a_token_revoked_in_the_middle_of_a_pass_loses_nothing() {
    let bench = Bench::new(30);
    bench.connect_all();
    let world = bench.world().clone();
    let rule = fitbridge_simulator::FaultRule::new(fitbridge_simulator::Fault::RevokeUser);
    world.add_fault(rule.on(Role::IgpsportGlobal).skip(8).times(1));
    let stopped = bench.sync();
    assert_eq!(stopped.code, Some(3), "{stopped}");
    bench.connect_source().exits(0);
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn an_ended_token_pauses_without_a_call_and_reconnecting_goes_on() {
    let bench = Bench::new(4);
    bench.connect_all();
    bench.sync().exits(0);
    let ended_token = let_the_token_end(&bench);
    bench.add_rides(2);
    let before = bench.requests(Role::IgpsportGlobal, None);
    for _ in 0..2 {
        let ended = bench.sync().exits(3);
        assert_eq!(ended.of_type("source")[0]["code"], "token_expired", "{ended}");
    }
    assert_eq!(bench.requests(Role::IgpsportGlobal, None), before, "no call for a paused connection");
    let status = bench.run(&["--json", "status"]).exits(3);
    assert_eq!(status.of_type("connection")[0]["phase"], "paused", "{status}");
    bench.run(&["status"]).exits(3).says("the iGPSport token has reached its end").says("next:");
    bench.run_with(&["connect", "igpsport", "--token-stdin"], &ended_token).exits(3).says("token_expired");
    bench.connect_source().exits(0);
    assert_eq!(bench.sync().exits(0).summary()["new"], 2);
    bench.assert_exactly_once();
}

#[test]
fn renewing_with_another_members_token_is_refused_and_changes_nothing() {
    let bench = Bench::new(2);
    bench.connect_all();
    bench.sync().exits(0);
    let rows = ledger_rows(bench.home());
    let other = bench.world().add_member(NewMember { nickname: "Other".into(), ..NewMember::default() });
    let other = other.expect("a member");
    bench.world().add_rides(Region::Global, other, &RideBatch::small(3)).expect("rides");
    let token = bench.world().token(Region::Global, other).expect("a token");
    bench.keep_secret(&token);
    bench.run_with(&["connect", "igpsport", "--token-stdin"], &token).exits(3).says("name_taken").says("--name");
    assert!(ledger_rows(bench.home()) == rows, "nothing was changed");
    bench.add_rides(1);
    bench.sync().exits(0);
    bench.assert_exactly_once();
    // Under a name of its own it is another account beside the first.
    bench.run_with(&["connect", "igpsport", "--token-stdin", "--name", "other"], &token).exits(0);
    assert_eq!(bench.sync().exits(0).summary()["new"], 3);
}

#[test]
fn no_token_at_all_and_half_a_token_are_told() {
    let bench = Bench::new(1);
    bench.run_with(&["connect", "igpsport", "--token-stdin"], "  \n").exits(1).says("no token came on standard input");
    bench.run_with(&["connect", "igpsport", "--token-stdin"], "eyJhbGciOi").exits(3).says("token_invalid");
    let token = bench.token();
    let forged = format!("{}x.{}", &token[..30], &token[32..]);
    let refused = bench.run_with(&["connect", "igpsport", "--token-stdin"], &forged);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(!refused.text().contains(&forged));
}

#[test]
fn a_login_stays_signed_in_with_one_login_for_a_tokens_life() {
    let bench = Bench::new(3);
    let world = bench.world();
    let email = world.members(Region::Global)[0].email.clone();
    let sign_in = ["connect", "igpsport", "--login", &email, "--password-stdin", "--stay-signed-in"];
    bench.run_with(&sign_in, "wrong\n").exits(3).says("bad_password");
    // Within five minutes of its end a token is renewed.
    world.set_toggles(Region::Global, |toggles| toggles.token_life_s = 200);
    bench.run_with(&sign_in, "correct horse battery\n").exits(0);
    bench.connect_folder().exits(0);
    world.set_toggles(Region::Global, |toggles| toggles.token_life_s = 7 * 24 * 3600);
    let logins = || world.members(Region::Global)[0].logins;
    assert_eq!(logins(), 1);
    for _ in 0..3 {
        bench.sync().exits(0);
    }
    assert_eq!(logins(), 2, "one login for the first token's end, none per poll");
    assert_eq!(bench.in_folder(), bench.upstream());
    bench.assert_no_secret_leaked();
}
