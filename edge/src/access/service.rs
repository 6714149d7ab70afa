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

/// The token that is shown just now.
pub(super) struct Shown {
    service: String,
    key: String,
    until: i64,
    token: Arc<str>,
}

impl Access {
    /// A short-lived token that says which service asks. None where nobody is asked who he is.
    #[must_use]
    pub fn service_token(&self, service: &str) -> Option<Arc<str>> {
        self.inner.as_ref()?.service_token(service)
    }
}

impl Inner {
    fn service_token(&self, service: &str) -> Option<Arc<str>> {
        let (credentials, now) = (self.credentials(), clock::now());
        let key = credentials.signing.id_among_us(now)?;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |it: &&Shown| {
            it.service == service && it.key == key && now.timestamp() + SPARE_S < it.until
        };
        if let Some(good) = shown.iter().find(is_good) {
            return Some(good.token.clone());
        }
        let wanted = Wanted {
            subject: service.to_owned(),
            roles: BTreeSet::from([Role::Service]),
            scopes: BTreeSet::new(),
            customer: None,
            acting: None,
            issuer: self.settings.issuer.clone(),
            audience: self.settings.audience.clone(),
            lives: LIVES,
        };
        let token: Arc<str> = credentials.signing.token_among_us(&wanted, now)?.into();
        shown.retain(|it| it.service != service);
        shown.push(Shown {
            service: service.to_owned(),
            key: key.to_owned(),
            until: now.timestamp().saturating_add_unsigned(LIVES.as_secs()),
            token: token.clone(),
        });
        Some(token)
    }
}
