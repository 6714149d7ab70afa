//! disintegrate-postgres: a decision on a state that is queried by its id, in a serializable transaction.

use super::{PAYLOAD_SQL, Peer, Placed, sqlx_pool};
use anyhow::{Result, bail};
use async_trait::async_trait;
use disintegrate::serde::json::Json;
use disintegrate::{Decision, Event, NoSnapshot, StateMutate, StateQuery};
use disintegrate_postgres::{Error, PgDecisionMaker, PgEventStore, decision_maker};
use event_store::Database;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::convert::Infallible;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[stream(OrderEvent, [OrderPlaced])]
enum ShopEvent {
    OrderPlaced {
        #[id]
        order_id: Uuid,
        order: String,
        note: String,
    },
}

#[derive(Clone, Default, StateQuery, Serialize, Deserialize)]
#[state_query(OrderEvent)]
struct Order {
    #[id]
    order_id: Uuid,
    placed: bool,
}

impl StateMutate for Order {
    fn mutate(&mut self, event: OrderEvent) {
        match event {
            OrderEvent::OrderPlaced { .. } => self.placed = true,
        }
    }
}

#[derive(Clone)]
struct Place {
    order_id: Uuid,
    placed: Placed,
}

impl Decision for Place {
    type Event = ShopEvent;
    type StateQuery = Order;
    type Error = Infallible;

    fn state_query(&self) -> Order {
        Order { order_id: self.order_id, placed: false }
    }

    fn process(&self, _state: &Order) -> Result<Vec<ShopEvent>, Infallible> {
        let Placed { order, note } = self.placed.clone();
        Ok(vec![ShopEvent::OrderPlaced { order_id: self.order_id, order, note }])
    }
}

type Store = PgEventStore<ShopEvent, Json<ShopEvent>>;

pub struct Disintegrate(PgDecisionMaker<ShopEvent, Json<ShopEvent>, NoSnapshot>);

impl Disintegrate {
    pub async fn open(database: &Database, rows: i64) -> Result<Self> {
        let pool = sqlx_pool(database).await?;
        let store = match PgEventStore::try_new(pool.clone(), Json::default()).await {
            Ok(store) => store,
            Err(_before_16) => repaired(pool).await?,
        };
        let fill = format!(
            "insert into event (event_type, payload, order_id) select 'OrderPlaced', \
             convert_to({PAYLOAD_SQL}, 'UTF8'), gen_random_uuid() from generate_series(0, {rows} - 1) i"
        );
        database.connect("bench fill").await?.batch_execute(&fill).await?;
        Ok(Disintegrate(decision_maker(store, NoSnapshot)))
    }
}

/// Its migrator ends in the middle on a PostgreSQL before 16, which knows no hexadecimal integers. The rest by
/// hand: who writes says with shared advisory locks behind which event id, in two halves, and each id of an event
/// has a column and an index.
async fn repaired(pool: PgPool) -> Result<Store> {
    let rest = "
        create or replace function event_store_begin_epoch() returns void language sql as $$
          select pg_try_advisory_xact_lock_shared(
                   (select oid from pg_database where datname = current_database())::int, 0),
                 pg_try_advisory_xact_lock_shared(1, (last_value & 4294967295)::bit(32)::int),
                 pg_try_advisory_xact_lock_shared(2, (last_value >> 32)::bit(32)::int)
            from seq_event_event_id;
        $$;
        alter table event add column if not exists order_id uuid;
        create index if not exists idx_event_order_id on event (order_id) where order_id is not null;";
    sqlx::raw_sql(rest).execute(&pool).await?;
    Ok(PgEventStore::new_uninitialized(pool, Json::default()))
}

/// It sees a serialization failure as a conflict only at the commit; before that it is an error of the database.
fn is_conflict(error: &(dyn std::error::Error + 'static)) -> bool {
    match error.downcast_ref::<Error>() {
        Some(Error::Concurrency) => true,
        Some(Error::Database(sqlx::Error::Database(error))) => {
            error.code().as_deref() == Some("40001")
        }
        _ => false,
    }
}

#[async_trait]
impl Peer for Disintegrate {
    async fn append(&self, _caller: usize, number: u64) -> Result<()> {
        let place = Place { order_id: Uuid::now_v7(), placed: Placed::new(number) };
        loop {
            match self.0.make(place.clone()).await {
                Ok(_events) => return Ok(()),
                Err(disintegrate::DecisionError::StateStore(error)) if is_conflict(&*error) => {}
                Err(error) => bail!("disintegrate: {error:?}"),
            }
        }
    }
}
