use super::{Follower, ReadSide, Source};
use crate::{Position, StoreError};
use deadpool_postgres::Object;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
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

const FIND: &str = "select next_offset, epoch, last_event_id from {schema}.checkpoint \
     where follower = $1 and generation = $2 and service = $3 and partition = $4";
const BEGIN: &str = "insert into {schema}.checkpoint \
     (follower, generation, service, partition, next_offset, epoch, last_event_id) \
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
/// A checkpoint of an older epoch lies behind the position whatever its offset: it counted on what the log has lost.
const PENDING: &str = "select count(*), count(*) filter (where p.next_offset <= $3 or p.epoch < $4) \
     from {schema}.checkpoint p \
     where p.service = $1 and p.partition = $2 and p.generation = {live}";

impl Checkpoint {
    /// The checkpoint of a follower, made where it starts if there is none.
    ///
    /// # Errors
    /// If the database is out of reach.
    pub async fn load(
        read: &ReadSide,
        follower: &dyn Follower,
        generation: i32,
        log: &Source,
        partition: i32,
    ) -> Result<Self, StoreError> {
        let client = read.pool.get().await?;
        let service: &str = log.service();
        let find = client.prepare_cached(&read.sql(FIND)).await?;
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
                    &read.sql(BEGIN),
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

    async fn starting(start: Start, log: &Source, partition: i32) -> Result<Self, StoreError> {
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
    pub async fn is_valid(&self, log: &Source, partition: i32) -> Result<bool, StoreError> {
        let Some(last) = self.last_event_id else { return Ok(true) };
        let held = log.read_partition(partition, self.next_offset - 1, 1).await?;
        Ok(held.first().is_some_and(|e| e.offset == self.next_offset - 1 && e.event_id == last))
    }
}

/// Whether every follower of this schema that follows the position's partition has posted it.
///
/// # Errors
/// If the database is out of reach.
pub async fn has_posted(read: &ReadSide, position: &Position) -> Result<bool, StoreError> {
    let client = read.pool.get().await?;
    let pending = client.prepare_cached(&read.sql(PENDING)).await?;
    let row = client
        .query_one(
            &pending,
            &[&position.service, &position.partition, &position.offset, &position.epoch],
        )
        .await?;
    let (all, behind): (i64, i64) = (row.get(0), row.get(1));
    Ok(all > 0 && behind == 0)
}

/// Where one generation of a follower stands to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub has_passed: bool,
    /// Of its checkpoint; if it is newer than the position's, the log may have lost the position.
    pub epoch: i32,
    /// It has passed the event, and could not post it.
    pub has_parked: bool,
}

/// Asks on the connection that is to read the rows: what they show is not less than what it says.
///
/// # Errors
/// If the database is out of reach.
pub async fn standing(
    client: &Object,
    read: &ReadSide,
    (follower, generation): (&str, i32),
    position: &Position,
) -> Result<Standing, StoreError> {
    const STANDING: &str = "select c.next_offset > $5 and c.epoch >= $6, c.epoch, exists (\
           select from {schema}.parked p \
            where (p.follower, p.generation, p.service, p.partition, p.log_offset) = ($1, $2, $3, $4, $5)) \
         from {schema}.checkpoint c \
         where c.follower = $1 and c.generation = $2 and c.service = $3 and c.partition = $4";
    let Position { service, partition, epoch, offset } = position;
    let statement = client.prepare_cached(&read.sql(STANDING)).await?;
    let of_it: [&(dyn ToSql + Sync); 6] =
        [&follower, &generation, service, partition, offset, epoch];
    let row = client.query_opt(&statement, &of_it).await?;
    let standing =
        |row: Row| Standing { has_passed: row.get(0), epoch: row.get(1), has_parked: row.get(2) };
    let nowhere = Standing { has_passed: false, epoch: 0, has_parked: false };
    Ok(row.map_or(nowhere, standing))
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
