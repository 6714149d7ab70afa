//! The table of generations, and the tables of a generation.

use crate::{Layout, Place};
use deadpool_postgres::Transaction;
use event_store::StoreError;
use event_store::follow::ReadSide;
use std::collections::HashMap;

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

/// The live generation of this version; an empty one if there was none.
pub(super) async fn ensure(layout: &Layout, read: &ReadSide) -> Result<i32, StoreError> {
    let mut client = read.pool.get().await?;
    let tx = client.transaction().await?;
    lock(&tx, layout, read).await?;
    let generation = match live(&tx, layout, read).await? {
        Some(generation) => generation,
        None => {
            let place = add(&tx, layout, read, "live").await?;
            tx.batch_execute(&place.sql(layout.index)).await?;
            place.generation
        }
    };
    tx.commit().await?;
    Ok(generation)
}

/// The live generation of this version, if there is one.
pub(crate) async fn live(
    tx: &Transaction<'_>,
    layout: &Layout,
    read: &ReadSide,
) -> Result<Option<i32>, StoreError> {
    let sql = include_str!("live.sql").replace("{schema}", &read.schema);
    let row = tx.query_opt(&sql, &[&layout.name, &layout.version]).await?;
    Ok(row.map(|row| row.get(0)))
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
