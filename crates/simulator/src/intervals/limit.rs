//! The token bucket: requests a second, with a burst.

use jiff::Timestamp;

use super::{IntervalsState, RateLimit};
use crate::reply::Reply;

#[derive(Debug)]
pub(crate) struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Bucket {
    /// Takes one; false when there is none.
    fn take(&mut self, limit: RateLimit, now: Timestamp) -> bool {
        let elapsed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.left = (self.left + elapsed * limit.per_second).min(limit.burst);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return true;
        }
        false
    }
}

impl IntervalsState {
    /// The 429, if the limit is on and used up.
    pub(crate) fn throttle(&mut self, now: Timestamp) -> Option<Reply> {
        let limit = self.toggles.rate_limit?;
        let bucket = self.bucket.get_or_insert(Bucket { left: limit.burst, at: now });
        (!bucket.take(limit, now)).then(|| Reply::error(429, limit.retry_after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_rest_waits() {
        let limit = RateLimit { per_second: 10.0, burst: 30.0, retry_after: None };
        let start = Timestamp::UNIX_EPOCH;
        let mut bucket = Bucket { left: limit.burst, at: start };
        let passed = (0..40).filter(|_| bucket.take(limit, start)).count();
        assert_eq!(passed, 30);
        let later = Timestamp::from_second(1).expect("in range");
        let passed = (0..40).filter(|_| bucket.take(limit, later)).count();
        assert_eq!(passed, 10);
    }
}
