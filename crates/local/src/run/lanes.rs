//! Workers in lanes: calls to the source, downloads, and each sink have room of their own, so that a slow
//! one does not hold up the others.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fitbridge_core::{
    Code, Engine, Failure,
    domain::ConnectionId,
    engine::EngineError,
    ports::{Job, Task},
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::Jobs;

/// Notices at a time: a mail server that hangs holds up nothing else.
const NOTICES: usize = 2;

/// How much is done at a time.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls to the source's API.
    pub source: usize,
    /// Downloads.
    pub files: usize,
    /// Deliveries to each sink connection.
    pub sink: usize,
}

impl Default for Limits {
    /// What public clients of iGPSport run without trouble (apis: 3 to 16 downloads), on the polite side.
    fn default() -> Self {
        Self { source: 2, files: 4, sink: 4 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Lane {
    Source,
    /// One step at a time, beside the source's lane: a history never takes the room of new rides.
    Backfill,
    Files,
    Notices,
    Sink(ConnectionId),
}

/// The workers of a process.
#[derive(Debug)]
pub struct Lanes {
    engine: Arc<Engine>,
    jobs: Jobs,
    limits: Limits,
    room: HashMap<Lane, Arc<Semaphore>>,
    running: JoinSet<Result<End, Failure>>,
    /// Those that wait for room. When a lease ends meanwhile, the same comes again: once is enough.
    waiting: Arc<Mutex<HashSet<Job>>>,
    failures: Vec<Failure>,
    /// Polls that a stop kept from being made. They are no records that come due again.
    put_off: Vec<Job>,
}

/// How a job ended.
#[derive(Debug)]
enum End {
    Done,
    /// The operator has stopped everything: it was not begun, and its record was given back.
    PutOff(Job),
}

impl Lanes {
    /// Workers for the jobs of a queue.
    pub fn new(engine: Arc<Engine>, jobs: Jobs, limits: Limits) -> Self {
        Self {
            engine,
            jobs,
            limits,
            room: HashMap::new(),
            running: JoinSet::new(),
            waiting: Arc::default(),
            failures: Vec::new(),
            put_off: Vec::new(),
        }
    }

    /// The engine that works here.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Works until the queue is empty and everything begun is finished.
    pub async fn drain(&mut self) {
        loop {
            while let Ok(job) = self.jobs.try_recv() {
                self.start(job);
            }
            let Some(finished) = self.running.join_next().await else { break };
            self.note(finished);
        }
    }

    /// Works on one thing: starts a job, or notes that one is finished. Cancel-safe. Pends for ever while
    /// there is nothing to do.
    pub async fn step(&mut self) {
        tokio::select! {
            Some(job) = self.jobs.recv() => self.start(job),
            Some(finished) = self.running.join_next() => self.note(finished),
            else => std::future::pending().await,
        }
    }

    /// Starts nothing more and waits for what has begun, at most so long. Says how many jobs were finished
    /// and how many are left to whoever comes next.
    pub async fn stop(&mut self, patience: Duration) -> (usize, usize) {
        self.jobs.close();
        for room in self.room.values() {
            // Those that wait for room have begun nothing: closing turns them away.
            room.close();
        }
        let mut left = 0;
        while self.jobs.try_recv().is_ok() {
            left += 1;
        }
        let mut finished = 0;
        let all = async {
            while let Some(result) = self.running.join_next().await {
                finished += 1;
                if let Ok(Err(failure)) = result {
                    tracing::warn!(code = %failure.code, "{failure}");
                }
            }
        };
        let _ = tokio::time::timeout(patience, all).await;
        left += self.running.len();
        self.running.abort_all();
        (finished, left)
    }

    /// Makes the polls that a stop put off, now that it is over.
    pub fn go_on(&mut self) {
        for job in std::mem::take(&mut self.put_off) {
            self.start(job);
        }
    }

    /// Failures of the work itself (storage, not providers) since the last call.
    pub fn take_failures(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.failures)
    }

    /// That the operator has stopped everything is a failure of the work, said once whatever waits for it.
    pub(super) fn note_stop(&mut self) {
        if !self.failures.iter().any(|failure| failure.code == Code::Stopped) {
            self.failures.push(Code::Stopped.into());
        }
    }

    fn start(&mut self, job: Job) {
        let lane = match &job.task {
            Task::Backfill { .. } | Task::Reconcile { .. } | Task::Verify { .. } => Lane::Backfill,
            task if task.calls_source() => Lane::Source,
            Task::Deliver { sink, .. } => Lane::Sink(sink.clone()),
            Task::Notify { .. } => Lane::Notices,
            _ => Lane::Files,
        };
        let size = match lane {
            Lane::Source => self.limits.source,
            Lane::Backfill => 1,
            Lane::Files => self.limits.files,
            Lane::Notices => NOTICES,
            Lane::Sink(_) => self.limits.sink,
        };
        let room = Arc::clone(self.room.entry(lane).or_insert_with(|| Arc::new(Semaphore::new(size.max(1)))));
        if !lock(&self.waiting).insert(job.clone()) {
            return;
        }
        let (engine, waiting) = (Arc::clone(&self.engine), Arc::clone(&self.waiting));
        self.running.spawn(async move {
            let place = room.acquire().await;
            lock(&waiting).remove(&job);
            let Ok(_place) = place else { return Ok(End::Done) };
            work(&engine, job).await.map_err(|error| error.failure())
        });
    }

    fn note(&mut self, finished: Result<Result<End, Failure>, tokio::task::JoinError>) {
        match finished {
            Ok(Ok(End::Done)) => {}
            Ok(Ok(End::PutOff(job))) => {
                if matches!(job.task, Task::Poll { .. }) {
                    self.put_off.push(job);
                }
                self.note_stop();
            }
            Ok(Err(failure)) => {
                tracing::warn!(code = %failure.code, "{failure}");
                self.failures.push(failure);
            }
            // The claim stands until its lease ends; the attempt is counted, so this cannot go on for ever.
            Err(panic) => {
                tracing::error!("a worker died: {panic}");
                self.failures.push(Failure::new(Code::Bug, "a worker died"));
            }
        }
    }
}

fn lock(waiting: &Mutex<HashSet<Job>>) -> MutexGuard<'_, HashSet<Job>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does a job, unless the operator has stopped everything since it was handed over.
async fn work(engine: &Engine, job: Job) -> Result<End, EngineError> {
    if engine.halted().await?.is_some() {
        engine.give_jobs_back(std::slice::from_ref(&job)).await?;
        return Ok(End::PutOff(job));
    }
    engine.work(&job).await.map(|()| End::Done)
}

#[cfg(test)]
mod tests;
