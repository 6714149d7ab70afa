use crate::append::index;
use crate::lane::{Job, Lane, LaneSettings, Queue, QueueLimits};
use crate::tail::Tail;
use crate::{
    AppendError, Chain, ChainOutcome, Database, StoreError, TurnLimits, migrate, partition_of,
};
use deadpool_postgres::Pool;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How a process opens a log.
#[derive(Clone, Debug)]
pub struct LogSettings {
    pub service: String,
    pub partitions: u32,
    pub database: Database,
    /// Connections that append. One does it while there is little to append, else each has its share of the partitions.
    pub lanes: usize,
    /// Connections that read.
    pub readers: usize,
    /// Chains that may wait for the lanes; more are refused.
    pub queue: usize,
    /// While no more chains wait or are under way, one lane appends them all. A call costs Postgres as much as thirty
    /// more chains in it do, and a flush of the disk besides; more than this are more than one connection does alone.
    pub few: usize,
    /// Chains in one call.
    pub batch: usize,
    /// Bytes of payload in one call.
    pub batch_bytes: usize,
    /// Bytes of the largest payload; below what the topic takes.
    pub event_bytes: usize,
    /// A call without an answer for so long is given up: an append is sent again on a new connection, a
    /// reader is told.
    pub call_timeout: Duration,
    /// What could not be sent to the log for so long is refused. What may be in it waits until that is known.
    pub patience: Duration,
    /// The pause before an append is sent again; it doubles up to `retry_most`.
    pub retry_first: Duration,
    pub retry_most: Duration,
    /// How long an append waits in Postgres for the lock of a partition.
    pub lock_wait: Duration,
    pub turns: TurnLimits,
}

impl LogSettings {
    #[must_use]
    pub fn new(service: &str, partitions: u32, database: Database) -> Self {
        LogSettings {
            service: service.to_owned(),
            partitions,
            database,
            lanes: 2,
            readers: 4,
            queue: 10_000,
            few: 128,
            batch: 500,
            batch_bytes: 4 << 20,
            event_bytes: 900_000,
            call_timeout: Duration::from_secs(20),
            patience: Duration::from_secs(5),
            retry_first: Duration::from_millis(20),
            retry_most: Duration::from_secs(1),
            lock_wait: Duration::from_secs(10),
            turns: TurnLimits::default(),
        }
    }
}

/// The log of one service, as one process sees it.
#[derive(Clone)]
pub struct Log(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) service: Arc<str>,
    pub(crate) partitions: u32,
    pub(crate) readers: Pool,
    pub(crate) turns: Pool,
    pub(crate) turn: TurnLimits,
    pub(crate) database: Database,
    pub(crate) sql: crate::read::Sql,
    pub(crate) call_timeout: Duration,
    event_bytes: usize,
    queue: Queue,
    heads: Heads,
    epochs: Epochs,
    tail: Tail,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The next offset of each partition, as far as this process knows.
#[derive(Clone)]
pub(crate) struct Heads(Arc<watch::Sender<Vec<i64>>>, Arc<Mutex<Instant>>);

impl Heads {
    pub(crate) fn new(partitions: u32) -> Self {
        let none = (0..partitions).map(|_| 0).collect();
        Heads(Arc::new(watch::Sender::new(none)), Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn receiver(&self) -> watch::Receiver<Vec<i64>> {
        self.0.subscribe()
    }

    /// How long ago anybody in this process read them.
    pub(crate) fn age(&self) -> Duration {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    pub(crate) fn raise(&self, partition: i32, next: i64) {
        self.0.send_if_modified(|heads| {
            let head = &mut heads[index(partition)];
            let rises = *head < next;
            *head = next.max(*head);
            rises
        });
    }

    /// Sets the heads that were read after they were known as `before`. If one is less than it was known and
    /// still is, the log has lost its tail, and whoever waited for that tail would look for it in vain, again
    /// and again.
    pub(crate) fn set(&self, next: &[i64], before: &[i64]) {
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.send_if_modified(|heads| {
            let mut changed = false;
            for ((head, next), before) in heads.iter_mut().zip(next).zip(before) {
                if *head < *next || (*next < *head && *head == *before) {
                    *head = *next;
                    changed = true;
                }
            }
            changed
        });
    }
}

/// The epoch of each partition, as far as this process knows.
#[derive(Clone)]
pub(crate) struct Epochs(Arc<[AtomicI32]>);

impl Epochs {
    pub(crate) fn new(partitions: u32) -> Self {
        Epochs((0..partitions).map(|_| AtomicI32::new(0)).collect())
    }

    pub(crate) fn of(&self, partition: i32) -> i32 {
        self.0[index(partition)].load(Ordering::SeqCst)
    }

    pub(crate) fn raise(&self, epochs: &[i32]) {
        for (partition, epoch) in (0..).zip(epochs) {
            self.learn(partition, *epoch);
        }
    }

    pub(crate) fn learn(&self, partition: i32, epoch: i32) {
        self.0[index(partition)].fetch_max(epoch, Ordering::SeqCst);
    }
}

impl Log {
    /// Opens the log for appending and reading.
    ///
    /// # Errors
    /// If the database is out of reach, or the log has another number of partitions.
    pub async fn open(settings: LogSettings) -> Result<Log, StoreError> {
        let client = settings.database.connect("daybook open").await?;
        migrate::check_partitions(&client, &settings.service, settings.partitions).await?;
        let sql =
            format!("select epoch from {}.log_partition order by partition", settings.service);
        let known: Vec<i32> = client.query(&sql, &[]).await?.iter().map(|row| row.get(0)).collect();
        let (heads, epochs) = (Heads::new(settings.partitions), Epochs::new(settings.partitions));
        epochs.raise(&known);
        let tail = Tail::new(&settings.service, settings.partitions);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let limits = QueueLimits {
            lanes: settings.lanes.max(1),
            waiting: settings.queue,
            few: settings.few,
            batch: settings.batch.max(1),
            batch_bytes: settings.batch_bytes,
        };
        let queue = Queue::new(limits, settings.partitions, stop.clone());
        for number in 0..limits.lanes {
            let known = (heads.clone(), epochs.clone(), tail.clone());
            let lane = Lane::new(LaneSettings::of(&settings), known, &queue, number);
            tasks.spawn(lane.run());
        }
        // They write nothing; who waits for a turn locks a row, and that lock needs no flush of the disk.
        let reading = settings.database.by_keys().with_option("synchronous_commit=off");
        let log = Log(Arc::new(Inner {
            service: settings.service.as_str().into(),
            partitions: settings.partitions,
            readers: reading.pool("daybook read", settings.readers)?,
            turns: settings.turns.pool(&settings.database)?,
            turn: settings.turns,
            sql: crate::read::Sql::of(&settings.service),
            database: settings.database,
            call_timeout: settings.call_timeout,
            event_bytes: settings.event_bytes,
            queue,
            heads,
            epochs,
            tail,
            stop,
            tasks,
        }));
        log.refresh_heads().await?;
        Ok(log)
    }

    #[must_use]
    pub fn service(&self) -> &Arc<str> {
        &self.0.service
    }

    #[must_use]
    pub fn partitions(&self) -> i32 {
        i32::try_from(self.0.partitions).expect("a log has few partitions")
    }

    #[must_use]
    pub fn partition_of(&self, stream: &str) -> i32 {
        partition_of(stream, self.0.partitions)
    }

    #[must_use]
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// Chains that wait for a lane.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.0.queue.len()
    }

    /// The connections that read.
    #[must_use]
    pub fn readers(&self) -> &Pool {
        &self.0.readers
    }

    /// The next offset of each partition as this process knows it: told at once by the lanes of this
    /// process, by [`refresh_heads`](Self::refresh_heads) for what other processes append.
    #[must_use]
    pub fn known_heads(&self) -> watch::Receiver<Vec<i64>> {
        self.0.heads.receiver()
    }

    /// Reads the heads from the log and tells those who wait for them.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn refresh_heads(&self) -> Result<(), StoreError> {
        let before = self.known_heads().borrow().clone();
        let heads = self.heads().await?;
        self.0.heads.set(&heads, &before);
        Ok(())
    }

    pub(crate) fn kept_heads(&self) -> &Heads {
        &self.0.heads
    }

    /// What the lanes of this process append, as they append it.
    pub(crate) fn tail(&self) -> &Tail {
        &self.0.tail
    }

    /// Tells those who wait for heads what was read of them after they were known as `before`.
    #[cfg(feature = "kafka")]
    pub(crate) fn set_heads(&self, heads: &[i64], before: &[i64]) {
        self.0.heads.set(heads, before);
    }

    /// Appends a chain; the answer comes after its commit. Once queued it is appended even if the
    /// caller goes away.
    ///
    /// # Errors
    /// See [`AppendError`]. Only `Closed` leaves the outcome unknown.
    pub async fn append(&self, chain: Chain) -> Result<ChainOutcome, AppendError> {
        self.append_in(None, chain).await
    }

    /// The epoch of a stream's partition, as far as this process knows.
    pub(crate) fn epoch_of(&self, stream: &str) -> i32 {
        self.known_epoch(self.partition_of(stream))
    }

    pub(crate) fn known_epoch(&self, partition: i32) -> i32 {
        self.0.epochs.of(partition)
    }

    pub(crate) fn learn_epoch(&self, partition: i32, epoch: i32) {
        self.0.epochs.learn(partition, epoch);
    }

    /// Appends a chain that was decided on a state read in `epoch`; `Epoch` if a newer one has begun:
    /// the log may have lost events of that state, and hold others under the same versions.
    pub(crate) async fn append_in(
        &self,
        epoch: Option<i32>,
        mut chain: Chain,
    ) -> Result<ChainOutcome, AppendError> {
        chain.keep_what_is_kept();
        chain.check(self.0.event_bytes)?;
        if chain.entries.is_empty() {
            return Err(AppendError::Statement("a chain needs a command".into()));
        }
        let partition = self.partition_of(&chain.stream);
        let (answer, receive) = oneshot::channel();
        self.0.queue.push(Job { partition, epoch, chain, answer })?;
        receive.await.unwrap_or(Err(AppendError::Closed))
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.0.call_timeout
    }

    /// Runs a task that ends when the log is closed; closing waits for it.
    pub(crate) fn spawn<T>(&self, task: impl FnOnce(CancellationToken) -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        self.0.tasks.spawn(task(self.0.stop.clone()));
    }

    /// Takes no more chains, appends what is queued, and returns when that is done.
    pub async fn close(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
