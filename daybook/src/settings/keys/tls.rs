//! What is said in secret on the way, and who may say it.

use super::{Key, Secrecy, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "tls_cert",
        "",
        "FILE",
        "Listen with TLS and show this certificate, PEM, its chain after it",
    )
    .unset()
    .everywhere()
    .live(),
    key("tls_key", "", "FILE", "The key of that certificate, PEM").unset().everywhere().live(),
    key(
        "tls_client_ca",
        "",
        "FILE",
        "Let in only who shows a certificate that one of these authorities has signed, PEM",
    )
    .unset()
    .live(),
    key(
        "peers_ca",
        "",
        "FILE",
        "Trust other services, where their addresses say https, only with a certificate that one of these \
         authorities has signed, PEM; they are shown tls_cert",
    )
    .unset()
    .everywhere()
    .live(),
    key(
        "database_ca",
        "",
        "FILE",
        "Speak TLS with Postgres, and only with one whose certificate, of its host's name, one of these \
         authorities has signed, PEM",
    )
    .unset()
    .everywhere(),
    key(
        "kafka_ca",
        "",
        "FILE",
        "Speak TLS with kafka_brokers, and only with those whose certificate, of their host's name, one of \
         these authorities has signed, PEM; read again when it changes, as all that Kafka is shown",
    )
    .unset()
    .everywhere(),
    key(
        "kafka_cert",
        "",
        "FILE",
        "Show Kafka this certificate, PEM, its chain after it",
    )
    .unset()
    .everywhere(),
    key("kafka_key", "", "FILE", "The key of that certificate, PEM").unset().everywhere(),
    key("kafka_user", "", "NAME", "Log in to Kafka as this user (SASL)").unset().everywhere(),
    key("kafka_password", "", "TEXT", "With this password")
        .unset()
        .everywhere()
        .secret(Secrecy::Whole),
    key(
        "kafka_password_file",
        "",
        "FILE",
        "Or with the one in this file; read again when it changes",
    )
    .unset()
    .everywhere(),
    key(
        "kafka_mechanism",
        "SCRAM-SHA-512",
        "SCRAM-SHA-512|SCRAM-SHA-256|PLAIN",
        "How the password is shown; PLAIN over TLS alone, or on loopback",
    )
    .everywhere(),
];
