//! A queue that only remembers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::ports::{Job, NotTaken, QueueError, WorkQueue};

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    away: bool,
}

/// A queue that keeps jobs until a test takes them. Clones share their jobs.
#[derive(Debug, Clone, Default)]
pub struct MemoryQueue(Arc<Mutex<State>>);

impl MemoryQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes every job that was handed over, in order.
    pub fn take(&self) -> Vec<Job> {
        std::mem::take(&mut self.state().jobs)
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.state().jobs.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the queue refuse jobs, or no longer.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
    }
}

#[async_trait]
impl WorkQueue for MemoryQueue {
    async fn hand_over(&self, jobs: Vec<Job>) -> Result<(), NotTaken> {
        let mut state = self.state();
        if state.away {
            return Err(NotTaken::all(jobs, "switched off by the test"));
        }
        state.jobs.extend(jobs);
        Ok(())
    }

    async fn waiting(&self) -> Result<usize, QueueError> {
        let state = self.state();
        if state.away {
            return Err(QueueError("switched off by the test".into()));
        }
        Ok(state.jobs.iter().filter(|job| !job.task.calls_source()).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ActivityId, UserId},
        ports::Task,
    };

    #[tokio::test]
    async fn jobs_come_out_once_and_in_order() {
        let queue = MemoryQueue::default();
        let job = |id: &str| Job {
            user: UserId::new("rider").unwrap(),
            task: Task::Fetch { activity: ActivityId::new(id).unwrap() },
        };
        queue.hand_over(vec![job("a"), job("b")]).await.unwrap();
        queue.set_away(true);
        assert!(queue.hand_over(vec![job("c")]).await.is_err());
        assert_eq!((queue.len(), queue.take(), queue.is_empty()), (2, vec![job("a"), job("b")], true));
    }
}
