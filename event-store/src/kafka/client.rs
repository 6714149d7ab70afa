use super::Brokers;
use super::refusal::Refusal;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// What every client of ours has in common.
pub(super) fn config(brokers: &Brokers, client_id: &str) -> ClientConfig {
    let mut config = brokers.config();
    config
        .set("client.id", format!("daybook-{client_id}"))
        // A broker is back within seconds; the default lets clients sleep for ten more.
        .set("reconnect.backoff.max.ms", "500")
        // A topic made by asking for it would have the brokers' number of partitions, not the log's.
        .set("allow.auto.create.topics", "false")
        // The only way in which a client learns that a topic was deleted.
        .set("topic.metadata.refresh.interval.ms", "5000");
    config
}

/// A client without callbacks of its own. What librdkafka says goes to our log, low: what matters to a
/// person is said once by whoever owns the client.
#[derive(Default)]
pub(super) struct Quiet {
    pub(super) refusal: Refusal,
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
        self.refusal.hear(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(target: "librdkafka", ?level, facility, message);
}
