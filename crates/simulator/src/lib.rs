#![doc = include_str!("../README.md")]

mod clock;
mod config;
mod connection;
mod control;
mod demo;
mod fault;
mod filehost;
mod folder;
mod igpsport;
mod intervals;
mod journal;
mod populate;
mod reply;
mod ridefile;
mod rng;
mod route;
mod server;
mod simulator;
mod state;
mod synth;
mod urls;
mod webhook;
mod wire;
mod world;
mod world_journal;
mod world_sinks;

pub use clock::Clock;
pub use config::{Config, Ports};
pub use connection::ConnectionHelp;
pub use fault::{Fault, FaultRule};
pub use igpsport::{
    AuthFailure, BeyondEnd, DateStyle, DownloadUrlShape, FieldFailure, FileSpec, MemberClaim, MemberId, MemberView,
    NewMember, NewRide, Outage, PageAction, PageSizeEcho, PasswordFailure, Region, RideBatch, RideId, RideView,
    RowShape, SigningFailure, Toggles, UnknownRegion, UnknownRide, UrlShape,
};
pub use intervals::{
    ActivityView, AthleteId, IntervalsToggles, NewActivity, NewAthlete, PlainHttp, RateLimit, RefusedStatus, Reupload,
    Upload,
};
pub use journal::{Entry, PartSeen, Role, UnknownRole};
pub use ridefile::FileError;
pub use simulator::{Simulator, StartError};
pub use synth::MALFORMED;
pub use webhook::{SecretError, SignatureError, WebhookAttempt, WebhookDelivery};
pub use world::{World, WorldError};
