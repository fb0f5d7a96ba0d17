//! How long a request is tried.

use std::time::Duration;

use aws_sdk_dynamodb::config::{retry::RetryConfig, timeout::TimeoutConfig};
use tokio::time::Instant;

use super::fault::Fault;

/// How long and how often one call of the ledger is tried. The SDK's own retries are off: it could not tell
/// whether an earlier try of a write may have been done, and two layers of retries multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Most tries of one request, at least 1.
    pub tries: u32,
    /// The longest one try may take.
    pub each: Duration,
    /// No further try is begun after this time.
    pub total: Duration,
    /// The longest wait before the second try; it doubles with each, up to a second. The wait itself is a
    /// random part of it.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { tries: 7, each: ms(3_000), total: ms(10_000), pause: ms(50) }
    }
}

impl Patience {
    /// The client's settings under this patience.
    pub(super) fn client(&self, client: &aws_sdk_dynamodb::Client) -> aws_sdk_dynamodb::Client {
        let timeouts = TimeoutConfig::builder().connect_timeout(self.each).operation_attempt_timeout(self.each).build();
        let config = client.config().to_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts);
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// The tries of one request.
    pub(super) fn begin(self) -> Tries {
        Tries { patience: self, done: 0, begun: Instant::now() }
    }
}

/// The tries of one request.
#[derive(Debug)]
pub(super) struct Tries {
    patience: Patience,
    done: u32,
    begun: Instant,
}

impl Tries {
    /// Waits before the next try; gives the fault back where there is none.
    pub(super) async fn again(&mut self, fault: Fault) -> Result<(), Fault> {
        self.done += 1;
        if !fault.may_pass() || self.done >= self.patience.tries || self.begun.elapsed() >= self.patience.total {
            return Err(fault);
        }
        let longest = self.patience.pause.saturating_mul(1 << (self.done - 1).min(10)).min(Duration::from_secs(1));
        tracing::debug!(tries = self.done, ?fault, "the ledger is asked again");
        tokio::time::sleep(longest.mul_f64(fraction())).await;
        Ok(())
    }
}

/// A number in `0.0..1.0`, not the same in two processes.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the wait is the middle of its range.
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}
