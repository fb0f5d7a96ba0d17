//! The environment of a function. It is parsed from the variables it is handed, so that only a function's
//! `main.rs` reads the process's environment.

use std::fmt;

use fitbridge_core::ports::PollClass;
use tracing::Level;
use url::Url;

use super::problems::{Problem, Problems, Reader};

const PREFIX: &str = "FITBRIDGE_";
const TABLE: &str = "FITBRIDGE_TABLE";
const BUCKET: &str = "FITBRIDGE_BUCKET";
const QUEUE_URL: &str = "FITBRIDGE_QUEUE_URL";
const VAULT: &str = "FITBRIDGE_VAULT";
const KEYRING_SECRET: &str = "FITBRIDGE_KEYRING_SECRET";
const SECRET_PREFIX: &str = "FITBRIDGE_SECRET_PREFIX";
const SECRET_RECOVERY_DAYS: &str = "FITBRIDGE_SECRET_RECOVERY_DAYS";
const SHARDS: &str = "FITBRIDGE_SHARDS";
const POLL_MINUTES: &str = "FITBRIDGE_POLL_MINUTES";
const POLL_PLAN: &str = "FITBRIDGE_POLL_PLAN";
const REQUESTS_PER_SECOND: &str = "FITBRIDGE_REQUESTS_PER_SECOND";
const LOG: &str = "FITBRIDGE_LOG";
const MAIL_SENDER: &str = "FITBRIDGE_MAIL_SENDER";
const IGPSPORT_URL: &str = "FITBRIDGE_IGPSPORT_URL";
const IGPSPORT_CHINA_URL: &str = "FITBRIDGE_IGPSPORT_CHINA_URL";
const INTERVALS_URL: &str = "FITBRIDGE_INTERVALS_URL";
const TRUSTED_HOSTS: &str = "FITBRIDGE_TRUSTED_HOSTS";

const KNOWN: &[&str] = &[
    TABLE,
    BUCKET,
    QUEUE_URL,
    VAULT,
    KEYRING_SECRET,
    SECRET_PREFIX,
    SECRET_RECOVERY_DAYS,
    SHARDS,
    POLL_MINUTES,
    POLL_PLAN,
    REQUESTS_PER_SECOND,
    LOG,
    MAIL_SENDER,
    IGPSPORT_URL,
    IGPSPORT_CHINA_URL,
    INTERVALS_URL,
    TRUSTED_HOSTS,
];

const A_URL: &str = "an http or https URL such as https://sqs.eu-central-1.amazonaws.com/1/jobs";
const A_NAME: &str = "a name of Secrets Manager: letters, digits and /_+=.@-, not starting or ending with /";

/// Which vault the service uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultChoice {
    /// One secret of Secrets Manager per connection.
    PerUserSecret,
    /// Ciphertext in the ledger, under the keys of two secrets: `{secret}/source` and `{secret}/sink`.
    Keyring {
        /// What the names of both keyrings start with.
        secret: String,
    },
}

/// What a function is told by its environment. Poller and sink are told the same; their roles say what each
/// may do with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// `FITBRIDGE_TABLE`: the DynamoDB table of the ledger.
    pub table: String,
    /// `FITBRIDGE_BUCKET`: the S3 bucket of the archive.
    pub bucket: String,
    /// `FITBRIDGE_QUEUE_URL`: the SQS queue of jobs.
    pub queue_url: String,
    /// `FITBRIDGE_VAULT`: `per-user-secret` (the default) or `keyring`, then with
    /// `FITBRIDGE_KEYRING_SECRET`.
    pub vault: VaultChoice,
    /// `FITBRIDGE_SECRET_PREFIX`: what the names of riders' secrets start with; `fitbridge` unless said.
    pub secret_prefix: String,
    /// `FITBRIDGE_SECRET_RECOVERY_DAYS`: for how many days a forgotten secret can be restored, 7 to 30, or 0
    /// for not at all; 7 unless said.
    pub secret_recovery_days: u8,
    /// `FITBRIDGE_SHARDS`: how many shards the riders are spread over; 1 unless said.
    pub shards: u16,
    /// `FITBRIDGE_POLL_MINUTES`: 1, 5 (unless said) or 60.
    pub poll_class: PollClass,
    /// `FITBRIDGE_POLL_PLAN`: `adaptive` (unless said) or `fixed`.
    pub adaptive: bool,
    /// `FITBRIDGE_REQUESTS_PER_SECOND`: most calls to the source a second, over all shards; `None` (0) is no
    /// limit. 5 unless said or the source is replaced.
    pub requests_per_second: Option<f64>,
    /// `FITBRIDGE_LOG`, else Lambda's `AWS_LAMBDA_LOG_LEVEL`: which log lines are written.
    pub log: Level,
    /// `FITBRIDGE_MAIL_SENDER`: the address that notices are mailed from; without it they go by webhook only.
    pub mail_sender: Option<String>,
    /// `AWS_ENDPOINT_URL_SESV2`, else `AWS_ENDPOINT_URL`, as the SDKs know them: where SES is asked.
    pub ses_endpoint: Option<String>,
    /// `FITBRIDGE_IGPSPORT_URL`: replaces iGPSport's global host.
    pub igpsport_url: Option<String>,
    /// `FITBRIDGE_IGPSPORT_CHINA_URL`: replaces iGPSport's host in China.
    pub igpsport_china_url: Option<String>,
    /// `FITBRIDGE_INTERVALS_URL`: replaces Intervals.icu.
    pub intervals_url: Option<String>,
    /// `FITBRIDGE_TRUSTED_HOSTS`: `host:port` that the URL guard admits.
    pub trusted_hosts: Vec<String>,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the function's whole name, which is what its metrics are counted under;
    /// `None` outside Lambda.
    pub function: Option<String>,
    /// `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`, as the SDKs know them: where S3 is asked.
    pub s3_endpoint: Option<String>,
}

impl Environment {
    /// The variables of ours that are understood.
    pub fn names() -> &'static [&'static str] {
        KNOWN
    }

    /// Understands these variables, or names everything that is wrong with them. Variables of others are
    /// left alone; an unknown one that starts with `FITBRIDGE_` is a problem.
    pub fn parse(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Problems> {
        let mut reader = Reader::new(variables);
        reader.refuse_unknown(PREFIX, KNOWN);
        let table = reader.required(TABLE, "the name of a DynamoDB table", |text| is_table(text).then(|| text.into()));
        let bucket = reader.required(BUCKET, "the name of an S3 bucket", |text| is_bucket(text).then(|| text.into()));
        let queue_url = reader.required(QUEUE_URL, A_URL, url);
        let vault = vault(&mut reader);
        let secret_prefix = reader.optional(SECRET_PREFIX, A_NAME, secret_name);
        let secret_recovery_days = reader.optional(SECRET_RECOVERY_DAYS, "0, or 7 to 30", |text| {
            text.parse().ok().filter(|days| matches!(days, 0 | 7..=30))
        });
        let shards = reader.optional(SHARDS, "a number from 1 to 1000", |text| {
            text.parse().ok().filter(|shards| (1..=1000).contains(shards))
        });
        let poll_class = reader.optional(POLL_MINUTES, "1, 5 or 60", |text| match text {
            "1" => Some(PollClass::Hot),
            "5" => Some(PollClass::Warm),
            "60" => Some(PollClass::Cold),
            _ => None,
        });
        let adaptive = reader.optional(POLL_PLAN, "adaptive or fixed", |text| match text {
            "adaptive" => Some(true),
            "fixed" => Some(false),
            _ => None,
        });
        let rate = reader.optional(REQUESTS_PER_SECOND, "0 (no limit) or a number from 0.01 to 10000", rate);
        let log = log_level(&mut reader);
        let igpsport_url = reader.optional(IGPSPORT_URL, A_URL, url);
        let igpsport_china_url = reader.optional(IGPSPORT_CHINA_URL, A_URL, url);
        let intervals_url = reader.optional(INTERVALS_URL, A_URL, url);
        let hosts = reader.optional(TRUSTED_HOSTS, "host:port, separated by commas", hosts);
        let mail_sender = reader.optional(MAIL_SENDER, "a mail address", |text| {
            text.split_once('@').filter(|(user, host)| !user.is_empty() && host.contains('.')).map(|_| text.to_owned())
        });
        let ses_endpoint = reader.text("AWS_ENDPOINT_URL_SESV2").or_else(|| reader.text("AWS_ENDPOINT_URL"));
        let s3_endpoint = reader.text("AWS_ENDPOINT_URL_S3").or_else(|| reader.text("AWS_ENDPOINT_URL"));

        let function = reader.text("AWS_LAMBDA_FUNCTION_NAME");

        let problems = reader.into_problems();
        let (Some(table), Some(bucket), Some(queue_url), Some(vault), true) =
            (table, bucket, queue_url, vault, problems.0.is_empty())
        else {
            return Err(problems);
        };
        // Politeness is for the real hosts; whoever replaces them knows what they bear.
        let real = igpsport_url.is_none() && igpsport_china_url.is_none();
        Ok(Self {
            table,
            bucket,
            queue_url,
            vault,
            secret_prefix: secret_prefix.unwrap_or_else(|| "fitbridge".to_owned()),
            secret_recovery_days: secret_recovery_days.unwrap_or(7),
            shards: shards.unwrap_or(1),
            poll_class: poll_class.unwrap_or(PollClass::Warm),
            adaptive: adaptive.unwrap_or(true),
            requests_per_second: rate.unwrap_or_else(|| real.then_some(5.0)),
            log,
            mail_sender,
            ses_endpoint,
            igpsport_url,
            igpsport_china_url,
            intervals_url,
            trusted_hosts: hosts.unwrap_or_default(),
            function,
            s3_endpoint,
        })
    }

    /// This shard's part of the rate budget, requests per second; `None` is no limit.
    pub fn requests_per_second_of_a_shard(&self) -> Option<f64> {
        self.requests_per_second.map(|rate| rate / f64::from(self.shards))
    }

    /// What stands in place of the real hosts, opens the guard, or stops the service: each deserves one
    /// warning.
    pub fn warnings(&self) -> Vec<String> {
        let replaced = [
            (IGPSPORT_URL, &self.igpsport_url),
            (IGPSPORT_CHINA_URL, &self.igpsport_china_url),
            (INTERVALS_URL, &self.intervals_url),
        ];
        let mut warnings: Vec<_> = replaced
            .into_iter()
            .filter_map(|(name, url)| {
                Some(format!("{name} is set: {} is asked instead of the real host", url.as_ref()?))
            })
            .collect();
        if !self.trusted_hosts.is_empty() {
            let hosts = self.trusted_hosts.join(", ");
            warnings.push(format!("{TRUSTED_HOSTS} is set: {hosts} pass the URL guard"));
        }
        warnings
    }
}

impl fmt::Display for VaultChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerUserSecret => "per-user-secret",
            Self::Keyring { .. } => "keyring",
        })
    }
}

fn vault(reader: &mut Reader) -> Option<VaultChoice> {
    let kind = reader.text(VAULT);
    let keyring = reader.text(KEYRING_SECRET);
    match (kind.as_deref(), keyring) {
        (None | Some("per-user-secret"), None) => Some(VaultChoice::PerUserSecret),
        (None | Some("per-user-secret"), Some(_)) => {
            reader.note(Problem::Contradiction(
                "FITBRIDGE_KEYRING_SECRET is set, but FITBRIDGE_VAULT is not keyring: remove the one or set the other",
            ));
            None
        }
        (Some("keyring"), _) => {
            let secret = reader.required(KEYRING_SECRET, A_NAME, secret_name)?;
            Some(VaultChoice::Keyring { secret })
        }
        (Some(_), _) => reader.optional(VAULT, "per-user-secret or keyring", |_| None),
    }
}

fn log_level(reader: &mut Reader) -> Level {
    const EXPECTED: &str = "error, warn, info, debug or trace";
    let ours = reader.optional(LOG, EXPECTED, |text| text.parse().ok());
    // Lambda knows FATAL too; there is no level above ERROR here.
    let lambdas = reader.text("AWS_LAMBDA_LOG_LEVEL");
    let lambdas = lambdas.map(|text| if text == "FATAL" { Level::ERROR } else { text.parse().unwrap_or(Level::INFO) });
    ours.or(lambdas).unwrap_or(Level::INFO)
}

/// 3 to 255 of letters, digits, `_`, `-` and `.`, as the API reference of DynamoDB has it.
fn is_table(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (3..=255).contains(&text.len()) && text.bytes().all(plain)
}

/// 3 to 63 of lower-case letters, digits, `-` and `.`, as the naming rules of S3 have it.
fn is_bucket(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    (3..=63).contains(&text.len()) && text.bytes().all(plain)
}

fn secret_name(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b);
    // Two ids of 128 bytes and the role have to fit behind it into the 512 bytes of a name.
    let fits = text.len() <= 200 && text.bytes().all(plain);
    (fits && !text.starts_with('/') && !text.ends_with('/')).then(|| text.to_owned())
}

fn url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| text.to_owned())
}

fn rate(text: &str) -> Option<Option<f64>> {
    match text.parse::<f64>().ok()? {
        0.0 => Some(None),
        rate if (0.01..=10_000.0).contains(&rate) => Some(Some(rate)),
        _ => None,
    }
}

fn hosts(text: &str) -> Option<Vec<String>> {
    let hosts: Vec<_> = text.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect();
    let with_port = |host: &String| host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    hosts.iter().all(with_port).then_some(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[(&str, &str)] = &[
        (TABLE, "fitbridge-ledger"),
        (BUCKET, "fitbridge-fit"),
        (QUEUE_URL, "https://sqs.eu-central-1.amazonaws.com/1/jobs"),
    ];

    fn parse(more: &[(&str, &str)]) -> Result<Environment, Problems> {
        Environment::parse(WHOLE.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn little_is_needed() {
        let environment = parse(&[("PATH", "/bin"), (REQUESTS_PER_SECOND, "")]).unwrap();
        assert_eq!(environment.table, "fitbridge-ledger");
        assert_eq!((environment.vault, environment.secret_prefix.as_str()), (VaultChoice::PerUserSecret, "fitbridge"));
        assert_eq!((environment.shards, environment.poll_class), (1, PollClass::Warm));
        assert_eq!(environment.requests_per_second, Some(5.0));
        assert_eq!((environment.log, environment.secret_recovery_days), (Level::INFO, 7));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let variables = [
            (TABLE, "no table"),
            (QUEUE_URL, "jobs"),
            (VAULT, "keyring"),
            (SHARDS, "0"),
            (REQUESTS_PER_SECOND, "fast"),
            (SECRET_PREFIX, "/x"),
            (SECRET_RECOVERY_DAYS, "3"),
            (POLL_MINUTES, "7"),
            (POLL_PLAN, "sometimes"),
            (LOG, "loud"),
            (MAIL_SENDER, "nobody"),
            (IGPSPORT_URL, "ftp://x"),
            (TRUSTED_HOSTS, "somewhere"),
            ("FITBRIDGE_SHARD_COUNT", "2"),
        ];
        let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let problems = Environment::parse(owned).unwrap_err();
        let text = problems.to_string();
        for name in variables.map(|(name, _)| name) {
            let named = if name == VAULT { KEYRING_SECRET } else { name };
            assert!(text.contains(named), "{named} in {text}");
        }
        assert!(text.contains("FITBRIDGE_BUCKET is not set: it must be the name of an S3 bucket"), "{text}");
        assert_eq!(problems.0.len(), variables.len() + 1);
    }

    #[test]
    fn the_vault_is_one_or_the_other() {
        let keyring = parse(&[(VAULT, "keyring"), (KEYRING_SECRET, "fitbridge/keyring")]).unwrap().vault;
        assert_eq!(keyring, VaultChoice::Keyring { secret: "fitbridge/keyring".into() });
        let contradiction = parse(&[(KEYRING_SECRET, "fitbridge/keyring")]).unwrap_err();
        assert!(contradiction.to_string().contains("FITBRIDGE_VAULT is not keyring"), "{contradiction}");
        let unknown = parse(&[(VAULT, "file")]).unwrap_err().to_string();
        assert!(unknown.contains("FITBRIDGE_VAULT is \"file\", but must be per-user-secret or keyring"), "{unknown}");
    }

    #[test]
    fn the_rate_is_split_and_replaced_hosts_are_not_paced() {
        let environment = parse(&[(REQUESTS_PER_SECOND, "10"), (SHARDS, "4")]).unwrap();
        assert_eq!(environment.requests_per_second_of_a_shard(), Some(2.5));
        let environment = parse(&[(IGPSPORT_URL, "http://127.0.0.1:1"), (TRUSTED_HOSTS, "a:1, b:2")]);
        let environment = environment.unwrap();
        assert_eq!(environment.requests_per_second, None);
        assert_eq!((environment.trusted_hosts.len(), environment.warnings().len()), (2, 2));
        assert_eq!(parse(&[(REQUESTS_PER_SECOND, "0")]).unwrap().requests_per_second, None);
    }

    #[test]
    fn lambdas_own_settings_are_heard() {
        let level = |more: &[(&str, &str)]| parse(more).unwrap().log;
        assert_eq!(level(&[("AWS_LAMBDA_LOG_LEVEL", "DEBUG")]), Level::DEBUG);
        assert_eq!(level(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")]), Level::ERROR);
        assert_eq!(level(&[("AWS_LAMBDA_LOG_LEVEL", "DEBUG"), (LOG, "warn")]), Level::WARN);
        let endpoint = |more: &[(&str, &str)]| parse(more).unwrap().s3_endpoint;
        assert_eq!(endpoint(&[("AWS_ENDPOINT_URL", "http://a")]).as_deref(), Some("http://a"));
        assert_eq!(
            endpoint(&[("AWS_ENDPOINT_URL", "http://a"), ("AWS_ENDPOINT_URL_S3", "http://b")]).as_deref(),
            Some("http://b")
        );
    }
}
