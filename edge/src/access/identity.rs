use super::{Role, Scope};
use std::{collections::BTreeSet, sync::Arc};

/// Who a caller has shown himself to be. It stands in a request's extensions as an `Arc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who acts, the same in every request of his and nobody else's: it is part of the ids of his commands, and stands
    /// in the metadata of the events that he causes.
    pub subject: Arc<str>,
    pub roles: BTreeSet<Role>,
    /// All that he may do, by his roles and besides.
    pub scopes: BTreeSet<Scope>,
    /// His reference, if he is a customer.
    pub customer: Option<Arc<str>>,
    /// For whom he acts, if not for himself.
    pub on_behalf_of: Option<Arc<str>>,
    pub how: How,
}

/// By what a caller has shown who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Token,
    ApiKey,
}

impl Identity {
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}
