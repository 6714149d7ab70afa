use super::Scope;
use std::{fmt, str::FromStr};

/// What somebody is to the shop. A role is a name for a set of scopes, and there is no other place that says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees and touches only what carries his reference.
    Customer,
    Support,
    Warehouse,
    Accountant,
    /// Runs the shop: its catalogue, what stands still, what is measured.
    Operator,
    /// Another part of the shop, which follows logs and sends commands.
    Service,
}

/// Not the name of a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role `{0}`: {names}", names = Role::ALL.map(Role::as_str).join(", "))]
pub struct UnknownRole(String);

impl Role {
    pub const ALL: [Role; 6] = [
        Role::Customer,
        Role::Support,
        Role::Warehouse,
        Role::Accountant,
        Role::Operator,
        Role::Service,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Customer => "customer",
            Role::Support => "support",
            Role::Warehouse => "warehouse",
            Role::Accountant => "accountant",
            Role::Operator => "operator",
            Role::Service => "service",
        }
    }

    /// What whoever has it may do.
    #[must_use]
    pub const fn scopes(self) -> &'static [Scope] {
        match self {
            Role::Customer => &[
                Scope::PRODUCTS_READ,
                Scope::OWN_ORDERS_PLACE,
                Scope::OWN_ORDERS_READ,
                Scope::OWN_ORDERS_CANCEL,
                Scope::OWN_PAYMENTS_READ,
                Scope::OWN_CHECKOUTS_READ,
            ],
            Role::Support => &[
                Scope::PRODUCTS_READ,
                Scope::STOCK_READ,
                Scope::ORDERS_PLACE,
                Scope::ORDERS_READ,
                Scope::ORDERS_CANCEL,
                Scope::PAYMENTS_READ,
                Scope::PAYMENTS_REFUND,
                Scope::CHECKOUTS_READ,
                Scope::CHECKOUTS_DECIDE,
            ],
            Role::Warehouse => &[
                Scope::PRODUCTS_READ,
                Scope::STOCK_READ,
                Scope::STOCK_RECEIVE,
                Scope::STOCK_ADJUST,
                Scope::ORDERS_READ,
                Scope::ORDERS_SHIP,
            ],
            Role::Accountant => &[
                Scope::PRODUCTS_READ,
                Scope::ORDERS_READ,
                Scope::PAYMENTS_READ,
                Scope::PAYMENTS_REFUND,
                Scope::CHECKOUTS_READ,
                Scope::SALES_READ,
                Scope::LOG_READ_ORDERS,
                Scope::LOG_READ_PAYMENTS,
            ],
            Role::Operator => &[
                Scope::PRODUCTS_READ,
                Scope::PRODUCTS_WRITE,
                Scope::STOCK_READ,
                Scope::ORDERS_READ,
                Scope::PAYMENTS_READ,
                Scope::CHECKOUTS_READ,
                Scope::CHECKOUTS_DECIDE,
                Scope::SALES_READ,
                Scope::LOG_READ_CATALOGUE,
                Scope::LOG_READ_ORDERS,
                Scope::LOG_READ_INVENTORY,
                Scope::LOG_READ_PAYMENTS,
                Scope::LOG_READ_CHECKOUT,
                Scope::PARKED_READ,
                Scope::PARKED_SETTLE,
                Scope::METRICS_READ,
            ],
            Role::Service => &[
                Scope::LOG_READ_CATALOGUE,
                Scope::LOG_READ_ORDERS,
                Scope::LOG_READ_INVENTORY,
                Scope::LOG_READ_PAYMENTS,
                Scope::LOG_READ_CHECKOUT,
                Scope::COMMANDS_SEND,
                Scope::METRICS_READ,
            ],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownRole(text.to_owned()))
    }
}
