//! The one binary: roles, command line, embedded Postgres and Kafka, import.
fn main() {}
