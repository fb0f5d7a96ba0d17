//! Names from a template and a ride's facts: `{date} {title}`. The one engine for the names of rides at a
//! sink and for the paths of files in a folder.

use jiff::{
    civil::{Date, DateTime},
    tz::Offset,
};
use serde::{Deserialize, Serialize};

use super::{About, Activity, ContentId, Ride};

/// Longest template, in bytes.
pub const MAX_TEMPLATE: usize = 200;
/// Longest name of a ride, in characters.
const MAX_NAME: usize = 200;

/// Why a template is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A field that does not exist.
    #[error("unknown field {{{name}}}; known are {known}")]
    UnknownField {
        /// The field.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// A brace without its partner.
    #[error("a brace has no partner; fields look like {{date}}")]
    Brace,
    /// Nothing would be left of it.
    #[error("it is empty")]
    Empty,
    /// Too long.
    #[error("it is longer than {MAX_TEMPLATE} bytes")]
    TooLong,
    /// A control character or one that nobody sees.
    #[error("{0:?} cannot stand in a name")]
    Character(char),
}

/// A fact that a template may name. There is none that tells a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The title that the ride came with.
    Title,
    /// Local date of the start: `2026-01-31`.
    Date,
    /// Local time of the start; UTC, marked as such, where the local time is not known.
    Time,
    /// Year of the date.
    Year,
    /// Month of the date, two digits.
    Month,
    /// Day of the date, two digits.
    Day,
    /// Sport as the FIT profile names it.
    Sport,
    /// Distance, km, one decimal.
    DistanceKm,
    /// Moving time, else elapsed time: `1h05m`.
    Duration,
    /// The recording device.
    Device,
    /// Where the ride came from: `igpsport`, `file`.
    Source,
    /// The number a rider knows it by.
    Id,
    /// The first 16 digits of the file's SHA-256.
    Sha,
}

const NAMES: [(&str, Field); 13] = [
    ("title", Field::Title),
    ("date", Field::Date),
    ("time", Field::Time),
    ("year", Field::Year),
    ("month", Field::Month),
    ("day", Field::Day),
    ("sport", Field::Sport),
    ("distance_km", Field::DistanceKm),
    ("duration", Field::Duration),
    ("device", Field::Device),
    ("source", Field::Source),
    ("id", Field::Id),
    ("sha", Field::Sha),
];

impl Field {
    /// Every field.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(_, field)| field)
    }

    /// As it is written between braces.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands for itself.
    Literal(String),
    /// A fact.
    Field(Field),
}

/// Takes a template apart; only these fields may stand in it.
pub fn parse(text: &str, may_name: impl Fn(Field) -> bool) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let literal = rest.find(['{', '}']).unwrap_or(rest.len());
        let (before, after) = rest.split_at(literal);
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.to_owned()));
        }
        if after.is_empty() {
            break;
        }
        let inner = after.strip_prefix('{').ok_or(TemplateError::Brace)?;
        let (name, next) = inner.split_once('}').ok_or(TemplateError::Brace)?;
        if name.contains('{') {
            return Err(TemplateError::Brace);
        }
        let field = NAMES.iter().find(|(known, field)| *known == name && may_name(*field));
        let Some((_, field)) = field else {
            let known: Vec<_> = Field::all().filter(|field| may_name(*field)).collect();
            let known = known.into_iter().map(|field| format!("{{{}}}", field.name())).collect::<Vec<_>>().join(" ");
            let name = name.chars().filter(|c| !is_unseen(*c)).take(30).collect();
            return Err(TemplateError::UnknownField { name, known });
        };
        pieces.push(Piece::Field(*field));
        rest = next;
    }
    Ok(pieces)
}

/// Control characters, and invisible or direction-changing ones that make a name look like another.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What the value of a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// To be read by people.
    Text,
    /// To be a part of a file's path: without colons.
    Path,
}

/// The facts of a ride that fields stand for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    title: Option<String>,
    start: Option<DateTime>,
    start_is_utc: bool,
    date: Option<Date>,
    sport: Option<String>,
    distance_m: Option<f64>,
    duration_s: Option<f64>,
    device: Option<String>,
    source: String,
    id: String,
    content: Option<ContentId>,
}

impl Facts {
    /// Of a ride; `source` and `id` as [`Field::Source`] and [`Field::Id`] tell them.
    pub fn of_ride(ride: &Ride, source: &str, id: &str) -> Self {
        let local = ride.local_start();
        Self {
            title: ride.title(),
            start: local.or_else(|| ride.start().map(|start| Offset::UTC.to_datetime(start))),
            start_is_utc: local.is_none(),
            date: ride.local_date(),
            sport: ride.sport(),
            distance_m: ride.distance_m(),
            duration_s: ride.duration_s(),
            device: ride.device(),
            source: source.to_owned(),
            id: id.to_owned(),
            content: None,
        }
    }

    /// Of an activity.
    pub fn of_activity(activity: &Activity) -> Self {
        Self::of_ride(&activity.ride, activity.origin.service(), &activity.rider_id())
    }

    /// Of a file on its way to a sink: its title is the name that it has there.
    pub fn of(about: &About, content: ContentId) -> Self {
        let start = about.local_start.or_else(|| about.start.map(|start| Offset::UTC.to_datetime(start)));
        Self {
            title: about.name.clone(),
            start,
            start_is_utc: about.local_start.is_none(),
            date: start.map(|start| start.date()),
            sport: about.sport.clone(),
            distance_m: about.distance_m,
            duration_s: about.moving_s.or(about.elapsed_s),
            device: about.device.clone(),
            source: about.source.clone(),
            id: bare_id(about).to_owned(),
            content: Some(content),
        }
    }

    /// What a field stands for; `None` when that is not known.
    pub fn value(&self, field: Field, form: Form) -> Option<String> {
        let date = |say: fn(Date) -> String| self.date.map(say);
        let text = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        match field {
            Field::Title => self.title.as_deref().and_then(text),
            Field::Date => date(|date| date.to_string()),
            Field::Time => self.start.map(|at| self.time(at, form)),
            Field::Year => date(|date| format!("{:04}", date.year())),
            Field::Month => date(|date| format!("{:02}", date.month())),
            Field::Day => date(|date| format!("{:02}", date.day())),
            Field::Sport => self.sport.as_deref().and_then(text).map(|sport| match form {
                Form::Text => sport.replace('_', " "),
                Form::Path => sport,
            }),
            Field::DistanceKm => self.distance_m.filter(|m| m.is_finite()).map(|m| format!("{:.1}", m / 1000.0)),
            Field::Duration => self.duration_s.map(duration),
            Field::Device => self.device.as_deref().and_then(text),
            Field::Source => text(&self.source),
            Field::Id => text(&self.id),
            Field::Sha => self.content.map(|content| content.to_string().chars().take(16).collect()),
        }
    }

    fn time(&self, at: DateTime, form: Form) -> String {
        match (form, self.start_is_utc) {
            (Form::Text, false) => format!("{:02}:{:02}", at.hour(), at.minute()),
            (Form::Text, true) => format!("{:02}:{:02} UTC", at.hour(), at.minute()),
            (Form::Path, utc) => {
                let zone = if utc { "Z" } else { "" };
                format!("{:02}-{:02}-{:02}{zone}", at.hour(), at.minute(), at.second())
            }
        }
    }
}

/// The external id without the words that only say where it comes from.
fn bare_id(about: &About) -> &str {
    let id = about.external_id.as_str();
    fn bare<'a>(id: &'a str, prefix: &str) -> Option<&'a str> {
        id.strip_prefix(prefix)?.strip_prefix(['_', '-'])
    }
    let id = bare(id, "fitbridge").unwrap_or(id);
    bare(id, &about.source).unwrap_or(id)
}

/// Seconds as `1h05m`, `48m` or `30s`.
fn duration(seconds: f64) -> String {
    // Saturates for absurd values.
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A template for the name of a ride at a sink, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameTemplate {
    text: String,
    pieces: Vec<Piece>,
}

impl NameTemplate {
    /// Checks a template. Any field but [`Field::Sha`] may stand in it.
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let pieces = parse(text, |field| field != Field::Sha)?;
        let literals: String = pieces.iter().map(|piece| literal(piece).unwrap_or_default()).collect();
        if let Some(bad) = literals.chars().find(|c| is_unseen(*c)) {
            return Err(TemplateError::Character(bad));
        }
        let says_something = pieces.iter().any(|piece| literal(piece).is_none()) || !tidy(&literals).is_empty();
        says_something.then(|| Self { text: text.to_owned(), pieces }).ok_or(TemplateError::Empty)
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of a ride: one line of at most 200 characters. What is not known is left out, with the
    /// separators at its place when that is an end; `None` when nothing is left.
    pub fn render(&self, facts: &Facts) -> Option<String> {
        let value = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Field(field) => facts.value(*field, Form::Text).unwrap_or_default(),
        };
        let name = tidy(&self.pieces.iter().map(value).collect::<String>());
        Some(name).filter(|name| !name.is_empty())
    }
}

fn literal(piece: &Piece) -> Option<&str> {
    match piece {
        Piece::Literal(text) => Some(text),
        Piece::Field(_) => None,
    }
}

impl TryFrom<String> for NameTemplate {
    type Error = TemplateError;
    fn try_from(text: String) -> Result<Self, TemplateError> {
        Self::new(&text)
    }
}

impl From<NameTemplate> for String {
    fn from(template: NameTemplate) -> Self {
        template.text
    }
}

/// One line without what nobody sees, empty brackets, double spaces and separators at its ends.
fn tidy(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || matches!(c, '-' | '–' | '—' | ',' | ';' | ':' | '·' | '|' | '/' | '_');
    let seen: String = text.chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect();
    let seen = seen.replace("()", "").replace("[]", "");
    let line = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.trim_matches(ends).chars().take(MAX_NAME).collect();
    line.trim_matches(ends).to_owned()
}

#[cfg(test)]
mod tests;
