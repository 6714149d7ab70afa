use axum::Router;
use edge::{Proxies, RateLimit};

use crate::settings::Settings;

/// How much one caller may ask for, by kind of request. Clones share it, and it may change while the shop is open.
#[derive(Clone, Debug)]
pub struct Rates {
    commands: RateLimit,
    queries: RateLimit,
}

impl Rates {
    /// As the settings say, of callers behind these proxies.
    #[must_use]
    pub fn of(settings: &Settings, proxies: &Proxies) -> Self {
        let known = settings.limits.callers_known();
        let limit = |class| RateLimit::new(class, proxies.clone(), known);
        let rates = Rates { commands: limit("commands"), queries: limit("queries") };
        rates.set(settings);
        rates
    }

    /// As other settings say, from now on.
    pub fn set(&self, settings: &Settings) {
        let (commands, queries) = settings.quotas();
        self.commands.set(commands);
        self.queries.set(queries);
    }

    pub(super) fn of_commands(&self, router: Router) -> Router {
        self.commands.around(router)
    }

    pub(super) fn of_queries(&self, router: Router) -> Router {
        self.queries.around(router)
    }
}
