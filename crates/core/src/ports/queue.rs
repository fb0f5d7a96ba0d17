//! Handing work over. A queue carries references, never tokens or bytes; a lost or repeated job costs a
//! delay, never a ride, because the ledger is the truth.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{ActivityId, ConnectionId, ContentId, NoticeId, UserId};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Look for new rides at a source.
    Poll {
        /// The source connection.
        connection: ConnectionId,
    },
    /// Ask the source where a ride's file lies.
    Resolve {
        /// The ride.
        activity: ActivityId,
    },
    /// Download, check, archive.
    Fetch {
        /// The ride.
        activity: ActivityId,
    },
    /// Send a file to a sink.
    Deliver {
        /// The sink connection.
        sink: ConnectionId,
        /// The file.
        content: ContentId,
    },
    /// Delete the file of a ride that was forgotten.
    Erase {
        /// The ride.
        activity: ActivityId,
    },
    /// Take the next of a source's older rides off the backlog.
    Backfill {
        /// The source connection.
        connection: ConnectionId,
    },
    /// Read on in a source's list, to see whether all of it is known.
    Reconcile {
        /// The source connection.
        connection: ConnectionId,
    },
    /// Look on whether what is here is where it should be.
    Verify {
        /// The source connection.
        connection: ConnectionId,
    },
    /// Put a connection's waiting rides back to work after it was (re)connected.
    Settle {
        /// The connection.
        connection: ConnectionId,
    },
    /// Tell the rider.
    Notify {
        /// The notice.
        notice: NoticeId,
    },
}

impl Task {
    /// Whether it calls the source's API, which only the poller may.
    pub fn calls_source(&self) -> bool {
        matches!(self, Self::Poll { .. } | Self::Resolve { .. } | Self::Backfill { .. } | Self::Reconcile { .. })
    }
}

/// A task of a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Job {
    /// Whose.
    pub user: UserId,
    /// What.
    #[serde(flatten)]
    pub task: Task,
}

/// The queue does not answer, or refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the work queue is unavailable: {0}")]
pub struct QueueError(pub String);

/// The queue did not take these jobs, as far as is known; the others of the same call are in it. Their records
/// come due again, so nothing is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct NotTaken {
    /// Why.
    pub error: QueueError,
    /// Which; one of them may be in the queue where its answer was lost.
    pub jobs: Vec<Job>,
}

impl NotTaken {
    /// None of these jobs was taken.
    pub fn all(jobs: Vec<Job>, why: impl Into<String>) -> Self {
        Self { error: QueueError(why.into()), jobs }
    }
}

/// The queue.
#[async_trait]
pub trait WorkQueue: Send + Sync + std::fmt::Debug {
    /// Hands jobs over, to be worked on as soon as there is room. A caller leaves the records due whether or not this
    /// fails: a job may be lost after `Ok`, and done after an error.
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), NotTaken>;

    /// How many jobs are on the way to other processes, or in their hands; about, and of all shards. Jobs that call the
    /// source never are. None where all work is done by the process that hands it over.
    async fn waiting(&self) -> Result<usize, QueueError> {
        Ok(0)
    }
}
