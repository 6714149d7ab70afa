//! Where a relay goes on: after the last record of each partition of its topic, if that record is the
//! log's event at its offset. Nothing about progress is stored anywhere else, so nothing can disagree.
//!
//! A topic that was deleted and made again under a relay at work begins in the middle of the log, before
//! anyone can notice. It has fewer records than the log has events before its end, and is filled again.

use super::super::{Brokers, KafkaFailure, client, record};
use super::RelayStart;
use super::producer::End;
use super::reader::{Epoch, Reader};
use crate::append::index;
use crate::{Log, Recorded};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;

const LEADER_PAUSE: Duration = Duration::from_millis(20);

/// The end of the copy in each partition of the topic, checked against the log; the brokers may take `patience`
/// to say it for all of them.
pub(super) async fn ends(
    brokers: &Brokers,
    topic: &str,
    log: &Log,
    reader: &Reader,
    (start, patience): (RelayStart, Duration),
) -> Result<Vec<End>, KafkaFailure> {
    let (brokers, name) = (brokers.clone(), topic.to_owned());
    let (service, partitions) = (log.service().clone(), log.partitions());
    let tails =
        spawn_blocking(move || last_records(&brokers, &name, &service, partitions, patience))
            .await??;
    let mut ends = Vec::with_capacity(tails.len());
    for (partition, tail) in (0..).zip(tails) {
        let relayed = match &tail.last {
            Some(last) => {
                let next = after(topic, reader, last).await?;
                if start == RelayStart::Beginning && tail.lacks(last) { 0 } else { next }
            }
            None => match start {
                RelayStart::Beginning => 0,
                RelayStart::Head => log.known_heads().borrow()[index(partition)],
            },
        };
        ends.push(End { relayed, kafka: tail.end });
    }
    Ok(ends)
}

struct Tail {
    /// Kafka's offsets: of the first record, and after the last one.
    first: i64,
    end: i64,
    last: Option<Recorded>,
}

impl Tail {
    /// Whether events before the last one cannot be there: a relay writes one record for each event at
    /// least. Where Kafka has discarded old records, as it was told to, nothing can be said.
    fn lacks(&self, last: &Recorded) -> bool {
        self.first == 0 && self.end <= last.offset
    }
}

/// Blocks; drops its consumer before it returns.
fn last_records(
    brokers: &Brokers,
    topic: &str,
    service: &Arc<str>,
    partitions: i32,
    patience: Duration,
) -> Result<Vec<Tail>, KafkaFailure> {
    let deadline = Instant::now() + patience;
    let left = || deadline.saturating_duration_since(Instant::now());
    let consumer: BaseConsumer<_> = client::config(brokers, &format!("relay-{service}"))
        // Named because librdkafka assigns nothing without; it is never joined, and nothing is stored.
        .set("group.id", "daybook-relay")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .create_with_context(client::Quiet::default())?;
    let mut tails = Vec::new();
    let mut wanted = TopicPartitionList::new();
    for partition in 0..partitions {
        let (first, end) = watermarks(&consumer, topic, partition, deadline)?;
        if first < end {
            wanted.add_partition_offset(topic, partition, Offset::Offset(end - 1))?;
        }
        tails.push(Tail { first, end, last: None });
    }
    consumer.assign(&wanted)?;
    let mut found = BTreeMap::new();
    while found.len() < wanted.count() {
        let Some(message) = consumer.poll(left().min(Duration::from_millis(100))) else {
            if left().is_zero() {
                return Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut).into());
            }
            continue;
        };
        let message = message?;
        found.entry(message.partition()).or_insert(record::recorded(&message, service)?);
    }
    for (partition, last) in found {
        if let Some(tail) = usize::try_from(partition).ok().and_then(|p| tails.get_mut(p)) {
            tail.last = Some(last);
        }
    }
    Ok(tails)
}

/// A topic that was just made has no leaders for a moment.
fn watermarks(
    consumer: &BaseConsumer<client::Quiet>,
    topic: &str,
    partition: i32,
    deadline: Instant,
) -> Result<(i64, i64), KafkaError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match consumer.fetch_watermarks(topic, partition, left) {
            Err(error) if no_leader(&error) && !left.is_zero() => std::thread::sleep(LEADER_PAUSE),
            answered => return answered,
        }
    }
}

fn no_leader(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable)
    )
}

/// The offset after the last record, or where a newer epoch says that the log goes on.
async fn after(topic: &str, reader: &Reader, last: &Recorded) -> Result<i64, KafkaFailure> {
    let held = reader.page(last.partition, last.offset, 1).await?;
    if held.first().is_some_and(|e| e.offset == last.offset && e.event_id == last.event_id) {
        return Ok(last.offset + 1);
    }
    let epochs = reader.epochs(last.partition).await?;
    resume(last, &epochs).ok_or_else(|| KafkaFailure::Ahead {
        topic: topic.to_owned(),
        service: last.service.to_string(),
        partition: last.partition,
        epoch: last.epoch,
        offset: last.offset,
    })
}

/// A newer epoch that begins at or before the record explains why the log does not hold it: the tail from
/// there on was lost and is written anew. Of several such epochs the one that begins first.
fn resume(last: &Recorded, epochs: &[Epoch]) -> Option<i64> {
    let newer = epochs.iter().filter(|epoch| epoch.epoch > last.epoch);
    newer.map(|epoch| epoch.first_offset).filter(|first| *first <= last.offset).min()
}

#[cfg(test)]
mod tests;
