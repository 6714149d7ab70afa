use async_trait::async_trait;
use deadpool_postgres::Transaction;
use event_store::Recorded;
use event_store::follow::{ApplyError, Follower, ReadSide};
use std::sync::Arc;
use std::time::Duration;

/// A read model: tables that are posted from logs, and nothing else.
///
/// *The same vector of positions gives the same rows, whatever the interleaving* of logs and partitions and
/// wherever batches end. So the fold of a log writes only columns of its own, by upsert; what spans logs is a
/// generated column or the work of the query; rows that partitions share are kept per partition and summed
/// by the query; and nothing comes from a clock, a serial, a float or a look-up in another log.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    fn layout(&self) -> &'static Layout;

    /// Posts a batch of one log, partition by partition, the events of each in order. Rows are written in the
    /// order of their keys, so that two logs that post into one table never wait for each other in a circle.
    ///
    /// # Errors
    /// See [`ApplyError`].
    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError>;

    /// The same into a generation that nobody reads yet, by a faster way if there is one.
    ///
    /// # Errors
    /// See [`ApplyError`].
    async fn fill(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        self.post(place, tx, batch).await
    }

    /// How many events are filled in in one transaction. More is for those in which many events change the same rows:
    /// each is then changed once.
    fn filled_at_once(&self) -> i64 {
        2_000
    }
}

/// What a projection is called and where it keeps its rows. In SQL, `{schema}` is the read schema of its
/// service and `{g}` the number of the generation.
#[derive(Debug)]
pub struct Layout {
    /// `orders`: what `daybook rebuild` calls it, and what its checkpoints go by.
    pub name: &'static str,
    /// Of tables and fold. Raised when either changes: an older binary keeps its own generation.
    pub version: i32,
    /// The service whose read schema holds the tables.
    pub service: &'static str,
    pub logs: &'static [&'static str],
    /// The tables, without the suffix `_{g}`.
    pub tables: &'static [&'static str],
    /// The kind of stream that a row is about, and the column with its name: a row of a table that has the column is
    /// about one stream, others are about many.
    pub key: (&'static str, &'static str),
    /// Columns that are told by streams of another kind, with that: the one that has the same id.
    pub of_others: &'static [(&'static str, &'static str)],
    pub create: &'static str,
    /// Apart from `create`, because a rebuild makes them when the rows are there.
    pub index: &'static str,
}

/// Where a generation keeps its rows.
#[derive(Clone, Debug)]
pub struct Place {
    pub schema: Arc<str>,
    pub generation: i32,
}

impl Place {
    #[must_use]
    pub fn new(read: &ReadSide, generation: i32) -> Self {
        Place { schema: read.schema.clone(), generation }
    }

    /// The statement for this generation.
    #[must_use]
    pub fn sql(&self, text: &str) -> String {
        text.replace("{schema}", &self.schema).replace("{g}", &self.generation.to_string())
    }

    /// Runs a statement for this generation, prepared once per connection; gives the number of rows.
    pub(crate) async fn execute(
        &self,
        tx: &Transaction<'_>,
        text: &str,
        arguments: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<u64, tokio_postgres::Error> {
        let statement = tx.prepare_cached(&self.sql(text)).await?;
        tx.execute(&statement, arguments).await
    }
}

/// What a person reads may be so much older than the log, under load.
const PACE: Duration = Duration::from_millis(100);

/// The follower that posts one generation of a projection.
pub struct Posting {
    pub projection: Arc<dyn Projection>,
    pub place: Place,
    /// Whether nobody reads the generation yet.
    pub fills: bool,
}

#[async_trait]
impl Follower for Posting {
    fn name(&self) -> &str {
        self.projection.layout().name
    }

    fn logs(&self) -> Vec<String> {
        self.projection.layout().logs.iter().map(|&log| log.to_owned()).collect()
    }

    fn pace(&self) -> Duration {
        PACE
    }

    async fn apply(&self, tx: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        if self.fills {
            return self.projection.fill(&self.place, tx, batch).await;
        }
        self.projection.post(&self.place, tx, batch).await
    }
}

/// The id in the name of an event's stream. A stream that is named otherwise has no business in the log.
pub(crate) fn target<T>(
    event: &Recorded,
    id_of: impl Fn(&str) -> Option<T>,
) -> Result<T, ApplyError> {
    id_of(&event.stream).ok_or_else(|| {
        ApplyError::Poison(format!("`{}` names nothing that is known here", event.stream))
    })
}

/// A log that a projection does not know how to post.
pub(crate) fn strange(event: &Recorded) -> ApplyError {
    ApplyError::Poison(format!("the log of `{}` is not posted here", event.service))
}
