use super::{ApplyError, Follower, ReadSide};
use crate::{Log, Position, Recorded, StoreError};
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

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    At(Checkpoint),
    /// Another instance moved the checkpoint: nothing was posted.
    Overtaken,
}

const FIND: &str = "select next_offset, epoch, last_event_id from {schema}.checkpoint \
     where follower = $1 and generation = $2 and service = $3 and partition = $4";
const BEGIN: &str = "insert into {schema}.checkpoint \
     (follower, generation, service, partition, next_offset, epoch, last_event_id) \
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
const ADVANCE: &str = "update {schema}.checkpoint \
     set next_offset = $5, epoch = $6, last_event_id = $7, updated_at = clock_timestamp() \
     where follower = $1 and generation = $2 and service = $3 and partition = $4 \
       and next_offset = $8 and epoch = $9 and last_event_id is not distinct from $10";
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

    fn after(event: &Recorded) -> Self {
        Checkpoint {
            next_offset: event.offset + 1,
            epoch: event.epoch,
            last_event_id: Some(event.event_id),
        }
    }
}

/// Posts a batch that begins at the checkpoint: rows and checkpoint in one transaction, the checkpoint
/// by compare-and-set, which is the fence against another instance. It moves first, so that whoever is
/// overtaken writes no row, and no row of his can be mistaken for a broken event.
///
/// # Errors
/// What the follower says, or the database.
pub async fn post(
    read: &ReadSide,
    follower: &dyn Follower,
    generation: i32,
    from: &Checkpoint,
    batch: &[Arc<Recorded>],
) -> Result<Posted, ApplyError> {
    let Some(last) = batch.last() else { return Ok(Posted::At(from.clone())) };
    let to = Checkpoint::after(last);
    let mut client = read.pool.get().await.map_err(StoreError::from)?;
    let tx = client.transaction().await?;
    let advance = tx.prepare_cached(&sql(ADVANCE, read)).await?;
    let moved = tx
        .execute(
            &advance,
            &[
                &follower.name(),
                &generation,
                &&*last.service,
                &last.partition,
                &to.next_offset,
                &to.epoch,
                &to.last_event_id,
                &from.next_offset,
                &from.epoch,
                &from.last_event_id,
            ],
        )
        .await?;
    if moved == 0 {
        tx.rollback().await?;
        return Ok(Posted::Overtaken);
    }
    follower.apply(&tx, batch).await?;
    tx.commit().await?;
    follower.committed(last.partition);
    Ok(Posted::At(to))
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
