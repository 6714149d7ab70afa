use crate::DecodeError;
use tokio_postgres::error::SqlState;

/// Why the log could not be reached, read or laid out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("postgres")]
    Postgres(#[from] tokio_postgres::Error),
    #[error("no connection to postgres")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error("postgres takes the connection and says nothing")]
    Silent,
    #[error("the migration of service `{service}` failed")]
    Migration { service: String, source: refinery::Error },
    #[error(
        "the database of `{0}` is not laid for this version, and this user may not do that: run \
         `daybook migrate` as one who may create schemas and roles"
    )]
    NotLaid(String),
    #[error("`{0}` cannot name a service: use a-z, 0-9 and _, at most 30, a letter first")]
    ServiceName(String),
    #[error(
        "the log of `{service}` has {stored} partitions, the configuration says {configured}; \
         the number is fixed for a log's life: set it back to {stored}"
    )]
    Partitions { service: String, stored: i64, configured: u32 },
    #[error("event {event} of stream `{stream}` cannot be read")]
    Undecodable { stream: String, event: uuid::Uuid, source: DecodeError },
    #[error("the log holds metadata that is not JSON of its form")]
    Metadata(#[from] serde_json::Error),
    /// Another process answers for the log, and did not, or said what cannot be understood. It `passes` unless that is for
    /// what was asked, or for who asked.
    #[error("the log of `{service}` cannot be read from its owner: {why}")]
    Elsewhere { service: String, why: String, passes: bool },
    #[error("`{0}` is being closed")]
    Closed(String),
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// Whether the same call may succeed later: a connection, a lock or a resource, not the data.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Postgres(error) => transient(error),
            StoreError::Pool(_)
            | StoreError::Silent
            | StoreError::Elsewhere { .. }
            | StoreError::Closed(_) => true,
            StoreError::Migration { .. }
            | StoreError::ServiceName(_)
            | StoreError::NotLaid(_)
            | StoreError::Partitions { .. }
            | StoreError::Undecodable { .. }
            | StoreError::Metadata(_)
            | StoreError::Other(_) => false,
        }
    }
}

/// Whose fault an error of Postgres is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A connection, a lock, a resource, and whatever is not known to last: no disk is full for ever.
    Moment,
    /// SQLSTATE classes 21 (cardinality), 22 (data), 23 (constraint), 54 (a limit, as of what an index takes).
    Data,
    /// 42 (statement, rights), 0A (feature), P0 (raised by a function).
    Statement,
}

impl Fault {
    fn of(state: &SqlState) -> Self {
        match state.code().get(..2) {
            Some("21" | "22" | "23" | "54") => Fault::Data,
            Some("42" | "0A" | "P0") => Fault::Statement,
            Some(_) | None => Fault::Moment,
        }
    }
}

/// Whether the same may succeed later.
pub(crate) fn transient(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|state| Fault::of(state) == Fault::Moment)
}

/// What Postgres refuses for the values alone.
pub(crate) fn of_the_data(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|state| Fault::of(state) == Fault::Data)
}

/// Why a chain was not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    #[error("the writer's queue is full")]
    Full,
    #[error("the log is being closed; whether the chain was appended is unknown")]
    Closed,
    #[error("an event of {size} bytes is larger than the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("postgres refused the data: {0}")]
    Data(String),
    #[error("the partition has a newer epoch; what was in flight can never commit")]
    Epoch,
    #[error("postgres refused the statement: {0}")]
    Statement(String),
    #[error("the log cannot be written just now, and nothing was appended: {0}")]
    Away(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_is_blamed_for_what_passes() {
        for (fault, states) in [
            (Fault::Data, &["22003", "22P02", "22P05", "23505", "23514", "21000", "54000"][..]),
            (Fault::Statement, &["42501", "42P01", "42883", "0A000", "P0001"]),
            // Connections, deadlocks, locks, room for memory, rows and connections, an end of the server.
            (Fault::Moment, &["08000", "08003", "08006", "40001", "40P01", "55P03", "25006"]),
            (Fault::Moment, &["53000", "53100", "53200", "53300", "53400"]),
            (Fault::Moment, &["25P03", "57000", "57014", "57P01", "57P02", "57P03", "57P05"]),
            (Fault::Moment, &["58000", "58030", "58P01", "XX000", "XX001"]),
        ] {
            for state in states {
                assert_eq!(Fault::of(&SqlState::from_code(state)), fault, "{state}");
            }
        }
    }
}
