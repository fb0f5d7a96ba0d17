//! What the operator does with riders: adding, pausing, resuming, removing.

use super::{Engine, EngineError, contended};
use crate::{
    Code, Failure,
    domain::{ConnectionState, Role, User, UserId, connection::Resume},
    ports::{Due, Key, SealedKey},
    store::{Listed, Stored},
};

/// How often a change is tried again when somebody else changes the same records.
const TRIES: usize = 5;

impl Engine {
    /// A rider who is there, removed or not.
    pub async fn rider(&self, user: &UserId) -> Result<Stored<User>, EngineError> {
        let stored = self.store.user(user).await?;
        stored.ok_or_else(|| Failure::new(Code::NoSuchRider, user.as_str()).into())
    }

    /// Adds a rider, or one who was removed again. `false` when the rider was there.
    pub async fn add_rider(&self, user: &UserId) -> Result<bool, EngineError> {
        for _ in 0..TRIES {
            let Some(stored) = self.store.user(user).await? else {
                self.ensure_user(user).await?;
                return Ok(true);
            };
            if stored.doc.removed_at.is_none() {
                return Ok(false);
            }
            let back = User { removed_at: None, paused_at: None, ..stored.doc.clone() };
            let listed = Listed { user: user.clone(), since: self.now() };
            if self.store.commit(vec![stored.replace(&back, None)?, self.store.create(&listed, None, None)?]).await? {
                return Ok(true);
            }
        }
        Err(keeps_changing())
    }

    /// Pauses a rider: no call is made for any connection, and none can be made. What is under way is
    /// finished. Says how many connections were active. It can be run again after it was interrupted.
    pub async fn pause_rider(&self, user: &UserId) -> Result<usize, EngineError> {
        let since = self.now();
        // The mark first, so that nothing is connected behind its back.
        let rider = self.change_rider(user, |rider| rider.paused_at = rider.paused_at.or(Some(since))).await?;
        let mut paused = 0;
        for mut stored in self.store.connections(&rider).await? {
            if stored.doc.is_active() {
                self.pause(&mut stored, Failure::new(Code::RiderPaused, user.as_str())).await?;
                paused += 1;
            }
        }
        Ok(paused)
    }

    /// Resumes a paused rider: what the pause stopped goes on, and what waited is woken. Connections that
    /// were paused for another reason stay so. Says how many go on.
    pub async fn resume_rider(&self, user: &UserId) -> Result<usize, EngineError> {
        let rider = self.rider(user).await?.doc;
        let mut resumed = 0;
        for mut stored in self.store.connections(&rider).await? {
            for _ in 0..TRIES {
                if stored.doc.paused().is_none_or(|reason| reason.code != Code::RiderPaused) {
                    break;
                }
                let mut active = stored.doc.clone();
                active.state = ConnectionState::Active;
                match &mut active.role {
                    Role::Source(source) => source.resume = Some(Resume::default()),
                    Role::Sink(sink) => sink.resume = Some(Resume::default()),
                }
                // It is settled by whoever finds it due, as after a connect.
                let due = Due::at(self.shard(user), self.now());
                if self.save(&stored, &active, Some(due)).await? {
                    self.ports.observer.connection(&active);
                    resumed += 1;
                    break;
                }
                if !self.reread(&mut stored).await? {
                    break;
                }
            }
        }
        // The mark last, so that a resume that was interrupted is seen and run again.
        self.change_rider(user, |rider| rider.paused_at = None).await?;
        Ok(resumed)
    }

    /// Removes a rider: every connection is disconnected, its secret forgotten, and the rider is off the
    /// list. Rides and files stay, so that one who comes back is sent nothing twice. Says how many
    /// connections there were. It can be run again after it was interrupted.
    pub async fn remove_rider(&self, user: &UserId) -> Result<usize, EngineError> {
        let since = self.now();
        // The mark first, so that nothing is connected behind its back.
        let rider = self.change_rider(user, |rider| rider.removed_at = rider.removed_at.or(Some(since))).await?;
        for connection in self.store.connections(&rider).await? {
            self.disconnect(user, connection.doc.id.as_str()).await?;
        }
        // Whose connecting died before there was a connection.
        for connection in &rider.connections {
            self.ports.vault.forget(&SealedKey { user: user.clone(), connection: connection.clone() }).await?;
        }
        // Off the list last, so that a removal that was interrupted is seen.
        let listed: Option<Stored<Listed>> = self.store.read(&Key::listed(user)).await?;
        if let Some(listed) = listed {
            self.store.commit(vec![listed.delete()]).await?;
        }
        Ok(rider.connections.len())
    }

    async fn change_rider(&self, user: &UserId, change: impl Fn(&mut User) + Send + Sync) -> Result<User, EngineError> {
        for _ in 0..TRIES {
            let stored = self.rider(user).await?;
            let mut changed = stored.doc.clone();
            change(&mut changed);
            if changed == stored.doc || self.save(&stored, &changed, None).await? {
                return Ok(changed);
            }
        }
        Err(keeps_changing())
    }
}

fn keeps_changing() -> EngineError {
    contended("the rider's record")
}
