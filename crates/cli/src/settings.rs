//! Settings: the environment, then `config.toml` in the data folder. The only place that reads either.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use fitbridge_core::ports::PollClass;

/// Settings, each with the sentence that explains it.
const KNOWN: &[(&str, &str)] = &[
    ("igpsport_url", "replaces iGPSport's global host"),
    ("igpsport_china_url", "replaces iGPSport's host in China"),
    ("intervals_url", "replaces Intervals.icu"),
    ("trusted_hosts", "host:port, comma-separated: admitted although the URL guard would refuse them"),
    ("requests_per_second", "most calls to iGPSport a second; 0 is no limit"),
    ("poll_minutes", "how often `serve` polls at most: 1, 5 or 60"),
    ("poll_plan", "adaptive or fixed"),
    ("downloads", "downloads at a time"),
    ("uploads", "deliveries at a time, per sink"),
    ("log", "error, warn, info or debug"),
    ("log_format", "text or json"),
];
/// In the environment only: it says where `config.toml` is.
const HOME: &str = "FITBRIDGE_HOME";
const PREFIX: &str = "FITBRIDGE_";

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What was set, and defaults for the rest.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Replaces iGPSport's global host.
    pub igpsport_url: Option<String>,
    /// Replaces iGPSport's host in China.
    pub igpsport_china_url: Option<String>,
    /// Replaces Intervals.icu.
    pub intervals_url: Option<String>,
    /// Hosts that the URL guard admits.
    pub trusted_hosts: Vec<String>,
    /// Most calls to iGPSport a second; `None` is no limit.
    pub requests_per_second: Option<f64>,
    /// How often sources are polled at most.
    pub poll_class: PollClass,
    /// Whether they are polled oftener when their rides tend to appear.
    pub adaptive: bool,
    /// Downloads at a time.
    pub downloads: usize,
    /// Deliveries at a time, per sink.
    pub uploads: usize,
    /// Which log lines are written.
    pub log: Option<tracing::Level>,
    /// How.
    pub log_format: LogFormat,
}

/// A setting that does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// No such setting.
    #[error("unknown setting {name} in {place}{}: see docs/SETTINGS.md for all of them", nearest.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    Unknown {
        /// As it was written.
        name: String,
        /// Where.
        place: String,
        /// The nearest known one.
        nearest: Option<String>,
    },
    /// No such value.
    #[error("{name} is {value:?}, but must be {expected}")]
    Value {
        /// Which setting.
        name: String,
        /// Its value.
        value: String,
        /// What would do.
        expected: String,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no data folder to be found.
    #[error("this platform names no data folder: give one with --home DIR or {HOME}")]
    NoHome,
}

/// Reads the process's environment.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

/// The variables of the functions on AWS, for whoever operates them: those of ours, except what only this
/// program knows, and where AWS is asked.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn of_functions() -> BTreeMap<String, String> {
    let known = fitbridge_aws::context::Environment::names();
    let only_here = |name: &str| {
        let short = name.trim_start_matches(PREFIX).to_ascii_lowercase();
        name == HOME || (KNOWN.iter().any(|(known, _)| *known == short) && !known.contains(&name))
    };
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with(PREFIX) || name.starts_with("AWS_ENDPOINT_URL"))
        .filter(|(name, _)| !only_here(name))
        .collect()
}

/// The data folder: as given, else the platform's.
pub(crate) fn home(given: Option<&Path>) -> Result<PathBuf, SettingsError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    use etcetera::BaseStrategy;
    let base = etcetera::base_strategy::choose_native_strategy().map_err(|_| SettingsError::NoHome)?;
    Ok(base.data_dir().join("fitbridge"))
}

impl Settings {
    /// Reads the environment and the home's `config.toml`.
    pub(crate) fn read(home: &Path) -> Result<Self, SettingsError> {
        let path = home.join("config.toml");
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(SettingsError::File { path, reason: error.to_string() }),
        };
        Self::parse(environment(), &file, &path)
    }

    fn parse(environment: Vec<(String, String)>, file: &str, path: &Path) -> Result<Self, SettingsError> {
        let mut values = BTreeMap::new();
        let unreadable = |reason: String| SettingsError::File { path: path.to_owned(), reason };
        let table: toml::Table = file.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
        for (name, value) in table {
            let known = known(&name, &name, |name| name.to_owned(), &path.display().to_string())?;
            values.insert(known, text_of(&name, value)?);
        }
        for (name, value) in environment {
            if name == HOME {
                continue;
            }
            let short = name.trim_start_matches(PREFIX).to_ascii_lowercase();
            let known =
                known(&short, &name, |near| format!("{PREFIX}{}", near.to_ascii_uppercase()), "the environment")?;
            if !value.trim().is_empty() {
                values.insert(known, value);
            }
        }
        Self::from_values(&values)
    }

    fn from_values(values: &BTreeMap<&'static str, String>) -> Result<Self, SettingsError> {
        let text = |name: &str| values.get(name).map(|value| value.trim().to_owned());
        let number = |name: &'static str, fallback: usize| match text(name) {
            None => Ok(fallback),
            Some(value) => match value.parse::<usize>() {
                Ok(number @ 1..=64) => Ok(number),
                _ => Err(wrong(name, &value, "a number from 1 to 64")),
            },
        };
        let url = |name: &'static str| match text(name) {
            Some(value) => match url::Url::parse(&value) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(value)),
                _ => Err(wrong(name, &value, "an http or https URL such as http://127.0.0.1:7070")),
            },
            None => Ok(None),
        };
        let igpsport_url = url("igpsport_url")?;
        let igpsport_china_url = url("igpsport_china_url")?;
        // Politeness is for the real hosts; whoever replaces them knows what they bear.
        let real = igpsport_url.is_none() && igpsport_china_url.is_none();
        let requests_per_second = match text("requests_per_second") {
            None => real.then_some(5.0),
            Some(value) => match value.parse::<f64>() {
                Ok(0.0) => None,
                Ok(rate) if (0.01..=1000.0).contains(&rate) => Some(rate),
                _ => return Err(wrong("requests_per_second", &value, "0 (no limit) or a number from 0.01 to 1000")),
            },
        };
        let poll_class = match text("poll_minutes").as_deref() {
            None | Some("5") => PollClass::Warm,
            Some("1") => PollClass::Hot,
            Some("60") => PollClass::Cold,
            Some(value) => return Err(wrong("poll_minutes", value, "1, 5 or 60")),
        };
        let adaptive = match text("poll_plan").as_deref() {
            None | Some("adaptive") => true,
            Some("fixed") => false,
            Some(value) => return Err(wrong("poll_plan", value, "adaptive or fixed")),
        };
        let log = match text("log") {
            None => None,
            Some(value) => Some(value.parse().map_err(|_| wrong("log", &value, "error, warn, info or debug"))?),
        };
        let log_format = match text("log_format").as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(value) => return Err(wrong("log_format", value, "text or json")),
        };
        let hosts = text("trusted_hosts").unwrap_or_default();
        let trusted_hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned);
        Ok(Self {
            intervals_url: url("intervals_url")?,
            trusted_hosts: trusted_hosts.collect(),
            downloads: number("downloads", 4)?,
            uploads: number("uploads", 4)?,
            igpsport_url,
            igpsport_china_url,
            requests_per_second,
            poll_class,
            adaptive,
            log,
            log_format,
        })
    }

    /// What stands in place of the real hosts, or opens the guard: each deserves a warning.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut replaced = |name: &str, url: &Option<String>| {
            if let Some(url) = url {
                warnings.push(format!("{name} is set: {url} is asked instead of the real host"));
            }
        };
        replaced("FITBRIDGE_IGPSPORT_URL", &self.igpsport_url);
        replaced("FITBRIDGE_IGPSPORT_CHINA_URL", &self.igpsport_china_url);
        replaced("FITBRIDGE_INTERVALS_URL", &self.intervals_url);
        if !self.trusted_hosts.is_empty() {
            let hosts = self.trusted_hosts.join(", ");
            warnings.push(format!("FITBRIDGE_TRUSTED_HOSTS is set: {hosts} pass the URL guard"));
        }
        warnings
    }
}

fn wrong(name: &str, value: &str, expected: &str) -> SettingsError {
    SettingsError::Value {
        name: name.to_owned(),
        value: value.chars().take(80).collect(),
        expected: expected.to_owned(),
    }
}

fn known(
    short: &str,
    written: &str,
    as_written: impl Fn(&str) -> String,
    place: &str,
) -> Result<&'static str, SettingsError> {
    if let Some((name, _)) = KNOWN.iter().find(|(name, _)| *name == short) {
        return Ok(name);
    }
    let distance = |name: &str| strsim::damerau_levenshtein(name, short);
    let nearest = KNOWN.iter().map(|(name, _)| *name).chain(["home"]).min_by_key(|name| distance(name));
    let nearest = nearest.filter(|name| distance(name) <= name.len().max(3) / 2).map(as_written);
    Err(SettingsError::Unknown { name: written.to_owned(), place: place.to_owned(), nearest })
}

fn text_of(name: &str, value: toml::Value) -> Result<String, SettingsError> {
    Ok(match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Array(items) => {
            let texts: Result<Vec<_>, _> = items.into_iter().map(|item| text_of(name, item)).collect();
            texts?.join(",")
        }
        other => return Err(wrong(name, &other.to_string(), "a text, a number or a list of texts")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(environment: &[(&str, &str)], file: &str) -> Result<Settings, SettingsError> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::parse(environment, file, Path::new("config.toml"))
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let settings = parse(
            &[("FITBRIDGE_TRUSTED_HOSTS", "a:1, b:2"), ("FITBRIDGE_HOME", "/x"), ("FITBRIDGE_DOWNLOADS", "")],
            "trusted_hosts = [\"c:3\"]\ndownloads = 8\npoll_minutes = 60\n",
        )
        .unwrap();
        assert_eq!(settings.trusted_hosts, ["a:1", "b:2"]);
        assert_eq!((settings.downloads, settings.poll_class), (8, PollClass::Cold));
        assert_eq!((settings.requests_per_second, settings.uploads), (Some(5.0), 4));
    }

    #[test]
    fn an_unknown_setting_names_the_nearest() {
        let error = parse(&[("FITBRIDGE_TRUSTED_HOST", "a:1")], "").unwrap_err().to_string();
        assert!(error.contains("did you mean FITBRIDGE_TRUSTED_HOSTS?"), "{error}");
        let error = parse(&[], "dowloads = 3").unwrap_err().to_string();
        assert!(error.contains("dowloads in config.toml; did you mean downloads?"), "{error}");
        let error = parse(&[], "zzzzzzzzzzzz = 3").unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }

    #[test]
    fn a_wrong_value_says_what_would_do() {
        for (name, value, expected) in [
            ("FITBRIDGE_DOWNLOADS", "0", "1 to 64"),
            ("FITBRIDGE_POLL_MINUTES", "7", "1, 5 or 60"),
            ("FITBRIDGE_POLL_PLAN", "7", "adaptive or fixed"),
            ("FITBRIDGE_IGPSPORT_URL", "ftp://x", "http or https"),
            ("FITBRIDGE_REQUESTS_PER_SECOND", "-1", "0.01 to 1000"),
            ("FITBRIDGE_LOG", "loud", "error, warn"),
        ] {
            let error = parse(&[(name, value)], "").unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
        assert!(parse(&[], "x = [").unwrap_err().to_string().starts_with("config.toml cannot be read"));
    }

    #[test]
    fn a_replaced_host_is_not_paced_and_is_warned_of() {
        let settings = parse(&[("FITBRIDGE_IGPSPORT_URL", "http://127.0.0.1:1")], "").unwrap();
        assert_eq!(settings.requests_per_second, None);
        assert_eq!(settings.warnings().len(), 1);
    }
}
