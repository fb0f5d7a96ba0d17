#![doc = include_str!("../README.md")]

mod account;
mod client;
mod detail;
mod envelope;
mod error;
mod file_host;
mod files;
mod first_contact;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod lenient;
mod list;
mod login;
mod region;
mod resolve;
mod row;
mod signer;
mod source;
mod times;
mod token;

pub use account::{Account, UserInfo, probe_regions};
pub use client::Client;
pub use detail::{Detail, Location};
pub use error::{ApiError, ErrorClass};
pub use file_host::{FileError, FileErrorClass, FileHost, FitFile};
pub use first_contact::{FirstContact, FirstContactOptions, ProbeAnswer, first_contact};
pub use list::{PAGE_SIZE, Walk, WalkEnd, WalkPage, WalkSummary};
pub use login::LoginAnswer;
pub use region::{BadEndpoint, Endpoints, Region, UnknownRegion};
pub use resolve::{Resolution, ResolvedBy};
pub use row::{ListPage, RideId, Row, RowFault, RowProblem};
pub use signer::{NoSigner, SignError, Signer, Unsigned};
pub use source::IgpsportSource;
pub use times::ListStart;
pub use token::{MemberId, Token, TokenError, TokenFacts};
