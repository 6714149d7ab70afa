use crate::follow::cursor::Ends;
use crate::follow::{ApplyError, post};
use crate::{Recorded, StoreError};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// What is parked of one partition for one follower, as the one who works it knows it.
pub(in crate::follow) struct Lot {
    partition: i32,
    streams: HashSet<String>,
    count: usize,
    /// When to look whether somebody asked for something.
    look_at: Instant,
}

type Argument<'a> = &'a (dyn ToSql + Sync);

/// How often to look while something is parked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const STREAMS: &str = "select stream, count(*) from {schema}.parked \
     where follower = $1 and generation = $2 and service = $3 and partition = $4 group by stream";
/// What was asked for, and what has nothing before it any more that is wrong.
const NEXT: &str = "select log_offset, stream, asked from {schema}.parked p \
     where follower = $1 and generation = $2 and service = $3 and partition = $4 \
       and (asked is not null or reason is null and not exists ( \
         select from {schema}.parked c \
          where (c.follower, c.generation, c.service, c.partition, c.stream) \
              = (p.follower, p.generation, p.service, p.partition, p.stream) \
            and c.reason is not null and c.asked is null)) \
     order by log_offset limit $5";
const TAKE: &str = "delete from {schema}.parked \
     where follower = $1 and generation = $2 and service = $3 and partition = $4 and log_offset = $5 \
     returning event_id";
const DISCARD: &str = "with gone as ( \
       delete from {schema}.parked \
        where follower = $1 and generation = $2 and service = $3 and partition = $4 and log_offset = $5 \
        returning *) \
     insert into {schema}.discarded \
       (follower, service, partition, log_offset, event_id, stream, event_type, reason, discarded_by, why) \
     select follower, service, partition, log_offset, event_id, stream, event_type, coalesce(reason, ''), \
            coalesce(asked_by, ''), coalesce(asked_why, '') \
       from gone on conflict do nothing";
const FAILED: &str = "update {schema}.parked \
     set reason = $6, tries = tries + 1, asked = null, asked_by = null, asked_why = null \
     where follower = $1 and generation = $2 and service = $3 and partition = $4 and log_offset = $5";

impl Lot {
    pub(in crate::follow) async fn load(ends: &Ends, partition: i32) -> Result<Self, StoreError> {
        let mut lot = Lot { partition, streams: HashSet::new(), count: 0, look_at: Instant::now() };
        lot.count(ends).await?;
        Ok(lot)
    }

    async fn count(&mut self, ends: &Ends) -> Result<(), StoreError> {
        let rows = self.query(ends, STREAMS, &[]).await?;
        self.streams = rows.iter().map(|row| row.get(0)).collect();
        let count: i64 = rows.iter().map(|row| row.get::<_, i64>(1)).sum();
        self.count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(())
    }

    pub(in crate::follow) fn holds(&self, stream: &str) -> bool {
        self.streams.contains(stream)
    }

    /// How many events are parked.
    pub(in crate::follow) fn len(&self) -> usize {
        self.count
    }

    pub(in crate::follow) fn add(&mut self, event: &Recorded) {
        self.streams.insert(event.stream.clone());
        self.count += 1;
    }

    /// When there is something to look at.
    pub(in crate::follow) fn look_at(&self) -> Option<Instant> {
        (self.count > 0).then_some(self.look_at)
    }

    /// Does what was asked for.
    ///
    /// # Errors
    /// What may be gone next time; the rest of the partition is not concerned.
    pub(in crate::follow) async fn look(&mut self, ends: &Ends) -> Result<(), ApplyError> {
        self.look_at = Instant::now() + LOOK_EVERY;
        let mut failing: HashSet<String> = HashSet::new();
        let rows = self.query(ends, NEXT, &[&ends.limits.parked_batch]).await?;
        for row in &rows {
            let (offset, stream): (i64, String) = (row.get(0), row.get(1));
            if failing.contains(&stream) {
                continue;
            }
            if row.get::<_, Option<String>>(2).as_deref() == Some("discard") {
                self.query(ends, DISCARD, &[&offset]).await?;
                let follower = ends.follower.name();
                tracing::warn!(follower, stream, offset, "a parked event was discarded, as asked");
                continue;
            }
            match self.retry(ends, offset).await {
                Ok(()) => {}
                Err(error @ ApplyError::Transient(_)) => return Err(error),
                Err(
                    ApplyError::Poison(why) | ApplyError::Unknown(why) | ApplyError::Broken(why),
                ) => {
                    self.query(ends, FAILED, &[&offset, &super::plain(&why)]).await?;
                    failing.insert(stream);
                }
            }
        }
        if !rows.is_empty() {
            self.look_at = Instant::now();
            self.count(ends).await?;
        }
        Ok(())
    }

    /// Posts one parked event. The row goes first: of two who try, one finds it gone.
    async fn retry(&self, ends: &Ends, offset: i64) -> Result<(), ApplyError> {
        let log = ends.feed.log();
        let event = log.read_partition(self.partition, offset, 1).await?.pop();
        let event = event.filter(|event| event.offset == offset);
        let mut client = ends.read.pool.get().await.map_err(StoreError::from)?;
        let tx = client.transaction().await?;
        let lock_ms = ends.limits.parked_lock.as_millis();
        tx.batch_execute(&format!("set local lock_timeout = '{lock_ms}ms'")).await?;
        let statement = tx.prepare_cached(&ends.read.sql(TAKE)).await?;
        let (name, service) = (ends.follower.name(), &**log.service());
        let key: [Argument<'_>; 5] = [&name, &ends.generation, &service, &self.partition, &offset];
        let Some(taken) = tx.query_opt(&statement, &key).await? else { return Ok(()) };
        // What the log has lost since was never a part of it.
        if let Some(event) = event.filter(|event| event.event_id == taken.get::<_, uuid::Uuid>(0)) {
            post::apply(&*ends.follower, &tx, &[Arc::new(event)]).await?;
        }
        tx.commit().await?;
        ends.follower.committed();
        Ok(())
    }

    /// Runs a statement on what is parked here; `more` follows the four arguments that say where that is.
    async fn query(
        &self,
        ends: &Ends,
        sql: &str,
        more: &[Argument<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let client = ends.read.pool.get().await?;
        let statement = client.prepare_cached(&ends.read.sql(sql)).await?;
        let (name, service) = (ends.follower.name(), &**ends.feed.log().service());
        let here: [Argument<'_>; 4] = [&name, &ends.generation, &service, &self.partition];
        Ok(client.query(&statement, &[&here, more].concat()).await?)
    }
}
