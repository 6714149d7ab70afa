//! How much one caller may ask for.

use super::{Loaded, Settings, SettingsError};
use crate::shop::limited;
use edge::{Quota, RouteQuotas};
use std::sync::LazyLock;

impl Settings {
    /// Commands, queries, and what is read of logs.
    pub fn quotas(&self) -> [Option<Quota>; 3] {
        [
            Quota::of(self.commands_per_s, self.commands_burst),
            Quota::of(self.queries_per_s, self.queries_burst),
            Quota::of(self.logs_per_s, self.logs_burst),
        ]
    }

    /// Of the routes that have a limit of their own.
    pub fn route_quotas(&self) -> RouteQuotas {
        let quotas = self.route_limits.as_deref().map(str::parse).transpose();
        quotas.ok().flatten().unwrap_or_default()
    }
}

impl Loaded {
    /// A limit of a route that there is not would be believed.
    pub(super) fn check_routes(&self) -> Result<(), SettingsError> {
        let said = self.settings.route_limits.as_deref().map(str::parse::<RouteQuotas>);
        let is_there = |route: &str| limited().any(|name| name == route);
        let holds = said.is_none_or(|said| said.is_ok_and(|said| said.routes().all(is_there)));
        self.must("route_limits", holds, &RULE)
    }
}

static RULE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "routes with how many a second and perhaps how many at once, POST /v1/orders=5:20, with commas between; \
         each once, and one of these: {}",
        limited().collect::<Vec<_>>().join(", ")
    )
});
