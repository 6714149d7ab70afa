//! The table of generations, and the tables of a generation.

use crate::{Layout, Place};
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use event_store::StoreError;
use event_store::follow::ReadSide;
use serde::Serialize;
use std::collections::HashMap;
use tokio_postgres::Row;

/// One process at a time changes which generations of a projection there are.
pub(crate) async fn lock(
    tx: &Transaction<'_>,
    layout: &Layout,
    read: &ReadSide,
) -> Result<(), StoreError> {
    let name = format!("generations of {}.{}", read.schema, layout.name);
    tx.query_one(include_str!("lock.sql"), &[&name]).await?;
    Ok(())
}

/// The live generation of this version; an empty one if there was none of any version.
pub(super) async fn ensure(layout: &Layout, read: &ReadSide) -> Result<Option<i32>, StoreError> {
    let mut client = read.pool.get().await?;
    let tx = client.transaction().await?;
    lock(&tx, layout, read).await?;
    let live = of_all_versions(&tx, layout, read).await?;
    let generation = match live.get(&layout.version) {
        Some(generation) => Some(*generation),
        None if !live.is_empty() => None,
        None => {
            let place = add(&tx, layout, read, "live").await?;
            tx.batch_execute(&place.sql(layout.index)).await?;
            Some(place.generation)
        }
    };
    tx.commit().await?;
    Ok(generation)
}

/// A set of tables that a projection was posted into.
#[derive(Clone, Debug, Serialize)]
pub struct Generation {
    pub projection: &'static str,
    pub version: i32,
    pub generation: i32,
    /// `live`, `old` or `building`.
    pub state: String,
    pub created_at: DateTime<Utc>,
    pub events: i64,
    pub bytes: i64,
}

/// The generations of a projection, the oldest first.
///
/// # Errors
/// If the database is out of reach.
pub async fn generations(layout: &Layout, read: &ReadSide) -> Result<Vec<Generation>, StoreError> {
    let client = read.pool.get().await?;
    let sql = include_str!("list.sql").replace("{schema}", &read.schema);
    let rows = client.query(&sql, &[&layout.name, &layout.tables]).await?;
    let generation = |row: &Row| Generation {
        projection: layout.name,
        version: row.get(0),
        generation: row.get(1),
        state: row.get(2),
        created_at: row.get(3),
        events: row.get(4),
        bytes: row.get(5),
    };
    Ok(rows.iter().map(generation).collect())
}

/// The live generation of this version, if there is one.
pub(crate) async fn live(
    tx: &Transaction<'_>,
    layout: &Layout,
    read: &ReadSide,
) -> Result<Option<i32>, StoreError> {
    Ok(of_all_versions(tx, layout, read).await?.get(&layout.version).copied())
}

/// The live generations of a projection by version.
async fn of_all_versions(
    tx: &Transaction<'_>,
    layout: &Layout,
    read: &ReadSide,
) -> Result<HashMap<i32, i32>, StoreError> {
    let sql = include_str!("live.sql").replace("{schema}", &read.schema);
    let rows = tx.query(&sql, &[&layout.name]).await?;
    Ok(rows.iter().map(|row| (row.get(1), row.get(0))).collect())
}

/// Makes the tables of another generation, without their indexes.
pub(crate) async fn add(
    tx: &Transaction<'_>,
    layout: &Layout,
    read: &ReadSide,
    state: &str,
) -> Result<Place, StoreError> {
    let sql = include_str!("add.sql").replace("{schema}", &read.schema);
    let row = tx.query_one(&sql, &[&layout.name, &layout.version, &state]).await?;
    let place = Place::new(read, row.get(0));
    tx.batch_execute(&place.sql(layout.create)).await?;
    Ok(place)
}

/// Drops a generation with its rows and checkpoints.
pub(crate) async fn drop_generation(
    tx: &Transaction<'_>,
    layout: &Layout,
    place: &Place,
) -> Result<(), StoreError> {
    for table in layout.tables {
        let sql = place.sql("drop table if exists {schema}.{table}_{g}").replace("{table}", table);
        tx.batch_execute(&sql).await?;
    }
    for text in [
        include_str!("drop_checkpoints.sql"),
        include_str!("drop_parked.sql"),
        include_str!("drop.sql"),
    ] {
        tx.execute(&place.sql(text), &[&layout.name, &place.generation]).await?;
    }
    Ok(())
}

/// The live generations by projection and version.
pub(super) async fn all_live(read: &ReadSide) -> Result<HashMap<(String, i32), i32>, StoreError> {
    let client = read.pool.get().await?;
    let sql = include_str!("all_live.sql").replace("{schema}", &read.schema);
    let statement = client.prepare_cached(&sql).await?;
    let rows = client.query(&statement, &[]).await?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect())
}

/// Whether the new generation has yet to post something that the old one has.
pub(super) async fn is_behind(
    read: &ReadSide,
    projection: &str,
    old: i32,
    new: i32,
) -> Result<bool, StoreError> {
    let client = read.pool.get().await?;
    let sql = include_str!("behind.sql").replace("{schema}", &read.schema);
    Ok(client.query_one(&sql, &[&projection, &old, &new]).await?.get(0))
}
