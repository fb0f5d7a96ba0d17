//! A keyring that is fetched when it is needed, by one worker for all.

use std::sync::{Arc, Mutex, PoisonError};

use fitbridge_core::ports::VaultError;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as Turn;

use super::{ring::Keyring, source::KeySource};

/// A ring is fetched again when it is this old, so that a retired key is forgotten.
const REFETCH_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// An unknown key's name is asked about again no sooner than this, so that damaged rows cannot make a
/// storm of calls.
const ASK_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// A ring that could not be fetched is tried again after so long, while the one from before is used on.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// The same where there is none from before: those who wait meanwhile are told what became of the attempt.
const RETRY_WITHOUT_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// A keyring of one role.
#[derive(Debug)]
pub(super) struct Fetched {
    source: Arc<dyn KeySource>,
    /// Held while it is fetched, so that many workers make one call.
    turn: Turn<()>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    known: Option<(Timestamp, Arc<Keyring>)>,
    /// The last attempt since then, and how it failed.
    failed: Option<(Timestamp, VaultError)>,
}

/// What is to be done for somebody who needs a ring.
enum Step {
    Use(Arc<Keyring>),
    /// It is old: whoever is first fetches it, and the others use it on.
    Refresh(Arc<Keyring>),
    Fetch,
    Fail(VaultError),
}

impl Fetched {
    /// A ring that nobody has fetched yet.
    pub(super) fn new(source: Arc<dyn KeySource>) -> Self {
        Self { source, turn: Turn::default(), state: Mutex::default() }
    }

    /// The ring, which may still lack the key that is looked for. It is fetched when there is none yet, when it
    /// is old, or when it lacks that key. One that cannot be fetched again is used on: the keys in it still open
    /// what they sealed. Nobody waits for it but the one who fetches, unless there is nothing to use meanwhile.
    pub(super) async fn ring(
        &self,
        kid: Option<&str>,
        now: impl Fn() -> Timestamp + Send + Sync,
    ) -> Result<Arc<Keyring>, VaultError> {
        let (turn, known) = match self.step(kid, now()) {
            Step::Use(ring) => return Ok(ring),
            Step::Fail(error) => return Err(error),
            Step::Refresh(known) => match self.turn.try_lock() {
                Ok(turn) => (turn, Some(known)),
                Err(_) => return Ok(known),
            },
            Step::Fetch => {
                let turn = self.turn.lock().await;
                // Whoever had it before may have brought the ring, or the news that there is none.
                match self.step(kid, now()) {
                    Step::Use(ring) => return Ok(ring),
                    Step::Fail(error) => return Err(error),
                    Step::Refresh(known) => (turn, Some(known)),
                    Step::Fetch => (turn, None),
                }
            }
        };
        if known.is_some() {
            // Noted first: a worker that is cut while it waits must not leave the next one to wait as long.
            self.note(|state| state.failed = Some((now(), VaultError::Unavailable("it is fetched".into()))));
        }
        let fetched = self.source.fetch().await.map(Arc::new);
        self.note(|state| match &fetched {
            Ok(new) => *state = State { known: Some((now(), Arc::clone(new))), failed: None },
            Err(error) => state.failed = Some((now(), error.clone())),
        });
        drop(turn);
        match (fetched, known) {
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "the keyring is not to be had; the one from before is used on: {error}");
                Ok(known)
            }
            (fetched, _) => fetched,
        }
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn step(&self, kid: Option<&str>, now: Timestamp) -> Step {
        let State { known, failed } = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let age = |at: Timestamp| now.duration_since(at);
        let retry_after = if known.is_some() { RETRY_AFTER } else { RETRY_WITHOUT_AFTER };
        let failed = failed.filter(|(at, _)| !age(*at).is_negative() && age(*at) < retry_after);
        match (known, failed) {
            (Some((at, ring)), failed) if kid.is_none_or(|kid| ring.key(kid).is_some()) => {
                if age(at) < REFETCH_AFTER || failed.is_some() { Step::Use(ring) } else { Step::Refresh(ring) }
            }
            (_, Some((_, error))) => Step::Fail(error),
            // The key may have been added since; the rider must not be sent to connect again for that.
            (Some((at, _)), None) if age(at) < ASK_AGAIN_AFTER => Step::Fail(VaultError::Unavailable(
                "a key that is not in the keyring yet; it is asked for again soon".into(),
            )),
            _ => Step::Fetch,
        }
    }
}
