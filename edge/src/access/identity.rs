use super::{Role, Scope, guard::forbidden};
use crate::Problem;
use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

/// Who a caller has shown himself to be. It stands in a request's extensions as an `Arc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Nobody else's: another issuer's has the issuer's name before it (`keycloak/4f7c…`), an API key's `key/`.
    pub subject: Arc<str>,
    pub roles: BTreeSet<Role>,
    /// All that he may do, by his roles and besides.
    pub scopes: BTreeSet<Scope>,
    /// His reference, if he is a customer.
    pub customer: Option<Arc<str>>,
    /// Who acts for him, if not he himself.
    pub acting: Option<Arc<str>>,
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

    /// Whether his word counts that this one has acted: he himself, or whom he acts for.
    ///
    /// # Errors
    /// 403, if it is anybody else.
    pub fn vouches_for(&self, actor: &str) -> Result<(), Problem> {
        if *self.subject == *actor {
            return Ok(());
        }
        Err(forbidden().detail("This is somebody else than the one for whom you act."))
    }

    /// Who is told of as having acted, in the metadata of events, and who is part of the ids of commands: the same in
    /// every request of his, and nobody else's.
    #[must_use]
    pub fn actor(&self) -> Cow<'_, str> {
        match &self.acting {
            None => Cow::Borrowed(&self.subject),
            Some(acting) => Cow::Owned(format!("{acting} for {}", self.subject)),
        }
    }
}
