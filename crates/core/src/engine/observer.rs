//! Being told of changes: progress bars, live tables, audit.

use jiff::Timestamp;

use crate::{
    domain::{Activity, Connection, Delivery},
    engine::Poll,
};

/// Is told of every change after it is committed. Must not block.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A ride is in a new state.
    fn activity(&self, _activity: &Activity) {}
    /// A delivery is in a new state.
    fn delivery(&self, _delivery: &Delivery) {}
    /// A connection is in a new state.
    fn connection(&self, _connection: &Connection) {}
    /// A source's token ends within 48 hours and the rider has to bring another. Told once per token's life;
    /// a crash at that very moment may leave it untold, never told twice.
    fn expiring(&self, _connection: &Connection, _ends_at: Timestamp) {}
    /// A source was polled.
    fn polled(&self, _connection: &Connection, _result: &Poll) {}
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
