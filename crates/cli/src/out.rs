//! Printing: text for people, JSON Lines for programs, progress for those who wait.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

/// Where a command prints. Colours follow the terminal and `NO_COLOR` (anstream decides).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    json: bool,
}

impl Out {
    /// Prints JSON Lines, or text.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON Lines are printed.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// A line for people; nothing in JSON mode.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        if !self.json {
            print_line(text.as_ref());
        }
    }

    /// A line for programs; nothing in text mode. `value` is an object with a `"type"`.
    pub(crate) fn record(self, value: &Value) {
        if self.json {
            print_line(&value.to_string());
        }
    }

    /// A note on standard error, in both modes.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        // Standard error may be closed; there is nobody left to tell.
        let _ = writeln!(anstream::stderr(), "{}", text.as_ref());
    }

    /// A progress bar on standard error; invisible when that is no terminal, or in JSON mode.
    pub(crate) fn progress(self, what: &str) -> ProgressBar {
        let visible = !self.json && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {bar:24} {pos}/{len}  {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

fn print_line(text: &str) {
    if writeln!(anstream::stdout(), "{text}").is_err() {
        // The reader has gone away (`| head`): what follows would be lost as well.
        std::process::exit(0);
    }
}

/// A text in a colour, for lines that go through [`Out`].
pub(crate) fn paint(color: AnsiColor, text: impl std::fmt::Display) -> String {
    let style = Style::new().fg_color(Some(color.into()));
    format!("{style}{text}{style:#}")
}

/// A text in bold.
pub(crate) fn bold(text: impl std::fmt::Display) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

/// A text that may come from outside, safe to print: control characters replaced.
pub(crate) fn plain(text: &str) -> String {
    // Marks that turn the direction of text could make a title pass for another one.
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}
