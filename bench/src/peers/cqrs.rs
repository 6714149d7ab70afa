//! cqrs-es with postgres-es: a command is executed on an aggregate, which is loaded first.

use super::{METADATA_SQL, PAYLOAD_SQL, Peer, Placed, sqlx_pool};
use anyhow::{Result, anyhow};
use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use event_store::Database;
use postgres_es::{PostgresCqrs, postgres_cqrs};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::convert::Infallible;
use uuid::Uuid;

/// It has no migrator; these are the tables that its documentation lists.
pub const TABLES: &str = "
    create table events (aggregate_type text not null, aggregate_id text not null,
        sequence bigint check (sequence >= 0) not null, event_type text not null, event_version text not null,
        payload json not null, metadata json not null, primary key (aggregate_type, aggregate_id, sequence));
    create table snapshots (aggregate_type text not null, aggregate_id text not null,
        last_sequence bigint check (last_sequence >= 0) not null,
        current_snapshot bigint check (current_snapshot >= 0) not null, payload json not null,
        primary key (aggregate_type, aggregate_id, last_sequence));";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum OrderEvent {
    Placed(Placed),
}

impl DomainEvent for OrderEvent {
    fn event_type(&self) -> String {
        match self {
            OrderEvent::Placed(_) => "OrderPlaced".into(),
        }
    }

    fn event_version(&self) -> String {
        "1.0".into()
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Order {
    placed: bool,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = Placed;
    type Event = OrderEvent;
    type Error = Infallible;
    type Services = ();

    async fn handle(
        &mut self,
        command: Placed,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Infallible> {
        sink.write(OrderEvent::Placed(command), self).await;
        Ok(())
    }

    fn apply(&mut self, event: OrderEvent) {
        match event {
            OrderEvent::Placed(_) => self.placed = true,
        }
    }
}

pub struct PostgresEs(PostgresCqrs<Order>);

impl PostgresEs {
    pub async fn open(database: &Database, rows: i64) -> Result<Self> {
        let fill = format!(
            "{TABLES} insert into events select 'order', gen_random_uuid()::text, 1, 'OrderPlaced', '1.0', \
             json_build_object('Placed', {PAYLOAD_SQL}::json), {METADATA_SQL}::json \
             from generate_series(0, {rows} - 1) i"
        );
        database.connect("bench fill").await?.batch_execute(&fill).await?;
        Ok(PostgresEs(postgres_cqrs(sqlx_pool(database).await?, vec![], ())))
    }
}

#[async_trait]
impl Peer for PostgresEs {
    async fn append(&self, _caller: usize, number: u64) -> Result<()> {
        let order = Uuid::now_v7().to_string();
        let metadata = HashMap::from([
            ("correlation".to_owned(), Uuid::new_v4().to_string()),
            ("actor".to_owned(), "bench".to_owned()),
        ]);
        let done = self.0.execute_with_metadata(&order, Placed::new(number), metadata).await;
        done.map_err(|error| anyhow!("postgres-es: {error}"))
    }
}
