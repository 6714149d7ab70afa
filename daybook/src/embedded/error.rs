//! Why an embedded server could not be had, with what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    #[error(
        "another daybook{} owns {}; give this one --data-dir, or the DATABASE_URL and \
         KAFKA_BROKERS of the first",
        owner.as_ref().map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        folder.display()
    )]
    Owned { folder: PathBuf, owner: Option<String> },

    #[error("cannot {doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("cannot start {}", program.display())]
    Launch {
        program: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error(
        "PostgreSQL is not installed (`make setup` or `apt-get install postgresql`), and \
         DATABASE_URL is not set"
    )]
    NoPostgres,

    #[error("{} was made by PostgreSQL {version}, which is not installed", data.display())]
    OtherPostgres { data: PathBuf, version: String },

    #[error(
        "Postgres does not run as root, and this machine has neither a user `postgres` nor `nobody`"
    )]
    NobodyToRunPostgres,

    #[error(
        "port {port}, which {server} was to use, is taken; give it another one (0 is any free one)"
    )]
    PortTaken { server: &'static str, port: u16 },

    #[error("{what} failed; the end of its output:\n{output}")]
    Failed { what: &'static str, output: String },

    #[error("{server} ended while it started; its log, {}, ends:\n{tail}", log.display())]
    Died { server: &'static str, log: PathBuf, tail: String },

    #[error("{server} was not ready after {after:?}; its log, {}, ends:\n{tail}", log.display())]
    NotReady { server: &'static str, after: Duration, log: PathBuf, tail: String },

    #[error("the embedded Postgres refused a statement")]
    Database(#[source] tokio_postgres::Error),

    #[error("DATABASE_URL is no address of a Postgres")]
    DatabaseUrl(#[source] tokio_postgres::Error),
}

/// Turns an `io::Error` into one that says what was done to which file.
pub(super) fn file(
    doing: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> EmbeddedError {
    let path = path.into();
    move |source| EmbeddedError::File { doing, path, source }
}
