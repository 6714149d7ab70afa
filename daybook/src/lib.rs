//! The one program: its command line and settings, the Postgres and the Kafka it brings along, and
//! the import of a shop's history. What it runs lives in the crates this one depends on.

pub mod cli;
pub mod settings;
pub mod embedded;
pub mod import;
pub mod shop;
