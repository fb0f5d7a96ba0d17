//! What FitBridge talks about: users, connections, activities, deliveries, rides.

pub mod activity;
pub mod connection;
pub mod delivery;
pub mod ids;
pub mod ride;
pub mod rules;
pub mod template;

pub use activity::{Activity, ActivityState, FileLocation, Integrity, Origin, Stage};
pub use connection::{
    Baseline, Connection, ConnectionState, History, LoginIntent, Refusals, Role, RowProblem, SinkProgress,
    SourceProgress, User, WalkMark,
};
pub use delivery::{About, Delivery, DeliveryState, HeldReason, How};
pub use ids::{
    ActivityId, ConnectionId, ContentId, IdError, OwnerId, RemoteAccount, RemoteId, RideId, Service, Shard, UserId,
};
pub use ride::{DetailFacts, ListedFacts, RecordedFacts, Ride};
pub use rules::{Filtered, Indoor, Rules, RulesError};
pub use template::{NameTemplate, TemplateError};
