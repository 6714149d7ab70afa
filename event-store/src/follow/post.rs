use super::parked::{self, Aside};
use super::{ApplyError, Checkpoint, Follower, ReadSide};
use crate::failpoint::failpoint;
use crate::{Recorded, StoreError};
use deadpool_postgres::Transaction;
use futures_util::FutureExt;
use std::any::Any;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Events of one partition, in order and without a hole, of which the first is the one that the checkpoint
/// awaits.
#[derive(Clone, Debug)]
pub struct Batch {
    pub from: Checkpoint,
    pub end: Checkpoint,
    pub partition: i32,
    pub service: Arc<str>,
    /// What is posted.
    pub events: Vec<Arc<Recorded>>,
    /// What is parked instead.
    pub aside: Vec<Aside>,
}

/// Who posted what was to be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    Here,
    /// Another instance moved a checkpoint: nothing was posted.
    Overtaken,
}

impl Batch {
    /// None if there are no events.
    #[must_use]
    pub fn new(from: Checkpoint, events: Vec<Arc<Recorded>>) -> Option<Self> {
        let last = events.last()?;
        let (partition, service) = (last.partition, last.service.clone());
        let end = Checkpoint {
            next_offset: last.offset + 1,
            epoch: last.epoch,
            last_event_id: Some(last.event_id),
        };
        Some(Batch { from, end, partition, service, events, aside: Vec::new() })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len() + self.aside.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

const ADVANCE: &str = "update {schema}.checkpoint c \
     set next_offset = n.next_offset, epoch = n.epoch, last_event_id = n.last_event_id, \
       updated_at = clock_timestamp() \
     from unnest($4::int[], $5::bigint[], $6::int[], $7::uuid[], $8::bigint[], $9::int[], $10::uuid[]) \
       as n(partition, next_offset, epoch, last_event_id, from_offset, from_epoch, from_event_id) \
     where c.follower = $1 and c.generation = $2 and c.service = $3 and c.partition = n.partition \
       and c.next_offset = n.from_offset and c.epoch = n.from_epoch \
       and c.last_event_id is not distinct from n.from_event_id";

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
    let mut client = read.posts.get().await.map_err(StoreError::from)?;
    let tx = client.transaction().await?;
    let statement = read.sql(ADVANCE);
    if !advance(&tx, &statement, follower.name(), generation, batches).await? {
        tx.rollback().await?;
        return Ok(Posted::Overtaken);
    }
    for batch in batches.iter().filter(|batch| !batch.aside.is_empty()) {
        parked::park(&tx, read, follower.name(), generation, &batch.aside).await?;
    }
    if !events.is_empty() {
        apply(follower, &tx, &events).await?;
    }
    failpoint("follow-before-commit");
    tx.commit().await?;
    failpoint("follow-after-commit");
    follower.committed();
    Ok(Posted::Here)
}

/// What the follower does with events; a panic is taken for their fault.
pub(super) async fn apply(
    follower: &dyn Follower,
    tx: &Transaction<'_>,
    events: &[Arc<Recorded>],
) -> Result<(), ApplyError> {
    let applied = AssertUnwindSafe(follower.apply(tx, events)).catch_unwind().await;
    applied.unwrap_or_else(|panic| Err(ApplyError::Poison(told(&*panic))))
}

/// Moves the checkpoints; false if one of them is not where it was.
async fn advance(
    tx: &Transaction<'_>,
    sql: &str,
    follower: &str,
    generation: i32,
    batches: &[Batch],
) -> Result<bool, tokio_postgres::Error> {
    let Some(first) = batches.first() else { return Ok(true) };
    let froms = || batches.iter().map(|batch| &batch.from);
    let ends = || batches.iter().map(|batch| &batch.end);
    let statement = tx.prepare_cached(sql).await?;
    let moved = tx
        .execute(
            &statement,
            &[
                &follower,
                &generation,
                &&*first.service,
                &batches.iter().map(|batch| batch.partition).collect::<Vec<_>>(),
                &ends().map(|end| end.next_offset).collect::<Vec<_>>(),
                &ends().map(|end| end.epoch).collect::<Vec<_>>(),
                &ends().map(|end| end.last_event_id).collect::<Vec<_>>(),
                &froms().map(|from| from.next_offset).collect::<Vec<_>>(),
                &froms().map(|from| from.epoch).collect::<Vec<_>>(),
                &froms().map(|from| from.last_event_id).collect::<Vec<_>>(),
            ],
        )
        .await?;
    Ok(usize::try_from(moved) == Ok(batches.len()))
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("and did not say why"))
}
