//! The work queue of one process. What is lost with the process is in the ledger and comes due again.

use async_trait::async_trait;
use fitbridge_core::ports::{Job, NotTaken, WorkQueue};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where jobs come out.
pub type Jobs = UnboundedReceiver<Job>;

/// Where jobs go in. Not bounded itself: what is handed over at a time is bounded by the engine's policy,
/// and what waits already is not put beside itself.
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
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), NotTaken> {
        let lost: Vec<_> = jobs.into_iter().filter_map(|job| Some(self.sender.send(job).err()?.0)).collect();
        if lost.is_empty() { Ok(()) } else { Err(NotTaken::all(lost, "the process is stopping")) }
    }
}
