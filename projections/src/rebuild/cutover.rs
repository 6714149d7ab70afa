use super::builder::{Builder, Targets};
use super::{Phase, RebuildError};
use crate::generation::{live, lock};
use std::sync::Arc;

/// Holds the followers of the live generation where they are, posts what they have posted and the new one
/// has not, and makes the new one live in the same transaction. Whoever reads it next sees nothing undone.
pub(super) async fn make_live(builder: &Arc<Builder>) -> Result<(), RebuildError> {
    let layout = builder.layout();
    let (read, place) = (&builder.read, &builder.place);
    let mut client = read.pool.get().await?;
    let tx = client.transaction().await?;
    // What was said to be live must be so after a crash too, and with it all that was posted before.
    tx.batch_execute("set local synchronous_commit = on").await?;
    lock(&tx, layout, read).await?;
    if let Some(generation) = live(&tx, layout, read).await? {
        let sql = place.sql(include_str!("lock_live.sql"));
        let rows = tx.query(&sql, &[&layout.name, &generation]).await?;
        let held: Targets = rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
        builder.advance(held, Phase::CatchingUp).await?;
    }
    let (make_old, make_live) = (include_str!("make_old.sql"), include_str!("make_live.sql"));
    tx.execute(&place.sql(make_old), &[&layout.name, &layout.version]).await?;
    let made = tx.execute(&place.sql(make_live), &[&layout.name, &place.generation]).await?;
    if made == 0 {
        tx.rollback().await?;
        return Err(RebuildError::Overtaken);
    }
    tx.commit().await?;
    Ok(())
}
