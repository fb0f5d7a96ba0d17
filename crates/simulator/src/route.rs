//! Which service and which of its routes a request means.

use axum::http::Method;

use crate::igpsport::{Region, call::Call as IgpsportCall};
use crate::intervals::call::Call as IntervalsCall;
use crate::journal::Role;

/// A request's destination.
#[derive(Debug)]
pub(crate) enum Route {
    Igpsport(Region, IgpsportCall),
    File,
    Intervals(IntervalsCall),
    Webhook,
    Trap,
    Control,
}

impl Route {
    pub(crate) fn of(role: Role, method: &Method, path: &str) -> Self {
        match role {
            Role::IgpsportGlobal => Self::Igpsport(Region::Global, IgpsportCall::parse(method, path)),
            Role::IgpsportChina => Self::Igpsport(Region::China, IgpsportCall::parse(method, path)),
            Role::Files => Self::File,
            Role::Intervals => Self::Intervals(IntervalsCall::parse(method, path)),
            Role::Webhook => Self::Webhook,
            Role::Trap => Self::Trap,
            Role::Control => Self::Control,
        }
    }

    /// The route's name in journals and fault rules.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Igpsport(_, call) => call.name(),
            Self::File => "file",
            Self::Intervals(call) => call.name(),
            Self::Webhook => "receive",
            Self::Trap => "trap",
            Self::Control => "control",
        }
    }
}
