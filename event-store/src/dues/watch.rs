use crate::follow::ReadSide;
use crate::{Progress, StoreError, Watermark};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Watches a [`DueWorker`](super::DueWorker) from the outside. Behind it is by what has come due and nobody has
/// taken on; what is tried again and again is late, but the worker's business is done.
pub struct DueWatch {
    pub(super) name: String,
    pub(super) read: ReadSide,
    /// Before the name of each stream.
    pub(super) prefix: String,
    /// Goes up with all that the worker does.
    pub(super) acted: Arc<AtomicI64>,
    pub(super) watermark: Watermark,
    pub(super) behind: i64,
    pub(super) answer: Duration,
}

const WAITING: &str = "select count(*) from (select from {schema}.due \
     where greatest(due_at, put_off_until) <= now() and lease_until <= now() and starts_with(stream, $1) \
     limit 10000) waiting";

impl DueWatch {
    /// Looks again; should be done every few seconds.
    pub async fn look(&mut self) -> Progress {
        let asked = tokio::time::timeout(self.answer, self.waiting()).await;
        if let Ok(Ok(waiting)) = asked {
            self.behind = waiting;
        }
        let still = self.watermark.look(self.acted.load(Ordering::Relaxed), self.behind);
        Progress { name: self.name.clone(), behind: self.behind, still }
    }

    async fn waiting(&self) -> Result<i64, StoreError> {
        let client = self.read.pool.get().await?;
        let statement = client.prepare_cached(&self.read.sql(WAITING)).await?;
        Ok(client.query_one(&statement, &[&self.prefix]).await?.get(0))
    }
}
