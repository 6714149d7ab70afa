//! Events that a follower cannot post, whenever and however often it tries. Each is parked with every later
//! event of its stream, and the rest of the partition flows on. Somebody mends what is wrong and has them
//! tried again, or decides to leave one out, which is recorded.

mod lot;

pub(super) use lot::Lot;

use super::ReadSide;
use crate::{Position, Recorded, StoreError};
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// An event that is parked, and why; without a reason, because one before it in its stream is.
#[derive(Clone, Debug)]
pub struct Aside {
    pub event: Arc<Recorded>,
    pub reason: Option<String>,
}

/// An event that could not be posted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Parked {
    pub follower: String,
    pub generation: i32,
    pub position: Position,
    pub stream: String,
    pub event_id: Uuid,
    #[serde(rename = "type")]
    pub event_type: String,
    pub reason: String,
    pub tries: i32,
    pub parked_at: DateTime<Utc>,
    /// `retry` or `discard`, if somebody asked for it and it was not done yet.
    pub asked: Option<String>,
    /// Later events of its stream, parked with it.
    pub behind: i64,
}

/// Where a parked event stands in the list of all of them, the oldest first. It stays there until it is settled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    pub parked_at: DateTime<Utc>,
    pub follower: String,
    pub service: String,
    pub partition: i32,
    pub offset: i64,
}

impl Parked {
    #[must_use]
    pub fn spot(&self) -> Spot {
        let Position { service, partition, offset, epoch: _ } = self.position.clone();
        let (parked_at, follower) = (self.parked_at, self.follower.clone());
        Spot { parked_at, follower, service, partition, offset }
    }
}

/// A part of that list.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Behind which spot it begins, or at it; none: at the list's end.
    pub from: Option<(Spot, bool)>,
    /// Read from the newest to the oldest.
    pub is_backward: bool,
    pub limit: i64,
}

/// Which parked events are meant.
#[derive(Clone, Debug)]
pub enum Which {
    All,
    Of(String),
    One { follower: String, position: Position },
}

const PARK: &str = "insert into {schema}.parked \
     (follower, generation, service, partition, log_offset, epoch, event_id, stream, event_type, reason) \
     select $1, $2, $3, $4, unnest($5::bigint[]), unnest($6::int[]), unnest($7::uuid[]), \
            unnest($8::text[]), unnest($9::text[]), unnest($10::text[])";
const LIST: &str = "select p.follower, p.generation, p.service, p.partition, p.epoch, p.log_offset, p.stream, \
       p.event_id, p.event_type, p.reason, p.tries, p.parked_at, p.asked, \
       (select count(*) from {schema}.parked b \
         where (b.follower, b.generation, b.service, b.partition, b.stream) \
             = (p.follower, p.generation, p.service, p.partition, p.stream) \
           and b.log_offset > p.log_offset) \
     from {schema}.parked p \
     where p.reason is not null and p.generation = {live} {from} \
     order by p.parked_at {up}, p.follower collate \"C\" {up}, p.service collate \"C\" {up}, \
       p.partition {up}, p.log_offset {up} limit $1";
/// As a [`Spot`] is compared, in whatever language the database sorts.
const FROM: &str = "and (p.parked_at, p.follower collate \"C\", p.service collate \"C\", p.partition, p.log_offset) \
     {beyond} ($2, $3, $4, $5, $6)";
/// Only of generations that are worked; who asks for all to be tried again takes back nobody's discard.
const ASK: &str = "update {schema}.parked p set asked = $1, asked_by = $2, asked_why = $3 \
     where reason is not null and ($1 = 'discard' or asked is distinct from 'discard') \
       and p.generation = {live} \
       and ($4::text is null or follower = $4) \
       and ($5::text is null or (service, partition, log_offset) = ($5, $6, $7))";

const STREAMS: &str = "select distinct stream from {schema}.parked \
     where follower = $1 and generation = $2 and service = $3 and partition = $4";
const DISCARDED: &str = "select event_id from {schema}.discarded \
     where follower = $1 and service = $2 and partition = $3";

/// Records events as parked, all of one partition.
pub(super) async fn park(
    tx: &Transaction<'_>,
    read: &ReadSide,
    follower: &str,
    generation: i32,
    aside: &[Aside],
) -> Result<(), tokio_postgres::Error> {
    let Some(first) = aside.first() else { return Ok(()) };
    let events = || aside.iter().map(|aside| &aside.event);
    let statement = tx.prepare_cached(&read.sql(PARK)).await?;
    tx.execute(
        &statement,
        &[
            &follower,
            &generation,
            &&*first.event.service,
            &first.event.partition,
            &events().map(|event| event.offset).collect::<Vec<_>>(),
            &events().map(|event| event.epoch).collect::<Vec<_>>(),
            &events().map(|event| event.event_id).collect::<Vec<_>>(),
            &events().map(|event| &*event.stream).collect::<Vec<_>>(),
            &events().map(|event| &*event.event_type).collect::<Vec<_>>(),
            &aside.iter().map(|aside| aside.reason.as_deref().map(plain)).collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(())
}

/// Postgres takes no NUL, and a reason may quote what it is about.
fn plain(reason: &str) -> String {
    reason.replace('\0', "")
}

/// What followers of this schema could not post, the oldest first.
///
/// # Errors
/// If the database is out of reach.
pub async fn parked(read: &ReadSide, limit: i64) -> Result<Vec<Parked>, StoreError> {
    parked_in(read, &Stretch { from: None, is_backward: false, limit }).await
}

/// The same in a part of the list, in the order in which it is read.
///
/// # Errors
/// If the database is out of reach.
pub async fn parked_in(read: &ReadSide, stretch: &Stretch) -> Result<Vec<Parked>, StoreError> {
    let Stretch { from, is_backward, limit } = stretch;
    let (up, beyond) = if *is_backward { ("desc", "<") } else { ("asc", ">") };
    let mut arguments: Vec<&(dyn ToSql + Sync)> = vec![limit];
    let mut behind = String::new();
    if let Some((spot, and_itself)) = from {
        let Spot { parked_at, follower, service, partition, offset } = spot;
        arguments.extend([parked_at as &(dyn ToSql + Sync), follower, service, partition, offset]);
        behind =
            FROM.replace("{beyond}", &format!("{beyond}{}", if *and_itself { "=" } else { "" }));
    }
    let sql = read.sql(&LIST.replace("{from}", &behind).replace("{up}", up));
    let client = read.pool.get().await?;
    let rows = client.query(&sql, &arguments).await?;
    Ok(rows.iter().map(of_row).collect())
}

fn of_row(row: &Row) -> Parked {
    let position = Position {
        service: row.get(2),
        partition: row.get(3),
        epoch: row.get(4),
        offset: row.get(5),
    };
    Parked {
        follower: row.get(0),
        generation: row.get(1),
        position,
        stream: row.get(6),
        event_id: row.get(7),
        event_type: row.get(8),
        reason: row.get(9),
        tries: row.get(10),
        parked_at: row.get(11),
        asked: row.get(12),
        behind: row.get(13),
    }
}

/// Asks whoever works the partitions to try parked events again; gives their number. It is done within
/// seconds, if somebody does.
///
/// # Errors
/// If the database is out of reach.
pub async fn retry(read: &ReadSide, which: &Which) -> Result<u64, StoreError> {
    ask(read, which, "retry", None, None).await
}

/// Asks for one event to be left out for good, and for those behind it to be posted; false if it is not
/// parked. Who decided it and why is kept.
///
/// # Errors
/// If the database is out of reach.
pub async fn discard(
    read: &ReadSide,
    follower: &str,
    position: &Position,
    by: &str,
    why: &str,
) -> Result<bool, StoreError> {
    let one = Which::One { follower: follower.to_owned(), position: position.clone() };
    Ok(ask(read, &one, "discard", Some(by), Some(why)).await? > 0)
}

/// The events of a partition that somebody discarded for a follower. By their ids: after a failover another event may
/// stand at the place of one that was lost.
///
/// # Errors
/// If the database is out of reach.
pub async fn discarded(
    read: &ReadSide,
    follower: &str,
    service: &str,
    partition: i32,
) -> Result<HashSet<Uuid>, StoreError> {
    let client = read.pool.get().await?;
    let statement = client.prepare_cached(&read.sql(DISCARDED)).await?;
    let rows = client.query(&statement, &[&follower, &service, &partition]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The streams of a partition of which a generation has parked events: what comes behind those is parked, too.
///
/// # Errors
/// If the database is out of reach.
pub async fn parked_streams(
    read: &ReadSide,
    (follower, generation): (&str, i32),
    service: &str,
    partition: i32,
) -> Result<HashSet<String>, StoreError> {
    let client = read.pool.get().await?;
    let statement = client.prepare_cached(&read.sql(STREAMS)).await?;
    let rows = client.query(&statement, &[&follower, &generation, &service, &partition]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn ask(
    read: &ReadSide,
    which: &Which,
    what: &str,
    by: Option<&str>,
    why: Option<&str>,
) -> Result<u64, StoreError> {
    let (follower, position) = match which {
        Which::All => (None, None),
        Which::Of(follower) => (Some(follower), None),
        Which::One { follower, position } => (Some(follower), Some(position)),
    };
    let service = position.map(|at| &*at.service);
    let (partition, offset) = (position.map(|at| at.partition), position.map(|at| at.offset));
    let client = read.pool.get().await?;
    let statement = client.prepare_cached(&read.sql(ASK)).await?;
    let arguments: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&what, &by, &why, &follower, &service, &partition, &offset];
    Ok(client.execute(&statement, &arguments).await?)
}
