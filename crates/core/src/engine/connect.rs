//! Connecting and disconnecting. The account was checked with its service before anything here is called.

use secrecy::SecretString;

use super::{Engine, EngineError, contended, rules::checked, secrets::SourceSecret};
use crate::{
    Code, Failure,
    domain::{
        Baseline, Connection, ConnectionId, ConnectionState, History, RemoteAccount, RideId, Role, Rules, SinkProgress,
        SourceProgress, User, UserId, connection::Resume, story,
    },
    ports::{Due, Expect, Identity, SealedKey, SourceIdentity},
    store::{Listed, Stored},
};

/// How often a connect is tried again when somebody else changes the same records.
const TRIES: usize = 5;

/// What the rider says about a connection, whatever its service.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Whose it is to be.
    pub user: UserId,
    /// What to call it.
    pub name: String,
    /// How far back it reaches; `None` keeps what it was, or means all for a new one.
    pub history: Option<History>,
}

impl Engine {
    /// Makes sure that a rider's record is there, and the rider on the operator's list.
    pub async fn ensure_user(&self, user: &UserId) -> Result<Stored<User>, EngineError> {
        for _ in 0..TRIES {
            if let Some(stored) = self.store.user(user).await? {
                return Ok(stored);
            }
            let fresh = User::new(user.clone(), self.now());
            let listed = Listed { user: user.clone(), since: fresh.created_at };
            let writes = vec![self.store.create(&fresh, None, None)?, self.store.create(&listed, None, None)?];
            if self.store.commit(writes).await? {
                return Ok(Stored { doc: fresh, version: 1, due: None, plan: None });
            }
        }
        Err(contended("the rider's record"))
    }

    /// Connects a source, or renews the connection of the same account.
    pub async fn connect_source(
        &self,
        wish: &Wish,
        identity: &SourceIdentity,
        secret: &SourceSecret,
    ) -> Result<Connection, EngineError> {
        let facts = self.ports.source.token_facts(&secret.token).map_err(|error| error.failure())?;
        let label = identity.nickname.clone().unwrap_or_else(|| format!("member {}", identity.account.account));
        let newest = identity.latest.rows.iter().map(|row| row.ride_id).max().unwrap_or(RideId(0));
        let progress = |old: Option<&SourceProgress>, strangers: bool, removed: bool| SourceProgress {
            // Whoever connects again after a pause over strange rides has been shown whose they are.
            mark: old.and_then(|old| old.mark.clone()).filter(|_| !strangers),
            broken_walk: None,
            token_ends_at: facts.ends_at,
            refusals: None,
            failing: old.and_then(|old| old.failing.clone()),
            login_intent: None,
            stay_signed_in: secret.login.is_some(),
            problems: old.map(|old| old.problems.clone()).unwrap_or_default(),
            newest_at_connect: old.filter(|_| !removed).map_or(Some(newest), |old| old.newest_at_connect),
            resume: Some(Resume::default()),
            warned_of: old.and_then(|old| old.warned_of),
            probed_for: None,
            backfill: old.and_then(|old| old.backfill.clone()),
            reconcile: old.and_then(|old| old.reconcile.clone()),
            report: old.and_then(|old| old.report.clone()),
            offset_minutes: old.and_then(|old| old.offset_minutes),
            // The next poll decides anew.
            planned: None,
        };
        let role = |old: Option<&Connection>| {
            let strangers = old.and_then(|old| old.paused()).is_some_and(|why| why.code == Code::StrangerRides);
            let removed = old.is_some_and(Connection::is_removed);
            Role::Source(progress(old.and_then(|old| old.source()), strangers, removed))
        };
        let sealed = secret.to_sealed();
        self.connect(wish, &identity.account, label, serde_json::Value::Null, Some(&sealed), role).await
    }

    /// Connects a sink, or renews the connection of the same account. One that wants links is refused where
    /// the archive makes none.
    pub async fn connect_sink(
        &self,
        wish: &Wish,
        identity: &Identity,
        secret: Option<&SecretString>,
    ) -> Result<Connection, EngineError> {
        self.connect_sink_by(wish, identity, secret, &Rules::clone).await
    }

    /// The same with rules, which hold from the first ride on; `change` is given those that the connection
    /// has, if it is renewed. Rules that contradict themselves are refused.
    pub async fn connect_sink_by(
        &self,
        wish: &Wish,
        identity: &Identity,
        secret: Option<&SecretString>,
        change: &(dyn Fn(&Rules) -> Rules + Send + Sync),
    ) -> Result<Connection, EngineError> {
        let rules = |old: Option<&Connection>| {
            let old = old.filter(|old| !old.is_removed()).and_then(|old| old.sink());
            change(&old.map(|old| old.rules.clone()).unwrap_or_default())
        };
        let old = self.store.connection(&wish.user, &identity.account.connection_id()).await?;
        checked(rules(old.as_ref().map(|old| &old.doc)))?;
        let sink = self.ports.sinks.get(&identity.account.service);
        if sink.is_some_and(|sink| sink.wants_link(&identity.settings)) && !self.ports.archive.makes_links() {
            return Err(Failure::from(Code::LinkUnsupported).into());
        }
        let role = |old: Option<&Connection>| {
            // What the old key could not list, the new one may; and while it was disconnected, rides may have come
            // there by other routes.
            let baseline = old
                .filter(|old| !old.is_removed())
                .and_then(|old| old.sink())
                .map(|old| old.baseline.clone())
                .unwrap_or_default();
            let baseline = if baseline == Baseline::Unreadable { Baseline::Unknown } else { baseline };
            Role::Sink(SinkProgress { baseline, resume: Some(Resume::default()), rules: rules(old) })
        };
        self.connect(wish, &identity.account, identity.label.clone(), identity.settings.clone(), secret, role).await
    }

    async fn connect(
        &self,
        wish: &Wish,
        account: &RemoteAccount,
        label: String,
        settings: serde_json::Value,
        secret: Option<&SecretString>,
        role: impl Fn(Option<&Connection>) -> Role + Send + Sync,
    ) -> Result<Connection, EngineError> {
        let id = account.connection_id();
        self.check_name(wish, &id).await?;
        // Sealed before the connection is there, and listed before that: what a crash in between leaves in the vault is
        // replaced by the next connect, and found by the deletion of the account.
        if let Some(secret) = secret {
            self.list_connection(&wish.user, &id).await?;
            let key = SealedKey { user: wish.user.clone(), connection: id.clone() };
            self.ports.vault.seal(&key, secret).await?;
        }
        for _ in 0..TRIES {
            let now = self.now();
            let user = self.ensure_user(&wish.user).await?;
            may_connect(&user.doc)?;
            let old = self.store.connection(&wish.user, &id).await?;
            let kept = old.as_ref().map(|old| &old.doc);
            let renewed = kept.filter(|old| !old.is_removed());
            let connection = Connection {
                user: wish.user.clone(),
                id: id.clone(),
                name: wish.name.clone(),
                account: account.clone(),
                label: label.clone(),
                state: ConnectionState::Active,
                role: role(kept),
                history: wish.history.or(renewed.map(|old| old.history)).unwrap_or_default(),
                settings: settings.clone(),
                connected_at: renewed.map_or(now, |old| old.connected_at),
                renewals: kept.map_or(0, |old| old.renewals.saturating_add(1)),
            };
            let mut changed = user.doc.clone();
            if !changed.connections.contains(&id) {
                changed.connections.push(id.clone());
            }
            let plan = connection.source().map(|_| self.first_place(&connection));
            let due = Some(Due::at(self.shard(&wish.user), now));
            let mut put = self.store.create(&connection, due, plan)?;
            put.expect = old.as_ref().map_or(Expect::Absent, |old| Expect::Version(old.version));
            let story = story::of_connection(kept, &connection);
            if self.commit_told(&wish.user, vec![put, user.replace(&changed, None)?], &story).await? {
                self.ports.observer.connection(&connection);
                return Ok(connection);
            }
        }
        Err(contended("the connection"))
    }

    /// Puts a connection's id on the rider's record, whether or not there is a connection yet.
    async fn list_connection(&self, user: &UserId, id: &ConnectionId) -> Result<(), EngineError> {
        for _ in 0..TRIES {
            let stored = self.ensure_user(user).await?;
            may_connect(&stored.doc)?;
            if stored.doc.connections.contains(id) {
                return Ok(());
            }
            let mut listed = stored.doc.clone();
            listed.connections.push(id.clone());
            if self.save(&stored, &listed, None).await? {
                return Ok(());
            }
        }
        Err(Failure::new(Code::Contended, "the rider's record keeps changing").into())
    }

    /// A name belongs to one account: renewing it with another member's token is refused.
    async fn check_name(&self, wish: &Wish, id: &ConnectionId) -> Result<(), EngineError> {
        let Some(user) = self.store.user(&wish.user).await? else { return Ok(()) };
        may_connect(&user.doc)?;
        for other in self.store.connections(&user.doc).await? {
            if other.doc.name == wish.name && other.doc.id != *id {
                let whose = format!("{} is {}, {}", wish.name, other.doc.label, other.doc.id);
                return Err(Failure::new(Code::NameTaken, whose).into());
            }
        }
        Ok(())
    }

    /// Moves a rider's sources to the places in the plan that the policy allows them now, after an operator
    /// changed how often is polled. Writes only what differs. Where it is not called, the next poll of each
    /// source does the same.
    pub async fn replan(&self, user: &UserId) -> Result<(), EngineError> {
        let Some(stored) = self.store.user(user).await? else { return Ok(()) };
        for source in self.store.connections(&stored.doc).await? {
            let slot = source.plan.map(|plan| self.place_of(&source.doc, plan.class));
            if slot.is_some() && source.plan != slot {
                let moved = Stored { plan: slot, ..source.clone() };
                self.save(&moved, &source.doc, source.due).await?;
            }
        }
        Ok(())
    }

    /// Finds a connection by its name or id.
    pub async fn find_connection(&self, user: &UserId, name: &str) -> Result<Stored<Connection>, EngineError> {
        let all = match self.store.user(user).await? {
            Some(user) => self.store.connections(&user.doc).await?,
            None => Vec::new(),
        };
        let found = all.into_iter().find(|stored| stored.doc.name == name || stored.doc.id.as_str() == name);
        found.ok_or_else(|| Failure::new(Code::NoSuchConnection, name).into())
    }

    /// Disconnects: no call is made for it any more and its secret is forgotten. The record stays, so that
    /// connecting the same account again sends nothing twice.
    pub async fn disconnect(&self, user: &UserId, name: &str) -> Result<Connection, EngineError> {
        for _ in 0..TRIES {
            let stored = self.find_connection(user, name).await?;
            let owner = self.ensure_user(user).await?;
            let mut removed = stored.doc.clone();
            removed.state = ConnectionState::Removed { since: self.now() };
            let mut rest = owner.doc.clone();
            rest.connections.retain(|id| *id != removed.id);
            // Forgotten first: after a crash in between the connection pauses for want of a token, while a
            // secret left behind would lie there unseen.
            let key = SealedKey { user: user.clone(), connection: removed.id.clone() };
            self.ports.vault.forget(&key).await?;
            let without_plan = Stored { plan: None, ..stored.clone() };
            let writes = vec![without_plan.replace(&removed, None)?, owner.replace(&rest, None)?];
            let mut story = story::of_connection(Some(&stored.doc), &removed);
            for notice in self.notices(user).await?.into_iter().map(|notice| notice.doc) {
                if notice.cause.connection.as_ref() == Some(&removed.id) {
                    story.ends(notice.cause);
                }
            }
            if self.commit_told(user, writes, &story).await? {
                self.ports.observer.connection(&removed);
                return Ok(removed);
            }
        }
        Err(contended("the connection"))
    }
}

/// Whom the operator paused or removed connects nothing.
fn may_connect(user: &User) -> Result<(), Failure> {
    match user {
        User { removed_at: Some(_), .. } => Err(Failure::new(Code::RiderRemoved, user.user.as_str())),
        User { paused_at: Some(_), .. } => Err(Failure::new(Code::RiderPaused, user.user.as_str())),
        _ => Ok(()),
    }
}
