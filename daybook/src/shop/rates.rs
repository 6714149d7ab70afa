use axum::Router;
use edge::{Proxies, RateLimit, Row};

use crate::settings::Settings;
use crate::table::Table;

/// How much one caller may ask for, by kind of request. Clones share it, and it may change while the shop is open.
#[derive(Clone, Debug)]
pub struct Rates {
    commands: RateLimit,
    queries: RateLimit,
    logs: RateLimit,
}

impl Rates {
    /// As the settings say, of callers behind these proxies.
    #[must_use]
    pub fn of(settings: &Settings, proxies: &Proxies) -> Self {
        let known = settings.limits.callers_known();
        let limit = |class| RateLimit::new(class, proxies.clone(), known);
        let rates =
            Rates { commands: limit("commands"), queries: limit("queries"), logs: limit("logs") };
        rates.set(settings);
        rates
    }

    /// As other settings say, from now on.
    pub fn set(&self, settings: &Settings) {
        let [commands, queries, logs] = settings.quotas();
        self.commands.set(commands);
        self.queries.set(queries);
        self.logs.set(logs);
        let routes = settings.route_quotas();
        let of =
            |names: Vec<String>| routes.clone().keeping(|it| names.iter().any(|name| name == it));
        self.commands.set_routes(&of(commands_of_callers()));
        self.queries.set_routes(&of(queries_of_callers()));
        self.logs.set_routes(&of(of_logs()));
    }

    pub(super) fn of_commands(&self, router: Router) -> Router {
        self.commands.around(router)
    }

    pub(super) fn of_queries(&self, router: Router) -> Router {
        self.queries.around(router)
    }

    pub(super) fn of_logs(&self, router: Router) -> Router {
        self.logs.around(router)
    }
}

/// The routes that may have a limit of their own, by name: those that have one of their class.
pub(crate) fn limited() -> impl Iterator<Item = String> {
    commands_of_callers().into_iter().chain(queries_of_callers()).chain(of_logs())
}

fn commands_of_callers() -> Vec<String> {
    Table::new(false).commands.rows().filter(|row| !is_internal(row)).map(Row::name).collect()
}

fn queries_of_callers() -> Vec<String> {
    Table::new(false).queries.rows().filter(|row| !is_of_log(row)).map(Row::name).collect()
}

fn of_logs() -> Vec<String> {
    Table::new(false).queries.rows().filter(|row| is_of_log(row)).map(Row::name).collect()
}

/// Services ask for what is owed already: whoever comes with something new does not keep them out.
pub(super) fn is_internal(row: &Row) -> bool {
    row.path.starts_with("/internal/")
}

/// Who follows a log asks for much, and for nothing that others wait for.
pub(super) fn is_of_log(row: &Row) -> bool {
    row.path.starts_with("/v1/log/")
}

#[cfg(test)]
mod tests {
    use super::limited;
    use crate::table::Table;
    use edge::{Permission, Row};

    #[test]
    fn every_route_of_callers_may_have_a_limit_but_those_of_services_and_of_many_lines() {
        let rows = Table::new(true).rows();
        let takes_somebody = rows.iter().filter(|row| row.permission != Permission::Open);
        let without = takes_somebody.map(Row::name).filter(|name| !limited().any(|it| it == *name));
        // Of many commands each line is counted as the command that it is.
        let known = ["POST /internal/commands", "POST /v1/commands", "GET /metrics"];
        assert_eq!(without.collect::<Vec<_>>(), known);
    }
}
