//! What a finished command said.

use serde_json::Value;

/// Exit code and both outputs of a command.
#[derive(Debug, Clone)]
pub struct Output {
    /// What was run, for messages.
    pub command: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Asserts the exit code.
    ///
    /// # Panics
    /// With all that was said, when it is another one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// The JSON lines.
    ///
    /// # Panics
    /// When a line of standard output is no JSON object with a `type`.
    #[track_caller]
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}: {self}"));
            assert!(value["type"].is_string(), "no type in {line}: {self}");
            value
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The JSON lines of one type.
    #[track_caller]
    #[must_use]
    pub fn of_type(&self, name: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["type"] == name).collect()
    }

    /// The last line, which is the summary.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    #[must_use]
    pub fn summary(&self) -> Value {
        let last = self.lines().pop().unwrap_or(Value::Null);
        assert_eq!(last["type"], "summary", "{self}");
        last
    }

    /// The one line of a ride.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn ride(&self, id: impl std::fmt::Display) -> Value {
        let id = id.to_string();
        let mut rides = self.of_type("ride");
        rides.retain(|line| line["ride"] == id.as_str());
        rides.pop().unwrap_or_else(|| panic!("no ride {id}: {self}"))
    }

    /// Both outputs as one text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Asserts that one of the outputs holds `text`.
    ///
    /// # Panics
    /// When neither does.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.text().contains(text), "{text:?} is not said: {self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "\n`{command}` ended with {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
    }
}
