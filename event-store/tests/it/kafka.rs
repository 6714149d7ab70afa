//! What the tests do to Kafka, and read from it.

use crate::support::{id, variable};
use event_store::kafka::{Brokers, RelaySettings, headers, recorded};
use event_store::{Log, Recorded};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::watch;

const ANSWER: Duration = Duration::from_secs(20);

pub(crate) fn brokers() -> String {
    variable("DAYBOOK_TEST_KAFKA")
}

/// A name that only this test uses: of a topic, or of a group.
pub(crate) fn own(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = UNIX_EPOCH.elapsed().unwrap().as_millis();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("it-{}-{next}-{since}-{name}", std::process::id())
}

/// Brokers that are known from the beginning.
pub(crate) fn known() -> watch::Receiver<Option<Brokers>> {
    watch::channel(Some(brokers().into())).1
}

pub(crate) fn to(topic: &str) -> RelaySettings {
    RelaySettings::new(known(), topic)
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", own("reader"));
    config
}

fn admin() -> AdminClient<DefaultClientContext> {
    config(&brokers()).create().unwrap()
}

pub(crate) async fn create_topic(topic: &str, partitions: i32) {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(ANSWER));
    admin().create_topics([&new], &options).await.unwrap().remove(0).unwrap();
}

/// Sets one thing of a topic; all else is as the broker has it.
pub(crate) async fn set_topic(topic: &str, key: &str, value: &str) {
    let config = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(key, value);
    let options = AdminOptions::new().operation_timeout(Some(ANSWER));
    admin().alter_configs([&config], &options).await.unwrap().remove(0).unwrap();
}

pub(crate) async fn delete_topic(topic: &str) {
    let options = AdminOptions::new().operation_timeout(Some(ANSWER));
    admin().delete_topics(&[topic], &options).await.unwrap().remove(0).unwrap();
}

/// Sends events as a relay would, whatever they are.
pub(crate) async fn produce(topic: &str, events: &[Recorded]) {
    let producer: FutureProducer = config(&brokers()).create().unwrap();
    for event in events {
        let record = FutureRecord::to(topic).partition(event.partition).key(&event.stream);
        let record = record.payload(&event.payload).headers(headers(event));
        producer.send(record, ANSWER).await.unwrap();
    }
}

/// Everything in a topic, by partition; none while it is not there.
pub(crate) async fn copied(topic: &str, log: &Log) -> Option<Vec<Vec<Recorded>>> {
    copied_to(&brokers(), topic, log).await
}

/// The same of other brokers.
pub(crate) async fn copied_to(brokers: &str, topic: &str, log: &Log) -> Option<Vec<Vec<Recorded>>> {
    let config = config(brokers);
    let (topic, service, partitions) = (topic.to_owned(), log.service().clone(), log.partitions());
    let read = move || {
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        let mut waiting = 0;
        for partition in 0..partitions {
            let (low, high) = consumer.fetch_watermarks(&topic, partition, ANSWER).ok()?;
            waiting += high - low;
            list.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut copied = vec![Vec::new(); usize::try_from(partitions).unwrap()];
        while waiting > 0 {
            let message = consumer.poll(ANSWER)?.ok()?;
            let partition = usize::try_from(message.partition()).unwrap();
            copied[partition].push(recorded(&message, &service).unwrap());
            waiting -= 1;
        }
        Some(copied)
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// Everything in a log, by partition.
pub(crate) async fn logged(log: &Log) -> Vec<Vec<Recorded>> {
    let mut logged = Vec::new();
    for partition in 0..log.partitions() {
        logged.push(log.read_partition(partition, 0, 1_000_000).await.unwrap());
    }
    logged
}

/// What is left when each event that came again is passed over, as followers do.
pub(crate) fn once(copied: Vec<Vec<Recorded>>) -> Vec<Vec<Recorded>> {
    let once = |events: Vec<Recorded>| {
        let mut next = 0;
        events
            .into_iter()
            .filter(|event| {
                let new = event.offset == next;
                next += i64::from(new);
                new
            })
            .collect()
    };
    copied.into_iter().map(once).collect()
}

/// Fills tills: one event for each number, in twenty streams.
pub(crate) async fn fill(log: &Log, numbers: std::ops::Range<u128>) {
    use crate::support::{Till, TillCommand, envelope};
    use event_store::{TransactLimits, Transactor};
    let till = Transactor::<Till>::new(log.clone(), TransactLimits::default());
    let put = |number: u128| {
        let till = till.clone();
        async move {
            let stream = format!("till-{}", number % 20);
            till.transact(&stream, TillCommand::Put { amount: 1 }, envelope(id(number)))
                .await
                .unwrap();
        }
    };
    futures_util::future::join_all(numbers.map(put)).await;
}
