use super::{Phase, Progress, RebuildError};
use crate::{Layout, Place, Posting, Projection};
use event_store::Log;
use event_store::follow::{
    ApplyError, Batch, Checkpoint, Posted, ReadSide, discarded, is_worked, post,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Partitions that are posted at the same time.
const WORKERS: usize = 4;
/// Events in one transaction.
const BATCH: i64 = 2_000;
/// So near to the live generation the rest can be posted while that one waits.
const NEAR: i64 = 2_000;
/// Rounds of catching up, in each of which what is left shrinks, before the live generation has to wait.
const ROUNDS: usize = 50;
/// A batch that fails for a connection, a lock or a resource is tried again so often.
const TRIES: u32 = 8;
const RETRY_FIRST: Duration = Duration::from_millis(50);

/// Fills a generation.
pub(super) struct Builder {
    pub(super) place: Place,
    pub(super) read: ReadSide,
    projection: Arc<dyn Projection>,
    posting: Posting,
    logs: Vec<Log>,
    began: Instant,
    done: AtomicU64,
    total: AtomicU64,
    left_out: AtomicU64,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// Up to which offset each partition of each log is to be posted.
pub(super) type Targets = HashMap<(String, i32), i64>;

impl Builder {
    pub(super) fn new(
        projection: Arc<dyn Projection>,
        place: Place,
        read: ReadSide,
        logs: Vec<Log>,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Self {
        let posting = Posting { projection: projection.clone(), place: place.clone() };
        let (done, total, left_out) = Default::default();
        let began = Instant::now();
        Builder { place, read, projection, posting, logs, began, done, total, left_out, progress }
    }

    pub(super) fn layout(&self) -> &'static Layout {
        self.projection.layout()
    }

    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    pub(super) fn report(&self, phase: Phase) {
        let done = self.done();
        let rate = done as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        let total = self.total.load(Ordering::Relaxed).max(done);
        (self.progress)(Progress { projection: self.layout().name, phase, done, total, rate });
    }

    /// Posts what the log holds now.
    pub(super) async fn fill(self: &Arc<Self>) -> Result<(), RebuildError> {
        let targets = self.targets().await?;
        let total = targets.values().sum::<i64>();
        self.total.store(u64::try_from(total).unwrap_or(0), Ordering::Relaxed);
        self.report(Phase::Filling);
        self.advance(targets, Phase::Filling).await
    }

    pub(super) async fn index(&self) -> Result<(), RebuildError> {
        self.report(Phase::Indexing);
        let client = self.read.pool.get().await?;
        client.batch_execute(&self.place.sql(self.layout().index)).await?;
        for table in self.layout().tables {
            let sql = self.place.sql("analyze {schema}.{table}_{g}").replace("{table}", table);
            client.batch_execute(&sql).await?;
        }
        Ok(())
    }

    /// Posts what came meanwhile, until little is left.
    pub(super) async fn catch_up(self: &Arc<Self>) -> Result<(), RebuildError> {
        for _ in 0..ROUNDS {
            let targets = self.targets().await?;
            let here = self.checkpoints(self.place.generation).await?;
            let left = |(part, to): (&(String, i32), &i64)| {
                to - here.get(part).map_or(0, |checkpoint| checkpoint.next_offset)
            };
            let left: i64 = targets.iter().map(left).filter(|left| *left > 0).sum();
            self.advance(targets, Phase::CatchingUp).await?;
            if left <= NEAR {
                break;
            }
        }
        Ok(())
    }

    /// Where the live generation is, which the new one never passes: whoever compares the two does so at one
    /// position. Where nobody follows, or the live checkpoint names an event that the log lost, it is the
    /// head.
    async fn targets(&self) -> Result<Targets, RebuildError> {
        let name = self.layout().name;
        let live = self.live().await?;
        let posted = match live {
            Some(generation) => self.checkpoints(generation).await?,
            None => HashMap::new(),
        };
        let mut targets = Targets::new();
        for log in &self.logs {
            let heads = log.heads().await?;
            for (partition, head) in (0..log.partitions()).zip(heads) {
                let part = (log.service().to_string(), partition);
                let target = match (live, posted.get(&part)) {
                    (Some(generation), Some(checkpoint))
                        if is_worked(&self.read, name, generation, log.service(), partition)
                            .await?
                            && checkpoint.is_valid(log, partition).await? =>
                    {
                        checkpoint.next_offset
                    }
                    (Some(_) | None, Some(_) | None) => head,
                };
                targets.insert(part, target);
            }
        }
        Ok(targets)
    }

    async fn live(&self) -> Result<Option<i32>, RebuildError> {
        let mut client = self.read.pool.get().await?;
        let tx = client.transaction().await?;
        Ok(crate::generation::live(&tx, self.layout(), &self.read).await?)
    }

    async fn checkpoints(
        &self,
        generation: i32,
    ) -> Result<HashMap<(String, i32), Checkpoint>, RebuildError> {
        let client = self.read.pool.get().await?;
        let sql = self.place.sql(include_str!("checkpoints.sql"));
        let rows = client.query(&sql, &[&self.layout().name, &generation]).await?;
        let checkpoint = |row: &tokio_postgres::Row| {
            let next_offset = row.get(2);
            (
                (row.get(0), row.get(1)),
                Checkpoint { next_offset, epoch: row.get(3), last_event_id: row.get(4) },
            )
        };
        Ok(rows.iter().map(checkpoint).collect())
    }

    /// Posts each partition up to its target, a few at a time.
    pub(super) async fn advance(
        self: &Arc<Self>,
        targets: Targets,
        phase: Phase,
    ) -> Result<(), RebuildError> {
        let slots = Arc::new(Semaphore::new(WORKERS));
        let mut tasks = JoinSet::new();
        for ((service, partition), target) in targets {
            let (builder, slots) = (self.clone(), slots.clone());
            tasks.spawn(async move {
                // Nobody closes it.
                let _slot = slots.acquire().await;
                builder.advance_partition(&service, partition, target, phase).await
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn advance_partition(
        &self,
        service: &str,
        partition: i32,
        target: i64,
        phase: Phase,
    ) -> Result<(), RebuildError> {
        let Some(log) = self.logs.iter().find(|log| **log.service() == *service) else {
            return Ok(());
        };
        let generation = self.place.generation;
        let mut at =
            Checkpoint::load(&self.read, &self.posting, generation, log, partition).await?;
        let left_out = discarded(&self.read, self.layout().name, service, partition).await?;
        while at.next_offset < target {
            let limit = BATCH.min(target - at.next_offset);
            let page = log.read_partition(partition, at.next_offset, limit).await?;
            let batch = Batch::new(at.clone(), page.into_iter().map(Arc::new).collect());
            // The live generation has posted what the log lost since; the log is the truth.
            let Some(mut batch) = batch else { break };
            let count = batch.len();
            batch.events.retain(|event| !left_out.contains(&event.event_id));
            self.left_out.fetch_add((count - batch.len()) as u64, Ordering::Relaxed);
            self.post(&batch).await?;
            self.done.fetch_add(count as u64, Ordering::Relaxed);
            at = batch.end;
            self.report(phase);
        }
        Ok(())
    }

    async fn post(&self, batch: &Batch) -> Result<(), RebuildError> {
        let (batch, mut pause) = (std::slice::from_ref(batch), RETRY_FIRST);
        for last in (1..=TRIES).map(|tried| tried == TRIES) {
            match post(&self.read, &self.posting, self.place.generation, batch).await {
                Ok(Posted::Here) => break,
                Ok(Posted::Overtaken) => return Err(RebuildError::Overtaken),
                Err(ApplyError::Transient(why)) if !last => {
                    tracing::debug!(why, "a batch of a rebuild is tried again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
