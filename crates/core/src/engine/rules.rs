//! A sink's rules: setting them, and applying them to what they left out before. What was sent is never
//! recalled.

use super::{Engine, EngineError, contended};
use crate::{
    Code, Failure,
    domain::{
        Activity, ActivityState, Connection, ConnectionId, Delivery, DeliveryState, Role, Rules, RulesError, UserId,
    },
    ports::Key,
    store::Stored,
};

/// How often rules are set again when somebody else changes the connection.
const TRIES: usize = 5;
/// Deliveries that are looked at in one step.
const PAGE: usize = 100;

/// What applying rules led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Rides that pass now, and are on their way.
    pub sent: usize,
    /// Rides that are left out still.
    pub filtered: usize,
}

impl From<RulesError> for Failure {
    fn from(error: RulesError) -> Self {
        Failure::new(Code::RulesInvalid, error.to_string())
    }
}

impl Engine {
    /// Changes a sink's rules, by its name or id. Rules that contradict themselves are refused. They hold for
    /// rides to come; for those that were left out before, see [`Engine::apply_rules`].
    pub async fn set_rules(
        &self,
        user: &UserId,
        name: &str,
        change: &(dyn Fn(&Rules) -> Rules + Send + Sync),
    ) -> Result<Connection, EngineError> {
        for _ in 0..TRIES {
            let mut stored = self.find_connection(user, name).await?;
            let mut changed = stored.doc.clone();
            let Role::Sink(progress) = &mut changed.role else {
                let failure = Failure::new(Code::RulesInvalid, format!("{name} is a source; rules are for sinks"));
                return Err(failure.into());
            };
            progress.rules = checked(change(&progress.rules))?;
            if changed == stored.doc || self.save_connection(&mut stored, changed.clone()).await? {
                return Ok(changed);
            }
        }
        Err(contended("the connection"))
    }

    /// Looks at the rides that a sink's rules left out: those that pass now are sent, under the name that the
    /// rules give now. May be begun again after a crash.
    #[tracing::instrument(skip_all, fields(user = %user, sink = %sink))]
    pub async fn apply_rules(&self, user: &UserId, sink: &ConnectionId) -> Result<Applied, EngineError> {
        let mut applied = Applied::default();
        let (prefix, mut after) = (format!("delivery/{sink}/"), None::<String>);
        loop {
            let Some(connection) = self.store.connection(user, sink).await? else { return Ok(applied) };
            let (found, next) = self.store.page::<Delivery>(user, &prefix, after.as_deref(), PAGE).await?;
            let filtered: Vec<_> =
                found.iter().filter(|stored| matches!(stored.doc.state, DeliveryState::Filtered { .. })).collect();
            let keys: Vec<_> = filtered.iter().map(|stored| Key::activity(user, &stored.doc.activity)).collect();
            let rides = self.store.read_many::<Activity>(&keys).await?;
            for (stored, ride) in filtered.into_iter().zip(rides) {
                if let Some(ride) = ride {
                    self.judge_again(&connection.doc, stored, &ride.doc, &mut applied).await?;
                }
            }
            match next {
                Some(path) => after = Some(path),
                None => return Ok(applied),
            }
        }
    }

    async fn judge_again(
        &self,
        sink: &Connection,
        stored: &Stored<Delivery>,
        ride: &Activity,
        applied: &mut Applied,
    ) -> Result<(), EngineError> {
        let kept = matches!(ride.state, ActivityState::Fetched { .. }) && ride.link.is_none();
        if !kept || planted!(self, RulesNotLifted) || !sink.wants(ride) {
            return Ok(());
        }
        let now = self.now();
        let judged =
            Delivery { created_at: stored.doc.created_at, ..Delivery::for_sink(ride, sink, stored.doc.content, now) };
        let is_filtered = matches!(judged.state, DeliveryState::Filtered { .. });
        if !is_filtered || judged.state != stored.doc.state {
            let due = judged.state.is_open().then(|| self.handed_over(&judged.user, now));
            // Who was faster has applied the same rules.
            if !self.save(stored, &judged, due).await? {
                return Ok(());
            }
            self.hand_over_deliveries(vec![judged]).await;
        }
        match is_filtered {
            true => applied.filtered += 1,
            false => applied.sent += 1,
        }
        Ok(())
    }
}

/// The rules, if they do not contradict themselves.
pub(super) fn checked(rules: Rules) -> Result<Rules, Failure> {
    rules.check()?;
    Ok(rules)
}
