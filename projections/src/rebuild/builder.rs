use super::aside::Aside;
use super::gentle::Gentle;
use super::patience::{self, Patience};
use super::{Done, Phase, Progress, RebuildError, Tell, Unit};
use crate::{Layout, Place, Posting, Projection};
use event_store::Recorded;
use event_store::follow::{
    ApplyError, Batch, Checkpoint, Posted, ReadSide, Source, is_worked, post,
};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

/// Partitions that are posted at the same time.
const WORKERS: usize = 4;
/// So near to the live generation the rest can be posted while that one waits; and while somebody serves.
const NEAR: i64 = 2_000;
const NEAR_WHO_SERVES: i64 = 200;
/// Rounds of catching up, in each of which what is left shrinks, before the live generation has to wait.
const ROUNDS: usize = 50;
/// A batch that fails for a connection, a lock or a resource is tried again so often.
const TRIES: u32 = 8;
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// While the live generation is so many events behind the log, and catches up, the rebuild stands back.
const BEHIND: i64 = 500;
/// How often that is looked at, and how soon a worker that stands back looks again.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const STAND_BACK: Duration = Duration::from_millis(20);

/// Fills a generation.
pub(super) struct Builder {
    pub(super) place: Place,
    pub(super) read: ReadSide,
    projection: Arc<dyn Projection>,
    posting: Posting,
    logs: Vec<Source>,
    began: Instant,
    done: AtomicU64,
    total: AtomicU64,
    left_out: AtomicU64,
    parked: AtomicU64,
    /// The live generation and its version: of this version, else of the newest other.
    live: Option<(i32, i32)>,
    /// Whether it goes where the live generation is, though nobody works that one.
    exactly: AtomicBool,
    stands_back: AtomicBool,
    /// Whether a process works the live generation, and so serves.
    serves: AtomicBool,
    /// How many events a second others append.
    grows: AtomicU64,
    /// The pace then, held by the one who posts: one partition at a time.
    gentle: Mutex<Gentle>,
    pub(super) patience: Patience,
    tell: Tell,
}

/// Up to which offset each partition of each log is to be posted.
pub(super) type Targets = HashMap<(String, i32), i64>;

impl Builder {
    pub(super) async fn new(
        projection: Arc<dyn Projection>,
        place: Place,
        read: ReadSide,
        logs: Vec<Source>,
        (began, tell): (Instant, Tell),
    ) -> Result<Self, RebuildError> {
        let (fills, place_of_it) = (true, place.clone());
        let posting = Posting { projection: projection.clone(), place: place_of_it, fills };
        let (done, total, left_out, parked, stands_back, exactly) = Default::default();
        let (serves, grows, gentle, patience) = Default::default();
        let layout = projection.layout();
        let client = read.pool.get().await?;
        let sql = place.sql(include_str!("reference.sql"));
        let live = client.query_opt(&sql, &[&layout.name, &layout.version]).await?;
        let live = live.map(|row| (row.get(0), row.get(1)));
        drop(client);
        Ok(Builder {
            place,
            read,
            projection,
            posting,
            logs,
            began,
            done,
            total,
            left_out,
            parked,
            live,
            exactly,
            stands_back,
            serves,
            grows,
            gentle,
            patience,
            tell,
        })
    }

    /// Whether it goes where the live generation is, or to the log's end where nobody works that one.
    pub(super) fn stops_exactly(&self, exactly: bool) {
        self.exactly.store(exactly, Ordering::Relaxed);
    }

    /// Tells how far it is of what another one had to do.
    pub(super) fn counting_as(self, first: &Builder) -> Self {
        Builder { total: first.done().into(), ..self }
    }

    pub(super) fn logs(&self) -> Vec<Source> {
        self.logs.clone()
    }

    pub(super) fn live(&self) -> Option<(i32, i32)> {
        self.live
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

    pub(super) fn parked(&self) -> u64 {
        self.parked.load(Ordering::Relaxed)
    }

    pub(super) fn report(&self, phase: Phase) {
        let (done, total) = (self.done(), self.total.load(Ordering::Relaxed));
        self.report_done(phase, &Done { done, total, of: Unit::Events, began: self.began });
    }

    fn report_done(&self, phase: Phase, done: &Done) {
        let (stands_back, waits) = (self.stands_back(), self.patience.why());
        (self.tell)(Progress::of(self.layout().name, phase, (stands_back, waits), done));
    }

    /// To be told how many pages were compared, of how many.
    pub(super) fn comparing(&self) -> impl Fn(u64, u64) + Send + Sync {
        let began = Instant::now();
        move |done, total| {
            let done = Done { done, total, of: Unit::Pages, began };
            self.report_done(Phase::Verifying, &done);
        }
    }

    fn stands_back(&self) -> bool {
        self.stands_back.load(Ordering::Relaxed)
    }

    /// Posts what the log holds now.
    pub(super) async fn fill(self: &Arc<Self>) -> Result<(), RebuildError> {
        let targets = self.targets(Phase::Filling).await?;
        let total = targets.values().sum::<i64>();
        self.total.store(u64::try_from(total).unwrap_or(0), Ordering::Relaxed);
        self.report(Phase::Filling);
        self.advance(targets, Phase::Filling).await
    }

    pub(super) async fn index(&self) -> Result<(), RebuildError> {
        self.report(Phase::Indexing);
        let serves = self.is_served().await?;
        let mut client = self.read.pool.get().await?;
        let tx = client.transaction().await?;
        if serves {
            // Who asks has the other cores.
            tx.batch_execute("set local max_parallel_maintenance_workers = 0").await?;
        }
        tx.batch_execute(&self.place.sql(self.layout().index)).await?;
        for table in self.layout().tables {
            let sql = self.place.sql("analyze {schema}.{table}_{g}").replace("{table}", table);
            tx.batch_execute(&sql).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Posts what came meanwhile, until little is left.
    pub(super) async fn catch_up(self: &Arc<Self>) -> Result<(), RebuildError> {
        for _ in 0..ROUNDS {
            let targets = self.targets(Phase::CatchingUp).await?;
            let here = self.checkpoints(self.place.generation).await?;
            let left = |(part, to): (&(String, i32), &i64)| {
                to - here.get(part).map_or(0, |checkpoint| checkpoint.next_offset)
            };
            let left: i64 = targets.iter().map(left).filter(|left| *left > 0).sum();
            let total = self.done() + u64::try_from(left).unwrap_or(0);
            self.total.store(total, Ordering::Relaxed);
            self.advance(targets, Phase::CatchingUp).await?;
            let near = if self.is_served().await? { NEAR_WHO_SERVES } else { NEAR };
            if left <= near {
                break;
            }
        }
        Ok(())
    }

    /// Where the live generation is, which the new one never passes: whoever compares the two does so at one
    /// position. Where nobody follows, or the live checkpoint names an event that the log lost, it is the
    /// head.
    async fn targets(&self, phase: Phase) -> Result<Targets, RebuildError> {
        let name = self.layout().name;
        let live = self.live.map(|(generation, _)| generation);
        let posted = match live {
            Some(generation) => self.checkpoints(generation).await?,
            None => HashMap::new(),
        };
        let mut targets = Targets::new();
        let tell = || self.report(phase);
        for log in &self.logs {
            let heads = self.patience.ask(|| log.heads(), patience::LONG, tell).await?;
            for (partition, head) in (0..log.partitions()).zip(heads) {
                let part = (log.service().to_string(), partition);
                let target = match (live, posted.get(&part)) {
                    (Some(generation), Some(checkpoint))
                        if (self.exactly.load(Ordering::Relaxed)
                            || is_worked(
                                &self.read,
                                name,
                                generation,
                                log.service(),
                                partition,
                            )
                            .await?)
                            && self
                                .patience
                                .ask(|| checkpoint.is_valid(log, partition), patience::LONG, tell)
                                .await? =>
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

    pub(super) async fn checkpoints(
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

    /// Posts each partition up to its target, a few at a time, and stands back while the live generation is behind.
    pub(super) async fn advance(
        self: &Arc<Self>,
        targets: Targets,
        phase: Phase,
    ) -> Result<(), RebuildError> {
        self.advance_giving_way(targets, phase, true).await
    }

    /// The same while the live generation waits for it.
    pub(super) async fn advance_at_once(
        self: &Arc<Self>,
        targets: Targets,
    ) -> Result<(), RebuildError> {
        self.advance_giving_way(targets, Phase::CatchingUp, false).await
    }

    async fn advance_giving_way(
        self: &Arc<Self>,
        targets: Targets,
        phase: Phase,
        gives_way: bool,
    ) -> Result<(), RebuildError> {
        if gives_way {
            // Before the first step: who serves is seen at once.
            self.serves.store(self.is_served().await?, Ordering::Relaxed);
        }
        let patience = if gives_way { patience::LONG } else { patience::SHORT };
        let slots = Arc::new(Semaphore::new(WORKERS));
        let mut tasks = JoinSet::new();
        for ((service, partition), target) in targets {
            let (builder, slots) = (self.clone(), slots.clone());
            tasks.spawn(async move {
                // Nobody closes it.
                let _slot = slots.acquire().await;
                builder.advance_partition(&service, partition, target, (phase, patience)).await
            });
        }
        let work = async {
            while let Some(ended) = tasks.join_next().await {
                ended??;
            }
            Ok(())
        };
        let done = tokio::select! {
            done = work => done,
            never = self.watch_live(phase), if gives_way => match never {},
        };
        self.stands_back.store(false, Ordering::Relaxed);
        self.serves.store(false, Ordering::Relaxed);
        done
    }

    /// Keeps an eye on the live generation: people wait for it, and for nothing here.
    async fn watch_live(&self, phase: Phase) -> Infallible {
        let (mut before, mut head_before, mut looked) = (i64::MAX, i64::MAX, Instant::now());
        loop {
            // Who cannot be asked is not waited for.
            let (posted, head) = self.live_and_head().await.unwrap_or((head_before, head_before));
            self.serves.store(self.is_served().await.unwrap_or(false), Ordering::Relaxed);
            let more = u64::try_from(head.saturating_sub(head_before)).unwrap_or(0);
            let grows = (more as f64 / looked.elapsed().as_secs_f64()).ceil();
            self.grows.store(grows as u64, Ordering::Relaxed);
            looked = Instant::now();
            let stands_back = head - posted > BEHIND && before < posted;
            (before, head_before) = (posted, head);
            if self.stands_back.swap(stands_back, Ordering::Relaxed) != stands_back {
                self.report(phase);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(super) async fn is_served(&self) -> Result<bool, RebuildError> {
        let Some((generation, _)) = self.live else { return Ok(false) };
        for log in &self.logs {
            let (name, service) = (self.layout().name, log.service());
            if is_worked(&self.read, name, generation, service, 0).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many events the live generation has posted, of how many.
    async fn live_and_head(&self) -> Result<(i64, i64), RebuildError> {
        let Some((generation, _)) = self.live else { return Ok((0, 0)) };
        let posted = self.checkpoints(generation).await?;
        let posted = posted.values().map(|at| at.next_offset).sum::<i64>();
        let mut head = 0;
        for log in &self.logs {
            head += log.heads().await?.iter().sum::<i64>();
        }
        Ok((posted, head))
    }

    async fn advance_partition(
        &self,
        service: &str,
        partition: i32,
        target: i64,
        (phase, patience): (Phase, Duration),
    ) -> Result<(), RebuildError> {
        let Some(log) = self.logs.iter().find(|log| **log.service() == *service) else {
            return Ok(());
        };
        let (generation, most) = (self.place.generation, self.projection.filled_at_once());
        let mut at =
            Checkpoint::load(&self.read, &self.posting, generation, log, partition).await?;
        let of_it = (self.layout().name, generation);
        let mut aside = Aside::load(&self.read, of_it, service, partition).await?;
        while at.next_offset < target {
            while self.stands_back() {
                self.report(phase);
                tokio::time::sleep(STAND_BACK).await;
            }
            let serves = self.serves.load(Ordering::Relaxed);
            let mut gentle = if serves { Some(self.gentle.lock().await) } else { None };
            let began = Instant::now();
            let batch = gentle.as_ref().map_or(most, |gentle| gentle.step());
            let limit = batch.min(target - at.next_offset);
            let read = || log.read_partition(partition, at.next_offset, limit);
            let page = self.patience.ask(read, patience, || self.report(phase)).await?;
            if page.is_empty() {
                // The live generation has posted what the log lost since; the log is the truth.
                break;
            }
            let count = page.len();
            at =
                self.post_or_park(at, page.into_iter().map(Arc::new).collect(), &mut aside).await?;
            self.done.fetch_add(count as u64, Ordering::Relaxed);
            self.report(phase);
            if let Some(gentle) = &mut gentle {
                let grows = self.grows.load(Ordering::Relaxed) as f64;
                tokio::time::sleep(gentle.rest(count, began.elapsed(), grows)).await;
            }
        }
        Ok(())
    }

    /// Posts events that follow a checkpoint, and gives the one behind them. What fails for good is halved until the culprit
    /// is alone, and parked as its follower would park it.
    async fn post_or_park(
        &self,
        mut at: Checkpoint,
        events: Vec<Arc<Recorded>>,
        aside: &mut Aside,
    ) -> Result<Checkpoint, RebuildError> {
        // The next one last.
        let mut pieces = vec![events];
        while let Some(mut piece) = pieces.pop() {
            let Some(batch) = Batch::new(at.clone(), piece.clone()) else { continue };
            let batch = aside.apart(batch);
            match (self.post(&batch).await?, &*piece) {
                (Ok(()), _) => {
                    let left_out = piece.len() - batch.len();
                    self.left_out.fetch_add(left_out as u64, Ordering::Relaxed);
                    self.parked.fetch_add(batch.aside.len() as u64, Ordering::Relaxed);
                    at = batch.end;
                }
                (Err(error), [event]) => {
                    aside.park(event, error)?;
                    pieces.push(piece);
                }
                (Err(_), _) => {
                    let later = piece.split_off(piece.len() / 2);
                    pieces.extend([later, piece]);
                }
            }
        }
        Ok(at)
    }

    /// Posts a batch, or says why it never can be.
    async fn post(&self, batch: &Batch) -> Result<Result<(), ApplyError>, RebuildError> {
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
                Err(error @ (ApplyError::Poison(_) | ApplyError::Unknown(_))) => {
                    return Ok(Err(error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Ok(()))
    }
}
