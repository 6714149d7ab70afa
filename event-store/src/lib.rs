//! The log of one service in Postgres, and everything that follows it. Knows no shop.
//!
//! [`migrate`] lays the tables of a service, [`Log`] appends and reads, [`Transactor`] is the one write
//! path of a decider, [`follow`] posts read models and reacts, [`dues`] does what a decider owes, and
//! `kafka` (a feature) copies the log to Kafka and feeds followers from it.

mod append;
mod backoff;
mod check;
mod codec;
mod database;
pub mod dues;
mod error;
pub mod failpoint;
pub mod follow;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "kit")]
pub mod kit;
mod lane;
mod lease;
mod log;
mod migrate;
mod pace;
mod partitioner;
mod position;
mod progress;
mod read;
mod recorded;
mod tail;
mod transact;
mod turn;

pub use append::{Chain, ChainOutcome, Entry, EventEntry, StoredMetadata, Verdict};
pub use check::{Checked, Fault};
pub use codec::{DecodeError, current, encode};
pub use database::{Database, DatabaseLimits};
pub use error::{AppendError, StoreError};
pub use log::{Log, LogSettings};
pub use migrate::{lay, migrate, open_epoch};
pub use pace::{Pace, PaceLimits, Rest, Stepped};
pub use partitioner::partition_of;
pub use position::{BadPosition, Position};
pub use progress::{Progress, Watermark};
pub use read::give_back;
pub use recorded::{Metadata, Recorded};
pub use transact::{Done, Envelope, TransactError, TransactLimits, Transactor, event_id};
pub use turn::TurnLimits;
