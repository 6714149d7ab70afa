//! What a token or a key is for.

use anyhow::{Result, bail};
use clap::Args;
use domain::values::CustomerRef;
use edge::{Role, Scope};

use crate::settings::ReachFlags;

#[derive(Debug, Args)]
pub(super) struct Granted {
    /// What its bearer is to the shop; several may be given
    #[arg(long = "role", value_name = "ROLE")]
    pub(super) roles: Vec<Role>,
    /// What else he may do: `orders:place`; several may be given
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(super) scopes: Vec<Scope>,
    /// A customer's reference
    #[arg(long, value_name = "REFERENCE")]
    pub(super) customer: Option<CustomerRef>,
    #[command(flatten)]
    pub(super) flags: ReachFlags,
}

impl Granted {
    pub(super) fn checked(self) -> Result<Self> {
        if self.roles.is_empty() && self.scopes.is_empty() {
            bail!("say what it is for, with --role or --scope");
        }
        if self.roles.contains(&Role::Customer) != self.customer.is_some() {
            bail!(
                "a customer has a reference, and nobody else has one: --role customer --customer …"
            );
        }
        Ok(self)
    }
}
