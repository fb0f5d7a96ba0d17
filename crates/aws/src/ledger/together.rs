//! Reads of single records that are asked for at the same time go together.
//!
//! A poller begins hundreds of polls in one tick, each with two such reads. What such a request costs this process
//! (signing, HTTP, the SDK around it) is more than what its answer is worth; in a batch it is paid once. In units of
//! DynamoDB a batch is neither cheaper nor dearer, and each read in it is as consistent as one alone, since it is
//! begun after it was asked for.
//!
//! Polls that have been going for a while no longer ask at the same time, but one by one. So a request begins a few
//! milliseconds after the one before it at the earliest, and takes along who has come meanwhile; who comes alone does
//! not wait.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fitbridge_core::ports::{Key, LedgerError, MAX_BATCH, Record};
use tokio::{runtime::Handle, sync::oneshot, time::Instant};

use super::DynamoLedger;

/// Reads under way at a time; who comes then waits for the next to end. With one, a slow answer would hold up
/// everybody.
const UNDER_WAY: usize = 2;

/// From the beginning of one request to that of the next, unless that one is full. About what a read takes on AWS,
/// so that whoever reads one record after the other is not held up.
const GAP: Duration = Duration::from_millis(5);

type Read = Result<Option<Record>, LedgerError>;

/// Those who wait for their turn.
#[derive(Debug, Default)]
struct Line {
    under_way: usize,
    begun_at: Option<Instant>,
    waiting: VecDeque<(Key, oneshot::Sender<Read>)>,
}

impl Line {
    /// When the next request may begin, where that is not at once.
    fn opens_at(&self) -> Option<Instant> {
        let opens = self.begun_at.map(|begun| begun + GAP)?;
        (self.waiting.len() < MAX_BATCH && Instant::now() < opens).then_some(opens)
    }
}

/// The line of a ledger and its clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Together(Arc<Mutex<Line>>);

impl Together {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many reads are under way.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.line().under_way
    }

    /// A turn at once, or a place in the line.
    fn turn_or_wait(&self, ledger: &DynamoLedger, key: &Key) -> Result<Turn, oneshot::Receiver<Read>> {
        let mut line = self.line();
        let is_free = line.under_way < UNDER_WAY;
        if is_free {
            line.under_way += 1;
            if line.opens_at().is_none() {
                line.begun_at = Some(Instant::now());
                return Ok(Turn(ledger.clone()));
            }
        }
        let (sender, receiver) = oneshot::channel();
        line.waiting.push_back((key.clone(), sender));
        drop(line);
        if is_free {
            // It serves whoever has come by the time that it may begin.
            drop(Turn(ledger.clone()));
        }
        Err(receiver)
    }
}

/// One of the reads under way. When it ends, however it ends, those who wait have their turn.
struct Turn(DynamoLedger);

impl Turn {
    /// Those whose turn it is, as many as one request takes; without those who have given up. Or when it is to be
    /// asked again.
    fn next(&self) -> Result<Vec<(Key, oneshot::Sender<Read>)>, Instant> {
        let mut line = self.0.together.line();
        line.waiting.retain(|(_, sender)| !sender.is_closed());
        if line.waiting.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(opens) = line.opens_at() {
            return Err(opens);
        }
        line.begun_at = Some(Instant::now());
        let count = line.waiting.len().min(MAX_BATCH);
        Ok(line.waiting.drain(..count).collect())
    }

    /// Reads for those who wait until nobody does.
    async fn serve(self) {
        loop {
            let batch = match self.next() {
                Ok(batch) if batch.is_empty() => return,
                Ok(batch) => batch,
                Err(opens) => {
                    tokio::time::sleep_until(opens).await;
                    continue;
                }
            };
            let (keys, senders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let reads = self.0.read_each(&keys).await;
            for (sender, read) in senders.into_iter().zip(reads) {
                // Who has given up meanwhile need not be told.
                drop(sender.send(read));
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut line = self.0.together.line();
        match (line.waiting.is_empty(), Handle::try_current()) {
            (false, Ok(runtime)) => {
                drop(line);
                runtime.spawn(Turn(self.0.clone()).serve());
            }
            // Without a runtime nobody can wait any longer: they are told by their channels.
            (false, Err(_)) => {
                line.under_way -= 1;
                line.waiting.clear();
            }
            (true, _) => line.under_way -= 1,
        }
    }
}

impl DynamoLedger {
    /// Reads one record, with others that are asked for meanwhile.
    pub(super) async fn read_together(&self, key: &Key) -> Read {
        match self.together.turn_or_wait(self, key) {
            Ok(turn) => {
                let read = self.read_one(key).await;
                drop(turn);
                read
            }
            Err(place) => place
                .await
                .unwrap_or_else(|_| Err(LedgerError::Unavailable("the read was given up with its neighbours".into()))),
        }
    }

    /// Reads some records, each with its own end.
    async fn read_each(&self, keys: &[Key]) -> Vec<Read> {
        if let [key] = keys {
            return vec![self.read_one(key).await];
        }
        match self.read_many(keys).await {
            Ok(records) => records.into_iter().map(Ok).collect(),
            Err(error @ LedgerError::Unavailable(_)) => vec![Err(error); keys.len()],
            // It is one of them: what cannot be read is no matter of its neighbours.
            Err(_) => {
                let mut reads = Vec::with_capacity(keys.len());
                for key in keys {
                    reads.push(self.read_one(key).await);
                }
                reads
            }
        }
    }
}
