use std::{fmt, str::FromStr};

/// One thing that a caller may do: `orders:place`. There are no others than those below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(&'static str);

/// Not the name of a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope `{0}`")]
pub struct UnknownScope(String);

macro_rules! scopes {
    ($($name:ident = $text:literal),* $(,)?) => {
        impl Scope {
            $(pub const $name: Scope = Scope($text);)*

            /// Every scope, in the order of the documentation.
            pub const ALL: &[Scope] = &[$(Scope::$name),*];
        }
    };
}

scopes! {
    PRODUCTS_READ = "products:read",
    PRODUCTS_WRITE = "products:write",
    STOCK_READ = "stock:read",
    STOCK_RECEIVE = "stock:receive",
    STOCK_ADJUST = "stock:adjust",
    ORDERS_PLACE = "orders:place",
    ORDERS_READ = "orders:read",
    ORDERS_CANCEL = "orders:cancel",
    ORDERS_SHIP = "orders:ship",
    OWN_ORDERS_PLACE = "orders:place:own",
    OWN_ORDERS_READ = "orders:read:own",
    OWN_ORDERS_CANCEL = "orders:cancel:own",
    PAYMENTS_READ = "payments:read",
    PAYMENTS_REFUND = "payments:refund",
    OWN_PAYMENTS_READ = "payments:read:own",
    CHECKOUTS_READ = "checkouts:read",
    CHECKOUTS_DECIDE = "checkouts:decide",
    OWN_CHECKOUTS_READ = "checkouts:read:own",
    SALES_READ = "sales:read",
    LOG_READ_CATALOGUE = "log:read:catalogue",
    LOG_READ_ORDERS = "log:read:orders",
    LOG_READ_INVENTORY = "log:read:inventory",
    LOG_READ_PAYMENTS = "log:read:payments",
    LOG_READ_CHECKOUT = "log:read:checkout",
    PARKED_READ = "parked:read",
    PARKED_SETTLE = "parked:settle",
    COMMANDS_SEND = "commands:send",
    METRICS_READ = "metrics:read",
}

impl Scope {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The one that permits the same for a part of what this one permits it for: `log:read` and `orders` give
    /// `log:read:orders`.
    pub(crate) fn within(prefix: &str, part: &str) -> Option<Scope> {
        let rest = |scope: &Scope| scope.0.strip_prefix(prefix)?.strip_prefix(':');
        Scope::ALL.iter().copied().find(|scope| rest(scope) == Some(part))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let found = Scope::ALL.iter().copied().find(|scope| scope.0 == text);
        found.ok_or_else(|| UnknownScope(text.to_owned()))
    }
}
