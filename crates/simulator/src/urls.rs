//! Where the simulated hosts listen.

use std::net::SocketAddr;

use crate::igpsport::Region;
use crate::journal::Role;

/// The addresses of all roles, in the order of [`Role::ALL`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Urls(pub(crate) [SocketAddr; Role::ALL.len()]);

impl Urls {
    pub(crate) fn addr(&self, role: Role) -> SocketAddr {
        let at = Role::ALL.iter().position(|other| *other == role);
        self.0[at.unwrap_or_default()]
    }

    /// The base URL, without a slash at its end.
    pub(crate) fn of(&self, role: Role) -> String {
        format!("http://{}", self.addr(role))
    }

    pub(crate) fn igpsport(&self, region: Region) -> String {
        self.of(Role::igpsport(region))
    }
}
