use crate::lease::keep;
use crate::{Log, Recorded, StoreError};
use postgres_types::ToSql;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio_postgres::{Client, Row, Statement};

/// The one connection of a relay. It holds the log's lock **and** reads the log, so that who has lost the
/// lock reads nothing more.
pub(super) struct Reader {
    log: Log,
    client: Arc<Client>,
    page: Statement,
    epochs: Statement,
    heads: Statement,
    /// That another process has appended.
    pub(super) told: Arc<Notify>,
}

/// Between two words of one process that it has appended.
const TELL_PAUSE: Duration = Duration::from_millis(5);

/// A life of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    pub(super) epoch: i32,
    pub(super) first_offset: i64,
}

impl Reader {
    pub(super) async fn open(log: &Log) -> Result<Self, StoreError> {
        let name = format!("daybook relay {}", log.service());
        let opening = async {
            let told = Arc::<Notify>::default();
            let hears = told.clone();
            let hear = move || hears.notify_one();
            let database = log.database().by_keys().leased();
            let client = Arc::new(database.connect_hearing(&name, hear).await?);
            // While Kafka is waited for, nothing is read.
            let kept = Arc::downgrade(&client);
            let lease = database.limits.lease;
            tokio::spawn(keep(lease, move || {
                let client = kept.upgrade();
                async move {
                    match client {
                        Some(client) => {
                            let word = tokio::time::timeout(lease, client.simple_query("")).await;
                            word.is_ok_and(|said| said.is_ok())
                        }
                        None => false,
                    }
                }
            }));
            Ok(Reader {
                told,
                page: client.prepare(&log.0.sql.partition).await?,
                epochs: client.prepare(&log.0.sql.epochs).await?,
                heads: client.prepare(&log.0.sql.heads).await?,
                log: log.clone(),
                client,
            })
        };
        log.in_time(opening).await
    }

    /// Becomes the log's only relay; false if another session is.
    pub(super) async fn try_own(&self) -> Result<bool, StoreError> {
        let name = format!("relay/{}", self.log.service());
        let sql = "select pg_try_advisory_lock(hashtextextended($1, 0))";
        let asking = async { Ok(self.client.query_one(sql, &[&name]).await?.get(0)) };
        let asked = Instant::now();
        let owned = self.log.in_time(asking).await;
        metrics::histogram!("daybook_lock_seconds", "who" => "relay").record(asked.elapsed());
        owned
    }

    /// Is told from now on of what other processes append, by those of them that know.
    pub(super) async fn listen(&self) -> Result<(), StoreError> {
        let sql = format!("listen {}", self.channel());
        self.log.in_time(async { Ok(self.client.batch_execute(&sql).await?) }).await
    }

    /// For so long, tells the relay at work what this process appends: outside of any append, because a commit with
    /// a notification waits for every other one of its server, and without waiting for the disk. What is not told
    /// is found by the relay's poll.
    pub(super) async fn pass_on(
        &self,
        heads: &mut watch::Receiver<Vec<i64>>,
        pause: Duration,
    ) -> Result<(), StoreError> {
        let until = tokio::time::Instant::now() + pause;
        let sql = format!("set local synchronous_commit = off; notify {}", self.channel());
        while let Ok(Ok(())) = tokio::time::timeout_at(until, heads.changed()).await {
            self.log.in_time(async { Ok(self.client.batch_execute(&sql).await?) }).await?;
            tokio::time::sleep(TELL_PAUSE).await;
        }
        Ok(())
    }

    fn channel(&self) -> String {
        format!("daybook_{}", self.log.service())
    }

    /// What a writer does at every connection: on another server or timeline it opens the next epoch. The relay
    /// may come before any writer, and would take its topic to be ahead of the log for no reason.
    pub(super) async fn open_epochs(&self) -> Result<(), StoreError> {
        let sql = format!("select * from {}.writer_epochs()", self.log.service());
        self.log.in_time(async { Ok(self.client.query(&sql, &[]).await?) }).await?;
        Ok(())
    }

    pub(super) async fn page(
        &self,
        partition: i32,
        from: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let page: &[&(dyn ToSql + Sync)] = &[&partition, &from, &limit];
        let reading = self.log.read_prepared(&self.client, &self.page, &self.epochs, page);
        self.log.in_time(reading).await
    }

    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        self.log.in_time(async { Ok(self.client.query(statement, &[]).await?) }).await
    }

    /// Reads the heads, and tells everyone in this process who waits for them.
    pub(super) async fn refresh_heads(&self) -> Result<(), StoreError> {
        let before = self.log.known_heads().borrow().clone();
        let rows = self.query(&self.heads).await?;
        let heads: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        self.log.set_heads(&heads, &before);
        Ok(())
    }

    /// The epochs of a partition, the oldest first.
    pub(super) async fn epochs(&self, partition: i32) -> Result<Vec<Epoch>, StoreError> {
        let rows = self.query(&self.epochs).await?;
        let own = rows.iter().filter(|row| row.get::<_, i32>(0) == partition);
        Ok(own.map(|row| Epoch { epoch: row.get(1), first_offset: row.get(2) }).collect())
    }
}
