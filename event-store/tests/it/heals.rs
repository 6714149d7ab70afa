//! What befalls the relay and its Kafka while events are appended. After it the copy, repeats dropped, equals
//! the log event by event, and whoever follows over Kafka has posted everything once.

mod broker;

use crate::append::chain;
use crate::feeds::{Process, by_kafka};
use crate::kafka::{
    brokers, copied_to, create_topic, delete_topic, fill, logged, once, own, set_topic, to,
};
use crate::posting::{all_posted_once, read_side};
use crate::proxy::Mode;
use crate::relay::Running;
use crate::support::{eventually, fresh_database, id, open};
use broker::Broker;
use event_store::follow::ReadSide;
use event_store::kafka::{Brokers, RelaySettings, RelayState, RelayStatus};
use event_store::{Database, Log, event_id};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::time::Duration;
use tokio::sync::watch;

/// A log, its copy at some brokers, and a follower that is fed from there.
struct Shop {
    brokers: String,
    topic: String,
    database: Database,
    read: ReadSide,
    process: Process,
    tell_relay: watch::Sender<Option<Brokers>>,
    sold: u128,
}

impl Shop {
    async fn at(brokers: String) -> Self {
        Self::with(brokers, |settings| settings).await
    }

    async fn with(brokers: String, set: impl FnOnce(RelaySettings) -> RelaySettings) -> Self {
        let (database, topic) = (fresh_database().await, own("shop-events"));
        let read = read_side(&database).await;
        let (tell_relay, told) = watch::channel(Some(brokers.clone().into()));
        let relay = set(RelaySettings::new(told, &topic));
        let told = watch::channel(Some(brokers.clone().into())).1;
        let process =
            Process::relaying("one", &database, relay, &own("group"), told, by_kafka()).await;
        let mut shop = Shop { brokers, topic, database, read, process, tell_relay, sold: 0 };
        shop.is_whole().await;
        shop
    }

    async fn sell(&mut self, events: u128) {
        fill(&self.process.log, self.sold..self.sold + events).await;
        self.sold += events;
    }

    async fn sells_at_a_pace(&mut self) {
        self.sell(40).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// Sells until it is over, and then some more; at a pace that leaves a server that starts something of the machine.
    async fn sells_during<T>(&mut self, fault: impl Future<Output = T>) -> T {
        let mut fault = std::pin::pin!(fault);
        loop {
            tokio::select! {
                biased;
                () = self.sells_at_a_pace() => {}
                over = &mut fault => {
                    self.sell(40).await;
                    return over;
                }
            }
        }
    }

    /// Appends an event that is larger than 6,000 bytes however it is compressed; returns what the relay says of it.
    async fn sells_too_large(&self, stream: &str) -> String {
        let random = (0..300).map(|i| event_id("x", id(i), 0).simple().to_string());
        let payload = format!("\"{}\"", random.collect::<String>());
        let (bytes, log) = (payload.len(), &self.process.log);
        let mut large = chain(stream, 0, &[(1_000_000, 1)]);
        large.entries[0].events[0].payload = payload;
        let partition = log.append(large).await.unwrap().partition;
        let offset = log.read_stream(stream, 0, 1).await.unwrap()[0].offset;
        format!("kafka refuses event {offset} of shop/{partition} for its {bytes} bytes")
    }

    /// Everything is posted once and copied, and Kafka brings what is new.
    async fn is_whole(&mut self) {
        self.process.until_kafka_brings(|assigned| assigned.len() == 4).await;
        self.sell(40).await;
        all_posted_once(&self.read, &self.process.log).await;
        equals(&self.brokers, &self.topic, &self.process.log).await;
    }

    async fn close(mut self) {
        self.is_whole().await;
        self.process.stop().await;
    }
}

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the copy, repeats dropped, is the log.
async fn equals(brokers: &str, topic: &str, log: &Log) {
    eventually("the copy is the log", async || {
        copied_to(brokers, topic, log).await.map(once) == Some(logged(log).await)
    })
    .await;
}

/// Until the relay says why it does not go on.
async fn is_told(mut status: watch::Receiver<RelayStatus>, why: &str) {
    let is = |status: &RelayStatus| match &status.state {
        RelayState::Down(said) | RelayState::Refused(said) => said.contains(why),
        RelayState::Waiting | RelayState::Elsewhere | RelayState::Up => false,
    };
    let waited = tokio::time::timeout(LIMIT, status.wait_for(is)).await.is_ok();
    assert!(waited, "never: it says `{why}`; it is {:?}", *status.borrow());
}

#[tokio::test]
async fn a_broker_that_is_killed_and_started_again_under_load_is_missed_by_nobody() {
    let mut broker = Broker::start().await;
    let mut shop = Shop::at(broker.address()).await;
    shop.sells_during(async {
        broker.kill().await;
        broker.start_again().await;
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn a_broker_whose_data_are_wiped_under_load_is_filled_again_from_the_log() {
    let mut broker = Broker::start().await;
    let mut shop = Shop::at(broker.address()).await;
    let before = broker.cluster();
    shop.sells_during(async {
        broker.kill().await;
        broker.wipe();
        broker.start_again().await;
    })
    .await;
    assert_ne!(broker.cluster(), before);
    shop.close().await;
}

#[tokio::test]
async fn a_relay_that_gets_no_acknowledgement_begins_with_a_new_client() {
    let broker = Broker::start().await;
    let stall = Duration::from_secs(1);
    let with = |settings| RelaySettings { stall, ..settings };
    let mut shop = Shop::with(broker.address(), with).await;
    broker.proxy.set(Mode::BlackHole);
    // Nothing that is open is closed, so nobody else can notice.
    let status = shop.process.relay.clone();
    shop.sells_during(is_told(status, "nothing was acknowledged for 1 s")).await;
    broker.proxy.set(Mode::Pass);
    shop.close().await;
}

#[tokio::test]
async fn a_topic_that_somebody_makes_again_under_load_is_filled_from_the_log() {
    let mut shop = Shop::at(brokers()).await;
    for _ in 0..3 {
        let topic = shop.topic.clone();
        shop.sells_during(async {
            delete_topic(&topic).await;
            create_topic(&topic, 4).await;
        })
        .await;
        shop.is_whole().await;
    }
    shop.close().await;
}

/// The broker refuses for good what a client may not repeat, and that ends a producer without gaps.
#[tokio::test]
async fn a_producer_that_is_ended_by_a_refusal_is_replaced_when_the_refusal_ends() {
    let mut shop = Shop::at(brokers()).await;
    for _ in 0..2 {
        // Every record is too old.
        set_topic(&shop.topic, "message.timestamp.before.max.ms", "0").await;
        shop.sell(40).await;
        is_told(shop.process.relay.clone(), "kafka ended the producer: ").await;
        set_topic(&shop.topic, "message.timestamp.before.max.ms", "9223372036854775807").await;
        shop.is_whole().await;
    }
    shop.close().await;
}

/// No real broker can be told to say it, so librdkafka's own stand-in for one does.
#[tokio::test]
async fn a_producer_that_is_fenced_or_out_of_sequence_is_replaced() {
    let mock = MockCluster::new(1).unwrap();
    let with = |settings: RelaySettings| {
        mock.create_topic(&settings.topic, 4, 1).unwrap();
        settings
    };
    let mut shop = Shop::with(mock.bootstrap_servers(), with).await;
    for fault in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    ] {
        // All that it sends, for that is what a broker does.
        mock.request_errors(RDKafkaApiKey::Produce, &[fault; 100]);
        let status = shop.process.relay.clone();
        shop.sells_during(is_told(status, "kafka ended the producer")).await;
        mock.clear_request_errors(RDKafkaApiKey::Produce);
        shop.is_whole().await;
    }
    shop.close().await;
}

#[tokio::test]
async fn a_relay_that_loses_its_lock_under_load_is_followed_by_another() {
    let mut shop = Shop::at(brokers()).await;
    let other = open(&shop.database).await;
    let mut other = Running::start(&other, to(&shop.topic));
    other.until("the other one waits", |s| s.state == RelayState::Elsewhere).await;
    let admin = shop.database.connect("tests").await.unwrap();
    for turn in 0..4 {
        let (from, to) = match turn % 2 {
            0 => (shop.process.relay.clone(), other.status.clone()),
            _ => (other.status.clone(), shop.process.relay.clone()),
        };
        let owner = "select pg_terminate_backend(pid) from pg_locks \
             where locktype = 'advisory' and granted and pid in (select pid from pg_stat_activity \
               where datname = current_database() and application_name like 'daybook relay%')";
        let moved =
            async || to.borrow().state == RelayState::Up && from.borrow().state != RelayState::Up;
        shop.sells_during(async {
            eventually("the other one relays", async || {
                // Whoever lost it may be quicker to have it again.
                if !moved().await {
                    admin.execute(owner, &[]).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(700)).await;
                    // Whoever is ended before he begins never begins.
                    let up = || [&from, &to].iter().any(|it| it.borrow().state == RelayState::Up);
                    eventually("one of them relays", async || up()).await;
                }
                moved().await
            })
            .await;
        })
        .await;
    }
    shop.is_whole().await;
    other.stop().await;
    shop.close().await;
}

#[tokio::test]
async fn a_record_that_the_broker_refuses_for_its_size_stops_the_relay_which_names_it() {
    let mut shop = Shop::at(brokers()).await;
    set_topic(&shop.topic, "max.message.bytes", "6000").await;
    // Together they are too large, but none of them is.
    shop.sell(400).await;
    shop.is_whole().await;
    let admin = shop.database.connect("tests").await.unwrap();
    let session = async || {
        let sql = "select pid from pg_stat_activity where datname = current_database() \
             and application_name like 'daybook relay%'";
        admin.query(sql, &[]).await.unwrap().first().map(|row| row.get::<_, i32>(0))
    };
    // The second one meets a topic that holds repeats.
    for stream in ["till-0-large", "till-0-larger"] {
        set_topic(&shop.topic, "max.message.bytes", "6000").await;
        let names = shop.sells_too_large(stream).await;
        is_told(shop.process.relay.clone(), &names).await;
        assert!(matches!(shop.process.relay.borrow().state, RelayState::Refused(_)));
        // Nor does what follows pass it, with a producer that the broker has never seen.
        shop.sell(400).await;
        let before = session().await;
        // It would look by itself some seconds later.
        shop.tell_relay.send_replace(Some(shop.brokers.clone().into()));
        eventually("it tries again", async || {
            let now = session().await;
            now.is_some() && now != before
        })
        .await;
        eventually("it has tried again", async || session().await.is_none()).await;
        is_told(shop.process.relay.clone(), &names).await;
        all_posted_once(&shop.read, &shop.process.log).await;
        set_topic(&shop.topic, "max.message.bytes", "1048588").await;
        shop.tell_relay.send_replace(Some(shop.brokers.clone().into()));
        shop.is_whole().await;
    }
    shop.close().await;
}
