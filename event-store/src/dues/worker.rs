use super::{DueWatch, request_id};
use crate::append::JsonText;
use crate::failpoint::failpoint;
use crate::follow::ReadSide;
use crate::lane::chain_of;
use crate::{Metadata, Pace, Stepped, StoreError, Watermark};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use decider::Owes;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A due that this worker is to do now.
#[derive(Clone, Debug)]
pub struct Claimed<R> {
    pub stream: String,
    pub key: String,
    pub request: R,
    /// The id of the command that the request becomes; the same at each try.
    pub command_id: Uuid,
    /// For what the request causes: the correlation of the stream, the event that made it owed.
    pub metadata: Metadata,
    pub due_at: DateTime<Utc>,
    /// Counts the tries from 1.
    pub tries: i32,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Whoever is asked has it; the event that follows from it settles the due.
    Yes,
    /// Unknown, unreachable or too busy: ask again later.
    Again(String),
}

/// Does what is owed, outside any transaction.
#[async_trait]
pub trait Settle<D: Owes>: Send + Sync + 'static {
    async fn settle(&self, due: Claimed<D::Request>) -> Asked;
}

/// Bounds of a [`DueWorker`].
#[derive(Clone, Debug)]
pub struct DueLimits {
    /// Requests under way at once.
    pub concurrency: usize,
    /// How long a claim lasts, if its worker lives so long; past it another one may try.
    pub lease: Duration,
    /// The pause after the first failure; it doubles up to `retry_most`.
    pub retry_first: Duration,
    pub retry_most: Duration,
    /// How often to look for what has come due, besides being told.
    pub poll: Duration,
    /// Until a database that could not be asked for what is due is asked again.
    pub away: Duration,
    /// Until whoever watches must be answered: who holds up the worker may hold up that question too.
    pub look: Duration,
    /// Streams whose states a [`DueFollower`](super::DueFollower) keeps between batches.
    pub states: usize,
    /// How long it rests between two claims.
    pub pace: Pace,
}

impl Default for DueLimits {
    fn default() -> Self {
        DueLimits {
            concurrency: 256,
            lease: Duration::from_secs(30),
            retry_first: Duration::from_millis(200),
            retry_most: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            away: Duration::from_secs(1),
            look: Duration::from_secs(1),
            states: 20_000,
            pace: Pace::default(),
        }
    }
}

/// Claims what has come due and asks for it. Any number of them share the rows.
pub struct DueWorker<D: Owes> {
    read: ReadSide,
    settle: Arc<dyn Settle<D>>,
    posted: Arc<Notify>,
    limits: DueLimits,
    running: JoinSet<()>,
    /// Since when the oldest is due of what was claimed last.
    oldest: Option<DateTime<Utc>>,
    /// When leases of workers that are gone were last looked for.
    looked: Option<Instant>,
    /// Goes up with every due that is taken on, and with every one that is done with.
    acted: Arc<AtomicI64>,
}

/// Materialized, because a plan that looks for the rows once for each row to update claims more than the
/// limit. Only the decider's own streams: another one's request would not be understood. A worker that was
/// killed left its leases behind, but not its connection: whoever looks for such (`$4`) waits for none of them.
const CLAIM: &str = "with mine as materialized (\
       select stream, key from {schema}.due \
        where greatest(due_at, put_off_until) <= now() and starts_with(stream, $3) \
          and (lease_until <= now() \
               or $4 and claimed_by is not null \
                  and claimed_by not in (select pid from pg_stat_activity)) \
        order by greatest(due_at, put_off_until) limit $1 for update skip locked) \
     update {schema}.due d set tries = d.tries + 1, claimed_by = pg_backend_pid(), \
       lease_until = now() + make_interval(secs => $2) \
     from mine where d.stream = mine.stream and d.key = mine.key \
     returning d.stream, d.key, d.request, d.correlation, d.causation, d.due_at, d.tries";
/// In how many seconds the next one comes due that nobody has taken on.
const NEXT: &str = "select extract(epoch from greatest(due_at, put_off_until) - now())::float8 \
     from {schema}.due where lease_until <= now() and starts_with(stream, $1) \
     order by greatest(due_at, put_off_until) limit 1";
/// After a claim that found something more may come due at any time,
const BUSY: Duration = Duration::from_millis(200);
/// and the next one is waited for so long at least.
const AGAIN: Duration = Duration::from_millis(5);
/// A try that outlived its lease must not shorten the lease of the one that followed it.
const PUT_OFF: &str = "update {schema}.due set last_error = $3, claimed_by = null, \
       lease_until = '-infinity', put_off_until = now() + make_interval(secs => $4) \
     where stream = $1 and key = $2 and tries = $5";

impl<D: Owes> DueWorker<D> {
    #[must_use]
    pub fn new(
        read: ReadSide,
        settle: Arc<dyn Settle<D>>,
        posted: Arc<Notify>,
        limits: DueLimits,
    ) -> Self {
        DueWorker {
            read,
            settle,
            posted,
            limits,
            running: JoinSet::new(),
            oldest: None,
            looked: None,
            acted: Arc::default(),
        }
    }

    /// To see from the outside how it is.
    #[must_use]
    pub fn watch(&self) -> DueWatch {
        DueWatch {
            name: format!("{}-dues", D::CATEGORY),
            read: self.read.clone(),
            prefix: format!("{}-", D::CATEGORY),
            acted: self.acted.clone(),
            answer: self.limits.look,
            watermark: Watermark::default(),
            behind: 0,
        }
    }

    /// Works until stopped, then lets what is under way finish.
    pub async fn run(mut self, stop: CancellationToken) {
        metrics::counter!("daybook_due_retries_total", "category" => D::CATEGORY).increment(0);
        metrics::counter!("daybook_due_claim_failures_total", "category" => D::CATEGORY)
            .increment(0);
        let under_way = metrics::gauge!("daybook_dues_under_way", "category" => D::CATEGORY);
        while !stop.is_cancelled() {
            let began = Instant::now();
            let pause = match self.claim().await {
                Ok(pause) => pause,
                Err(error) => {
                    let category = D::CATEGORY;
                    tracing::warn!(category, error = %chain_of(&error), "dues cannot be claimed");
                    metrics::counter!("daybook_due_claim_failures_total", "category" => category)
                        .increment(1);
                    self.limits.away
                }
            };
            under_way.set(self.running.len() as f64);
            self.rest(began.elapsed(), &stop).await;
            let full = self.running.len() >= self.limits.concurrency;
            tokio::select! {
                () = stop.cancelled() => {}
                _ = self.running.join_next(), if full => {}
                () = self.posted.notified(), if !full => {}
                () = tokio::time::sleep(pause), if !full => {}
            }
        }
        while self.running.join_next().await.is_some() {}
    }

    async fn rest(&mut self, took: Duration, stop: &CancellationToken) {
        let Some(oldest) = self.oldest.take() else { return };
        let rest = self.limits.pace.rest(Stepped { oldest, took, full: false });
        // Whether it was cut short shows in a moment.
        stop.run_until_cancelled(self.limits.pace.take(rest)).await;
    }

    /// Claims what is due; returns how long nothing is, as far as is known now.
    async fn claim(&mut self) -> Result<Duration, StoreError> {
        if self.try_step().await? > 0 {
            return Ok(BUSY);
        }
        let client = self.read.posts.get().await?;
        let next = client.prepare_cached(&self.sql(NEXT)).await?;
        let Some(row) = client.query_opt(&next, &[&format!("{}-", D::CATEGORY)]).await? else {
            return Ok(self.limits.poll);
        };
        let in_s: f64 = row.try_get(0)?;
        let next = Duration::try_from_secs_f64(in_s).unwrap_or_default();
        Ok(next.max(AGAIN).min(self.limits.poll))
    }

    /// Claims what is due, as much as there is room for, and starts on it.
    ///
    /// # Errors
    /// If the database is out of reach.
    pub async fn try_step(&mut self) -> Result<usize, StoreError> {
        while self.running.try_join_next().is_some() {}
        let room = self.limits.concurrency.saturating_sub(self.running.len());
        if room == 0 {
            return Ok(0);
        }
        let client = self.read.posts.get().await?;
        let claim = client.prepare_cached(&self.sql(CLAIM)).await?;
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let lease_s = self.limits.lease.as_secs_f64();
        let ours = format!("{}-", D::CATEGORY);
        // To list the sessions costs more than all else together.
        let orphans = self.looked.is_none_or(|at| at.elapsed() >= self.limits.poll);
        let rows = client.query(&claim, &[&room, &lease_s, &ours, &orphans]).await?;
        if orphans {
            self.looked = Some(Instant::now());
        }
        drop(client);
        let count = rows.len();
        if count > 0 {
            failpoint("due-after-claim");
        }
        for row in rows {
            self.start(&row)?;
        }
        Ok(count)
    }

    fn start(&mut self, row: &Row) -> Result<(), StoreError> {
        let stream: String = row.try_get(0)?;
        let key: String = row.try_get(1)?;
        let tries: i32 = row.try_get(6)?;
        let due = claimed::<D>(row)?;
        let due_at = row.try_get(5)?;
        self.oldest = Some(self.oldest.map_or(due_at, |oldest| oldest.min(due_at)));
        let (settle, read, limits) = (self.settle.clone(), self.read.clone(), self.limits.clone());
        let (acted, posted) = (self.acted.clone(), self.posted.clone());
        acted.fetch_add(1, Ordering::Relaxed);
        let put_off = self.sql(PUT_OFF);
        self.running.spawn(async move {
            let asked = match due {
                Ok(due) => settle.settle(due).await,
                // Of another binary's form, perhaps: it must not keep the others that were claimed with it.
                Err(error) => Asked::Again(format!("the request cannot be read: {error}")),
            };
            failpoint("due-after-act");
            acted.fetch_add(1, Ordering::Relaxed);
            let Asked::Again(why) = asked else { return };
            tracing::info!(stream, key, tries, why, "a due is asked for again later");
            metrics::counter!("daybook_due_retries_total", "category" => D::CATEGORY).increment(1);
            let pause = backoff(&limits, tries).as_secs_f64();
            let noted = async {
                let client = read.posts.get().await?;
                client.execute(&put_off, &[&stream, &key, &why, &pause, &tries]).await?;
                // It may come due before the worker looks again.
                posted.notify_one();
                Ok::<(), StoreError>(())
            };
            if let Err(error) = noted.await {
                // The lease still ends by itself.
                tracing::debug!(stream, key, error = %chain_of(&error), "a retry was not noted");
            }
        });
        Ok(())
    }

    fn sql(&self, text: &str) -> String {
        text.replace("{schema}", &self.read.schema)
    }
}

/// What a row says is owed; the inner error is of the request alone.
fn claimed<D: Owes>(
    row: &Row,
) -> Result<Result<Claimed<D::Request>, serde_json::Error>, tokio_postgres::Error> {
    let (stream, key): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let request: JsonText<&str> = row.try_get(2)?;
    let metadata = Metadata {
        correlation: row.try_get(3)?,
        causation: Some(row.try_get(4)?),
        actor: format!("{}-saga", D::CATEGORY),
        traceparent: None,
    };
    let (due_at, tries) = (row.try_get(5)?, row.try_get(6)?);
    let command_id = request_id(&stream, &key);
    let request = serde_json::from_str(request.0);
    Ok(request.map(|request| Claimed { stream, key, request, command_id, metadata, due_at, tries }))
}

fn backoff(limits: &DueLimits, tries: i32) -> Duration {
    let doublings = u32::try_from(tries.clamp(1, 20) - 1).unwrap_or_default();
    limits.retry_first.saturating_mul(1 << doublings).min(limits.retry_most)
}
