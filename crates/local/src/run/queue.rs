//! The work queue of one process. What is lost with the process is in the ledger and comes due again.

use async_trait::async_trait;
use fitbridge_core::ports::{Job, QueueError, WorkQueue};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where jobs come out.
pub type Jobs = UnboundedReceiver<Job>;

/// Where jobs go in. Not bounded itself: what is handed over at a time is bounded by the engine's policy.
#[derive(Debug, Clone)]
pub struct LocalQueue {
    sender: UnboundedSender<Job>,
}

impl LocalQueue {
    /// A queue and its other end.
    pub fn new() -> (Self, Jobs) {
        let (sender, jobs) = unbounded_channel();
        (Self { sender }, jobs)
    }
}

#[async_trait]
impl WorkQueue for LocalQueue {
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), QueueError> {
        for job in jobs {
            self.sender.send(job).map_err(|_| QueueError("the process is stopping".into()))?;
        }
        Ok(())
    }
}
