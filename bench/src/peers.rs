//! Who appends: Daybook's log and its peers, each as its own documentation says, with the same 200 bytes of JSON
//! and, where there is a pool, 16 connections.

pub mod cqrs;
pub mod daybook;
mod disintegrate;
mod esrs;
pub mod insert;
pub mod message_db;

pub use daybook::Ours;

use crate::servers::{Login, Servers};
use anyhow::Result;
use async_trait::async_trait;
use event_store::Database;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::sync::Arc;

/// More than this gains nobody anything on a few cores.
pub const POOL: usize = 16;

#[async_trait]
pub trait Peer: Send + Sync {
    /// One event on a stream that nobody has used.
    async fn append(&self, caller: usize, number: u64) -> Result<()>;
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Daybook,
    Insert,
    MessageDb,
    /// It locks a category until the commit, so this is its best case.
    MessageDbCategories,
    PostgresEs,
    Disintegrate,
    Esrs,
}

impl Kind {
    pub const ALL: [Kind; 7] = [
        Kind::Daybook,
        Kind::Insert,
        Kind::MessageDb,
        Kind::MessageDbCategories,
        Kind::PostgresEs,
        Kind::Disintegrate,
        Kind::Esrs,
    ];

    pub fn is_framework(self) -> bool {
        !matches!(self, Kind::Daybook | Kind::Insert)
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Daybook => "daybook",
            Kind::Insert => "plain insert",
            Kind::MessageDb => "message-db, one category",
            Kind::MessageDbCategories => "message-db, a category per caller",
            Kind::PostgresEs => "postgres-es",
            Kind::Disintegrate => "disintegrate-postgres",
            Kind::Esrs => "esrs",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Kind::Daybook => "shop.event",
            Kind::Insert => "plain",
            Kind::MessageDb | Kind::MessageDbCategories => "message_store.messages",
            Kind::PostgresEs => "events",
            Kind::Disintegrate => "event",
            Kind::Esrs => "order_events",
        }
    }
}

/// A contestant with a database of its own, in which `rows` events of others stand already: on an empty table
/// some of them are faster, and one has conflicts with itself.
#[derive(Clone)]
pub struct Contestant {
    pub kind: Kind,
    pub peer: Arc<dyn Peer>,
    pub database: Database,
    name: String,
    /// That must be in its table.
    expected: i64,
}

impl Contestant {
    pub async fn open(servers: &Servers, bench: &str, kind: Kind, rows: i64) -> Result<Self> {
        let table = kind.table().replace('.', "_");
        let shared = if kind == Kind::MessageDbCategories { "_each" } else { "" };
        let name = format!("{bench}_{table}{shared}");
        let database = servers.database(&name).await?;
        let peer: Arc<dyn Peer> = match kind {
            Kind::Daybook => Arc::new(Ours::open(&database, rows).await?),
            Kind::Insert => Arc::new(insert::Insert::open(&database, rows).await?),
            Kind::MessageDb => Arc::new(message_db::MessageDb::open(&database, rows, false).await?),
            Kind::MessageDbCategories => {
                Arc::new(message_db::MessageDb::open(&database, rows, true).await?)
            }
            Kind::PostgresEs => Arc::new(cqrs::PostgresEs::open(&database, rows).await?),
            Kind::Disintegrate => {
                Arc::new(disintegrate::Disintegrate::open(&database, rows).await?)
            }
            Kind::Esrs => Arc::new(esrs::Esrs::open(&database, rows).await?),
        };
        let client = database.connect("bench").await?;
        client.batch_execute("analyze").await?;
        Ok(Contestant { kind, peer, database, name, expected: rows })
    }

    /// That so many events more are in its table, and none besides.
    pub async fn verify(&mut self, appended: u64) -> Result<()> {
        self.expected += i64::try_from(appended)?;
        let stored = count(&self.database, self.kind.table()).await?;
        let Contestant { expected, kind, .. } = self;
        anyhow::ensure!(stored == *expected, "{}: {stored} rows, not {expected}", kind.name());
        Ok(())
    }

    pub async fn close(self, servers: &Servers) -> Result<()> {
        drop(self.peer);
        servers.drop_database(&self.name).await
    }
}

pub async fn count(database: &Database, table: &str) -> Result<i64> {
    let client = database.connect("bench count").await?;
    Ok(client.query_one(&format!("select count(*) from {table}"), &[]).await?.get(0))
}

/// What every event carries: 198 bytes as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub order: String,
    pub note: String,
}

impl Placed {
    pub fn new(number: u64) -> Self {
        Placed { order: format!("{number:036}"), note: "x".repeat(140) }
    }
}

/// The same as text.
pub fn payload(number: u64) -> String {
    format!(r#"{{"order":"{number:036}","note":"{}"}}"#, "x".repeat(140))
}

/// The same in SQL, for row `i`.
pub const PAYLOAD_SQL: &str =
    r#"('{"order":"' || lpad(i::text, 36, '0') || '","note":"' || repeat('x', 140) || '"}')"#;

pub const METADATA_SQL: &str =
    r#"('{"correlation":"' || gen_random_uuid() || '","actor":"bench"}')"#;

/// What the frameworks ask for.
pub async fn sqlx_pool(database: &Database) -> Result<PgPool> {
    let pool = PgPoolOptions::new().max_connections(u32::try_from(POOL)?);
    Ok(pool.connect(&Login::to(database)?.url()).await?)
}

/// As they were built: the frameworks' as Cargo locked them, Message DB's as its package says.
pub fn versions() -> String {
    let lock = include_str!("../Cargo.lock");
    let of = |name: &str| {
        let package =
            lock.split("[[package]]").find(|p| p.contains(&format!("name = \"{name}\"\n")));
        let version = package.and_then(|p| p.split("version = \"").nth(1)?.split('"').next());
        format!("{name} {}", version.unwrap_or("unknown"))
    };
    let built =
        ["postgres-es", "cqrs-es", "disintegrate-postgres", "esrs", "sqlx", "tokio-postgres"];
    format!("message-db {}, {}", message_db::version(), built.map(of).join(", "))
}
