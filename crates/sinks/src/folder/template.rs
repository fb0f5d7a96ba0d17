//! Names of files in the folder, from a template and a ride's facts. What a field says comes from the one
//! engine for templates, in core; what a path may be is decided here.
//!
//! Whatever a title holds, the result is a relative path of plain names: a value never adds a separator, a
//! `..`, a hidden or reserved name.

use fitbridge_core::domain::{
    About, ContentId,
    template::{self, Facts, Field, Form, MAX_TEMPLATE, Piece, is_unseen},
};

/// The names' pattern when the rider gives none.
pub const DEFAULT_TEMPLATE: &str = "{date}-{time}-{source}-{id}.fit";

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
    /// A field that does not exist, or a brace without its partner.
    #[error(transparent)]
    Template(#[from] template::TemplateError),
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
            folders: self.folders.iter().map(|pieces| name(&facts, pieces)).collect(),
            stem: name(&facts, &self.name),
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
    let pieces = template::parse(text, |_| true)?;
    let literals = pieces.iter().filter_map(|piece| match piece {
        Piece::Literal(text) => Some(text.as_str()),
        Piece::Field(_) => None,
    });
    match literals.flat_map(str::chars).find(|c| is_unfit(*c)) {
        Some(bad) => Err(TemplateError::Character(bad)),
        None => Ok(pieces),
    }
}

/// Separators of any system, what FAT and Windows refuse, controls, and invisible or direction-changing
/// characters that make a name look like another.
fn is_unfit(c: char) -> bool {
    is_unseen(c) || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

/// A field's value, or what stands in where it is not known.
fn value(facts: &Facts, field: Field) -> String {
    let absent = match field {
        Field::Date | Field::Year | Field::Month | Field::Day => "undated",
        Field::Time => "untimed",
        Field::Title => "ride",
        Field::DistanceKm => "unmeasured",
        Field::Duration => "untimed",
        Field::Sport | Field::Device | Field::Source | Field::Id | Field::Sha => field.name(),
    };
    let value = clean(&facts.value(field, Form::Path).unwrap_or_default(), MAX_VALUE);
    if value.is_empty() { absent.to_owned() } else { value }
}

fn name(facts: &Facts, pieces: &[Piece]) -> String {
    let parts = pieces.iter().map(|piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Field(field) => value(facts, *field),
    });
    let name = clean(&parts.collect::<String>(), MAX_NAME);
    if name.is_empty() || is_reserved(&name) { format!("_{name}") } else { name }
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
