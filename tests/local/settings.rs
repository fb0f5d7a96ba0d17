//! Settings, warnings, and what is said of mistakes in them.

use fitbridge_tests::Bench;

#[test]
fn unknown_settings_name_the_nearest_and_wrong_values_what_would_do() {
    let bench = Bench::new(0);
    bench.set("FITBRIDGE_TRUSTED_HOST", "a:1");
    bench.run(&["status"]).exits(1).says("FITBRIDGE_TRUSTED_HOST").says("did you mean FITBRIDGE_TRUSTED_HOSTS?");
    bench.set("FITBRIDGE_TRUSTED_HOST", "");
    bench.set("FITBRIDGE_POLL_MINUTES", "7");
    bench.run(&["status"]).exits(1).says("poll_minutes").says("1, 5 or 60");
    bench.set("FITBRIDGE_POLL_MINUTES", "");
    std::fs::create_dir_all(bench.home()).expect("a folder");
    let config = bench.home().join("config.toml");
    std::fs::write(&config, "dowloads = 3\n").expect("written");
    bench.run(&["status"]).exits(1).says("dowloads").says("did you mean downloads?").says("config.toml");
    std::fs::write(&config, "downloads = [").expect("written");
    bench.run(&["status"]).exits(1).says("config.toml cannot be read");
    std::fs::write(&config, "downloads = 2\nlog = \"error\"\n").expect("written");
    bench.run(&["status"]).exits(0);
}

#[test]
fn hosts_that_stand_in_for_real_ones_are_warned_of_once_each() {
    let bench = Bench::new(1);
    bench.set_both_regions();
    let warned = bench.connect_source().exits(0);
    for name in
        ["FITBRIDGE_IGPSPORT_URL", "FITBRIDGE_IGPSPORT_CHINA_URL", "FITBRIDGE_INTERVALS_URL", "FITBRIDGE_TRUSTED_HOSTS"]
    {
        assert_eq!(warned.stderr.matches(&format!("{name} is set")).count(), 1, "{warned}");
    }
}

#[test]
fn the_file_holds_the_same_settings_as_the_environment() {
    let bench = Bench::new(2);
    let simulator = bench.simulator();
    std::fs::create_dir_all(bench.home()).expect("a folder");
    let hosts: Vec<_> = simulator.trusted_hosts().split(',').map(|host| format!("{host:?}")).collect();
    let text = format!(
        "igpsport_url = {:?}\nintervals_url = {:?}\ntrusted_hosts = [{}]\n",
        simulator.igpsport_url(fitbridge_simulator::Region::Global),
        simulator.intervals_url(),
        hosts.join(", ")
    );
    for name in ["FITBRIDGE_IGPSPORT_URL", "FITBRIDGE_INTERVALS_URL", "FITBRIDGE_TRUSTED_HOSTS"] {
        bench.set(name, "");
    }
    std::fs::write(bench.home().join("config.toml"), text).expect("written");
    bench.connect_all();
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn without_trust_a_private_file_host_is_refused() {
    let bench = Bench::new(2);
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    bench.set("FITBRIDGE_TRUSTED_HOSTS", "");
    let refused = bench.sync().exits(2);
    assert_eq!(bench.requests(fitbridge_simulator::Role::Files, None), 0, "{refused}");
    assert!(refused.stdout.contains("file_location_refused"), "{refused}");
}
