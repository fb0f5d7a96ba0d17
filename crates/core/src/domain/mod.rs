//! What FitBridge talks about: users, connections, activities, deliveries, rides.

pub mod activity;
pub mod backfill;
pub mod connection;
pub mod delivery;
pub mod event;
pub mod failing;
pub mod habits;
pub mod ids;
pub mod lag;
pub mod link;
pub mod notice;
pub mod plan;
pub mod reconcile;
pub mod ride;
pub mod rules;
pub mod story;
pub mod template;

pub use activity::{Activity, ActivityState, FileLocation, Integrity, Origin, Stage};
pub use backfill::{Backfill, BackfillPhase, Pace};
pub use connection::{
    Baseline, BrokenWalk, Connection, ConnectionState, History, LoginIntent, Refusals, Role, RowProblem, SinkProgress,
    SourceProgress, User, WalkMark,
};
pub use delivery::{About, Delivery, DeliveryState, HeldReason, How, Withdrawal};
pub use event::{Event, EventKind};
pub use failing::Failing;
pub use habits::{Arrival, Habits};
pub use ids::{
    ActivityId, ConnectionId, ContentId, EventTag, IdError, NoticeId, OwnerId, RemoteAccount, RemoteId, RideId,
    Service, Shard, UserId,
};
pub use lag::{DeliveryLags, Lags, ride_end};
pub use link::{Hunch, Likeness, Link, LinkReason, Trace};
pub use notice::{Cause, Channel, Contact, Message, Notice, NoticeState, Quiet};
pub use plan::{Because, Planned};
pub use reconcile::{Found, Reconcile, ReconcilePlace, Report};
pub use ride::{DetailFacts, ListedFacts, RecordedFacts, Ride};
pub use rules::{Filtered, Indoor, Rules, RulesError};
pub use story::{News, Story};
pub use template::{NameTemplate, TemplateError};
