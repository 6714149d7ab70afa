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
    /// The one service that believes what he shows, if no other one does.
    pub only_at: Option<Arc<str>>,
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

    /// Whether his word counts at this service that this one has acted: he himself, or whom he acts for.
    ///
    /// # Errors
    /// 403, if it is anybody else, or if what he shows is good elsewhere too.
    pub fn vouches_for(&self, actor: &str, service: &str) -> Result<(), Problem> {
        if self.only_at.as_deref() != Some(service) {
            return Err(forbidden().detail(format!("This takes a token for {service} alone.")));
        }
        if *self.subject != *actor {
            return Err(forbidden().detail("This is somebody else than the one for whom you act."));
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::{How, Identity};
    use std::collections::BTreeSet;

    #[test]
    fn a_word_counts_of_who_has_acted_where_the_token_is_for() {
        let token = |only_at: Option<&str>| Identity {
            subject: "checkout-saga".into(),
            roles: BTreeSet::new(),
            scopes: BTreeSet::new(),
            customer: None,
            acting: Some("checkout".into()),
            only_at: only_at.map(Into::into),
            how: How::Token,
        };
        for (only_at, actor, counts) in [
            (Some("orders"), "checkout-saga", true),
            (Some("orders"), "checkout", false),
            // One process may be both of them.
            (Some("payments"), "checkout-saga", false),
            (None, "checkout-saga", false),
        ] {
            let said = token(only_at).vouches_for(actor, "orders");
            assert_eq!(said.is_ok(), counts, "{only_at:?} {actor}");
        }
    }
}
