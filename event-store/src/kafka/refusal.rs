//! Brokers that turn us away, or that are not whom they should be, look to most of librdkafka as if they were out of
//! reach. What it tells in passing is kept here, for a person can mend it and time cannot.

use super::client::Quiet;
use super::{Brokers, KafkaFailure};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long is still listened for it, after brokers did not answer.
const LISTEN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// The last one that a client met.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<String>>>);

impl Refusal {
    /// Hears what librdkafka reports.
    pub(super) fn hear(&self, error: &KafkaError, reason: &str) {
        if let Some(why) = refusal(error.rdkafka_error_code(), reason) {
            self.set(Some(why));
        }
    }

    pub(super) fn forget(&self) {
        self.set(None);
    }

    /// Why no broker can be used, as a failure and as a status tell it.
    pub(super) fn or_out_of_reach(&self) -> String {
        let refused = self.last().map(|why| KafkaFailure::Refused(why).to_string());
        refused.unwrap_or_else(|| "no broker is in reach".to_owned())
    }

    fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// Whether a report is one that librdkafka cannot mend by connecting again.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::SSL
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
    )
}

/// What is behind a failure: this client hears it, though it was another one that failed. Blocks for a moment, if
/// brokers may refuse anything.
pub(super) fn explained(
    brokers: &Brokers,
    client: &BaseConsumer<Quiet>,
    error: KafkaFailure,
) -> KafkaFailure {
    if !brokers.is_guarded() || !matches!(error, KafkaFailure::Client(_)) {
        return error;
    }
    let refusal = &client.context().refusal;
    let until = Instant::now() + LISTEN;
    // It hears nothing while it is not polled, and as it follows nothing, only reports come.
    while refusal.last().is_none() && Instant::now() < until {
        drop(client.poll(POLL));
    }
    refusal.last().map_or(error, KafkaFailure::Refused)
}

fn refusal(code: Option<RDKafkaErrorCode>, reason: &str) -> Option<String> {
    let reason = plain(reason);
    if reason.contains("certificate verify failed") {
        return Some(
            "the brokers' certificate is not of an authority that is trusted here, not of the name by which \
             they are called, or not of today"
                .to_owned(),
        );
    }
    // What the other side of TLS objects to comes as an alert, late and by the way.
    let objects = reason.contains("SSL alert number") || reason.starts_with("SSL handshake failed");
    (code.is_some_and(is_refusal) || objects).then(|| reason.to_owned())
}

/// Without whose name and when: the same trouble should read the same each time.
fn plain(reason: &str) -> &str {
    let mut rest = reason.rsplit_once(" (after ").map_or(reason, |(what, _)| what);
    while let Some((name, what)) = rest.split_once(": ") {
        if name.contains(' ') {
            break;
        }
        rest = what;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_the_same_whenever_and_whoever_it_comes_from() {
        let said = |code, reason: &str| refusal(Some(code), reason);
        let wrong = "SASL authentication error: Authentication failed during authentication due to invalid \
                     credentials with SASL mechanism SCRAM-SHA-512";
        for from in ["sasl_ssl://kafka:9093/bootstrap", "GroupCoordinator: kafka:9093"] {
            let reason = format!(
                "{from}: {wrong} (after 311ms in state AUTH_REQ, 3 identical error(s) suppressed)"
            );
            let told = said(RDKafkaErrorCode::Authentication, &reason);
            assert_eq!(told.as_deref(), Some(wrong));
        }
        let untrusted = "ssl://kafka:9093/1: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
                         failed: broker certificate could not be verified (after 5ms in state SSL_HANDSHAKE)";
        let told = said(RDKafkaErrorCode::SSL, untrusted).unwrap();
        assert!(told.starts_with("the brokers' certificate is not of an authority"), "{told}");
        let objection = "ssl://kafka:9093/1: Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate \
                         required: SSL alert number 116 (after 2ms in state APIVERSION_QUERY)";
        let told = said(RDKafkaErrorCode::BrokerTransportFailure, objection).unwrap();
        assert!(told.starts_with("Receive failed: ") && told.ends_with("number 116"), "{told}");
    }

    #[test]
    fn a_broker_that_is_away_refuses_nothing() {
        let reason = "ssl://kafka:9093/1: Connect to ipv4#10.0.0.7:9093 failed: Connection refused (after 0ms in \
                      state CONNECT)";
        assert_eq!(refusal(Some(RDKafkaErrorCode::BrokerTransportFailure), reason), None);
        assert_eq!(refusal(Some(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down"), None);
    }
}
