//! `fitbridge explain CODE`: what the catalogue says about a code.

use fitbridge_core::{Code, Failure};
use serde_json::json;

use crate::{
    exit::{Exit, Stop},
    out::{Out, bold},
};

/// How like two names must be for one to be offered for the other, from 0 to 1.
const LIKE: f64 = 0.75;
/// Most names that are offered.
const OFFERED: usize = 5;

/// Prints a code's sentence, cause and next step.
pub(crate) fn run(out: Out, text: &str) -> Result<Exit, Stop> {
    // As it is copied: with its brackets, or in capitals.
    let name = text.trim().trim_matches(['[', ']', '`']).to_lowercase();
    let Some(code) = Code::parse(&name) else { return Err(unknown(text, &name)) };
    out.line(format!("{}: {}", bold(code), code.sentence()));
    out.line(format!("  usually because: {}", code.cause()));
    out.line(format!("  next: {}", code.next_step()));
    out.record(&json!({
        "type": "code",
        "code": code,
        "sentence": code.sentence(),
        "cause": code.cause(),
        "next": code.next_step(),
    }));
    out.record(&json!({ "type": "summary", "codes": 1 }));
    Ok(Exit::Done)
}

fn unknown(text: &str, name: &str) -> Stop {
    let near = nearest(name);
    let hint = match near.is_empty() {
        true => "docs/ERRORS.md lists all".to_owned(),
        false => format!("did you mean {}?", near.join(", ")),
    };
    Stop::failed(Failure::new(Code::Usage, format!("no code is called {text:?}; {hint}")))
}

/// The names that are most like this one, the likest first; those that it is a part of count as like.
fn nearest(name: &str) -> Vec<&'static str> {
    let likeness = |code: &str| match name.len() >= 3 && code.contains(name) {
        true => 1.0,
        false => strsim::jaro_winkler(code, name),
    };
    let mut near: Vec<_> = Code::ALL.iter().map(|code| (likeness(code.as_str()), code.as_str())).collect();
    near.retain(|(like, _)| *like >= LIKE);
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter().take(OFFERED).map(|(_, code)| code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_code_is_offered_as_it_is_written() {
        assert_eq!(nearest("token_refussed").first(), Some(&"token_refused"));
        assert_eq!(nearest("no_such_rid").first(), Some(&"no_such_ride"));
        assert!(nearest("vault").iter().all(|code| code.starts_with("vault_")), "{:?}", nearest("vault"));
        assert!(nearest("xyzzy").is_empty(), "{:?}", nearest("xyzzy"));
    }
}
