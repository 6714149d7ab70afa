//! Where Kafka is, and how it is spoken to.

use super::KafkaFailure;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;
use serde::Deserialize;
use std::fmt;

/// Brokers, and what it takes to speak to them. A client has what it was made with, for as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers {
    /// `host:port,…`
    pub addresses: String,
    /// Without it they are spoken to in clear.
    pub tls: Option<BrokersTls>,
    pub login: Option<Login>,
}

/// Whom to trust, and what to show him; all of it in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokersTls {
    /// Brokers must show a certificate that one of these authorities has signed, for the name by which they are called.
    pub trusted: String,
    /// A certificate with its chain, and its key.
    pub own: Option<(String, String)>,
}

/// Who we are to the brokers.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
    pub mechanism: Mechanism,
}

/// How the password is shown (SASL).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Mechanism {
    /// As it is: for TLS alone.
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Brokers {
    /// Whether what is given besides the addresses can be used. Nobody is asked.
    ///
    /// # Errors
    /// If it cannot; which part of it, in librdkafka's words.
    pub fn check(&self) -> Result<(), KafkaFailure> {
        let mut nowhere = ClientConfig::new();
        self.shown(&mut nowhere);
        let made: Result<BaseProducer, KafkaError> = nowhere.create();
        let Err(error) = made else { return Ok(()) };
        let KafkaError::ClientCreation(why) = error else { return Err(error.into()) };
        Err(KafkaFailure::Unusable(why))
    }

    /// Not to be shown: its `Debug` hides passwords, but not keys.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.addresses);
        self.shown(&mut config);
        config
    }

    /// Whether they can turn us away, or we them.
    pub(super) fn is_guarded(&self) -> bool {
        self.tls.is_some() || self.login.is_some()
    }

    fn shown(&self, config: &mut ClientConfig) {
        let protocol = match (&self.tls, &self.login) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            config
                .set("enable.ssl.certificate.verification", "true")
                .set("ssl.endpoint.identification.algorithm", "https")
                .set("ssl.ca.pem", &tls.trusted);
            if let Some((certificate, key)) = &tls.own {
                config.set("ssl.certificate.pem", certificate).set("ssl.key.pem", key);
            }
        }
        if let Some(login) = &self.login {
            config
                .set("sasl.mechanisms", login.mechanism.name())
                .set("sasl.username", &login.user)
                .set("sasl.password", &login.password);
        }
    }
}

/// In clear, to whoever answers there.
impl From<String> for Brokers {
    fn from(addresses: String) -> Self {
        Brokers { addresses, tls: None, login: None }
    }
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl fmt::Debug for BrokersTls {
    /// A key is a secret, and certificates are long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokersTls").field("shows_own", &self.own.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Login { user, mechanism, .. } = self;
        f.debug_struct("Login")
            .field("user", user)
            .field("mechanism", mechanism)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_shown() {
        let own = Some(("s3cret".to_owned(), "s3cret".to_owned()));
        let brokers = Brokers {
            addresses: "kafka:9093".to_owned(),
            tls: Some(BrokersTls { trusted: "s3cret".to_owned(), own }),
            login: Some(Login {
                user: "shop".to_owned(),
                password: "s3cret".to_owned(),
                mechanism: Mechanism::ScramSha512,
            }),
        };
        let shown = format!("{brokers:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("shop") && shown.contains("ScramSha512"), "{shown}");
    }

    #[test]
    fn what_is_no_certificate_is_told_before_anybody_is_asked() {
        let tls = |trusted: &str| Some(BrokersTls { trusted: trusted.to_owned(), own: None });
        let brokers = |tls| Brokers { tls, ..Brokers::from("nowhere.invalid:9".to_owned()) };
        brokers(None).check().unwrap();
        let refused = brokers(tls("no certificate")).check().unwrap_err().to_string();
        assert!(refused.contains("ssl.ca.pem"), "{refused}");
    }
}
