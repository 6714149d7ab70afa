//! A follower that posts where each event was, and which process posted it.

use crate::support::eventually;
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use event_store::follow::{ApplyError, Follower, ReadSide};
use event_store::{Database, Log, Recorded};
use std::sync::Arc;

pub(crate) struct Posting {
    pub(crate) process: &'static str,
}

const INSERT: &str = "insert into shop_read.posting (partition, log_offset, process) \
     select unnest($1::int[]), unnest($2::bigint[]), $3";

#[async_trait]
impl Follower for Posting {
    fn name(&self) -> &str {
        "posting"
    }

    fn logs(&self) -> Vec<String> {
        vec!["shop".into()]
    }

    async fn apply(&self, tx: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        let offsets: Vec<i64> = batch.iter().map(|event| event.offset).collect();
        let partitions: Vec<i32> = batch.iter().map(|event| event.partition).collect();
        tx.execute(INSERT, &[&partitions, &offsets, &self.process]).await?;
        Ok(())
    }
}

/// Makes the table that it posts into; deliberately without a key, so that a second posting shows.
pub(crate) async fn read_side(database: &Database) -> ReadSide {
    let database = database.of_service("shop");
    let table = "create table if not exists shop_read.posting \
         (partition int not null, log_offset bigint not null, process text not null)";
    database.connect("tests").await.unwrap().batch_execute(table).await.unwrap();
    ReadSide::open(&database, "shop", 8).unwrap()
}

/// Each posting: partition, offset and process, in the order of the log.
pub(crate) async fn postings(read: &ReadSide) -> Vec<(i32, i64, String)> {
    let client = read.pool.get().await.unwrap();
    let sql = "select partition, log_offset, process from shop_read.posting order by 1, 2";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// Waits until everything that the log holds now was posted, and checks that it was posted once.
pub(crate) async fn all_posted_once(read: &ReadSide, log: &Log) {
    let heads = log.heads().await.unwrap();
    let expected: Vec<(i32, i64)> =
        (0..).zip(&heads).flat_map(|(p, head)| (0..*head).map(move |o| (p, o))).collect();
    eventually("everything is posted", || async { postings(read).await.len() >= expected.len() })
        .await;
    let posted: Vec<_> = postings(read).await.into_iter().map(|(p, o, _)| (p, o)).collect();
    assert_eq!(posted, expected);
}
