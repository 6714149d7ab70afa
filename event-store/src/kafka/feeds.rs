//! The one consumer of a process: it brings what the relays copied to the followers of every topic that
//! this process follows. No offset is ever stored in Kafka. A partition is taken from its end on, and
//! what was there before, and whatever Kafka loses, the followers read from the log.

mod assigned;

use super::limits::count_failure;
use super::refusal::is_refusal;
use super::{Brokers, KafkaFailure, KafkaLimits, client, record, topics};
use crate::backoff::Backoff;
use crate::follow::Feed;
use crate::lane::chain_of;
use assigned::{Assigned, Context};
use futures_util::StreamExt;
use rdkafka::Offset;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
pub struct FeedSettings {
    /// None while they are not known; told anew, the group is joined anew.
    pub brokers: watch::Receiver<Option<Brokers>>,
    /// The processes of one group share the partitions of the topics; they follow the same ones.
    pub group: String,
    /// Each topic with the feed of the log that it copies.
    pub topics: Vec<(String, Feed)>,
    pub limits: KafkaLimits,
}

/// What brings events to the followers of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedStatus {
    /// Kafka is not there yet: they read the log.
    Waiting,
    Kafka,
    /// Why they read the log.
    Log(String),
}

/// Feeds followers from Kafka for as long as it runs. While Kafka is away, and before and after, every
/// feed says so and its followers read the log.
pub struct KafkaFeeds {
    settings: FeedSettings,
    status: watch::Sender<FeedStatus>,
}

const TICK: Duration = Duration::from_secs(1);
/// A partition that loses its place twice in so short a time has something else.
const MEND_AGAIN: Duration = Duration::from_secs(10);

/// In metrics.
const NAME: &str = "consumer";

type Client = Arc<StreamConsumer<Context>>;

impl KafkaFeeds {
    #[must_use]
    pub fn new(settings: FeedSettings) -> Self {
        KafkaFeeds { settings, status: watch::Sender::new(FeedStatus::Waiting) }
    }

    #[must_use]
    pub fn status(&self) -> watch::Receiver<FeedStatus> {
        self.status.subscribe()
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let KafkaLimits { retry_first, retry_most, .. } = self.settings.limits;
        let mut retry = Backoff::new(retry_first, retry_most);
        count_failure(NAME, 0);
        while !stop.is_cancelled() {
            let known = self.settings.brokers.borrow_and_update().clone();
            let Some(known) = known else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = self.settings.brokers.changed() => if changed.is_err() { return },
                }
                continue;
            };
            let began = Instant::now();
            let Err(error) = self.session(&known, &stop).await else { continue };
            if began.elapsed() > retry_most {
                retry.reset();
            }
            count_failure(NAME, 1);
            assigned::tell(&self.status, FeedStatus::Log(chain_of(&error)));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(retry.pause()) => {}
                Ok(()) = self.settings.brokers.changed() => {}
            }
        }
    }

    /// From joining the group to leaving it.
    async fn session(
        &self,
        brokers: &Brokers,
        stop: &CancellationToken,
    ) -> Result<(), KafkaFailure> {
        let mut named = self.settings.brokers.clone();
        let topic = |(name, feed): &(String, Feed)| (name.clone(), feed.log().partitions());
        let topics = self.settings.topics.iter().map(topic).collect();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            there = topics::appear(brokers, topics, self.settings.limits.answer) => there?,
            Ok(()) = named.changed() => return Ok(()),
        }
        let assigned = Assigned::new(self.settings.topics.clone(), self.status.clone());
        let consumer = Arc::new(open(brokers, &self.settings, assigned.clone())?);
        let names: Vec<&str> = self.settings.topics.iter().map(|(name, _)| &**name).collect();
        consumer.subscribe(&names)?;
        let mut session = Session::new(consumer, assigned.clone(), &self.settings);
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = session.run() => ended,
            Ok(()) = named.changed() => Ok(()),
        };
        // The followers turn to the log at once. Leaving the group takes a moment, and blocks.
        assigned.close();
        let consumer = session.consumer;
        spawn_blocking(move || drop(consumer)).await?;
        ended
    }
}

fn open(
    brokers: &Brokers,
    settings: &FeedSettings,
    assigned: Arc<Assigned>,
) -> Result<StreamConsumer<Context>, KafkaError> {
    let session_ms = settings.limits.session.as_millis();
    client::config(brokers, &settings.group)
        .set("group.id", &settings.group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session_ms.to_string())
        .set("heartbeat.interval.ms", (session_ms / 4).to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A lost place is said, never chosen: the follower reads the log instead.
        .set("auto.offset.reset", "error")
        // A partition that was just assigned waits for the fetch under way without it.
        .set("fetch.wait.max.ms", "250")
        .set("fetch.queue.backoff.ms", "10")
        .create_with_context(Context(assigned))
}

struct Session<'a> {
    consumer: Client,
    assigned: Arc<Assigned>,
    settings: &'a FeedSettings,
    /// When a lost place was last mended.
    mended: Option<Instant>,
    warned: bool,
    probe: Option<JoinHandle<bool>>,
}

impl<'a> Session<'a> {
    fn new(consumer: Client, assigned: Arc<Assigned>, settings: &'a FeedSettings) -> Self {
        Session { consumer, assigned, settings, mended: None, warned: false, probe: None }
    }

    /// Polls until the consumer must be made anew. What is polled are rebalances too.
    async fn run(&mut self) -> Result<(), KafkaFailure> {
        let consumer = self.consumer.clone();
        let mut records = consumer.stream();
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                Some(taken) = records.next() => match taken {
                    Ok(message) => self.deliver(&message),
                    Err(error) => self.mend(&error)?,
                },
                _ = tick.tick() => self.look().await?,
            }
            // Records that are there already come without a wait: others must have their turn too.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn deliver(&mut self, message: &BorrowedMessage<'_>) {
        let topic = self.settings.topics.iter().find(|(name, _)| name == message.topic());
        let Some((_, feed)) = topic else { return };
        self.assigned.set_reachable(true);
        let partition = message.partition();
        if record::place(message)
            .is_some_and(|(epoch, offset)| feed.knows(partition, epoch, offset))
        {
            return;
        }
        match record::recorded(message, feed.log().service()) {
            Ok(event) => feed.deliver(Arc::new(event)),
            Err(error) => {
                // The followers see a hole where it should be, and read the log.
                if !self.warned {
                    tracing::warn!(%error, "kafka brought what no relay wrote; it is passed over");
                }
                self.warned = true;
            }
        }
    }

    fn mend(&mut self, error: &KafkaError) -> Result<(), KafkaFailure> {
        tracing::debug!(target: "librdkafka", %error, "the consumer reports");
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.assigned.set_reachable(false),
            // librdkafka connects again by itself.
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut,
            ) => {}
            // It does that too, and whoever mends it need not be told of each time.
            Some(code) if is_refusal(code) => {}
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
                if self.mended.is_none_or(|at| at.elapsed() > MEND_AGAIN) =>
            {
                self.mended = Some(Instant::now());
                self.assign_again()?;
            }
            Some(_) | None => return Err(KafkaFailure::Consumer(error.to_string())),
        }
        Ok(())
    }

    /// A partition that lost its place (its topic was cut off, or deleted and made again) stops without a
    /// word more. Which one it was is not said, so all of them go to their ends.
    fn assign_again(&self) -> Result<(), KafkaFailure> {
        let mut all = self.consumer.assignment()?;
        self.consumer.incremental_unassign(&all)?;
        all.set_all_offsets(Offset::End)?;
        self.consumer.incremental_assign(&all)?;
        Ok(())
    }

    /// Once a tick: whether brokers that were out of reach answer again, and whether the group does.
    async fn look(&mut self) -> Result<(), KafkaFailure> {
        if self.assigned.is_lost() {
            // The brokers that come back may have lost topics too: a group that forms before all of them are
            // there again shares out the others, and gives those to nobody when they come.
            return Err(KafkaFailure::Consumer("the group took back what it had given".to_owned()));
        }
        let join = self.settings.limits.join;
        if self.assigned.unjoined_for() > join {
            return Err(KafkaFailure::Consumer(format!(
                "the group has assigned nothing for {} s",
                join.as_secs()
            )));
        }
        if let Some(probe) = self.probe.take_if(|probe| probe.is_finished()) {
            if probe.await? {
                self.assigned.set_reachable(true);
            }
        } else if self.probe.is_none() && !self.assigned.is_reachable() {
            let (consumer, topic) = (self.consumer.clone(), self.settings.topics.first().cloned());
            self.probe = Some(spawn_blocking(move || {
                let name = topic.as_ref().map(|(name, _)| &**name);
                consumer.fetch_metadata(name, TICK).is_ok()
            }));
        }
        Ok(())
    }
}
