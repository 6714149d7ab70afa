//! The bounds of the relays and of the consumer.

use super::{Key, bound};

pub(super) const KEYS: &[Key] = &[
    bound(
        "relay_window",
        "8000",
        "NUMBER",
        "Events of a log that may be under way to Kafka",
        "daybook_relay_in_flight",
    ),
    bound(
        "relay_page",
        "500",
        "NUMBER",
        "Events that the relay reads at once",
        "daybook_relay_in_flight",
    ),
    bound(
        "relay_queue_bytes",
        "67108864",
        "BYTES",
        "Events of a log that wait in memory for their acknowledgements",
        "daybook_relay_in_flight",
    ),
    bound(
        "relay_batch_bytes",
        "1000000",
        "BYTES",
        "Events that are sent to Kafka at once; less, if the topic takes less",
        "daybook_relay_in_flight",
    ),
    bound(
        "relay_stall_s",
        "30",
        "SECONDS",
        "After so long without an acknowledgement of Kafka the relay begins with a new client",
        "daybook_relay_up",
    ),
    bound(
        "relay_start_s",
        "10",
        "SECONDS",
        "Until the brokers must have said where the copy of a log ends",
        "daybook_kafka_wait_seconds",
    ),
    bound(
        "relay_drain_ms",
        "2000",
        "MILLISECONDS",
        "How long an orderly stop waits for the acknowledgements of Kafka",
        "daybook_kafka_wait_seconds",
    ),
    bound(
        "relay_lock_ms",
        "500",
        "MILLISECONDS",
        "How often a relay asks for its log while another process relays it",
        "daybook_lock_seconds",
    ),
    bound(
        "kafka_answer_s",
        "5",
        "SECONDS",
        "Until the brokers must have answered a question",
        "daybook_kafka_wait_seconds",
    ),
    bound(
        "kafka_retry_first_ms",
        "100",
        "MILLISECONDS",
        "The pause of a relay or of the consumer after a failure; it doubles with each",
        "daybook_kafka_failures_total",
    ),
    bound(
        "kafka_retry_most_ms",
        "5000",
        "MILLISECONDS",
        "The longest such pause",
        "daybook_kafka_failures_total",
    ),
    bound(
        "kafka_retry_refused_s",
        "10",
        "SECONDS",
        "The pause of a relay after a refusal that a person must mend",
        "daybook_kafka_failures_total",
    ),
    bound(
        "kafka_session_ms",
        "6000",
        "MILLISECONDS",
        "After so long without a sign of a process Kafka gives its partitions to others",
        "daybook_kafka_failures_total",
    ),
    bound(
        "kafka_join_s",
        "30",
        "SECONDS",
        "A consumer that Kafka gives nothing for so long is made anew",
        "daybook_kafka_failures_total",
    ),
];
