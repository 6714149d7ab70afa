//! Who may do what.
//!
//! A route says which [`Permission`] it takes (its row in the table of [`Routes`](crate::Routes)), an [`Identity`] says
//! what its caller may, and a guard before each endpoint compares the two. What has not been permitted is refused.

mod scope;
mod role;
mod permission;
mod identity;
pub(crate) mod guard;

pub use identity::{How, Identity};
pub use permission::Permission;
pub use role::Role;
pub use scope::Scope;

use guard::Guard;

/// Whether callers are asked who they are. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Access {
    on: bool,
}

impl Access {
    /// Everybody who can reach the process may do everything, as `local`.
    #[must_use]
    pub fn off() -> Self {
        Access { on: false }
    }

    /// Nobody may do anything but what his [`Identity`] permits, which an outer layer puts into the request.
    #[must_use]
    pub fn on() -> Self {
        Access { on: true }
    }

    #[must_use]
    pub fn is_off(&self) -> bool {
        !self.on
    }

    pub(crate) fn guard(&self, permission: Permission) -> Guard {
        Guard { permission }
    }
}
