//! What of the shop a process runs: some roles of some services, all of each by default.

use super::{Secret, Settings};
use crate::shop::{Part, Role, SERVICES};
use event_store::Database;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Of each service the keys of its database and of its address.
pub(super) const KEYS: [(&str, &str, &str); 5] = [
    ("catalogue", "catalogue_database_url", "catalogue_url"),
    ("orders", "orders_database_url", "orders_url"),
    ("inventory", "inventory_database_url", "inventory_url"),
    ("payments", "payments_database_url", "payments_url"),
    ("checkout", "checkout_database_url", "checkout_url"),
];

impl Settings {
    /// What this process runs.
    #[must_use]
    pub fn part(&self) -> Part {
        let (roles, services) = (self.roles().unwrap_or_default(), self.services());
        Part { roles, services: services.unwrap_or_default() }
    }

    /// None if one is named that there is not.
    pub(super) fn roles(&self) -> Option<BTreeSet<Role>> {
        let role = |name| Role::ALL.into_iter().find(|role| role.name() == name);
        names(&self.role).map(role).collect()
    }

    /// The services that are here, in the order of the shop; none if one is named that there is not.
    pub(super) fn services(&self) -> Option<Vec<&'static str>> {
        let all = || SERVICES.iter().map(|(service, _)| *service);
        let known = names(&self.service).all(|name| all().any(|service| service == name));
        let here = |service: &&'static str| names(&self.service).any(|name| name == *service);
        known.then(|| all().filter(here).collect())
    }

    /// The database of a service, if it has one of its own.
    #[must_use]
    pub fn database_url_of(&self, service: &str) -> Option<&str> {
        let url = match service {
            "catalogue" => &self.catalogue_database_url,
            "orders" => &self.orders_database_url,
            "inventory" => &self.inventory_database_url,
            "payments" => &self.payments_database_url,
            "checkout" => &self.checkout_database_url,
            _ => &None,
        };
        url.as_ref().map(Secret::expose)
    }

    /// The database of each service that is here: its own, or the one of all.
    ///
    /// # Errors
    /// If an address of one cannot be read, or the authorities that Postgres is to be of.
    pub fn databases(&self, of_all: &Database) -> anyhow::Result<BTreeMap<&'static str, Database>> {
        let limits = self.limits.database();
        let trusted = self.database_ca.as_deref();
        let tls =
            trusted.map(|trusted| edge::tls::client(trusted, None)).transpose()?.map(Arc::new);
        let here = self.services().unwrap_or_default().into_iter();
        let database = |service| {
            let own = self.database_url_of(service).map(Database::parse).transpose()?;
            let known = own.unwrap_or_else(|| of_all.clone());
            Ok((service, Database { limits: limits.clone(), tls: tls.clone(), ..known }))
        };
        here.map(database).collect()
    }

    /// Where a service's commands and log are served.
    #[must_use]
    pub fn url_of(&self, service: &str) -> Option<&str> {
        let url = match service {
            "catalogue" => &self.catalogue_url,
            "orders" => &self.orders_url,
            "inventory" => &self.inventory_url,
            "payments" => &self.payments_url,
            "checkout" => &self.checkout_url,
            _ => &None,
        };
        url.as_deref()
    }

    /// A Postgres that is not embedded: the one of all, or one of those that each service here has.
    #[must_use]
    pub fn yours(&self) -> Option<&str> {
        let all = self.database_url.as_ref().map(Secret::expose);
        all.or_else(|| {
            let own = self.services()?.into_iter().map(|service| self.database_url_of(service));
            own.collect::<Option<Vec<_>>>()?.first().copied()
        })
    }
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}
