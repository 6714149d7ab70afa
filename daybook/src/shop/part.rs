//! What of the shop one process runs, and what it therefore needs of the rest.

use super::plan::SERVICES;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

/// What a process does for its services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes commands, of callers and of other services, and shows the log.
    Commands,
    /// Copies the log to Kafka.
    Relay,
    /// Reacts, and does what is due.
    Sagas,
    /// Posts read models, and answers from them.
    Queries,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Commands, Role::Relay, Role::Sagas, Role::Queries];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Commands => "commands",
            Role::Relay => "relay",
            Role::Sagas => "sagas",
            Role::Queries => "queries",
        }
    }
}

/// Some roles of some services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub roles: BTreeSet<Role>,
    /// In the order of the shop.
    pub services: Vec<&'static str>,
}

impl Part {
    /// The whole shop in one process.
    #[must_use]
    pub fn whole() -> Self {
        let services = SERVICES.iter().map(|(service, _)| *service).collect();
        Part { roles: Role::ALL.into(), services }
    }

    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Part::whole()
    }

    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    #[must_use]
    pub fn is_here(&self, service: &str) -> bool {
        self.services.contains(&service)
    }

    /// Whether it does this for this service.
    #[must_use]
    pub fn runs(&self, role: Role, service: &str) -> bool {
        self.has(role) && self.is_here(service)
    }

    /// Whether it appends to the logs of its services.
    #[must_use]
    pub fn appends(&self) -> bool {
        self.has(Role::Commands) || self.has(Role::Sagas)
    }

    /// Whether a service has followers in this process.
    pub(super) fn has_followers(&self, service: &str) -> bool {
        let acts = ["checkout", "payments"].contains(&service);
        self.runs(Role::Queries, service)
            || acts && self.runs(Role::Sagas, service)
            || service == "orders" && self.runs(Role::Commands, service)
    }

    /// The logs that followers of this process follow, each with what follows it.
    #[must_use]
    pub fn followed(&self) -> BTreeMap<&'static str, &'static str> {
        let mut followed = BTreeMap::new();
        if self.runs(Role::Commands, "orders") {
            followed.insert("catalogue", "the price list of the orders");
        }
        if self.runs(Role::Sagas, "checkout") {
            let logs = ["orders", "inventory", "payments", "checkout"];
            followed.extend(logs.map(|log| (log, "the checkouts")));
        }
        if self.runs(Role::Sagas, "payments") {
            followed.insert("payments", "the payments");
        }
        for projection in projections::all() {
            let layout = projection.layout();
            if self.runs(Role::Queries, layout.service) {
                followed.extend(layout.logs.iter().map(|log| (*log, layout.name)));
            }
        }
        followed
    }

    /// Which services elsewhere it needs the address of.
    ///
    /// # Errors
    /// Which one has none, and what needs it.
    pub(super) fn elsewhere<'a>(
        &self,
        urls: &'a BTreeMap<&'static str, String>,
    ) -> Result<BTreeMap<&'static str, &'a str>> {
        let mut elsewhere = BTreeMap::new();
        // Whom the checkouts ask, they follow too.
        for (service, who) in self.followed() {
            match urls.get(service) {
                _ if self.is_here(service) => {}
                Some(url) => drop(elsewhere.insert(service, url.as_str())),
                None => bail!(
                    "{who} of this process cannot do without the service `{service}`, which is not among \
                     its services: say with `{service}_url` where its commands and log are served"
                ),
            }
        }
        Ok(elsewhere)
    }

    /// The consumer group of all processes that run the same part, and so follow the same topics.
    pub(super) fn group(&self) -> String {
        if self.is_whole() {
            return "daybook".to_owned();
        }
        let roles: Vec<_> = self.roles.iter().map(|role| role.name()).collect();
        format!("daybook.{}.{}", roles.join("-"), self.services.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(roles: &[Role], services: &[&'static str]) -> Part {
        Part { roles: roles.iter().copied().collect(), services: services.to_vec() }
    }

    fn urls(services: &[&'static str]) -> BTreeMap<&'static str, String> {
        services.iter().map(|service| (*service, format!("http://{service}"))).collect()
    }

    #[test]
    fn a_part_follows_what_its_roles_follow_and_nothing_else() {
        let followed = |roles: &[Role], services: &[&'static str]| {
            part(roles, services).followed().into_keys().collect::<Vec<_>>()
        };
        assert_eq!(followed(&[Role::Commands], &["orders", "inventory"]), ["catalogue"]);
        assert_eq!(followed(&[Role::Queries], &["orders"]), ["orders", "payments"]);
        assert_eq!(followed(&[Role::Relay, Role::Commands], &["payments"]), [""; 0]);
        let checkout = ["checkout", "inventory", "orders", "payments"];
        assert_eq!(followed(&[Role::Sagas], &["checkout"]), checkout);
        assert_eq!(Part::whole().followed().len(), SERVICES.len());
    }

    #[test]
    fn a_part_that_needs_another_service_says_so_and_names_the_key() {
        let checkout = part(&[Role::Sagas], &["checkout", "payments"]);
        let error = checkout.elsewhere(&urls(&["orders"])).unwrap_err().to_string();
        assert!(error.contains("`inventory_url`"), "{error}");
        let known = urls(&["orders", "inventory", "catalogue", "payments"]);
        let elsewhere = checkout.elsewhere(&known).unwrap();
        assert_eq!(elsewhere.into_keys().collect::<Vec<_>>(), ["inventory", "orders"]);
        assert!(Part::whole().elsewhere(&urls(&[])).unwrap().is_empty());
    }

    #[test]
    fn processes_of_one_group_follow_the_same_topics() {
        let whole = Part::whole().group();
        let orders = part(&[Role::Queries], &["orders"]).group();
        let other = part(&[Role::Commands, Role::Queries], &["orders"]).group();
        assert_eq!(whole, "daybook");
        assert!(whole != orders && orders != other && whole != other);
    }
}
