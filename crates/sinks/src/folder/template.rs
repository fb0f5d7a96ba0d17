//! Names of files in the folder, from a template and a ride's facts.
//!
//! Whatever a title holds, the result is a relative path of plain names: a value never adds a separator, a
//! `..`, a hidden or reserved name.

use fitbridge_core::domain::{About, ContentId};
use jiff::{civil::DateTime, tz::Offset};

/// The names' pattern when the rider gives none.
pub const DEFAULT_TEMPLATE: &str = "{date}-{time}-{source}-{id}.fit";

/// Longest template, in bytes.
const MAX_TEMPLATE: usize = 200;

/// Most subfolders.
const MAX_DEPTH: usize = 8;

/// Longest value of a field, in bytes.
const MAX_VALUE: usize = 80;

/// Longest name without extension, in bytes; file systems take 255, and a digest may be added.
const MAX_NAME: usize = 180;

const EXTENSION: &str = ".fit";

/// Why a template is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A field that does not exist.
    #[error("unknown field {{{0}}}; known are {known}", known = known())]
    UnknownField(String),
    /// A brace without its partner.
    #[error("a brace has no partner; fields look like {{date}}")]
    Brace,
    /// An empty name, as in `a//b`.
    #[error("a name in it is empty")]
    Empty,
    /// A name that begins with a dot.
    #[error("names must not begin with a dot")]
    Dot,
    /// A character that some file system refuses.
    #[error("{0:?} cannot stand in a name")]
    Character(char),
    /// Too long.
    #[error("it is longer than {MAX_TEMPLATE} bytes or deeper than {MAX_DEPTH} folders")]
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Date,
    Time,
    Year,
    Month,
    Day,
    Title,
    Sport,
    Source,
    Id,
    Sha,
}

const FIELDS: [(&str, Field); 10] = [
    ("date", Field::Date),
    ("time", Field::Time),
    ("year", Field::Year),
    ("month", Field::Month),
    ("day", Field::Day),
    ("title", Field::Title),
    ("sport", Field::Sport),
    ("source", Field::Source),
    ("id", Field::Id),
    ("sha", Field::Sha),
];

fn known() -> String {
    FIELDS.map(|(name, _)| format!("{{{name}}}")).join(" ")
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Field(Field),
}

/// A template, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    folders: Vec<Vec<Piece>>,
    name: Vec<Piece>,
}

/// Where a file goes, relative to the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Subfolders, outermost first.
    pub(super) folders: Vec<String>,
    /// Name without extension.
    pub(super) stem: String,
    /// The extension with its dot.
    pub(super) extension: &'static str,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE || text.split('/').count() > MAX_DEPTH + 1 {
            return Err(TemplateError::TooLong);
        }
        let mut names = text.split('/').map(component).collect::<Result<Vec<_>, _>>()?;
        let mut name = names.pop().ok_or(TemplateError::Empty)?;
        // The extension is put back last, so that a long title cannot cut it off.
        if let Some(Piece::Literal(end)) = name.last_mut()
            && let Some(cut) = end.len().checked_sub(EXTENSION.len())
            && end.get(cut..).is_some_and(|tail| tail.eq_ignore_ascii_case(EXTENSION))
        {
            end.truncate(cut);
        }
        Ok(Self { folders: names, name })
    }

    /// The place of a ride's file; the same for the same facts.
    pub(super) fn place(&self, about: &About, content: ContentId) -> Place {
        let facts = Facts::of(about, content);
        Place {
            folders: self.folders.iter().map(|pieces| facts.name(pieces)).collect(),
            stem: facts.name(&self.name),
            extension: EXTENSION,
        }
    }
}

fn component(text: &str) -> Result<Vec<Piece>, TemplateError> {
    if text.is_empty() {
        return Err(TemplateError::Empty);
    }
    if text.starts_with('.') {
        return Err(TemplateError::Dot);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let literal = rest.find(['{', '}']).unwrap_or(rest.len());
        let (before, after) = rest.split_at(literal);
        if let Some(bad) = before.chars().find(|c| is_unfit(*c)) {
            return Err(TemplateError::Character(bad));
        }
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.to_owned()));
        }
        if after.is_empty() {
            break;
        }
        let inner = after.strip_prefix('{').ok_or(TemplateError::Brace)?;
        let (name, next) = inner.split_once('}').ok_or(TemplateError::Brace)?;
        let field = FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
        let unknown = || TemplateError::UnknownField(name.chars().filter(|c| !is_unfit(*c)).take(30).collect());
        pieces.push(Piece::Field(field.ok_or_else(unknown)?));
        rest = next;
    }
    Ok(pieces)
}

/// Separators of any system, what FAT and Windows refuse, controls, and invisible or direction-changing
/// characters that make a name look like another.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The values of a ride's fields.
struct Facts<'a> {
    about: &'a About,
    content: ContentId,
    start: Option<DateTime>,
    time_zone: &'static str,
}

impl<'a> Facts<'a> {
    fn of(about: &'a About, content: ContentId) -> Self {
        let utc = || about.start.map(|start| Offset::UTC.to_datetime(start));
        let start = about.local_start.or_else(utc);
        let time_zone = if about.local_start.is_some() { "" } else { "Z" };
        Self { about, content, start, time_zone }
    }

    fn value(&self, field: Field) -> String {
        let start =
            |say: &dyn Fn(DateTime) -> String, unknown: &str| self.start.map_or_else(|| unknown.to_owned(), say);
        let text = |text: Option<&str>, absent: &str| {
            let value = clean(text.unwrap_or_default(), MAX_VALUE);
            if value.is_empty() { absent.to_owned() } else { value }
        };
        match field {
            Field::Date => start(&|at| at.date().to_string(), "undated"),
            Field::Time => start(
                &|at| format!("{:02}-{:02}-{:02}{}", at.hour(), at.minute(), at.second(), self.time_zone),
                "untimed",
            ),
            Field::Year => start(&|at| format!("{:04}", at.year()), "undated"),
            Field::Month => start(&|at| format!("{:02}", at.month()), "undated"),
            Field::Day => start(&|at| format!("{:02}", at.day()), "undated"),
            Field::Title => text(self.about.name.as_deref(), "ride"),
            Field::Sport => text(self.about.sport.as_deref(), "sport"),
            Field::Source => text(Some(&self.about.source), "source"),
            Field::Id => text(Some(self.bare_id()), "id"),
            Field::Sha => self.content.to_string().chars().take(16).collect(),
        }
    }

    /// The external id without the words that only say where it comes from.
    fn bare_id(&self) -> &str {
        let id = self.about.external_id.as_str();
        let bare = |id: &'a str, prefix: &str| id.strip_prefix(prefix)?.strip_prefix(['_', '-']);
        let id = bare(id, "fitbridge").unwrap_or(id);
        bare(id, &self.about.source).unwrap_or(id)
    }

    fn name(&self, pieces: &[Piece]) -> String {
        let parts = pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Field(field) => self.value(*field),
        });
        let name = clean(&parts.collect::<String>(), MAX_NAME);
        if name.is_empty() || is_reserved(&name) { format!("_{name}") } else { name }
    }
}

/// Makes a text fit to be a name or a part of one: no unfit characters, no dots or spaces at its ends, at
/// most `max` bytes.
fn clean(text: &str, max: usize) -> String {
    let ends = |c: char| c == '.' || c.is_whitespace();
    let fit: String = text.chars().map(|c| if is_unfit(c) { '_' } else { c }).collect();
    let fit = fit.trim_matches(ends);
    let end = fit.floor_char_boundary(max);
    fit.get(..end).unwrap_or_default().trim_end_matches(ends).to_owned()
}

/// Names that mean devices on Windows, whatever follows their first dot.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            let mut digits = rest.chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests;
