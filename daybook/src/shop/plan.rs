use anyhow::{Result, bail};
use domain::checkout::checkout::Patience;
use event_store::{Database, LogSettings};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

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

/// What a shop is opened with.
#[derive(Clone, Debug)]
pub struct ShopSettings {
    /// As a user who may create schemas and roles.
    pub database: Database,
    pub partitions: u32,
    /// Connections for each log that append, that read, and for its followers.
    pub lanes: usize,
    pub readers: usize,
    pub followers: usize,
    pub topic_prefix: String,
    /// Known once Kafka is up; never, if there is none.
    pub brokers: watch::Receiver<Option<String>>,
    pub shortcut: bool,
    pub accept_history: bool,
    pub provider_url: String,
    pub provider_key: String,
    pub patience: Patience,
    pub limits: Limits,
    /// Told when callers are to be let go, before the shop is stopped.
    pub leaving: CancellationToken,
}

impl ShopSettings {
    pub(super) fn log(&self, service: &str) -> LogSettings {
        let database = self.database.of_service(service);
        let settings = self.limits.log(LogSettings::new(service, self.partitions, database));
        LogSettings { lanes: self.lanes, readers: self.readers, ..settings }
    }

    /// For each service its lanes, its turns, readers of the log, queries, followers, what they ask besides, the locks
    /// and the relay; the price list's, those that write snapshots of products and stock, and one to watch.
    fn connections(&self) -> usize {
        let turns = self.limits.turns;
        let service = self.lanes + turns + 3 * self.readers + self.followers + 2;
        SERVICES.len() * service + self.readers + 3
    }
}

/// A pool that finds no connection at the height of a sale is found out at the start instead.
pub(super) async fn check_connections(settings: &ShopSettings) -> Result<()> {
    let client = settings.database.connect("daybook check").await?;
    let row = client.query_one("show max_connections", &[]).await?;
    let most: usize = row.get::<_, &str>(0).parse()?;
    let needed = settings.connections();
    if needed + 5 > most {
        bail!(
            "this process may open {needed} connections to Postgres, which allows {most} in all: raise \
             max_connections there, or lower `followers`, `readers` or `turns` here"
        );
    }
    Ok(())
}
