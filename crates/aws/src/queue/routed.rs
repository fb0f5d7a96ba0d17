//! Which job goes where: calls to the source stay in the poller.

use std::sync::Arc;

use async_trait::async_trait;
use fitbridge_core::ports::{Job, NotTaken, QueueError, WorkQueue};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where the jobs of an [`InProcessQueue`] come out.
pub type Jobs = UnboundedReceiver<Job>;

/// A queue that ends with the process; what is lost with it comes due again. Not bounded itself: what is
/// handed over at a time is bounded by the engine's policy.
#[derive(Debug, Clone)]
pub struct InProcessQueue {
    sender: UnboundedSender<Job>,
}

impl InProcessQueue {
    /// A queue and its other end.
    pub fn new() -> (Self, Jobs) {
        let (sender, jobs) = unbounded_channel();
        (Self { sender }, jobs)
    }
}

#[async_trait]
impl WorkQueue for InProcessQueue {
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), NotTaken> {
        let lost: Vec<_> = jobs.into_iter().filter_map(|job| Some(self.sender.send(job).err()?.0)).collect();
        if lost.is_empty() { Ok(()) } else { Err(NotTaken::all(lost, "the function is stopping")) }
    }
}

/// The poller's queue: jobs that call the source stay here, all others go to the sink.
#[derive(Debug, Clone)]
pub struct RoutedQueue {
    local: Arc<dyn WorkQueue>,
    remote: Arc<dyn WorkQueue>,
}

impl RoutedQueue {
    /// Jobs that call the source go to `local`, all others to `remote`.
    pub fn new(local: Arc<dyn WorkQueue>, remote: Arc<dyn WorkQueue>) -> Self {
        Self { local, remote }
    }
}

#[async_trait]
impl WorkQueue for RoutedQueue {
    /// Both get their jobs even where one of them fails.
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), NotTaken> {
        let (local, remote) = split(jobs);
        let kept = if local.is_empty() { Ok(()) } else { self.local.hand_over(local).await };
        let sent = if remote.is_empty() { Ok(()) } else { self.remote.hand_over(remote).await };
        match (kept, sent) {
            (Err(mut kept), Err(sent)) => {
                kept.jobs.extend(sent.jobs);
                Err(kept)
            }
            (kept, sent) => kept.and(sent),
        }
    }

    async fn waiting(&self) -> Result<usize, QueueError> {
        self.remote.waiting().await
    }
}

/// The sink's queue: jobs that call the source are left to the ledger. Their records were leased when the
/// engine handed them over, so the poller's sweep takes them up when that lease ends.
#[derive(Debug, Clone)]
pub struct SinkQueue {
    remote: Arc<dyn WorkQueue>,
}

impl SinkQueue {
    /// Jobs that do not call the source go to `remote`.
    pub fn new(remote: Arc<dyn WorkQueue>) -> Self {
        Self { remote }
    }
}

#[async_trait]
impl WorkQueue for SinkQueue {
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), NotTaken> {
        let (left, remote) = split(jobs);
        if !left.is_empty() {
            tracing::debug!(count = left.len(), "{} jobs are left to the poller", left.len());
        }
        if remote.is_empty() { Ok(()) } else { self.remote.hand_over(remote).await }
    }

    async fn waiting(&self) -> Result<usize, QueueError> {
        self.remote.waiting().await
    }
}

/// The jobs that call the source, and the others.
fn split(jobs: Vec<Job>) -> (Vec<Job>, Vec<Job>) {
    jobs.into_iter().partition(|job| job.task.calls_source())
}

#[cfg(test)]
mod tests {
    use fitbridge_core::{
        domain::{ActivityId, ConnectionId, UserId},
        ports::Task,
        testkit::MemoryQueue,
    };

    use super::*;

    fn jobs() -> [Job; 4] {
        let (connection, activity) = (ConnectionId::new("c").unwrap(), ActivityId::new("a").unwrap());
        [
            Task::Poll { connection: connection.clone() },
            Task::Fetch { activity: activity.clone() },
            Task::Resolve { activity },
            Task::Settle { connection },
        ]
        .map(|task| Job { user: UserId::new("rider").unwrap(), task })
    }

    #[tokio::test]
    async fn calls_to_the_source_never_leave_the_poller() {
        let (local, mut kept) = InProcessQueue::new();
        let remote = MemoryQueue::default();
        let queue = RoutedQueue::new(Arc::new(local), Arc::new(remote.clone()));
        let [poll, fetch, resolve, settle] = jobs();
        queue.hand_over(jobs().to_vec()).await.unwrap();
        assert_eq!([kept.try_recv().unwrap(), kept.try_recv().unwrap()], [poll.clone(), resolve.clone()]);
        assert_eq!(queue.waiting().await.unwrap(), 2, "what stays here is not on its way to others");
        assert_eq!(remote.take(), [fetch, settle]);
        remote.set_away(true);
        assert!(queue.hand_over(jobs().to_vec()).await.is_err());
        assert_eq!(
            [kept.try_recv().unwrap(), kept.try_recv().unwrap()],
            [poll, resolve],
            "one that fails does not stop the other"
        );
        drop(kept);
        remote.set_away(false);
        assert!(queue.hand_over(jobs().to_vec()).await.is_err());
        assert_eq!(remote.len(), 2);
    }

    #[tokio::test]
    async fn the_sink_leaves_them_to_the_ledger() {
        let remote = MemoryQueue::default();
        let queue = SinkQueue::new(Arc::new(remote.clone()));
        let [poll, fetch, resolve, settle] = jobs();
        remote.set_away(true);
        queue.hand_over(vec![poll, resolve]).await.unwrap();
        remote.set_away(false);
        queue.hand_over(jobs().to_vec()).await.unwrap();
        assert_eq!(remote.take(), [fetch, settle]);
    }
}
