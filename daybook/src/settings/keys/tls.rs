//! What is said in secret on the way, and who may say it.

use super::{Key, key};

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
];
