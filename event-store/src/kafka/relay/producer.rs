use super::super::refusal::Refusal;
use super::super::{Brokers, KafkaFailure, KafkaLimits, client};
use super::polled::Polled;
use crate::failpoint::failpoint;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

pub(super) type Producer = Polled<Context>;

/// The most that librdkafka takes for a message.
const MESSAGE_BYTES: u32 = 1_000_000_000;

/// A producer for one log: a failed one is dropped with all that it holds, and must not take other logs'
/// events with it. (One for each partition was measured to be slower by a sixth.)
///
/// A batch is never larger than the topic takes, so an event that the broker refuses for its size was
/// alone, and is the one that is too large.
///
/// Never flush or poll it: callbacks would run on a second thread, out of order.
pub(super) fn open(
    brokers: &Brokers,
    service: &str,
    largest: Option<u32>,
    deliveries: Arc<Deliveries>,
    limits: &KafkaLimits,
) -> Result<Producer, KafkaFailure> {
    let most = limits.batch_bytes.clamp(1, MESSAGE_BYTES);
    let largest = largest.unwrap_or(most);
    let producer = client::config(brokers, &format!("relay-{service}"))
        .set("enable.idempotence", "true")
        // A batch that is lost for good ends the producer instead of leaving a hole.
        .set("enable.gapless.guarantee", "true")
        // The guarantee does not cover time-outs, so there are none.
        .set("message.timeout.ms", "0")
        .set("compression.type", "lz4")
        .set("linger.ms", "0")
        .set("queue.buffering.max.kbytes", (limits.queue_bytes / 1_024).max(1).to_string())
        .set("batch.size", largest.clamp(1, most).to_string())
        // What is larger is for the broker to refuse.
        .set("message.max.bytes", largest.clamp(most, MESSAGE_BYTES).to_string())
        .create_with_context(Context(deliveries))?;
    Ok(Polled::new(producer)?)
}

/// How far each partition was acknowledged, as the delivery callback tells it.
pub(super) struct Deliveries {
    service: Arc<str>,
    partitions: Vec<Watermark>,
    failure: Mutex<Option<KafkaFailure>>,
    /// Why the brokers are out of reach, if they are.
    trouble: Mutex<Option<String>>,
    /// Of brokers that are there, and cannot be used.
    refusal: Refusal,
    /// Told after each callback.
    pub(super) told: Notify,
}

struct Watermark {
    /// The log's offset up to which everything is in Kafka.
    relayed: AtomicI64,
    /// Kafka's own offset after the last record that was acknowledged.
    kafka: AtomicI64,
}

/// Where a partition's copy ends: in the log's offsets, and in Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) relayed: i64,
    pub(super) kafka: i64,
}

impl Deliveries {
    pub(super) fn new(service: Arc<str>, ends: &[End]) -> Arc<Self> {
        let watermark = |end: &End| Watermark {
            relayed: AtomicI64::new(end.relayed),
            kafka: AtomicI64::new(end.kafka),
        };
        Arc::new(Deliveries {
            service,
            partitions: ends.iter().map(watermark).collect(),
            failure: Mutex::default(),
            trouble: Mutex::default(),
            refusal: Refusal::default(),
            told: Notify::new(),
        })
    }

    pub(super) fn ends(&self) -> Vec<End> {
        let end = |watermark: &Watermark| End {
            relayed: watermark.relayed.load(Ordering::Acquire),
            kafka: watermark.kafka.load(Ordering::Acquire),
        };
        self.partitions.iter().map(end).collect()
    }

    /// The first failure since the producer was made; it must be dropped.
    pub(super) fn failure(&self) -> Option<KafkaFailure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// No broker answers.
    pub(super) fn out_of_reach(&self) {
        self.set_trouble(Some(self.refusal.or_out_of_reach()));
    }

    /// One did.
    pub(super) fn in_reach(&self) {
        self.refusal.forget();
        self.set_trouble(None);
    }

    fn set_trouble(&self, why: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// The first failure counts; but an event that is too large ends the producer, which takes others along
    /// that may be told of before it.
    fn fail(&self, why: KafkaFailure) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |why: &KafkaFailure| matches!(why, KafkaFailure::TooLarge { .. });
        if failure.is_none() || named(&why) && !failure.as_ref().is_some_and(named) {
            *failure = Some(why);
        }
    }

    /// What a refused event means.
    pub(super) fn refused(
        &self,
        error: &KafkaError,
        topic: &str,
        partition: i32,
        offset: i64,
        bytes: usize,
    ) -> KafkaFailure {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
            let (topic, service) = (topic.to_owned(), self.service.to_string());
            return KafkaFailure::TooLarge { topic, service, partition, offset, bytes };
        }
        KafkaFailure::Undelivered { partition, offset, why: error.to_string() }
    }

    fn acknowledged(&self, topic: &str, partition: i32, log_offset: i64, kafka_offset: i64) {
        let Some(mark) = usize::try_from(partition).ok().and_then(|p| self.partitions.get(p))
        else {
            return;
        };
        let expected = mark.relayed.load(Ordering::Relaxed);
        if log_offset != expected {
            let why = format!("event {expected} had to be acknowledged first");
            self.fail(KafkaFailure::Undelivered { partition, offset: log_offset, why });
            return;
        }
        // A duplicate that the broker recognises is acknowledged without an offset.
        if kafka_offset >= 0 {
            if kafka_offset < mark.kafka.load(Ordering::Relaxed) {
                self.fail(KafkaFailure::Replaced { topic: topic.to_owned() });
                return;
            }
            mark.kafka.store(kafka_offset + 1, Ordering::Release);
        }
        mark.relayed.store(log_offset + 1, Ordering::Release);
        failpoint("relay-after-acknowledgement");
    }
}

pub(super) struct Context(pub(super) Arc<Deliveries>);

impl ProducerContext for Context {
    /// The event's offset in the log: it needs no allocation.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, offset: usize) {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        match result {
            Ok(message) => {
                let partition = message.partition();
                self.0.acknowledged(message.topic(), partition, offset, message.offset());
            }
            Err((error, message)) => {
                let (topic, partition) = (message.topic(), message.partition());
                let bytes = message.payload_len();
                self.0.fail(self.0.refused(error, topic, partition, offset, bytes));
            }
        }
        self.0.told.notify_one();
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
        self.0.refusal.hear(&error, reason);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => self.0.fail(KafkaFailure::Client(error)),
            Some(RDKafkaErrorCode::AllBrokersDown) => self.0.out_of_reach(),
            // One broker of several, or what librdkafka mends itself.
            Some(_) | None => {}
        }
        self.0.told.notify_one();
    }
}
