use super::part::{Part, Role};
use anyhow::{Context, Result, bail};
use domain::checkout::checkout::Patience;
use edge::{Access, Lines};
use event_store::kafka::Brokers;
use event_store::{Database, LogSettings};
use std::collections::BTreeMap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Rates;
use crate::settings::Limits;

/// The services of the shop, each with its topic.
pub const SERVICES: [(&str, &str); 5] = [
    ("catalogue", "catalogue-events"),
    ("orders", "order-events"),
    ("inventory", "inventory-events"),
    ("payments", "payment-events"),
    ("checkout", "checkout-events"),
];

/// The topic of a service's log.
#[must_use]
pub fn topic_of(service: &str) -> Option<&'static str> {
    SERVICES.iter().find(|(name, _)| *name == service).map(|(_, topic)| *topic)
}

/// What a shop, or a part of one, is opened with.
#[derive(Clone, Debug)]
pub struct ShopSettings {
    pub part: Part,
    /// Of each service that is here, as a user who may create schemas and roles, or who may become the service's role
    /// where somebody else has laid them.
    pub databases: BTreeMap<&'static str, Database>,
    /// Where services that are not here are served.
    pub urls: BTreeMap<&'static str, String>,
    /// The connections to them.
    pub lines: Lines,
    pub partitions: u32,
    /// Connections for each log that append, that read, and for its followers.
    pub lanes: usize,
    pub readers: usize,
    pub followers: usize,
    pub topic_prefix: String,
    /// Known once Kafka is up; never, if there is none.
    pub brokers: watch::Receiver<Option<Brokers>>,
    pub shortcut: bool,
    pub accept_history: bool,
    pub access: Access,
    pub provider_url: String,
    pub provider_key: String,
    pub patience: Patience,
    /// How much one caller may ask for.
    pub rates: Rates,
    /// The least answer of a query that is compressed.
    pub compress_from_bytes: u64,
    pub limits: Limits,
    /// Told when callers are to be let go, before the shop is stopped.
    pub leaving: CancellationToken,
}

impl ShopSettings {
    pub(super) fn log(&self, service: &str) -> LogSettings {
        let database = self.databases[service].of_service(service);
        let settings = self.limits.log(LogSettings::new(service, self.partitions, database));
        LogSettings { lanes: self.lanes, readers: self.readers, ..settings }
    }

    /// What this process may open for a service: readers of the log; its lanes and turns, and those that write
    /// snapshots; followers, what they ask besides and their locks; queries; the relay; the price list's.
    fn connections(&self, service: &str) -> usize {
        let part = &self.part;
        let mut connections = self.readers;
        if part.appends() {
            let has_snapshots = ["catalogue", "inventory"].contains(&service);
            connections += self.lanes + self.limits.turns + usize::from(has_snapshots);
        }
        if part.has_followers(service) {
            connections += self.readers + self.followers + 1;
        }
        if part.has(Role::Queries) {
            connections += self.readers;
        }
        if part.has(Role::Relay) {
            connections += 1;
        }
        if part.runs(Role::Commands, "orders") && service == "orders" {
            connections += self.readers;
        }
        connections
    }

    /// The databases, each once, by the services whose database each is.
    pub(super) fn by_database(&self) -> Vec<(&Database, Vec<&'static str>)> {
        let mut databases: Vec<(&Database, Vec<&'static str>)> = Vec::new();
        for (service, database) in &self.databases {
            match databases.iter_mut().find(|(known, _)| known.config == database.config) {
                Some((_, services)) => services.push(service),
                None => databases.push((database, vec![service])),
            }
        }
        databases
    }
}

/// A pool that finds no connection at the height of a sale is found out at the start instead.
pub(super) async fn check_connections(settings: &ShopSettings) -> Result<()> {
    for (database, services) in settings.by_database() {
        let of = || format!("the database of {}", services.join(", "));
        let client = database.connect("daybook check").await.with_context(of)?;
        let row = client.query_one("show max_connections", &[]).await?;
        let most: usize = row.get::<_, &str>(0).parse()?;
        // One watches.
        let needed = services.iter().map(|it| settings.connections(it)).sum::<usize>() + 1;
        if needed + 5 > most {
            bail!(
                "this process may open {needed} connections to Postgres, which allows {most} in all: raise \
                 max_connections there, or lower `followers`, `readers` or `turns` here"
            );
        }
    }
    Ok(())
}
