//! esrs: a command is handled by the manager on an aggregate's state, here one that has no events yet.

use super::{PAYLOAD_SQL, Peer, Placed, sqlx_pool};
use anyhow::Result;
use async_trait::async_trait;
use esrs::manager::AggregateManager;
use esrs::store::postgres::{PgStore, PgStoreBuilder};
use esrs::{Aggregate, AggregateState};
use event_store::Database;
use std::convert::Infallible;
use uuid::Uuid;

struct Order;

impl Aggregate for Order {
    /// Its table is called `order_events`.
    const NAME: &'static str = "order";
    type State = bool;
    type Command = Placed;
    type Event = Placed;
    type Error = Infallible;

    fn handle_command(_placed: &bool, command: Placed) -> Result<Vec<Placed>, Infallible> {
        Ok(vec![command])
    }

    fn apply_event(_placed: bool, _event: Placed) -> bool {
        true
    }
}

pub struct Esrs(AggregateManager<PgStore<Order>>);

impl Esrs {
    pub async fn open(database: &Database, rows: i64) -> Result<Self> {
        let store = PgStoreBuilder::new(sqlx_pool(database).await?).try_build().await?;
        let fill = format!(
            "insert into order_events (id, aggregate_id, payload, sequence_number) \
             select gen_random_uuid(), gen_random_uuid(), {PAYLOAD_SQL}::jsonb, 1 \
             from generate_series(0, {rows} - 1) i"
        );
        database.connect("bench fill").await?.batch_execute(&fill).await?;
        Ok(Esrs(AggregateManager::new(store)))
    }
}

#[async_trait]
impl Peer for Esrs {
    async fn append(&self, _caller: usize, number: u64) -> Result<()> {
        let state = AggregateState::with_id(Uuid::now_v7());
        match self.0.handle_command(state, Placed::new(number)).await? {
            Ok(_state) => Ok(()),
            Err(never) => match never {},
        }
    }
}
