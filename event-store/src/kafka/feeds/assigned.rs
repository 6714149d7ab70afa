use super::FeedStatus;
use crate::follow::{Feed, Transport};
use crate::kafka::client;
use crate::kafka::refusal::Refusal;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What the group gave to this process, and what its feeds are told of it.
pub(super) struct Assigned {
    topics: Vec<(String, Feed)>,
    state: Mutex<State>,
    status: watch::Sender<FeedStatus>,
    refusal: Refusal,
}

struct State {
    /// Whether the group has spoken since this member joined.
    joined: bool,
    /// Whether it took everything back since.
    lost: bool,
    reachable: bool,
    closed: bool,
    /// When `joined` or `reachable` last changed.
    since: Instant,
    partitions: BTreeMap<String, BTreeSet<i32>>,
}

impl Assigned {
    pub(super) fn new(topics: Vec<(String, Feed)>, status: watch::Sender<FeedStatus>) -> Arc<Self> {
        let state = State {
            joined: false,
            lost: false,
            reachable: true,
            closed: false,
            since: Instant::now(),
            partitions: BTreeMap::new(),
        };
        let (state, refusal) = (Mutex::new(state), Refusal::default());
        Arc::new(Assigned { topics, state, status, refusal })
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.state().reachable
    }

    pub(super) fn set_reachable(&self, reachable: bool) {
        let mut state = self.state();
        if state.reachable != reachable {
            if reachable {
                self.refusal.forget();
            }
            state.reachable = reachable;
            state.since = Instant::now();
            self.publish(&state);
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.state().lost
    }

    /// How long brokers that answer have left this member without an assignment.
    pub(super) fn unjoined_for(&self) -> Duration {
        let state = self.state();
        if state.joined || !state.reachable { Duration::ZERO } else { state.since.elapsed() }
    }

    /// For good: leaving the group must not be taken for an assignment.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.publish(&state);
    }

    fn given(&self, list: &TopicPartitionList) {
        let mut state = self.state();
        for given in list.elements() {
            let topic = given.topic().to_owned();
            state.partitions.entry(topic).or_default().insert(given.partition());
        }
        if !state.joined {
            state.joined = true;
            state.since = Instant::now();
        }
        self.publish(&state);
    }

    fn taken(&self, list: &TopicPartitionList, lost: bool) {
        let mut state = self.state();
        for taken in list.elements() {
            if let Some(partitions) = state.partitions.get_mut(taken.topic()) {
                partitions.remove(&taken.partition());
            }
        }
        state.lost |= lost;
        self.publish(&state);
    }

    fn publish(&self, state: &State) {
        let kafka = state.joined && !state.lost && state.reachable && !state.closed;
        for (topic, feed) in &self.topics {
            let partitions = || state.partitions.get(topic).cloned().unwrap_or_default();
            feed.set_transport(if kafka { Transport::Kafka(partitions()) } else { Transport::Log });
        }
        let status = match state {
            State { closed: true, .. } => FeedStatus::Waiting,
            State { reachable: false, .. } => FeedStatus::Log(self.refusal.or_out_of_reach()),
            State { joined: false, .. } | State { lost: true, .. } => {
                FeedStatus::Log("the group gave no partitions".into())
            }
            State { .. } => FeedStatus::Kafka,
        };
        tell(&self.status, status);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells a new status, once.
pub(super) fn tell(sender: &watch::Sender<FeedStatus>, status: FeedStatus) {
    let changed = sender.send_if_modified(|now| {
        let changed = *now != status;
        *now = status.clone();
        changed
    });
    if !changed {
        return;
    }
    metrics::gauge!("daybook_feed_kafka").set(f64::from(u8::from(status == FeedStatus::Kafka)));
    match status {
        FeedStatus::Waiting => {}
        FeedStatus::Kafka => tracing::info!("kafka feeds the followers"),
        FeedStatus::Log(why) => tracing::warn!(why, "the followers read the log instead of kafka"),
    }
}

pub(super) struct Context(pub(super) Arc<Assigned>);

impl ConsumerContext for Context {
    /// Runs on the task that polls. What is given starts at its end, in the one call that takes it on:
    /// a position set later can be overtaken by a stored one.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let done = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let taken_on =
                list.set_all_offsets(Offset::End).and_then(|()| consumer.incremental_assign(list));
            self.0.given(list);
            taken_on
        } else {
            self.0.taken(list, consumer.assignment_lost());
            consumer.incremental_unassign(list)
        };
        tracing::debug!(?error, partitions = list.count(), "the group was rebalanced");
        if let Err(error) = done {
            // The watch over the tail feeds the followers until the next rebalance.
            tracing::warn!(%error, "an assignment could not be taken on");
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
        self.0.refusal.hear(&error, reason);
    }
}
