//! Names: what a file seems to be by its name, and how a name is shown.

use std::path::Path;

/// Longest part of a path inside an archive that is shown, in characters.
const SHOWN: usize = 200;

/// What a name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `.fit`
    Fit,
    /// `.fit.gz`
    FitGz,
    /// `.zip`
    Zip,
    /// Anything else.
    Other,
}

impl Kind {
    /// What the last part of `path` promises, in any case of letters.
    pub(crate) fn of(path: &Path) -> Self {
        path.file_name().map_or(Self::Other, |name| Self::of_name(&name.to_string_lossy()))
    }

    /// As [`Kind::of`], for the name of an archive's member.
    pub(crate) fn of_name(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        [(".fit", Self::Fit), (".fit.gz", Self::FitGz), (".zip", Self::Zip)]
            .into_iter()
            .find_map(|(ending, kind)| name.ends_with(ending).then_some(kind))
            .unwrap_or(Self::Other)
    }
}

/// Whether a member is something that only a Mac wants: a resource fork beside the real file.
pub(crate) fn is_mac_leftover(member: &str) -> bool {
    let mut parts = member.split(['/', '\\']);
    parts.clone().any(|part| part == "__MACOSX") || parts.next_back().is_some_and(|last| last.starts_with("._"))
}

/// A path as it is shown.
pub(crate) fn shown(path: &Path) -> String {
    harmless(&path.to_string_lossy())
}

/// A member's name as it is shown: relative, without steps upwards, of bounded length. It is never opened.
pub(crate) fn shown_member(member: &str) -> String {
    let member = harmless(member);
    let parts = member.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | "..") && !is_drive(part));
    let name = parts.collect::<Vec<_>>().join("/");
    let length = name.chars().count();
    match length {
        0 => "(no name)".to_owned(),
        1..=SHOWN => name,
        _ => format!("…{}", name.chars().skip(length - SHOWN).collect::<String>()),
    }
}

fn is_drive(part: &str) -> bool {
    matches!(part.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic())
}

/// Without characters that move the cursor or turn the direction of writing.
fn harmless(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_promise_in_any_case() {
        let kinds = ["a.FIT", "b.fit.GZ", "c.Zip", "d.gpx", "fit", ".fit"].map(|name| Kind::of(Path::new(name)));
        assert_eq!(kinds, [Kind::Fit, Kind::FitGz, Kind::Zip, Kind::Other, Kind::Other, Kind::Fit]);
    }

    #[test]
    fn member_names_lose_their_tricks() {
        for (tricky, tame) in [
            ("../../etc/passwd.fit", "etc/passwd.fit"),
            ("/abs/ride.fit", "abs/ride.fit"),
            ("C:\\Users\\me\\ride.fit", "Users/me/ride.fit"),
            ("a/./b//../c.fit", "a/b/c.fit"),
            ("..", "(no name)"),
            ("x\u{1b}[2J\u{202e}tif.fit", "x\u{fffd}[2J\u{fffd}tif.fit"),
        ] {
            assert_eq!(shown_member(tricky), tame);
        }
        let long = format!("{}.fit", "é".repeat(1000));
        let shown = shown_member(&long);
        assert!(shown.chars().count() == SHOWN + 1 && shown.ends_with("é.fit"));
    }

    #[test]
    fn mac_leftovers_are_known() {
        for name in ["__MACOSX/a.fit", "x/__MACOSX/._a.fit", "a/._b.fit", "._b.fit"] {
            assert!(is_mac_leftover(name), "{name}");
        }
        assert!(!is_mac_leftover("a/.b.fit") && !is_mac_leftover("MACOSX/b._.fit"));
    }
}
