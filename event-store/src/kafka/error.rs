use super::BadRecord;
use crate::StoreError;
use rdkafka::error::KafkaError;

/// Why the copy in Kafka does not go on.
#[derive(Debug, thiserror::Error)]
pub enum KafkaFailure {
    #[error("kafka cannot be reached or refuses")]
    Client(#[from] KafkaError),
    #[error("kafka and this process do not trust each other: {0}")]
    Refused(String),
    #[error("what is to be shown to kafka, or trusted of it, cannot be used: {0}")]
    Unusable(String),
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
    #[error("topic `{topic}` cannot be made: {why}")]
    NoTopic { topic: String, why: String },
    #[error("topic `{topic}` is gone, or was made anew")]
    Replaced { topic: String },
    #[error(
        "topic `{topic}` has {found} partitions, its log has {wanted}: streams would lie elsewhere than \
         the log says; delete the topic, it is filled again from the log, or set another topic prefix"
    )]
    Partitions { topic: String, found: i32, wanted: i32 },
    #[error("{0}; delete the topic, it is filled again from the log, or set another topic prefix")]
    Foreign(#[from] BadRecord),
    #[error(
        "topic `{topic}` is ahead of its log: its last record in partition {partition} is event {offset} of \
         epoch {epoch}, which the log does not hold there, and no newer epoch says why; if the database \
         was restored from a copy, run `daybook log new-epoch {service}`; if the topic is another log's, \
         delete it or set another topic prefix"
    )]
    Ahead { topic: String, service: String, partition: i32, epoch: i32, offset: i64 },
    #[error(
        "kafka refuses event {offset} of {service}/{partition} for its {bytes} bytes: raise \
         `max.message.bytes` of topic `{topic}`"
    )]
    TooLarge { topic: String, service: String, partition: i32, offset: i64, bytes: usize },
    #[error("kafka ended the producer: {0}")]
    Ended(String),
    #[error("event {offset} of partition {partition} was not delivered: {why}")]
    Undelivered { partition: i32, offset: i64, why: String },
    #[error("nothing was acknowledged for {seconds} s with {waiting} events under way")]
    Unacknowledged { seconds: u64, waiting: i64 },
    #[error("the group's consumer does not go on: {0}")]
    Consumer(String),
    #[error("a task of the kafka client ended: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("no thread can be had for the kafka client")]
    Thread(#[from] std::io::Error),
}

impl KafkaFailure {
    /// Whether a person must act: trying again changes nothing by itself.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            KafkaFailure::Refused(_)
            | KafkaFailure::Unusable(_)
            | KafkaFailure::Partitions { .. }
            | KafkaFailure::Foreign(_)
            | KafkaFailure::Ahead { .. }
            | KafkaFailure::TooLarge { .. } => true,
            KafkaFailure::Client(_)
            | KafkaFailure::Log(_)
            | KafkaFailure::NoTopic { .. }
            | KafkaFailure::Replaced { .. }
            | KafkaFailure::Ended(_)
            | KafkaFailure::Undelivered { .. }
            | KafkaFailure::Unacknowledged { .. }
            | KafkaFailure::Consumer(_)
            | KafkaFailure::Task(_)
            | KafkaFailure::Thread(_) => false,
        }
    }
}
