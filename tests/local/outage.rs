//! A provider that is away, refuses everybody, or asks for patience.

use fitbridge_simulator::{Fault, FaultRule, NewMember, Outage, Region, RideBatch, Role, SigningFailure};
use fitbridge_tests::{Bench, Output, age_breakers};

fn source_of(output: &Output) -> serde_json::Value {
    output.of_type("source").remove(0)
}

/// Each poll of each source.
fn polls_of(output: &Output) -> Vec<serde_json::Value> {
    output.of_type("source").into_iter().map(|mut line| line["poll"].take()).collect()
}

fn phases(bench: &Bench) -> Vec<serde_json::Value> {
    let status = bench.run(&["--json", "status"]).exits(0);
    status.of_type("connection").into_iter().map(|mut line| line["phase"].take()).collect()
}

#[test]
fn an_outage_that_refuses_everybody_pauses_nobody() {
    let bench = Bench::new(3);
    bench.connect_all();
    for (hours, name) in [(5, "two"), (10, "three"), (15, "four")] {
        let member = bench.world().add_member(NewMember::default()).expect("a member");
        // At the same time they would be one ride, recorded several times.
        let newest = bench.world().now().checked_sub(jiff::SignedDuration::from_hours(hours)).ok();
        let rides = RideBatch { newest, ..RideBatch::small(2) };
        bench.world().add_rides(Region::Global, member, &rides).expect("rides");
        let token = bench.world().token(Region::Global, member).expect("a token");
        bench.run_with(&["connect", "igpsport", "--token-stdin", "--name", name], &token).exits(0);
    }
    bench.sync().exits(0);
    bench.world().set_toggles(Region::Global, |toggles| toggles.outage = Outage::RefuseEverybody);
    bench.add_rides(2);
    for _ in 0..3 {
        assert_eq!(polls_of(&bench.sync().exits(2)), ["away"; 4]);
    }
    assert_eq!(phases(&bench), ["active"; 7]);
    bench.run(&["status"]).exits(0).says("[provider_away]").says("next:");
    bench.world().set_toggles(Region::Global, |toggles| toggles.outage = Outage::None);
    age_breakers(bench.home());
    assert_eq!(bench.sync().exits(0).summary()["new"], 2);
    assert_eq!(bench.in_folder().len(), 3 + 3 * 2 + 2);
}

#[test]
fn a_refusal_alone_tells_the_rider_at_once_but_pauses_only_when_it_lasts() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.sync().exits(0);
    bench.world().set_toggles(Region::Global, |toggles| toggles.outage = Outage::RefuseEverybody);
    bench.add_rides(1);
    for _ in 0..3 {
        assert_eq!(polls_of(&bench.sync().exits(3)), ["refused"]);
    }
    assert_eq!(phases(&bench), ["active"; 4]);
    bench.run(&["status"]).exits(0).says("[token_refused]").says("next:");
    bench.world().set_toggles(Region::Global, |toggles| toggles.outage = Outage::None);
    assert_eq!(bench.sync().exits(0).summary()["new"], 1, "without a new token");
    bench.assert_exactly_once();
}

#[test]
fn a_provider_that_is_away_is_waited_for() {
    for outage in [Outage::Unavailable, Outage::Firewall, Outage::Reset] {
        let bench = Bench::new(3);
        bench.connect_all();
        bench.sync().exits(0);
        bench.world().set_toggles(Region::Global, |toggles| toggles.outage = outage);
        bench.add_rides(2);
        for _ in 0..2 {
            let away = bench.sync();
            assert_eq!((away.code, polls_of(&away)), (Some(2), vec!["away".into()]), "{outage:?}: {away}");
        }
        assert_eq!(phases(&bench), ["active"; 4], "{outage:?}");
        bench.world().set_toggles(Region::Global, |toggles| toggles.outage = Outage::None);
        age_breakers(bench.home());
        assert_eq!(bench.sync().exits(0).summary()["new"], 2, "{outage:?}");
        bench.assert_exactly_once();
    }
}

#[test]
fn a_provider_that_asks_for_patience_is_left_alone() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.sync().exits(0);
    let patience = FaultRule::new(Fault::TooManyRequests { retry_after: Some(600) });
    bench.world().add_fault(patience.on(Role::IgpsportGlobal).times(1));
    bench.add_rides(1);
    let before = bench.requests(Role::IgpsportGlobal, None);
    let asked = bench.sync().exits(2);
    assert_eq!(source_of(&asked)["code"], "provider_throttled", "{asked}");
    bench.sync().exits(2);
    assert_eq!(bench.requests(Role::IgpsportGlobal, None), before + 1, "not asked again before its time");
    assert_eq!(age_breakers(bench.home()), 1);
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn what_passes_within_a_moment_is_not_even_noticed() {
    let bench = Bench::new(25);
    bench.connect_all();
    for (fault, skip) in
        [(Fault::InvalidJson, 0), (Fault::DropBeforeCommit, 3), (Fault::HtmlErrorPage { code: 502 }, 6)]
    {
        bench.world().add_fault(FaultRule::new(fault).on(Role::IgpsportGlobal).skip(skip).times(1));
    }
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn malformed_answers_are_told_and_harm_nothing() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.sync().exits(0);
    bench.add_rides(1);
    for (fault, code) in [
        (Fault::InvalidJson, "provider_malformed"),
        (Fault::ZeroBytes, "provider_malformed"),
        (Fault::JsonAnswer, "provider_error"),
    ] {
        bench.world().add_fault(FaultRule::new(fault.clone()).on(Role::IgpsportGlobal));
        let told = bench.sync();
        assert_eq!(told.code, Some(2), "{fault:?}: {told}");
        assert_eq!(source_of(&told)["code"], code, "{fault:?}: {told}");
        bench.world().clear_faults();
        age_breakers(bench.home());
    }
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn a_cloud_that_wants_signatures_is_named_and_nobody_is_paused() {
    let bench = Bench::new(2);
    bench.connect_all();
    bench.world().set_toggles(Region::Global, |toggles| {
        toggles.signing_required = true;
        toggles.signing_failure = SigningFailure::Forbidden403;
    });
    let told = bench.sync().exits(2);
    assert_eq!(source_of(&told)["code"], "signature_required", "{told}");
    bench.world().set_toggles(Region::Global, |toggles| toggles.signing_required = false);
    age_breakers(bench.home());
    bench.sync().exits(0);
    bench.assert_exactly_once();
}
