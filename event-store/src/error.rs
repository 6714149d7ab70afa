use crate::DecodeError;

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
            StoreError::Pool(_) | StoreError::Silent | StoreError::Closed(_) => true,
            StoreError::Migration { .. }
            | StoreError::ServiceName(_)
            | StoreError::Partitions { .. }
            | StoreError::Undecodable { .. }
            | StoreError::Metadata(_)
            | StoreError::Other(_) => false,
        }
    }
}

/// Everything but what Postgres says of the data or of the statement itself: SQLSTATE classes 22
/// (data), 23 (constraint), 54 (a limit, as of what an index takes), 42 (statement), 0A (feature),
/// P0 (raised by a function), 21 (cardinality).
pub(crate) fn transient(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|state| {
        !["21", "22", "23", "42", "54", "0A", "P0"]
            .iter()
            .any(|class| state.code().starts_with(class))
    })
}

/// What Postgres refuses for the values alone: SQLSTATE classes 21, 22, 23 and 54.
pub(crate) fn of_the_data(error: &tokio_postgres::Error) -> bool {
    let classes = ["21", "22", "23", "54"];
    error.code().is_some_and(|state| classes.iter().any(|class| state.code().starts_with(class)))
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
