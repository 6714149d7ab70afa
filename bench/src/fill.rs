//! A log of any size by COPY, as appends would have left it.

pub mod orders;

use crate::peers::daybook::PARTITIONS;
use crate::peers::payload;
use anyhow::{Result, ensure};
use chrono::Utc;
use event_store::{Database, event_id, partition_of};
use futures_util::SinkExt;
use std::fmt::Write;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The name of the nth stream of a filled log.
pub fn stream(nth: u64) -> String {
    format!("order-00000000-0000-5000-8000-{nth:012x}")
}

/// `events` streams of one event each, in the partitions where they belong.
pub async fn copy(database: &Database, events: u64) -> Result<()> {
    const AT_ONCE: u64 = 500_000;
    let mut offsets = Offsets::default();
    for from in (0..events).step_by(usize::try_from(AT_ONCE)?) {
        let until = events.min(from + AT_ONCE);
        let mut rows = (from..until).map(|nth| row(&mut offsets, &stream(nth), nth));
        write(database, || rows.next()).await?;
    }
    let client = database.connect("bench fill").await?;
    client.batch_execute("vacuum analyze shop.event").await?;
    Ok(())
}

/// Rows of the log in one COPY over one connection, for so long; rows/s, its commit included.
pub async fn copy_for(database: &Database, offsets: &mut Offsets, time: Duration) -> Result<f64> {
    let began = Instant::now();
    let fresh = || format!("order-{}", Uuid::now_v7());
    let next = || (began.elapsed() < time).then(|| row(offsets, &fresh(), 7));
    let copied = write(database, next).await?;
    Ok(copied as f64 / began.elapsed().as_secs_f64())
}

/// The next offset of each partition.
#[derive(Default)]
pub struct Offsets([i64; PARTITIONS as usize]);

impl Offsets {
    /// Of a log that holds so many events, dealt out in turn.
    pub fn after(events: i64) -> Self {
        let partitions = i64::from(PARTITIONS);
        let held = |partition: usize| (events + partitions - 1 - partition as i64) / partitions;
        Offsets(std::array::from_fn(held))
    }

    fn next(&mut self, stream: &str) -> (i32, i64) {
        let partition = partition_of(stream, PARTITIONS);
        let next = &mut self.0[partition as usize];
        *next += 1;
        (partition, *next - 1)
    }
}

async fn write(database: &Database, mut next: impl FnMut() -> Option<String>) -> Result<u64> {
    const BYTES: usize = 64 << 10;
    let client = database.connect("bench copy").await?;
    let sink = client.copy_in::<_, bytes::Bytes>("copy shop.event from stdin").await?;
    let mut sink = std::pin::pin!(sink);
    let (mut rows, mut copied) = (String::new(), 0);
    while let Some(row) = next() {
        rows.push_str(&row);
        copied += 1;
        if rows.len() > BYTES {
            sink.feed(std::mem::take(&mut rows).into()).await?;
        }
    }
    sink.feed(rows.into()).await?;
    let written = sink.finish().await?;
    ensure!(written == copied, "{written} rows were copied, not {copied}");
    Ok(copied)
}

/// As the log's own call would have left it.
fn row(offsets: &mut Offsets, stream: &str, number: u64) -> String {
    let command = Uuid::new_v4();
    let (event, payload) = (event_id(stream, command, 0), payload(number));
    let ((partition, offset), now) = (offsets.next(stream), Utc::now().to_rfc3339());
    let mut row = String::new();
    writeln!(
        row,
        "{partition}\t{offset}\t{stream}\t1\t{event}\t{command}\t0\torder.placed\t1\t{payload}\t\
         {{\"correlation\":\"{command}\",\"actor\":\"bench\"}}\t{now}\t{now}"
    )
    .expect("a string takes all that is written to it");
    row
}
