//! What is done without a queue for each stream: read, decide, write at the version read, and from the beginning
//! if somebody else was sooner.

use super::{Reserve, pieces, reservation, stored};
use crate::peers::{POOL, insert, sqlx_pool};
use anyhow::{Result, anyhow};
use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, AggregateError, DomainEvent};
use deadpool_postgres::Pool;
use decider::Decider;
use domain::inventory::stock::{Command, Event, Rejection, State, Stock};
use event_store::Database;
use postgres_es::{PostgresCqrs, postgres_cqrs};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

/// Written as well as it can be without a queue: the folded state is kept, and only what is new is read.
#[derive(Clone)]
pub struct ByHand {
    pool: Pool,
    stream: String,
    /// The version, and the state at it.
    known: Arc<Mutex<(i64, State)>>,
    done: Arc<AtomicU64>,
}

impl ByHand {
    pub fn open(database: &Database) -> Result<Self> {
        let pool = database.pool("bench by hand", POOL)?;
        Ok(ByHand { pool, stream: String::new(), known: Arc::default(), done: Arc::default() })
    }

    pub async fn stocked(&self, stream: &str) -> Result<Self> {
        let (pool, stream) = (self.pool.clone(), stream.to_owned());
        let shelf = ByHand { pool, stream, known: Arc::default(), done: Arc::default() };
        for _ in 0..20 {
            let receive = Command::Receive { quantity: pieces(1_000_000)? };
            anyhow::ensure!(shelf.attempt(&receive).await?, "nobody else is there");
        }
        Ok(shelf)
    }

    pub async fn verify(&self, database: &Database) -> Result<()> {
        let reserved = format!(
            "plain where stream = '{}' and payload::text like '%stock.reserved%'",
            self.stream
        );
        stored(database, &reserved, self.done.load(Ordering::Relaxed)).await
    }

    async fn current(&self) -> Result<(i64, State)> {
        let (mut version, mut state) = self.known().clone();
        let client = self.pool.get().await?;
        let read = "select version, payload::text from plain where stream = $1 and version > $2 order by version";
        let read = client.prepare_cached(read).await?;
        for row in client.query(&read, &[&self.stream, &version]).await? {
            version = row.get(0);
            state = Stock::evolve(state, &serde_json::from_str(row.get(1))?);
        }
        let mut known = self.known();
        if known.0 < version {
            *known = (version, state.clone());
        }
        Ok((version, state))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, (i64, State)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False if somebody else was sooner.
    async fn attempt(&self, command: &Command) -> Result<bool> {
        let (version, state) = self.current().await?;
        for event in Stock::decide(&state, command)? {
            let payload = serde_json::to_string(&event)?;
            let inserted =
                insert::insert(&self.pool, &self.stream, version + 1, "stock", &payload).await;
            if let Err(error) = inserted {
                let sooner = error.downcast_ref::<tokio_postgres::Error>();
                let sooner = sooner.and_then(tokio_postgres::Error::code);
                return if sooner == Some(&SqlState::UNIQUE_VIOLATION) {
                    Ok(false)
                } else {
                    Err(error)
                };
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl Reserve for ByHand {
    async fn reserve(&self, over: &CancellationToken) -> Result<()> {
        let command = reservation()?;
        while !over.is_cancelled() {
            if self.attempt(&command).await? {
                self.done.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// An aggregate of cqrs-es around the shop's own decider.
#[derive(Default, Serialize, Deserialize)]
struct Shelf {
    #[serde(skip)]
    state: State,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Happened(Event);

impl DomainEvent for Happened {
    fn event_type(&self) -> String {
        "stock".into()
    }

    fn event_version(&self) -> String {
        "1.0".into()
    }
}

impl Aggregate for Shelf {
    const TYPE: &'static str = "stock";
    type Command = Command;
    type Event = Happened;
    type Error = Rejection;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Rejection> {
        for event in Stock::decide(&self.state, &command)? {
            sink.write(Happened(event), self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Happened) {
        self.state = Stock::evolve(std::mem::take(&mut self.state), &event.0);
    }
}

#[derive(Clone)]
pub struct PostgresEs {
    cqrs: Arc<PostgresCqrs<Shelf>>,
    stream: String,
    done: Arc<AtomicU64>,
}

impl PostgresEs {
    pub async fn open(database: &Database) -> Result<Self> {
        let cqrs = Arc::new(postgres_cqrs(sqlx_pool(database).await?, vec![], ()));
        Ok(PostgresEs { cqrs, stream: String::new(), done: Arc::default() })
    }

    pub async fn stocked(&self, stream: &str) -> Result<Self> {
        let (cqrs, stream) = (self.cqrs.clone(), stream.to_owned());
        let shelf = PostgresEs { cqrs, stream, done: Arc::default() };
        let receive = Command::Receive { quantity: pieces(1_000_000)? };
        anyhow::ensure!(shelf.attempt(&receive).await?, "nobody else is there");
        Ok(shelf)
    }

    pub async fn verify(&self, database: &Database) -> Result<()> {
        let reserved = format!(
            "events where aggregate_id = '{}' and payload::text like '%stock.reserved%'",
            self.stream
        );
        stored(database, &reserved, self.done.load(Ordering::Relaxed)).await
    }

    /// False if somebody else was sooner.
    async fn attempt(&self, command: &Command) -> Result<bool> {
        match self.cqrs.execute(&self.stream, command.clone()).await {
            Ok(()) => Ok(true),
            Err(AggregateError::AggregateConflict) => Ok(false),
            Err(error) => Err(anyhow!("postgres-es: {error}")),
        }
    }
}

#[async_trait]
impl Reserve for PostgresEs {
    async fn reserve(&self, over: &CancellationToken) -> Result<()> {
        let command = reservation()?;
        while !over.is_cancelled() {
            if self.attempt(&command).await? {
                self.done.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
        Ok(())
    }
}
