//! What a process shows the other services that it asks.

use super::{Access, Inner, Role, Wanted};
use crate::clock;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A service token that was found is worth little.
const LIVES: Duration = Duration::from_secs(300);
/// One is used until so much of it is left, in seconds.
const SPARE_S: i64 = 150;
/// So many are kept to be used again: each service that is asked is asked for few others.
const KEPT: usize = 64;

/// A token that is shown just now.
pub(super) struct Shown {
    service: String,
    to: String,
    actor: Option<String>,
    key: String,
    until: i64,
    token: Arc<str>,
}

impl Access {
    /// A short-lived token that says which service asks, whom, and for whom, if not for itself. Nobody but `to` believes
    /// it. None where nobody is asked who he is.
    #[must_use]
    pub fn service_token(&self, service: &str, to: &str, actor: Option<&str>) -> Option<Arc<str>> {
        self.inner.as_ref()?.service_token(service, to, actor)
    }
}

impl Inner {
    fn service_token(&self, service: &str, to: &str, actor: Option<&str>) -> Option<Arc<str>> {
        let (credentials, now) = (self.credentials(), clock::now());
        let key = credentials.signing.id_among_us(now)?;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |it: &Shown| it.key == key && now.timestamp() + SPARE_S < it.until;
        shown.retain(is_good);
        let is_it =
            |it: &&Shown| (&*it.service, &*it.to, it.actor.as_deref()) == (service, to, actor);
        if let Some(good) = shown.iter().find(is_it) {
            return Some(good.token.clone());
        }
        let wanted = Wanted {
            subject: actor.unwrap_or(service).to_owned(),
            roles: BTreeSet::from([Role::Service]),
            scopes: BTreeSet::new(),
            customer: None,
            acting: actor.map(|_| service.to_owned()),
            issuer: self.settings.issuer.clone(),
            audience: self.settings.audience_of(to),
            lives: LIVES,
        };
        let token: Arc<str> = credentials.signing.token_among_us(&wanted, now)?.into();
        if shown.len() == KEPT {
            shown.remove(0);
        }
        shown.push(Shown {
            service: service.to_owned(),
            to: to.to_owned(),
            actor: actor.map(str::to_owned),
            key: key.to_owned(),
            until: now.timestamp().saturating_add_unsigned(LIVES.as_secs()),
            token: token.clone(),
        });
        Some(token)
    }
}
