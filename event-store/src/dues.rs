//! What a decider owes the world. [`DueFollower`] follows the decider's own log and keeps one row for
//! each due that is pending; [`DueWorker`] claims what has come due and asks for it, again and again with
//! the same command id, for as long as the row is there. The next event of the stream settles it.

mod follower;
mod watch;
mod worker;

pub use follower::DueFollower;
pub use watch::DueWatch;
pub use worker::{Asked, Claimed, DueLimits, DueWorker, Settle};

use crate::StoreError;
use crate::follow::ReadSide;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The command id of a due's request: the same at each try.
#[must_use]
pub fn request_id(stream: &str, key: &str) -> Uuid {
    const DUES: Uuid = Uuid::from_u128(0x6461_7962_6f6f_6b00_8000_6475_6573_0001);
    Uuid::new_v5(&DUES, format!("{stream}#{key}").as_bytes())
}

/// A due that should have been settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    pub stream: String,
    pub key: String,
    pub due_at: DateTime<Utc>,
    pub tries: i32,
    pub last_error: Option<String>,
}

/// The dues that have been pending for `grace_s` seconds since they came due, the oldest first.
///
/// # Errors
/// If the database is out of reach.
pub async fn late(read: &ReadSide, grace_s: f64, limit: i64) -> Result<Vec<Late>, StoreError> {
    let client = read.pool.get().await?;
    let sql = format!(
        "select stream, key, due_at, tries, last_error from {}.due \
         where due_at < now() - make_interval(secs => $1) order by due_at limit $2",
        read.schema
    );
    Ok(client.query(&sql, &[&grace_s, &limit]).await?.iter().map(of_row).collect())
}

fn of_row(row: &tokio_postgres::Row) -> Late {
    Late {
        stream: row.get(0),
        key: row.get(1),
        due_at: row.get(2),
        tries: row.get(3),
        last_error: row.get(4),
    }
}

/// What streams still owe, also what comes due later, in the order in which it comes due.
///
/// # Errors
/// If the database is out of reach.
pub async fn owed(read: &ReadSide, streams: &[String]) -> Result<Vec<Late>, StoreError> {
    let client = read.pool.get().await?;
    let sql = read.sql(
        "select stream, key, due_at, tries, last_error from {schema}.due \
         where stream = any ($1) order by due_at, stream, key",
    );
    let statement = client.prepare_cached(&sql).await?;
    Ok(client.query(&statement, &[&streams]).await?.iter().map(of_row).collect())
}

/// Ends the pause of dues that were put off after a failure, of one stream and key or of all; gives their
/// number. Whoever works them tries again within moments; what is under way just now is left alone.
///
/// # Errors
/// If the database is out of reach.
pub async fn retry(
    read: &ReadSide,
    stream: Option<&str>,
    key: Option<&str>,
) -> Result<u64, StoreError> {
    let client = read.pool.get().await?;
    let sql = read.sql(
        "update {schema}.due set put_off_until = '-infinity' \
         where claimed_by is null and tries > 0 and put_off_until > now() \
           and ($1::text is null or stream = $1) and ($2::text is null or key = $2)",
    );
    Ok(client.execute(&sql, &[&stream, &key]).await?)
}
