//! What is wrong with an environment, all of it at once.

use std::{collections::BTreeMap, fmt};

/// One thing that is wrong with an environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is needed and not set.
    #[error("{name} is not set: it must be {expected}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What would do.
        expected: &'static str,
    },
    /// Its value does not do.
    #[error("{name} is {value:?}, but must be {expected}")]
    Value {
        /// The variable.
        name: &'static str,
        /// Its value, cut where it is long.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// There is no such setting; a misspelt one must not be ignored.
    #[error("{0} is no setting: remove it, or correct its spelling")]
    Unknown(String),
    /// Two settings exclude each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// Everything that is wrong with an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        write!(f, "the environment does not do ({} problems): {}", texts.len(), texts.join("; "))
    }
}

impl std::error::Error for Problems {}

/// Reads values and gathers what is wrong with them.
pub(super) struct Reader {
    values: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Reader {
    /// Over these variables; empty ones count as not set, because templates cannot leave one out.
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let trimmed = variables.into_iter().map(|(name, value)| (name, value.trim().to_owned()));
        Self { values: trimmed.filter(|(_, value)| !value.is_empty()).collect(), problems: Vec::new() }
    }

    /// A value as it is written.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// A value that `parse` understands, or none.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.text(name)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            let value = value.chars().take(80).collect();
            self.note(Problem::Value { name, value, expected });
        }
        parsed
    }

    /// A value that must be there. Where it is not, the problem is noted and `None` answered.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if !self.values.contains_key(name) {
            self.note(Problem::Missing { name, expected });
            return None;
        }
        self.optional(name, expected, parse)
    }

    /// Notes a problem.
    pub(super) fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Notes every variable with this prefix that is not known.
    pub(super) fn refuse_unknown(&mut self, prefix: &str, known: &[&str]) {
        let names = self.values.keys().filter(|name| name.starts_with(prefix) && !known.contains(&name.as_str()));
        let unknown: Vec<_> = names.cloned().map(Problem::Unknown).collect();
        self.problems.extend(unknown);
    }

    /// What was found wrong.
    pub(super) fn into_problems(self) -> Problems {
        Problems(self.problems)
    }
}
