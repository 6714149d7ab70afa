//! Kafka carries a copy of the log to whoever follows it. [`Relay`] writes the copy, [`KafkaFeeds`] brings
//! it to the followers of this process. Kafka is transport, not truth: the log stays where everything is
//! read from that Kafka did not bring.

mod brokers;
mod client;
mod compare;
mod error;
mod feeds;
mod limits;
mod record;
mod refusal;
mod relay;
mod topics;

pub use brokers::{Brokers, BrokersTls, Login, Mechanism};
pub use error::KafkaFailure;
pub use feeds::{FeedSettings, FeedStatus, KafkaFeeds};
pub use limits::KafkaLimits;
pub use record::{BadRecord, HEADERS, Holds, RecordHeader, headers, recorded};
pub use relay::{Relay, RelaySettings, RelayStart, RelayState, RelayStatus, RelayWatch, Relayed};
