//! What a team writes that uses no framework: one table, one insert per event, a unique index that refuses the
//! second at a version.

use super::{METADATA_SQL, PAYLOAD_SQL, POOL, Peer, payload};
use anyhow::Result;
use async_trait::async_trait;
use chrono::Utc;
use deadpool_postgres::Pool;
use event_store::Database;
use uuid::Uuid;

/// The usual table.
pub const TABLE: &str = "create table plain (id bigserial primary key, stream text not null, version bigint not null, \
     event_id uuid not null, type text not null, payload json not null, metadata json not null, \
     occurred_at timestamptz not null, recorded_at timestamptz not null default clock_timestamp(), \
     unique (stream, version))";

/// The usual statement.
pub const INSERT: &str = "insert into plain (stream, version, event_id, type, payload, metadata, occurred_at) \
     values ($1, $2, $3, $4, $5::text::json, $6::text::json, $7)";

pub struct Insert(Pool);

impl Insert {
    pub async fn open(database: &Database, rows: i64) -> Result<Self> {
        let pool = database.pool("bench insert", POOL)?;
        let fill = format!(
            "{TABLE}; insert into plain (stream, version, event_id, type, payload, metadata, occurred_at) \
             select 'order-' || gen_random_uuid(), 1, gen_random_uuid(), 'order.placed', {PAYLOAD_SQL}::json, \
             {METADATA_SQL}::json, now() from generate_series(0, {rows} - 1) i"
        );
        pool.get().await?.batch_execute(&fill).await?;
        Ok(Insert(pool))
    }
}

/// One event at a version.
pub async fn insert(
    pool: &Pool,
    stream: &str,
    version: i64,
    event_type: &str,
    payload: &str,
) -> Result<()> {
    let client = pool.get().await?;
    let insert = client.prepare_cached(INSERT).await?;
    let metadata = format!(r#"{{"correlation":"{}","actor":"bench"}}"#, Uuid::new_v4());
    client
        .execute(
            &insert,
            &[&stream, &version, &Uuid::new_v4(), &event_type, &payload, &metadata, &Utc::now()],
        )
        .await?;
    Ok(())
}

#[async_trait]
impl Peer for Insert {
    async fn append(&self, _caller: usize, number: u64) -> Result<()> {
        let stream = format!("order-{}", Uuid::now_v7());
        insert(&self.0, &stream, 1, "order.placed", &payload(number)).await
    }
}
