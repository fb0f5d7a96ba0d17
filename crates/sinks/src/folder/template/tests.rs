use std::path::{Component, Path};

use proptest::prelude::*;

use super::*;
use crate::testing::about;

fn path(template: &str, about: &About) -> String {
    let place = Template::parse(template).unwrap().place(about, ContentId::of(b"x"));
    let name = format!("{}{}", place.stem, place.extension);
    place.folders.into_iter().chain([name]).collect::<Vec<_>>().join("/")
}

#[test]
fn fields_become_names() {
    let about = about();
    for (template, expected) in [
        (DEFAULT_TEMPLATE, "2025-06-01-19-30-05-igpsport-31827705.fit"),
        ("{year}/{month}/{day} {title}", "2025/06/01 Zürich & zurück__X-Evil_ 1.fit"),
        ("{sport}/{sha}.FIT", "cycling/2d711642b726b044.fit"),
        ("x", "x.fit"),
        ("{id}.fit.fit", "31827705.fit.fit"),
        ("{distance_km} km {duration} {device}", "25.0 km 1h00m iGPSPORT BSC300.fit"),
    ] {
        assert_eq!(path(template, &about), expected);
    }
}

#[test]
fn what_is_not_known_has_a_stand_in() {
    let bare = About {
        name: Some(" . ".into()),
        external_id: "fitbridge_file-0a1b".into(),
        source: "file".into(),
        start: None,
        local_start: None,
        sport: None,
        ..about()
    };
    assert_eq!(path(DEFAULT_TEMPLATE, &bare), "undated-untimed-file-0a1b.fit");
    assert_eq!(path("{year}/{month}-{day}/{title}-{sport}", &bare), "undated/undated-undated/ride-sport.fit");
    let utc = About { local_start: None, ..about() };
    assert_eq!(path("{date} {time}", &utc), "2025-06-01 17-30-05Z.fit");
}

#[test]
fn a_title_adds_no_separator_no_hidden_and_no_reserved_name() {
    for (title, expected) in [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "ride"),
        (".hidden", "hidden"),
        ("a\\b/c:d\0e\u{202e}f", "a_b_c_d_e_f"),
        ("CON", "_CON"),
        ("nul.tar", "_nul.tar"),
        ("com7", "_com7"),
        ("COM10", "COM10"),
        ("trailing. . ", "trailing"),
    ] {
        let about = About { name: Some(title.into()), ..about() };
        assert_eq!(path("{title}", &about), format!("{expected}.fit"), "{title:?}");
    }
    let long = About { name: Some("ä".repeat(300)), ..about() };
    assert_eq!(path("{title}{title}{title}", &long), format!("{}.fit", "ä".repeat(90)));
}

#[test]
fn a_template_that_does_not_do_says_why() {
    let error = |template: &str| Template::parse(template).unwrap_err();
    let unknown = error("{date}-{foo}").to_string();
    assert_eq!(
        unknown,
        "unknown field {foo}; known are {title} {date} {time} {year} {month} {day} {sport} {distance_km} {duration} \
         {device} {source} {id} {sha}"
    );
    for (template, expected) in [
        ("", TemplateError::Empty),
        ("/abs", TemplateError::Empty),
        ("a//b", TemplateError::Empty),
        ("a/", TemplateError::Empty),
        ("../{id}", TemplateError::Dot),
        ("a/./b", TemplateError::Dot),
        (".fit", TemplateError::Dot),
        ("{id", TemplateError::Template(template::TemplateError::Brace)),
        ("id}", TemplateError::Template(template::TemplateError::Brace)),
        ("C:{id}", TemplateError::Character(':')),
        ("a\\{id}", TemplateError::Character('\\')),
        ("a\n", TemplateError::Character('\n')),
        ("{i\nd/x}", TemplateError::Template(template::TemplateError::Brace)),
        ("1/2/3/4/5/6/7/8/9/x", TemplateError::TooLong),
    ] {
        assert_eq!(error(template), expected, "{template:?}");
    }
    assert_eq!(error(&"x".repeat(201)), TemplateError::TooLong);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,40}", "[./\\\\ :\u{0}-\u{1f}a-cA-CONUL1-9{}]{0,40}", Just("..".to_owned())]
}

fn any_template() -> impl Strategy<Value = String> {
    let field = prop::sample::select(Field::all().map(|field| format!("{{{}}}", field.name())).collect::<Vec<_>>());
    prop_oneof![any_text(), prop::collection::vec(prop_oneof![field, "[a-c./ ]{1,3}"], 1..8).prop_map(|v| v.concat())]
}

proptest! {
    #[test]
    fn every_place_is_a_path_of_plain_names(
        template in any_template(), name in any_text(), id in any_text(), source in any_text(), sport in any_text(),
    ) {
        let Ok(template) = Template::parse(&template) else { return Ok(()) };
        let about = About { name: Some(name), external_id: id, source, sport: Some(sport), ..about() };
        let place = template.place(&about, ContentId::of(b"x"));
        prop_assert_eq!(&place, &template.place(&about, ContentId::of(b"x")));
        let last = format!("{}-01234567{}", place.stem, place.extension);
        for name in place.folders.iter().chain([&place.stem, &last]) {
            prop_assert!(!name.is_empty() && name.len() <= 255, "{:?}", name);
            prop_assert!(!name.starts_with('.') && !name.ends_with(['.', ' ']), "{:?}", name);
            prop_assert!(!name.chars().any(is_unfit) && !is_reserved(name), "{:?}", name);
            let parts: Vec<_> = Path::new(name).components().collect();
            prop_assert!(matches!(parts.as_slice(), [Component::Normal(_)]), "{:?}", name);
        }
    }
}
