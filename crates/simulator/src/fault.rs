//! Fault switches: what goes wrong, where, and for how long.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::journal::Role;
use crate::rng::Rng;

/// What goes wrong with a request.
///
/// "Before" faults leave the service as it was; "after" faults act first and spoil the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Before: the connection is reset without an answer.
    DropBeforeCommit,
    /// After: the work is done, then the connection is reset without an answer.
    DropAfterCommit,
    /// Before: a JSON error with this status, and `Retry-After` when given.
    Status {
        /// The HTTP status.
        code: u16,
        /// Seconds for `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// After: the work is done, then the answer claims this status.
    StatusAfterCommit {
        /// The HTTP status.
        code: u16,
    },
    /// Before: 429, with `Retry-After` when given.
    TooManyRequests {
        /// Seconds for `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Before: an HTML page with this status, as proxies and firewalls send.
    HtmlErrorPage {
        /// The HTTP status.
        code: u16,
    },
    /// Before: 200 with text that is not JSON.
    InvalidJson,
    /// Before: 200 with a JSON object nobody asked for (a file host that answers in JSON).
    JsonAnswer,
    /// Before: an answer of zero bytes with status 200.
    ZeroBytes,
    /// Before: the object store's XML error.
    OssError {
        /// The HTTP status, 403 or 404 at the real one.
        code: u16,
    },
    /// Before: 302 to `to`: a URL, or `self` (the same host, another path to the same bytes),
    /// `trap` (the host nobody may reach), `private`, `http` or `https` (fixed outside addresses).
    Redirect {
        /// Where to.
        to: String,
    },
    /// Any: the answer waits this long (real milliseconds).
    Slow {
        /// Real milliseconds.
        ms: u64,
    },
    /// After: the body drips, `ms` real milliseconds between pieces of `chunk` bytes.
    SlowBody {
        /// Real milliseconds between pieces.
        ms: u64,
        /// Bytes in a piece.
        chunk: usize,
    },
    /// After: headers and half of the body, then silence until the client gives up.
    Stall,
    /// After: the full length is declared, `keep` bytes are sent, and the connection ends.
    TruncateBody {
        /// Bytes that still arrive.
        keep: usize,
    },
    /// After: a cleanly declared body with this many bytes cut off its end.
    WrongLength {
        /// Bytes missing at the end.
        missing: usize,
    },
    /// Before: a body of this many bytes, chunked, without a declared length.
    OverCap {
        /// Bytes sent.
        bytes: u64,
    },
    /// After: the body is gzipped and says so, whether or not the client accepts it.
    Gzip,
    /// Before: the credential used is revoked for good, then the request is answered.
    RevokeUser,
    /// Before: the token used ends now, then the request is answered.
    ExpireTokenNow,
}

impl Fault {
    /// The fault's name, as in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DropBeforeCommit => "drop_before_commit",
            Self::DropAfterCommit => "drop_after_commit",
            Self::Status { .. } => "status",
            Self::StatusAfterCommit { .. } => "status_after_commit",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::HtmlErrorPage { .. } => "html_error_page",
            Self::InvalidJson => "invalid_json",
            Self::JsonAnswer => "json_answer",
            Self::ZeroBytes => "zero_bytes",
            Self::OssError { .. } => "oss_error",
            Self::Redirect { .. } => "redirect",
            Self::Slow { .. } => "slow",
            Self::SlowBody { .. } => "slow_body",
            Self::Stall => "stall",
            Self::TruncateBody { .. } => "truncate_body",
            Self::WrongLength { .. } => "wrong_length",
            Self::OverCap { .. } => "over_cap",
            Self::Gzip => "gzip",
            Self::RevokeUser => "revoke_user",
            Self::ExpireTokenNow => "expire_token_now",
        }
    }
}

/// Where and how often a [`Fault`] strikes. A rule that names nothing strikes everywhere, for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// Only this host; every simulated service when absent.
    #[serde(default)]
    pub service: Option<Role>,
    /// Only this route of the host (the names in the journal).
    #[serde(default)]
    pub route: Option<String>,
    /// Only requests whose path contains this.
    #[serde(default)]
    pub path_contains: Option<String>,
    /// Lets the first matching requests pass.
    #[serde(default)]
    pub skip: u32,
    /// Strikes this many times, then the rule is spent.
    #[serde(default)]
    pub times: Option<u32>,
    /// Strikes a matching request with this probability (seeded).
    #[serde(default)]
    pub probability: Option<f64>,
    /// Ends this many virtual seconds after it was set.
    #[serde(default)]
    pub seconds: Option<u64>,
}

impl FaultRule {
    /// `fault` for every request of every service.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            service: None,
            route: None,
            path_contains: None,
            skip: 0,
            times: None,
            probability: None,
            seconds: None,
        }
    }

    /// Only at this host.
    #[must_use]
    pub fn on(mut self, service: Role) -> Self {
        self.service = Some(service);
        self
    }

    /// Only on this route.
    #[must_use]
    pub fn route(mut self, route: &str) -> Self {
        self.route = Some(route.to_owned());
        self
    }

    /// Only for paths that contain `text`.
    #[must_use]
    pub fn path(mut self, text: &str) -> Self {
        self.path_contains = Some(text.to_owned());
        self
    }

    /// For the next `times` matching requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets `skip` matching requests pass first.
    #[must_use]
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// With this probability per matching request.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    /// For this many virtual seconds.
    #[must_use]
    pub fn seconds(mut self, seconds: u64) -> Self {
        self.seconds = Some(seconds);
        self
    }
}

/// What the rules say about one request.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay_ms: u64,
    pub(crate) fault: Option<Fault>,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    until: Option<Timestamp>,
}

impl Armed {
    fn matches(&self, role: Role, route: &str, path: &str) -> bool {
        let rule = &self.rule;
        rule.service.is_none_or(|service| service == role)
            && rule.route.as_deref().is_none_or(|name| name == route)
            && rule.path_contains.as_deref().is_none_or(|text| path.contains(text))
    }
}

/// The rules in force, asked once per request.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Armed>);

impl Faults {
    pub(crate) fn add(&mut self, rule: FaultRule, now: Timestamp) {
        let until = rule.seconds.map(|seconds| {
            now.checked_add(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
                .unwrap_or(Timestamp::MAX)
        });
        self.0.push(Armed { rule, until });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn rules(&self) -> Vec<FaultRule> {
        self.0.iter().map(|armed| armed.rule.clone()).collect()
    }

    /// The first rule that strikes decides; delays add up. Control and the trap are never disturbed.
    pub(crate) fn judge(&mut self, role: Role, route: &str, path: &str, now: Timestamp, rng: &mut Rng) -> Verdict {
        let mut verdict = Verdict::default();
        if self.0.is_empty() || matches!(role, Role::Control | Role::Trap) {
            return verdict;
        }
        self.0.retain(|armed| armed.rule.times != Some(0) && armed.until.is_none_or(|until| now < until));
        for armed in &mut self.0 {
            let slow = match armed.rule.fault {
                Fault::Slow { ms } => Some(ms),
                _ => None,
            };
            if (slow.is_none() && verdict.fault.is_some()) || !armed.matches(role, route, path) {
                continue;
            }
            let rule = &mut armed.rule;
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.probability.is_some_and(|p| rng.unit() >= p) {
                continue;
            }
            if let Some(left) = &mut rule.times {
                if *left == 0 {
                    continue;
                }
                *left -= 1;
            }
            match slow {
                Some(ms) => verdict.delay_ms = verdict.delay_ms.saturating_add(ms),
                None => verdict.fault = Some(rule.fault.clone()),
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(faults: &mut Faults, rng: &mut Rng, role: Role, route: &str) -> Option<Fault> {
        faults.judge(role, route, "/p/abc", Timestamp::UNIX_EPOCH, rng).fault
    }

    #[test]
    fn a_rule_strikes_its_times_and_heals() {
        let (mut faults, mut rng) = (Faults::default(), Rng::new(1));
        let rule = FaultRule::new(Fault::ZeroBytes).on(Role::Files).route("file").skip(1).times(2);
        faults.add(rule, Timestamp::UNIX_EPOCH);
        assert_eq!(judge(&mut faults, &mut rng, Role::Intervals, "file"), None);
        let seen: Vec<bool> = (0..4).map(|_| judge(&mut faults, &mut rng, Role::Files, "file").is_some()).collect();
        assert_eq!(seen, [false, true, true, false]);
    }

    #[test]
    fn a_tenth_of_everything_is_one_rule() {
        let (mut faults, mut rng) = (Faults::default(), Rng::new(3));
        faults.add(FaultRule::new(Fault::DropAfterCommit).probability(0.1), Timestamp::UNIX_EPOCH);
        let hits = (0..5_000).filter(|_| judge(&mut faults, &mut rng, Role::Intervals, "upload").is_some()).count();
        assert!((400..600).contains(&hits), "{hits} of 5000");
        assert_eq!(judge(&mut faults, &mut rng, Role::Control, "x"), None);
    }

    #[test]
    fn windows_end_on_the_virtual_clock() {
        let (mut faults, mut rng) = (Faults::default(), Rng::new(3));
        let start: Timestamp = "2026-06-01T00:00:00Z".parse().expect("a timestamp");
        faults.add(FaultRule::new(Fault::InvalidJson).seconds(60), start);
        let later = "2026-06-01T00:01:00Z".parse().expect("a timestamp");
        let at = |faults: &mut Faults, rng: &mut Rng, now| faults.judge(Role::Files, "file", "/", now, rng).fault;
        assert!(at(&mut faults, &mut rng, start).is_some());
        assert!(at(&mut faults, &mut rng, later).is_none());
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn delays_add_up_beside_another_fault() {
        let (mut faults, mut rng) = (Faults::default(), Rng::new(3));
        for fault in [Fault::Slow { ms: 5 }, Fault::Gzip, Fault::Slow { ms: 7 }] {
            faults.add(FaultRule::new(fault), Timestamp::UNIX_EPOCH);
        }
        let verdict = faults.judge(Role::Files, "file", "/", Timestamp::UNIX_EPOCH, &mut rng);
        assert_eq!(verdict.delay_ms, 12);
        assert_eq!(verdict.fault, Some(Fault::Gzip));
    }

    #[test]
    fn rules_read_from_json() {
        let rule: FaultRule =
            serde_json::from_str(r#"{"fault":{"kind":"status","code":503},"service":"igpsport-china","times":3}"#)
                .expect("a rule");
        assert_eq!(
            rule,
            FaultRule::new(Fault::Status { code: 503, retry_after: None }).on(Role::IgpsportChina).times(3)
        );
    }
}
