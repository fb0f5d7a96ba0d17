use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::domain::{ListedFacts, RecordedFacts};

fn ride() -> Ride {
    Ride {
        recorded: Some(RecordedFacts {
            start: Some("2026-01-31T23:30:00Z".parse().unwrap()),
            utc_offset_s: Some(3600),
            elapsed_s: Some(900.0),
            timer_s: Some(492.9),
            distance_m: Some(3_249.0),
            sport: Some("running".into()),
            sub_sport: Some("treadmill".into()),
            ..RecordedFacts::default()
        }),
        ..Ride::default()
    }
}

fn sports(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn rules() -> Rules {
    Rules::default()
}

#[test]
fn each_rule_says_itself_and_the_rides_own_value() {
    for (rules, code, sentence) in [
        (Rules { min_duration_s: Some(600), ..rules() }, Code::FilterDuration, "shorter than 10 min (8 min 12 s)"),
        (Rules { max_duration_s: Some(300), ..rules() }, Code::FilterDuration, "longer than 5 min (8 min 12 s)"),
        (Rules { min_distance_m: Some(5000), ..rules() }, Code::FilterDistance, "shorter than 5 km (3.24 km)"),
        (Rules { max_distance_m: Some(800), ..rules() }, Code::FilterDistance, "longer than 800 m (3.24 km)"),
        (Rules { from: Some(date(2026, 2, 2)), ..rules() }, Code::FilterDate, "before 2026-02-02 (2026-02-01)"),
        (Rules { until: Some(date(2026, 1, 31)), ..rules() }, Code::FilterDate, "after 2026-01-31 (2026-02-01)"),
        (
            Rules { sports: sports(&["cycling", "e_biking"]), ..rules() },
            Code::FilterSport,
            "not cycling, e_biking (running)",
        ),
        (Rules { not_sports: sports(&["running"]), ..rules() }, Code::FilterSport, "running is left out"),
        (Rules { indoor: Some(Indoor::Never), ..rules() }, Code::FilterIndoor, "indoors (treadmill)"),
    ] {
        assert_eq!(rules.check(), Ok(()));
        let filtered = rules.judge(&ride()).unwrap();
        assert_eq!((filtered.rule, filtered.sentence.as_str()), (code, sentence));
    }
}

#[test]
fn limits_are_part_of_what_is_wanted() {
    let rules = Rules {
        min_duration_s: Some(492),
        max_duration_s: Some(493),
        min_distance_m: Some(3249),
        max_distance_m: Some(3249),
        from: Some(date(2026, 2, 1)),
        until: Some(date(2026, 2, 1)),
        sports: sports(&["running"]),
        not_sports: sports(&["cycling"]),
        indoor: Some(Indoor::Only),
        name: None,
    };
    assert_eq!((rules.check(), rules.judge(&ride())), (Ok(()), None));
}

#[test]
fn what_is_not_known_never_filters() {
    let strict = Rules {
        min_duration_s: Some(u32::MAX),
        min_distance_m: Some(u32::MAX),
        from: Some(date(2100, 1, 1)),
        sports: sports(&["cycling"]),
        indoor: Some(Indoor::Only),
        ..rules()
    };
    assert_eq!(strict.judge(&Ride::default()), None);
    let mut nonsense = ride();
    let recorded = nonsense.recorded.as_mut().unwrap();
    (recorded.timer_s, recorded.distance_m) = (Some(f64::NAN), Some(f64::NAN));
    (recorded.sport, recorded.sub_sport) = (None, Some("sub_sport_250".into()));
    assert_eq!(Rules { from: None, ..strict }.judge(&nonsense), None);
}

#[test]
fn a_list_rows_moving_time_is_judged_before_the_file_is_there() {
    let listed = ListedFacts { moving_s: Some(100.0), distance_m: Some(900.0), ..ListedFacts::default() };
    let ride = Ride { listed: Some(listed), ..Ride::default() };
    let rules = Rules { min_duration_s: Some(600), ..rules() };
    assert_eq!(rules.judge(&ride).unwrap().sentence, "shorter than 10 min (1 min 40 s)");
}

#[test]
fn what_contradicts_itself_is_refused_with_the_reason() {
    for (rules, reason) in [
        (
            Rules { min_duration_s: Some(2), max_duration_s: Some(1), ..rules() },
            "the least duration is more than the most",
        ),
        (
            Rules { min_distance_m: Some(2), max_distance_m: Some(1), ..rules() },
            "the least distance is more than the most",
        ),
        (Rules { max_distance_m: Some(0), ..rules() }, "a distance of 0 at most leaves no ride"),
        (
            Rules { from: Some(date(2026, 2, 1)), until: Some(date(2026, 1, 31)), ..rules() },
            "the last date, 2026-01-31, is before the first, 2026-02-01",
        ),
        (Rules { sports: sports(&["a", "b"]), not_sports: sports(&["b"]), ..rules() }, "b is both wanted and left out"),
        (
            Rules { sports: sports(&["Road Cycling"]), ..rules() },
            "\"Road Cycling\" is no sport; they are named as in the FIT profile, for example cycling, e_biking, running",
        ),
    ] {
        assert_eq!(rules.check().unwrap_err().to_string(), reason);
    }
    let many: Vec<_> = (0..=MOST_SPORTS).map(|n| format!("s{n}")).collect();
    assert_eq!(Rules { sports: many.into_iter().collect(), ..rules() }.check(), Err(RulesError::TooMany));
}

#[test]
fn no_rules_take_no_room_and_all_survive_a_round_trip() {
    assert_eq!(serde_json::to_string(&rules()).unwrap(), "{}");
    let full = Rules {
        sports: sports(&["cycling"]),
        indoor: Some(Indoor::Never),
        min_duration_s: Some(600),
        until: Some(date(2026, 1, 31)),
        name: Some(NameTemplate::new("{date} {title}").unwrap()),
        ..rules()
    };
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<Rules>(&text).unwrap(), full, "{text}");
    assert!(serde_json::from_str::<Rules>(r#"{"name":"{nope}"}"#).is_err());
}

#[test]
fn times_and_lengths_read_well() {
    let told = [0.0, 30.9, 60.0, 492.0, 3600.0, 3660.0, 7325.0].map(time);
    assert_eq!(told, ["0 s", "30 s", "1 min", "8 min 12 s", "1 h", "1 h 1 min", "2 h 2 min 5 s"]);
    let told = [0.0, 999.9, 1000.0, 4999.0, 40_200.0, 40_249.0].map(length);
    assert_eq!(told, ["0 m", "999 m", "1 km", "4.99 km", "40.2 km", "40.24 km"]);
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let names = || prop::collection::btree_set(prop::sample::select(vec!["cycling", "running", "hiking"]), 0..3);
    let limit = || prop::option::of(0_u32..10_000);
    let day = || {
        prop::option::of((0_i32..60).prop_map(|days| date(2026, 1, 15).saturating_add(jiff::Span::new().days(days))))
    };
    let indoor = prop::option::of(prop::sample::select(vec![Indoor::Only, Indoor::Never]));
    let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
    (names(), names(), indoor, (limit(), limit()), (limit(), limit()), (day(), day())).prop_map(
        move |(sports, not_sports, indoor, duration, distance, days)| Rules {
            sports: owned(sports),
            not_sports: owned(not_sports),
            indoor,
            min_duration_s: duration.0,
            max_duration_s: duration.1,
            min_distance_m: distance.0,
            max_distance_m: distance.1,
            from: days.0,
            until: days.1,
            name: None,
        },
    )
}

fn any_ride() -> impl Strategy<Value = Ride> {
    let number = || prop::option::of(prop_oneof![0.0..10_000.0_f64, Just(f64::NAN), Just(f64::INFINITY), Just(-1.0)]);
    let sport = prop::option::of(prop::sample::select(vec!["cycling", "running", "hiking"]));
    let sub = prop::option::of(prop::sample::select(vec!["road", "indoor_cycling", "generic", "sub_sport_99"]));
    (number(), number(), sport, sub, prop::option::of(0_i64..60)).prop_map(|(timer, distance, sport, sub, day)| Ride {
        recorded: Some(RecordedFacts {
            start: day.and_then(|day| jiff::Timestamp::from_second(1_768_435_200 + day * 86_400).ok()),
            timer_s: timer,
            distance_m: distance,
            sport: sport.map(str::to_owned),
            sub_sport: sub.map(str::to_owned),
            ..RecordedFacts::default()
        }),
        ..Ride::default()
    })
}

proptest! {
    /// The rules taken one by one say the same as all together, and each names what it is about.
    #[test]
    fn a_ride_passes_when_it_passes_each_rule_alone(rules in any_rules(), ride in any_ride()) {
        let alone = [
            Rules { from: rules.from, until: rules.until, ..Rules::default() },
            Rules { sports: rules.sports.clone(), not_sports: rules.not_sports.clone(), ..Rules::default() },
            Rules { indoor: rules.indoor, ..Rules::default() },
            Rules { min_duration_s: rules.min_duration_s, max_duration_s: rules.max_duration_s, ..Rules::default() },
            Rules { min_distance_m: rules.min_distance_m, max_distance_m: rules.max_distance_m, ..Rules::default() },
        ];
        let first = alone.iter().find_map(|rules| rules.judge(&ride));
        prop_assert_eq!(rules.judge(&ride), first);
    }

    /// Rules that pass the check let some ride through: nothing that filters everything can be set.
    #[test]
    fn rules_that_can_be_set_let_some_ride_through(rules in any_rules()) {
        prop_assume!(rules.check().is_ok());
        let sport = rules.sports.first().cloned().unwrap_or_else(|| "swimming".into());
        let date = rules.from.or(rules.until).unwrap_or(date(2026, 1, 1));
        let fits = |min: Option<u32>, max: Option<u32>| f64::from(min.or(max).unwrap_or(1));
        let sub = if rules.indoor == Some(Indoor::Only) { "indoor_cycling" } else { "road" };
        let ride = Ride {
            listed: Some(ListedFacts { date: Some(date), ..ListedFacts::default() }),
            detail: None,
            recorded: Some(RecordedFacts {
                timer_s: Some(fits(rules.min_duration_s, rules.max_duration_s)),
                distance_m: Some(fits(rules.min_distance_m, rules.max_distance_m)),
                sport: Some(sport),
                sub_sport: Some(sub.into()),
                ..RecordedFacts::default()
            }),
        };
        prop_assert_eq!(rules.judge(&ride), None);
    }
}

#[test]
fn a_date_that_is_only_known_in_utc_filters_only_where_it_must_be_wrong() {
    let in_utc = |start: &str| Ride {
        recorded: Some(RecordedFacts { start: Some(start.parse().unwrap()), ..RecordedFacts::default() }),
        ..Ride::default()
    };
    let rules = Rules { from: Some(date(2026, 2, 1)), until: Some(date(2026, 2, 28)), ..rules() };
    let is_out = |start: &str| rules.judge(&in_utc(start)).map(|why| why.rule) == Some(Code::FilterDate);
    assert!(!is_out("2026-01-31T20:00:00Z"), "in China it was February");
    assert!(is_out("2026-01-31T09:00:00Z"), "nowhere was it February");
    assert!(!is_out("2026-03-01T05:00:00Z"), "in America it was February still");
    assert!(is_out("2026-03-01T13:00:00Z"));
}
