//! Counting what the ledger costs.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_sdk_dynamodb::types::ConsumedCapacity;

/// What DynamoDB is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// One record read.
    GetItem,
    /// Many records read.
    BatchGetItem,
    /// A range or an index read.
    Query,
    /// One record written.
    PutItem,
    /// One record removed.
    DeleteItem,
    /// Several writes, all or none.
    TransactWriteItems,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 6] =
        [Self::GetItem, Self::BatchGetItem, Self::Query, Self::PutItem, Self::DeleteItem, Self::TransactWriteItems];

    fn writes(self) -> bool {
        matches!(self, Self::PutItem | Self::DeleteItem | Self::TransactWriteItems)
    }
}

/// Requests and capacity units since it was made. Tries count each; DynamoDB tells no units for requests
/// that failed, also where it bills them (a failed condition bills the write).
#[derive(Debug, Default)]
pub struct Usage {
    requests: [AtomicU64; Operation::ALL.len()],
    /// DynamoDB counts in half units.
    half_reads: AtomicU64,
    half_writes: AtomicU64,
}

/// What was used at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Used {
    requests: [u64; Operation::ALL.len()],
    /// Read request units.
    pub read_units: f64,
    /// Write request units.
    pub write_units: f64,
}

impl Usage {
    pub(super) fn asked(&self, operation: Operation) {
        self.requests[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn consumed(&self, operation: Operation, capacity: &[ConsumedCapacity]) {
        let units: f64 = capacity.iter().filter_map(ConsumedCapacity::capacity_units).sum();
        let counter = if operation.writes() { &self.half_writes } else { &self.half_reads };
        counter.fetch_add(halves(units), Ordering::Relaxed);
    }

    /// What was used so far.
    pub fn so_far(&self) -> Used {
        Used {
            requests: std::array::from_fn(|n| self.requests[n].load(Ordering::Relaxed)),
            read_units: units(&self.half_reads),
            write_units: units(&self.half_writes),
        }
    }
}

fn units(halves: &AtomicU64) -> f64 {
    // Exact up to 2^52 units.
    halves.load(Ordering::Relaxed) as f64 / 2.0
}

fn halves(units: f64) -> u64 {
    // A cast saturates; what is counted is never negative.
    (units * 2.0).round() as u64
}

impl Used {
    /// Requests of one kind.
    pub fn requests(&self, operation: Operation) -> u64 {
        self.requests[operation as usize]
    }

    /// Requests of all kinds.
    pub fn all_requests(&self) -> u64 {
        self.requests.iter().sum()
    }

    /// What was used between an earlier moment and this one.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            requests: std::array::from_fn(|n| self.requests[n].saturating_sub(before.requests[n])),
            read_units: self.read_units - before.read_units,
            write_units: self.write_units - before.write_units,
        }
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for operation in Operation::ALL {
            let count = self.requests(operation);
            if count > 0 {
                write!(f, "{operation:?} {count}, ")?;
            }
        }
        write!(f, "{} read units, {} write units", self.read_units, self.write_units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_requests_add_up_by_kind() {
        let usage = Usage::default();
        let capacity = |units: f64| ConsumedCapacity::builder().capacity_units(units).build();
        usage.asked(Operation::Query);
        usage.consumed(Operation::Query, &[capacity(0.5)]);
        let before = usage.so_far();
        usage.asked(Operation::TransactWriteItems);
        usage.consumed(Operation::TransactWriteItems, &[capacity(2.0), capacity(4.0)]);
        let used = usage.so_far();
        assert_eq!((used.read_units, used.write_units, used.all_requests()), (0.5, 6.0, 2));
        let since = used.since(&before);
        assert_eq!((since.requests(Operation::Query), since.requests(Operation::TransactWriteItems)), (0, 1));
        assert_eq!(since.to_string(), "TransactWriteItems 1, 0 read units, 6 write units");
    }
}
