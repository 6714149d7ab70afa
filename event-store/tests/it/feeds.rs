use crate::kafka::{brokers, delete_topic, fill, known, logged, own, to};
use crate::posting::{Posting, all_posted_once, postings, read_side};
use crate::support::{eventually, fresh_database, open};
use event_store::follow::{Feed, FollowLimits, Runner, Transport};
use event_store::kafka::{
    Brokers, FeedSettings, FeedStatus, KafkaFeeds, KafkaLimits, Relay, RelaySettings, RelayStatus,
};
use event_store::{Database, Log};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Of followers that are told nothing by the lanes of their process.
pub(crate) fn by_kafka() -> FollowLimits {
    FollowLimits { shortcut: false, ..FollowLimits::default() }
}

/// What one process runs.
pub(crate) struct Process {
    pub(crate) log: Log,
    pub(crate) relay: watch::Receiver<RelayStatus>,
    feed: Feed,
    status: watch::Receiver<FeedStatus>,
    runner: Runner,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Process {
    async fn start(
        name: &'static str,
        database: &Database,
        topic: &str,
        group: &str,
        brokers: watch::Receiver<Option<Brokers>>,
    ) -> Self {
        Self::relaying(name, database, to(topic), group, brokers, by_kafka()).await
    }

    /// Feeds its followers from where its relay copies to.
    pub(crate) async fn relaying(
        name: &'static str,
        database: &Database,
        relay: RelaySettings,
        group: &str,
        brokers: watch::Receiver<Option<Brokers>>,
        limits: FollowLimits,
    ) -> Self {
        let (log, stop, tasks) =
            (open(database).await, CancellationToken::new(), TaskTracker::new());
        let feed = Feed::limited(log.clone(), &limits);
        let feeds = KafkaFeeds::new(FeedSettings {
            brokers,
            group: group.to_owned(),
            topics: vec![(relay.topic.clone(), feed.clone())],
            limits: KafkaLimits::default(),
        });
        let status = feeds.status();
        tasks.spawn(feeds.run(stop.clone()));
        let alone = Some(feed.clone());
        let relay = Relay::new(log.clone(), RelaySettings { alone, ..relay });
        let relayed = relay.status();
        tasks.spawn(relay.run(stop.clone()));
        let runner = Runner::limited(vec![feed.clone()], stop.clone(), limits);
        runner.follow(&(Arc::new(Posting { process: name }) as _), 0, &read_side(database).await);
        Process { log, relay: relayed, feed, status, runner, tasks, stop }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Transport) -> bool) {
        let mut transport = self.feed.transport();
        let waiting = transport.wait_for(|transport| holds(transport));
        let ended = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(ended.is_ok(), "never: {what}; {:?}", *self.status.borrow());
    }

    pub(crate) async fn until_kafka_brings(&self, partitions: impl Fn(&BTreeSet<i32>) -> bool) {
        self.until("kafka brings them", |transport| match transport {
            Transport::Kafka(assigned) => partitions(assigned),
            Transport::Log => false,
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        let ended = async {
            self.tasks.wait().await;
            self.runner.wait().await;
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    }
}

#[tokio::test]
async fn what_kafka_brings_is_posted_once() {
    let database = fresh_database().await;
    let (read, topic) = (read_side(&database).await, own("shop-events"));
    let process = Process::start("one", &database, &topic, &own("group"), known()).await;
    process.until_kafka_brings(|assigned| assigned.len() == 4).await;
    for round in 0..20 {
        fill(&process.log, round * 20..round * 20 + 20).await;
        all_posted_once(&read, &process.log).await;
    }
    assert_eq!(process.status.borrow().clone(), FeedStatus::Kafka);
    process.stop().await;
}

#[tokio::test]
async fn followers_post_everything_once_while_the_topic_is_deleted() {
    let database = fresh_database().await;
    let (read, topic) = (read_side(&database).await, own("shop-events"));
    let process = Process::start("one", &database, &topic, &own("group"), known()).await;
    process.until_kafka_brings(|assigned| assigned.len() == 4).await;
    fill(&process.log, 0..100).await;
    all_posted_once(&read, &process.log).await;
    let deleting = async {
        delete_topic(&topic).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let filling = async {
        for round in 1..30 {
            fill(&process.log, round * 100..round * 100 + 40).await;
        }
    };
    tokio::join!(deleting, filling);
    all_posted_once(&read, &process.log).await;
    process.until_kafka_brings(|assigned| assigned.len() == 4).await;
    fill(&process.log, 10_000..10_100).await;
    all_posted_once(&read, &process.log).await;
    process.stop().await;
}

#[tokio::test]
async fn followers_read_the_log_until_kafka_is_there_and_when_it_goes() {
    let database = fresh_database().await;
    let (read, topic) = (read_side(&database).await, own("shop-events"));
    let (tell, told) = watch::channel(None);
    let process = Process::start("one", &database, &topic, &own("group"), told).await;
    fill(&process.log, 0..50).await;
    all_posted_once(&read, &process.log).await;
    tell.send_replace(Some(brokers().into()));
    process.until_kafka_brings(|assigned| assigned.len() == 4).await;
    fill(&process.log, 100..150).await;
    all_posted_once(&read, &process.log).await;
    tell.send_replace(Some("127.0.0.1:1".to_owned().into()));
    process.until("the log again", |transport| *transport == Transport::Log).await;
    fill(&process.log, 200..250).await;
    all_posted_once(&read, &process.log).await;
    process.stop().await;
}

#[tokio::test]
async fn two_processes_of_a_group_share_the_partitions_and_each_event_is_posted_once() {
    let database = fresh_database().await;
    let read = read_side(&database).await;
    let (topic, group) = (own("shop-events"), own("group"));
    let one = Process::start("one", &database, &topic, &group, known()).await;
    one.until_kafka_brings(|assigned| assigned.len() == 4).await;
    let two = Process::start("two", &database, &topic, &group, known()).await;
    let share = |assigned: &BTreeSet<i32>| assigned.len() == 2;
    tokio::join!(one.until_kafka_brings(share), two.until_kafka_brings(share));
    let mut next = 0;
    eventually("both post", || {
        next += 1_000;
        let (one, read) = (&one, &read);
        async move {
            fill(&one.log, next..next + 100).await;
            all_posted_once(read, &one.log).await;
            let posted = postings(read).await;
            ["one", "two"].iter().all(|name| posted.iter().any(|(_, _, process)| process == name))
        }
    })
    .await;
    one.stop().await;
    two.until_kafka_brings(|assigned| assigned.len() == 4).await;
    fill(&two.log, 1_000_000..1_000_100).await;
    all_posted_once(&read, &two.log).await;
    two.stop().await;
}

/// A follower that believes in a Kafka that is not there.
async fn believing(database: &Database) -> (Log, Feed, Runner, CancellationToken) {
    let (log, stop) = (open(database).await, CancellationToken::new());
    let feed = Feed::limited(log.clone(), &by_kafka());
    feed.set_transport(Transport::Kafka((0..log.partitions()).collect()));
    let runner = Runner::new(vec![feed.clone()], stop.clone());
    runner.follow(&(Arc::new(Posting { process: "one" }) as _), 0, &read_side(database).await);
    (log, feed, runner, stop)
}

#[tokio::test]
async fn what_kafka_never_brings_is_read_from_the_log() {
    let database = fresh_database().await;
    let read = read_side(&database).await;
    let (log, _feed, runner, stop) = believing(&database).await;
    let elsewhere = open(&database).await;
    for round in 0..3 {
        fill(&log, round * 100..round * 100 + 10).await;
        all_posted_once(&read, &log).await;
        fill(&elsewhere, round * 100 + 50..round * 100 + 60).await;
        all_posted_once(&read, &elsewhere).await;
    }
    stop.cancel();
    runner.wait().await;
}

#[tokio::test]
async fn what_kafka_brings_again_holds_nobody_up() {
    let database = fresh_database().await;
    let read = read_side(&database).await;
    let (log, feed, runner, stop) = believing(&database).await;
    fill(&log, 0..20).await;
    all_posted_once(&read, &log).await;
    // A relay that fills a topic again brings everything from the beginning, and the news last.
    let old: Vec<_> = logged(&log).await.into_iter().flatten().map(Arc::new).collect();
    let flood = tokio::spawn(async move {
        loop {
            old.iter().for_each(|event| feed.deliver(event.clone()));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    fill(&log, 100..120).await;
    all_posted_once(&read, &log).await;
    flood.abort();
    stop.cancel();
    runner.wait().await;
}
