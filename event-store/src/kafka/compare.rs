//! Whether Kafka's copy of a log is the log, record by record.

use super::refusal::explained;
use super::{BadRecord, Brokers, KafkaFailure, client, record};
use crate::append::index;
use crate::check::Checked;
use crate::{Log, Recorded};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A copy that is behind is waited for so long after its last record.
const QUIET: Duration = Duration::from_secs(10);
/// And the brokers so long, who have to answer within [`ANSWER`].
const SILENT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_secs(10);
/// Records that wait to be compared.
const AHEAD: usize = 2_000;
const PAGE: i64 = 1_000;

/// What is read of a partition of the topic.
enum Told {
    /// Where it ended at first.
    End(i64),
    /// That no broker can be reached just now.
    Trouble(KafkaError),
    /// A record, with Kafka's own offset.
    Record(i64, Box<Result<Recorded, BadRecord>>),
}

impl Log {
    /// Compares the topic that a relay copies this log to with the log, as far as the log goes now. `tell` is told how
    /// many records were read.
    ///
    /// # Errors
    /// If Kafka or the log cannot be read; what is wrong with the copy is the answer.
    pub async fn compare_copy(
        &self,
        brokers: &Brokers,
        topic: &str,
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<Checked, KafkaFailure> {
        let mut checked = Checked::default();
        let heads = self.heads().await?;
        for partition in 0..self.partitions() {
            let head = heads[index(partition)];
            let mut copy = CopyOf { log: self, partition, next: 0, page: VecDeque::new() };
            copy.compare((brokers, topic), head, &mut checked, tell).await?;
        }
        Ok(checked)
    }
}

/// A partition, and how far its copy was found to be the log.
struct CopyOf<'a> {
    log: &'a Log,
    partition: i32,
    next: i64,
    /// Of the log, from `next` on.
    page: VecDeque<Recorded>,
}

impl CopyOf<'_> {
    async fn compare(
        &mut self,
        (brokers, topic): (&Brokers, &str),
        head: i64,
        checked: &mut Checked,
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<(), KafkaFailure> {
        let (send, mut records) = mpsc::channel(AHEAD);
        let (brokers, name) = (brokers.clone(), topic.to_owned());
        let (service, partition) = (self.log.service().clone(), self.partition);
        let reading = spawn_blocking(move || read(&brokers, &name, &service, partition, &send));
        let (mut end, mut trouble) = (None, None);
        // Both its own end as it was and the log's: a relay may be behind, and may be sending again.
        while self.next < head || end.is_none_or(|(at, end)| at < end) {
            let patience = if end.is_none() { SILENT } else { QUIET };
            let Ok(Some(brought)) = timeout(patience, records.recv()).await else { break };
            match brought? {
                Told::Trouble(error) => trouble = Some(error),
                Told::End(at) => end = Some((end.map_or(0, |(seen, _)| seen), at)),
                Told::Record(at, brought) => {
                    trouble = None;
                    end = end.map(|(_, end)| (at + 1, end));
                    checked.read += 1;
                    match *brought {
                        Ok(event) => self.record(event, checked).await?,
                        Err(bad) => checked.note(format!("{topic}/{partition}"), bad.to_string()),
                    }
                    if checked.read.is_multiple_of(1_000) {
                        tell(checked.read);
                    }
                }
            }
        }
        drop(records);
        reading.await?;
        if let Some(error) = trouble {
            return Err(error.into());
        }
        if end.is_none() {
            return Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut).into());
        }
        tell(checked.read);
        if self.next < head {
            let at = format!("{}/{partition}:{}", self.log.service(), self.next);
            checked.note(at, format!("the copy ends here, and the log at {head}"));
        }
        Ok(())
    }

    async fn record(&mut self, event: Recorded, checked: &mut Checked) -> Result<(), KafkaFailure> {
        let own = if event.offset == self.next {
            self.awaited().await?
        } else {
            self.log.read_partition(self.partition, event.offset, 1).await?.pop()
        };
        if own.as_ref() == Some(&event) {
            if event.offset < self.next {
                checked.repeats += 1;
                return Ok(());
            }
            if self.next < event.offset {
                let at = event.position();
                checked.note(
                    at,
                    format!("the copy lacks what comes before it, from {} on", self.next),
                );
                self.page.clear();
            } else {
                self.page.pop_front();
            }
            self.next = event.offset + 1;
            return Ok(());
        }
        let newest = self.log.known_epoch(self.partition);
        if own.as_ref().map_or(newest, |own| own.epoch) > event.epoch {
            checked.superseded += 1;
        } else {
            checked.note(event.position(), "the record is not the log's event");
        }
        Ok(())
    }

    /// The log's event that the copy should have next.
    async fn awaited(&mut self) -> Result<Option<Recorded>, KafkaFailure> {
        if self.page.is_empty() {
            self.page = self.log.read_partition(self.partition, self.next, PAGE).await?.into();
        }
        Ok(self.page.front().cloned())
    }
}

/// Blocks, until nobody listens any more.
fn read(
    brokers: &Brokers,
    topic: &str,
    service: &Arc<str>,
    partition: i32,
    send: &mpsc::Sender<Result<Told, KafkaFailure>>,
) {
    let told = |told: Result<Told, KafkaFailure>| send.blocking_send(told).is_ok();
    let consumer = match open(brokers, topic, partition) {
        Ok((consumer, end)) => {
            if !told(Ok(Told::End(end))) {
                return;
            }
            consumer
        }
        Err(error) => {
            told(Err(error));
            return;
        }
    };
    while !send.is_closed() {
        let goes_on = match consumer.poll(POLL) {
            None => true,
            Some(Ok(message)) => {
                let event = Box::new(record::recorded(&message, service));
                told(Ok(Told::Record(message.offset(), event)))
            }
            Some(Err(error)) => match error.rdkafka_error_code() {
                // librdkafka connects again by itself.
                Some(
                    RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::OperationTimedOut,
                ) => told(Ok(Told::Trouble(error))),
                _ => {
                    told(Err(error.into()));
                    return;
                }
            },
        };
        if !goes_on {
            return;
        }
    }
}

type Reader = BaseConsumer<client::Quiet>;

fn open(brokers: &Brokers, topic: &str, partition: i32) -> Result<(Reader, i64), KafkaFailure> {
    let consumer: Reader = client::config(brokers, "verify")
        // Named because librdkafka assigns nothing without; it is never joined, and nothing is stored.
        .set("group.id", "daybook-verify")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .create_with_context(client::Quiet::default())?;
    let asked = consumer.fetch_watermarks(topic, partition, ANSWER);
    let (_, end) = asked.map_err(|error| explained(brokers, &consumer, error.into()))?;
    let mut whole = TopicPartitionList::new();
    whole.add_partition_offset(topic, partition, Offset::Beginning)?;
    consumer.assign(&whole)?;
    Ok((consumer, end))
}
