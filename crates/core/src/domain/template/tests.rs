use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::domain::{ListedFacts, RecordedFacts};

fn ride() -> Ride {
    Ride {
        listed: Some(ListedFacts {
            title: Some("Lunch ride".into()),
            device: Some("BSC300".into()),
            ..ListedFacts::default()
        }),
        recorded: Some(RecordedFacts {
            start: Some("2025-06-01T17:30:05Z".parse().unwrap()),
            utc_offset_s: Some(7200),
            elapsed_s: Some(4000.0),
            timer_s: Some(3725.9),
            distance_m: Some(40_249.0),
            sport: Some("e_biking".into()),
            ..RecordedFacts::default()
        }),
        detail: None,
    }
}

fn name(template: &str, ride: &Ride) -> Option<String> {
    NameTemplate::new(template).unwrap().render(&Facts::of_ride(ride, "igpsport", "31827705"))
}

#[test]
fn fields_become_a_name() {
    for (template, expected) in [
        ("{title}", "Lunch ride"),
        ("{date} {time} {title}", "2025-06-01 19:30 Lunch ride"),
        ("{sport}, {distance_km} km in {duration} ({device})", "e biking, 40.2 km in 1h02m (BSC300)"),
        ("{year}/{month}/{day} {source} {id}", "2025/06/01 igpsport 31827705"),
        ("Commute", "Commute"),
    ] {
        assert_eq!(name(template, &ride()).as_deref(), Some(expected), "{template}");
    }
}

#[test]
fn what_is_not_known_is_left_out_with_its_separators() {
    let bare = Ride {
        listed: Some(ListedFacts { date: Some(date(2025, 6, 1)), ..ListedFacts::default() }),
        ..Ride::default()
    };
    for (template, expected) in [
        ("{date} - {title}", Some("2025-06-01")),
        ("{title} ({device}) {date}", Some("2025-06-01")),
        ("{title}", None),
        ("{time}: {distance_km}", None),
        ("{distance_km} km", Some("km")),
    ] {
        assert_eq!(name(template, &bare).as_deref(), expected, "{template}");
    }
    let mut utc = ride();
    utc.recorded.as_mut().unwrap().utc_offset_s = None;
    assert_eq!(name("{date} {time}", &utc).as_deref(), Some("2025-06-01 17:30 UTC"));
}

#[test]
fn a_title_brings_no_second_line_and_no_field() {
    let mut ride = ride();
    ride.listed.as_mut().unwrap().title = Some("a\r\n{date}\u{202e}b".into());
    assert_eq!(name("{title}!", &ride).as_deref(), Some("a {date} b!"));
    ride.listed.as_mut().unwrap().title = Some("ä".repeat(500));
    assert_eq!(name("{title}", &ride).unwrap().chars().count(), MAX_NAME);
}

#[test]
fn a_template_that_does_not_do_says_why() {
    let error = |template: &str| NameTemplate::new(template).unwrap_err();
    assert_eq!(
        error("{date} {place}").to_string(),
        "unknown field {place}; known are {title} {date} {time} {year} {month} {day} {sport} {distance_km} {duration} \
         {device} {source} {id}"
    );
    assert!(error("{sha}").to_string().starts_with("unknown field {sha}"));
    for (template, expected) in [
        ("", TemplateError::Empty),
        (" - ", TemplateError::Empty),
        ("()", TemplateError::Empty),
        ("{date", TemplateError::Brace),
        ("date}", TemplateError::Brace),
        ("{{date}}", TemplateError::Brace),
        ("a\n{date}", TemplateError::Character('\n')),
        ("\u{202e}{date}", TemplateError::Character('\u{202e}')),
    ] {
        assert_eq!(error(template), expected, "{template:?}");
    }
    assert_eq!(error(&"x".repeat(MAX_TEMPLATE + 1)), TemplateError::TooLong);
    assert!(matches!(error("{}"), TemplateError::UnknownField { .. }));
}

#[test]
fn durations_are_short() {
    let told = [0.0, 59.9, 60.0, 3599.0, 3600.0, 7_260.0, -5.0, f64::NAN].map(duration);
    assert_eq!(told, ["0s", "59s", "1m", "59m", "1h00m", "2h01m", "0s", "0s"]);
}

fn any_template() -> impl Strategy<Value = String> {
    let field = prop::sample::select(NAMES.map(|(name, _)| format!("{{{name}}}")).to_vec());
    prop_oneof![
        "\\PC{0,40}",
        "[{}a-z_ \u{0}-\u{1f}]{0,40}",
        prop::collection::vec(prop_oneof![field, "[a-c·() -]{1,3}"], 0..8).prop_map(|pieces| pieces.concat()),
    ]
}

proptest! {
    #[test]
    fn any_template_is_refused_or_gives_one_bounded_line(template in any_template(), title in "\\PC{0,60}|[\u{0}-\u{1f}\u{200b}{}]{0,20}") {
        let Ok(parsed) = NameTemplate::new(&template) else { return Ok(()) };
        prop_assert_eq!(parsed.as_str(), &template);
        let stored = serde_json::to_string(&parsed).unwrap();
        prop_assert_eq!(&serde_json::from_str::<NameTemplate>(&stored).unwrap(), &parsed);
        let mut ride = ride();
        ride.listed.as_mut().unwrap().title = Some(title);
        let facts = Facts::of_ride(&ride, "igpsport", "1");
        let name = parsed.render(&facts);
        prop_assert_eq!(&name, &parsed.render(&facts));
        if let Some(name) = name {
            prop_assert!(!name.is_empty() && name.chars().count() <= MAX_NAME);
            prop_assert!(!name.chars().any(is_unseen), "{:?}", name);
            prop_assert_eq!(name.trim(), &name);
        }
    }

    #[test]
    fn pieces_put_together_are_the_template(template in any_template()) {
        let Ok(pieces) = parse(&template, |_| true) else { return Ok(()) };
        let again: String = pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Field(field) => format!("{{{}}}", field.name()),
        }).collect();
        prop_assert_eq!(again, template);
    }
}
