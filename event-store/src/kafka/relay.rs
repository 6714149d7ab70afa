//! The relay copies a log to its topic, partition by partition, in order, without a hole. A record may
//! come twice after a failure; followers tell by its offset.

mod copy;
mod polled;
mod producer;
mod reader;
mod start;
mod watching;

pub use watching::RelayWatch;

use super::limits::{count_failure, waited};
use super::topics::{self, Topic};
use super::{Brokers, KafkaFailure, KafkaLimits};
use crate::backoff::Backoff;
use crate::follow::Feed;
use crate::lane::chain_of;
use crate::{Log, Pace};
use copy::Copy;
use producer::{Deliveries, End};
use rdkafka::producer::Producer as _;
use reader::Reader;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// None while they are not known, as when an embedded Kafka is still starting; told anew, it begins anew.
    pub brokers: watch::Receiver<Option<Brokers>>,
    pub topic: String,
    /// Copies of each partition of a topic that must be made; −1 is what the brokers are set to.
    pub replication: i32,
    /// Where the copy of a partition begins that has none.
    pub start: RelayStart,
    /// Events that may be under way to Kafka.
    pub window: i64,
    /// Events of one partition that are read at once.
    pub page: i64,
    /// How often it looks for what other processes have appended, besides being told.
    pub poll: Duration,
    /// Without one acknowledgement for so long, with events under way, the client is made anew.
    pub stall: Duration,
    pub limits: KafkaLimits,
    /// How long it rests between two rounds of pages.
    pub pace: Pace,
    /// The followers of this process: while they are told what it appends, and no other process follows the log, it
    /// rests so long at least. Each page costs the brokers the same, whether it has one event or many.
    pub alone: Option<Feed>,
    pub alone_rest: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayStart {
    Beginning,
    Head,
}

impl RelaySettings {
    #[must_use]
    pub fn new(brokers: watch::Receiver<Option<Brokers>>, topic: &str) -> Self {
        RelaySettings {
            brokers,
            topic: topic.to_owned(),
            replication: -1,
            start: RelayStart::Beginning,
            window: 8_000,
            page: 500,
            poll: Duration::from_secs(1),
            stall: Duration::from_secs(30),
            limits: KafkaLimits::default(),
            pace: Pace::default(),
            alone: None,
            alone_rest: Duration::from_millis(100),
        }
    }
}

/// What a relay does, for those who ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayStatus {
    pub state: RelayState,
    /// By partition; empty until this process has relayed.
    pub partitions: Vec<Relayed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayState {
    /// No brokers are known yet.
    Waiting,
    /// Another process relays this log.
    Elsewhere,
    Up,
    /// It is tried again; why it failed last.
    Down(String),
    /// A person must act; what to do.
    Refused(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// The log's next offset.
    pub head: i64,
    /// The next offset that is not yet in Kafka.
    pub relayed: i64,
}

/// Copies one log to its topic for as long as it runs. Of several relays of a log, in one process or many,
/// one works.
pub struct Relay {
    log: Log,
    settings: RelaySettings,
    status: watch::Sender<RelayStatus>,
}

impl Relay {
    #[must_use]
    pub fn new(log: Log, settings: RelaySettings) -> Self {
        let status = RelayStatus { state: RelayState::Waiting, partitions: Vec::new() };
        Relay { log, settings, status: watch::Sender::new(status) }
    }

    #[must_use]
    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// To see from the outside how it is.
    #[must_use]
    pub fn watch(&self) -> RelayWatch {
        RelayWatch::new(self.log.clone(), self.status())
    }

    /// Relays until stopped. What is under way then is waited for, briefly; what is lost is sent again by
    /// whoever relays next.
    pub async fn run(mut self, stop: CancellationToken) {
        let KafkaLimits { retry_first, retry_most, retry_refused, .. } = self.settings.limits;
        let mut retry = Backoff::new(retry_first, retry_most);
        count_failure(&self.name(), 0);
        // Whether the last session ended with a refusal for size.
        let mut sized = false;
        while !stop.is_cancelled() {
            let known = self.settings.brokers.borrow_and_update().clone();
            let Some(known) = known else {
                self.note(RelayState::Waiting);
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = self.settings.brokers.changed() => if changed.is_err() { return },
                }
                continue;
            };
            let began = Instant::now();
            let Err(error) = self.session(&known, &stop).await else { continue };
            if began.elapsed() > retry_most {
                sized = false;
                retry.reset();
            }
            if matches!(error, KafkaFailure::TooLarge { .. })
                && !std::mem::replace(&mut sized, true)
            {
                // The topic may take less since this session began: then it was a batch, and not the event.
                continue;
            }
            self.failed(&error);
            let pause = retry.pause();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(if error.is_refusal() { retry_refused } else { pause }) => {}
                Ok(()) = self.settings.brokers.changed() => {}
            }
        }
    }

    /// From taking the lock to losing it, or Kafka, or to the end. Everything is begun afresh after a
    /// failure: where the copy ends is read from the topic once the producer is gone.
    async fn session(
        &self,
        brokers: &Brokers,
        stop: &CancellationToken,
    ) -> Result<(), KafkaFailure> {
        let mut named = self.settings.brokers.clone();
        let (reader, largest, ends) = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            prepared = self.prepare(brokers) => prepared?,
            Ok(()) = named.changed() => return Ok(()),
        };
        let deliveries = Deliveries::new(self.log.service().clone(), &ends);
        let (service, limits) = (self.log.service(), &self.settings.limits);
        let producer = producer::open(brokers, service, largest, deliveries.clone(), limits)?;
        let mut copy = Copy::new(&self.log, &self.settings, &reader, &producer, &deliveries);
        let ended = copy.run(&self.status, named, stop).await;
        copy.end().await;
        let fatal = producer.client().client().fatal_error();
        // It purges what is under way, and waits for its thread. The lock is given back only then.
        spawn_blocking(move || drop(producer)).await?;
        ended.map_err(|error| match (error, deliveries.failure(), fatal) {
            // By now every event has told how it went.
            (too_large @ KafkaFailure::TooLarge { .. }, _, _)
            | (_, Some(too_large @ KafkaFailure::TooLarge { .. }), _) => too_large,
            (_, _, Some((_, why))) => KafkaFailure::Ended(why),
            (error, _, None) => error,
        })
    }

    async fn prepare(
        &self,
        brokers: &Brokers,
    ) -> Result<(Reader, Option<u32>, Vec<End>), KafkaFailure> {
        let reader = Reader::open(&self.log).await?;
        let mut heads = self.log.known_heads();
        while !reader.try_own().await? {
            self.note(RelayState::Elsewhere);
            reader.pass_on(&mut heads, self.settings.limits.lock_pause).await?;
        }
        reader.listen().await?;
        let topic = Topic {
            name: self.settings.topic.clone(),
            partitions: self.log.partitions(),
            replication: self.settings.replication,
        };
        let KafkaLimits { answer, start: patience, .. } = self.settings.limits;
        let asked = Instant::now();
        let largest = topics::ensure(brokers, &topic, answer).await;
        waited("topic", asked);
        let largest = largest?;
        reader.open_epochs().await?;
        reader.refresh_heads().await?;
        let (topic, start) = (&self.settings.topic, self.settings.start);
        let asked = Instant::now();
        let ends = start::ends(brokers, topic, &self.log, &reader, (start, patience)).await;
        waited("end of the copy", asked);
        Ok((reader, largest, ends?))
    }

    fn failed(&self, error: &KafkaFailure) {
        let why = chain_of(error);
        count_failure(&self.name(), 1);
        self.note(if error.is_refusal() {
            RelayState::Refused(why)
        } else {
            RelayState::Down(why)
        });
    }

    /// In metrics.
    fn name(&self) -> String {
        format!("relay/{}", self.log.service())
    }

    fn note(&self, state: RelayState) {
        note(&self.log, &self.settings.topic, &self.status, state);
    }
}

/// Tells a new state, once: those who wait for it, the metrics, and a person.
fn note(log: &Log, topic: &str, status: &watch::Sender<RelayStatus>, state: RelayState) {
    let changed = status.send_if_modified(|status| {
        let changed = status.state != state;
        status.state = state.clone();
        changed
    });
    if !changed {
        return;
    }
    let service: &str = log.service();
    let up = f64::from(u8::from(state == RelayState::Up));
    metrics::gauge!("daybook_relay_up", "service" => service.to_owned()).set(up);
    match state {
        RelayState::Up => tracing::info!(service, topic, "the relay copies the log to kafka"),
        RelayState::Waiting => tracing::debug!(service, topic, "the relay waits for a kafka"),
        RelayState::Elsewhere => tracing::debug!(service, topic, "another process relays this log"),
        RelayState::Down(why) => {
            tracing::warn!(
                service,
                topic,
                why,
                "the relay is behind; it goes on as soon as it can"
            );
        }
        RelayState::Refused(why) => tracing::error!(service, topic, why, "the relay stands still"),
    }
}
