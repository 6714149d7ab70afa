use super::{ApplyError, Follower, ReadSide};
use crate::{Log, Position, Recorded, StoreError};
use deadpool_postgres::Transaction;
use futures_util::FutureExt;
use std::any::Any;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Where a follower without a checkpoint starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Beginning,
    Head,
}

/// How far a follower has posted a partition. Valid while the event it names is still the one at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub next_offset: i64,
    pub epoch: i32,
    /// The event at `next_offset - 1`; none if nothing was posted.
    pub last_event_id: Option<Uuid>,
}

/// Events of one partition, in order, of which the first is the one that the checkpoint awaits.
#[derive(Clone, Debug)]
pub struct Batch {
    pub from: Checkpoint,
    pub events: Vec<Arc<Recorded>>,
}

/// Who posted what was to be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    Here,
    /// Another instance moved a checkpoint: nothing was posted.
    Overtaken,
}

const FIND: &str = "select next_offset, epoch, last_event_id from {schema}.checkpoint \
     where follower = $1 and generation = $2 and service = $3 and partition = $4";
const BEGIN: &str = "insert into {schema}.checkpoint \
     (follower, generation, service, partition, next_offset, epoch, last_event_id) \
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
const ADVANCE: &str = "update {schema}.checkpoint c \
     set next_offset = n.next_offset, epoch = n.epoch, last_event_id = n.last_event_id, \
       updated_at = clock_timestamp() \
     from unnest($4::int[], $5::bigint[], $6::int[], $7::uuid[], $8::bigint[], $9::int[], $10::uuid[]) \
       as n(partition, next_offset, epoch, last_event_id, from_offset, from_epoch, from_event_id) \
     where c.follower = $1 and c.generation = $2 and c.service = $3 and c.partition = n.partition \
       and c.next_offset = n.from_offset and c.epoch = n.from_epoch \
       and c.last_event_id is not distinct from n.from_event_id";
/// Of a projection only the live generation counts, and of several versions the newest.
const PENDING: &str = "select count(*), count(*) filter (where c.next_offset <= $3) \
     from {schema}.checkpoint c \
     where c.service = $1 and c.partition = $2 and c.generation = coalesce(( \
       select g.generation from {schema}.generation g where g.projection = c.follower \
        order by g.state = 'live' desc, g.version desc limit 1), c.generation)";

fn sql(text: &str, read: &ReadSide) -> String {
    text.replace("{schema}", &read.schema)
}

impl Checkpoint {
    /// The checkpoint of a follower, made where it starts if there is none.
    ///
    /// # Errors
    /// If the database is out of reach.
    pub async fn load(
        read: &ReadSide,
        follower: &dyn Follower,
        generation: i32,
        log: &Log,
        partition: i32,
    ) -> Result<Self, StoreError> {
        let client = read.pool.get().await?;
        let service: &str = log.service();
        let find = client.prepare_cached(&sql(FIND, read)).await?;
        loop {
            let found = client
                .query_opt(&find, &[&follower.name(), &generation, &service, &partition])
                .await?;
            if let Some(row) = found {
                return Ok(Checkpoint {
                    next_offset: row.get(0),
                    epoch: row.get(1),
                    last_event_id: row.get(2),
                });
            }
            let start = Self::starting(follower.start(), log, partition).await?;
            client
                .execute(
                    &sql(BEGIN, read),
                    &[
                        &follower.name(),
                        &generation,
                        &service,
                        &partition,
                        &start.next_offset,
                        &start.epoch,
                        &start.last_event_id,
                    ],
                )
                .await?;
        }
    }

    async fn starting(start: Start, log: &Log, partition: i32) -> Result<Self, StoreError> {
        let head = match start {
            Start::Beginning => 0,
            Start::Head => {
                log.heads().await?.get(crate::append::index(partition)).copied().unwrap_or(0)
            }
        };
        let last =
            if head == 0 { None } else { log.read_partition(partition, head - 1, 1).await?.pop() };
        Ok(Checkpoint {
            next_offset: head,
            epoch: last.as_ref().map_or(1, |event| event.epoch),
            last_event_id: last.map(|event| event.event_id),
        })
    }

    /// Whether the log still holds the event that this checkpoint names. If not, the log lost its tail
    /// (a failover, a restore) after the follower had posted it.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn is_valid(&self, log: &Log, partition: i32) -> Result<bool, StoreError> {
        let Some(last) = self.last_event_id else { return Ok(true) };
        let held = log.read_partition(partition, self.next_offset - 1, 1).await?;
        Ok(held.first().is_some_and(|e| e.offset == self.next_offset - 1 && e.event_id == last))
    }
}

impl Batch {
    /// The checkpoint after it.
    #[must_use]
    pub fn end(&self) -> Checkpoint {
        let after = |event: &Arc<Recorded>| Checkpoint {
            next_offset: event.offset + 1,
            epoch: event.epoch,
            last_event_id: Some(event.event_id),
        };
        self.events.last().map_or_else(|| self.from.clone(), after)
    }
}

/// Posts batches of different partitions of one log: rows and checkpoints in one transaction, the checkpoints
/// by compare-and-set, which is the fence against another instance. They move first, so that whoever is
/// overtaken writes no row, and no row of his can be mistaken for a broken event.
///
/// # Errors
/// What the follower says, or the database. A follower that panics is taken to say that an event is poison.
pub async fn post(
    read: &ReadSide,
    follower: &dyn Follower,
    generation: i32,
    batches: &[Batch],
) -> Result<Posted, ApplyError> {
    let events = match batches {
        [batch] => Cow::Borrowed(&*batch.events),
        several => several.iter().flat_map(|batch| batch.events.iter().cloned()).collect(),
    };
    if events.is_empty() {
        return Ok(Posted::Here);
    }
    let mut client = read.pool.get().await.map_err(StoreError::from)?;
    let tx = client.transaction().await?;
    if !advance(&tx, &sql(ADVANCE, read), follower.name(), generation, batches).await? {
        tx.rollback().await?;
        return Ok(Posted::Overtaken);
    }
    let applied = AssertUnwindSafe(follower.apply(&tx, &events)).catch_unwind().await;
    applied.unwrap_or_else(|panic| Err(ApplyError::Poison(told(&*panic))))?;
    tx.commit().await?;
    follower.committed();
    Ok(Posted::Here)
}

/// Moves the checkpoints; false if one of them is not where it was.
async fn advance(
    tx: &Transaction<'_>,
    sql: &str,
    follower: &str,
    generation: i32,
    batches: &[Batch],
) -> Result<bool, tokio_postgres::Error> {
    let moving: Vec<_> = batches
        .iter()
        .filter_map(|batch| Some((&batch.from, batch.end(), batch.events.first()?)))
        .collect();
    let Some((_, _, first)) = moving.first() else { return Ok(true) };
    let froms = || moving.iter().map(|(from, ..)| *from);
    let ends = || moving.iter().map(|(_, end, _)| end);
    let statement = tx.prepare_cached(sql).await?;
    let moved = tx
        .execute(
            &statement,
            &[
                &follower,
                &generation,
                &&*first.service,
                &moving.iter().map(|(.., event)| event.partition).collect::<Vec<_>>(),
                &ends().map(|end| end.next_offset).collect::<Vec<_>>(),
                &ends().map(|end| end.epoch).collect::<Vec<_>>(),
                &ends().map(|end| end.last_event_id).collect::<Vec<_>>(),
                &froms().map(|from| from.next_offset).collect::<Vec<_>>(),
                &froms().map(|from| from.epoch).collect::<Vec<_>>(),
                &froms().map(|from| from.last_event_id).collect::<Vec<_>>(),
            ],
        )
        .await?;
    Ok(usize::try_from(moved) == Ok(moving.len()))
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("and did not say why"))
}

/// Whether every follower of this schema that follows the position's partition has posted it.
///
/// # Errors
/// If the database is out of reach.
pub async fn has_posted(read: &ReadSide, position: &Position) -> Result<bool, StoreError> {
    let client = read.pool.get().await?;
    let pending = client.prepare_cached(&sql(PENDING, read)).await?;
    let row = client
        .query_one(&pending, &[&position.service, &position.partition, &position.offset])
        .await?;
    let (all, behind): (i64, i64) = (row.get(0), row.get(1));
    Ok(all > 0 && behind == 0)
}

/// Waits until every follower of this schema has posted a position; false if `limit` passed first.
///
/// # Errors
/// If the database is out of reach.
pub async fn wait_until_posted(
    read: &ReadSide,
    position: &Position,
    limit: Duration,
) -> Result<bool, StoreError> {
    let waiting = async {
        while !has_posted(read, position).await? {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(true)
    };
    tokio::time::timeout(limit, waiting).await.unwrap_or(Ok(false))
}
