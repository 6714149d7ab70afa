use super::builder::{Builder, Targets};
use super::{Phase, RebuildError};
use crate::compare::Snapshot;
use crate::generation::{live, lock};
use deadpool_postgres::Transaction;
use event_store::StoreError;
use event_store::failpoint::failpoint;
use std::sync::Arc;

/// Holds the followers of the live generation where they are for as long as it takes to post what they have posted
/// and the new one has not, and fixes that moment: in it both have posted the same.
pub(super) async fn meet(builder: &Arc<Builder>) -> Result<Snapshot, RebuildError> {
    let gentle = builder.is_served().await?;
    let mut client = builder.read.pool.get().await?;
    let tx = client.transaction().await?;
    hold(builder, &tx).await?;
    let met = Snapshot::open(&builder.read, gentle).await?;
    tx.rollback().await?;
    Ok(met)
}

/// Holds the followers of the live generation where they are, posts what they have posted and the new one
/// has not, and makes the new one live in the same transaction. Whoever reads it next sees nothing undone.
pub(super) async fn make_live(builder: &Arc<Builder>) -> Result<(), RebuildError> {
    let (layout, place) = (builder.layout(), &builder.place);
    let mut client = builder.read.pool.get().await?;
    let tx = client.transaction().await?;
    // What was said to be live must be so after a crash too, and with it all that was posted before.
    tx.batch_execute("set local synchronous_commit = on").await?;
    // First of all, for it may have to wait: whoever stops meanwhile can still drop what was built.
    hold(builder, &tx).await?;
    lock(&tx, layout, &builder.read).await?;
    let (make_old, make_live) = (include_str!("make_old.sql"), include_str!("make_live.sql"));
    tx.execute(&place.sql(make_old), &[&layout.name, &layout.version]).await?;
    let made = tx.execute(&place.sql(make_live), &[&layout.name, &place.generation]).await?;
    if made == 0 {
        tx.rollback().await?;
        return Err(RebuildError::Overtaken);
    }
    failpoint("rebuild-before-cutover");
    let Err(lost) = tx.commit().await else { return Ok(()) };
    drop(client);
    // It may have come to pass: what did not come is its answer.
    let tell = || builder.report(Phase::CatchingUp);
    match builder.patience.look_up(|| is_live(builder), tell).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(lost.into()),
        Err(why) => {
            let (projection, generation) = (layout.name, place.generation);
            Err(RebuildError::Unknown { projection, generation, why })
        }
    }
}

/// Whether it is the live one. Whoever was to make it so holds the generations until he has, or never will.
async fn is_live(builder: &Builder) -> Result<bool, StoreError> {
    let mut client = builder.read.pool.get().await?;
    let tx = client.transaction().await?;
    lock(&tx, builder.layout(), &builder.read).await?;
    let live = live(&tx, builder.layout(), &builder.read).await?;
    Ok(live == Some(builder.place.generation))
}

async fn hold(builder: &Arc<Builder>, tx: &Transaction<'_>) -> Result<(), RebuildError> {
    let Some((generation, _)) = builder.live() else { return Ok(()) };
    let sql = builder.place.sql(include_str!("lock_live.sql"));
    let rows = tx.query(&sql, &[&builder.layout().name, &generation]).await?;
    let held: Targets = rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
    builder.advance_at_once(held).await
}
