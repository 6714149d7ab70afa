use super::Scope;

/// Who may take a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Anybody, and nobody is asked who he is.
    Open,
    /// Anybody, once he has shown who he is: what he may is asked of him further on.
    Known,
    /// Whoever has this scope.
    Scope(Scope),
    /// Whoever has the first, and a customer who has the second, for what is his: the order whose id stands in the path.
    Own(Scope, Scope),
    /// Whoever has the first, and a customer who has the second, whose request the endpoint narrows to what is his.
    Narrowed(Scope, Scope),
    /// Whoever has the scope of what the path names in this parameter: `log:read:orders` for `/v1/log/orders/0`.
    Part { of: &'static str, parameter: &'static str },
}

impl Permission {
    pub const READ_LOG: Permission = Permission::Part { of: "log:read", parameter: "service" };
}
