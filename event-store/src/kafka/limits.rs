use std::time::Duration;

/// Bounds of what a relay or a consumer waits for, and of how it tries again.
#[derive(Clone, Debug)]
pub struct KafkaLimits {
    /// The pause after a failure; it doubles up to `retry_most`. What went well for longer than that begins
    /// with the first again.
    pub retry_first: Duration,
    pub retry_most: Duration,
    /// After a refusal: how often a person's mending is looked for.
    pub retry_refused: Duration,
    /// How often a relay asks for its lock while another process holds it.
    pub lock_pause: Duration,
    /// Bytes of events that a producer keeps until they are acknowledged, and that it sends at once; less, if the
    /// topic takes less.
    pub queue_bytes: u32,
    pub batch_bytes: u32,
    /// Until the brokers must have answered a question.
    pub answer: Duration,
    /// Until a relay must have read where its copy ends, for all partitions together.
    pub start: Duration,
    /// How long the end of a relay waits for what is under way.
    pub drain: Duration,
    /// After so long without a sign of a process the group gives its partitions to others.
    pub session: Duration,
    /// Without an assignment for so long, with brokers that answer, the consumer is made anew.
    pub join: Duration,
}

impl Default for KafkaLimits {
    fn default() -> Self {
        KafkaLimits {
            retry_first: Duration::from_millis(100),
            retry_most: Duration::from_secs(5),
            retry_refused: Duration::from_secs(10),
            lock_pause: Duration::from_millis(500),
            queue_bytes: 64 << 20,
            batch_bytes: 1_000_000,
            answer: Duration::from_secs(5),
            start: Duration::from_secs(10),
            drain: Duration::from_secs(2),
            session: Duration::from_secs(6),
            join: Duration::from_secs(30),
        }
    }
}

/// One more failure, of a relay or of the consumer.
pub(super) fn count_failure(who: &str, by: u64) {
    metrics::counter!("daybook_kafka_failures_total", "who" => who.to_owned()).increment(by);
}

/// How long something of Kafka was waited for.
pub(super) fn waited(what: &'static str, since: std::time::Instant) {
    metrics::histogram!("daybook_kafka_wait_seconds", "what" => what).record(since.elapsed());
}
