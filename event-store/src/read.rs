//! Reading streams and partitions.

use crate::append::JsonText;
use crate::follow::End;
use crate::{Log, Metadata, Position, Recorded, StoreError};
use chrono::{DateTime, Utc};
use postgres_types::ToSql;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

pub(crate) struct Sql {
    pub(crate) partition: String,
    stream: String,
    snapshot: String,
    version_at: String,
    command: String,
    turn: String,
    pub(crate) closed: String,
    pub(crate) commands: String,
    pub(crate) heads: String,
    pub(crate) epochs: String,
}

const COLUMNS: &str = "partition, log_offset, stream, version, event_id, command_id, ordinal, type, \
     schema_version, payload, metadata, occurred_at, recorded_at";

impl Sql {
    pub(crate) fn of(service: &str) -> Self {
        Sql {
            partition: format!(
                "select {COLUMNS} from {service}.event \
                 where partition = $1 and log_offset >= $2 order by log_offset limit $3"
            ),
            stream: format!(
                "select {COLUMNS} from {service}.event \
                 where stream = $1 and version > $2 order by version limit $3"
            ),
            snapshot: include_str!("read/snapshot.sql")
                .replace("{service}", service)
                .replace("{columns}", COLUMNS),
            version_at: include_str!("read/version_at.sql").replace("{service}", service),
            command: format!(
                "select version, metadata ->> 'fingerprint' from {service}.event \
                 where stream = $1 and command_id = $2 and ordinal = 0"
            ),
            // The clock first: what is recorded after this answer is recorded later.
            closed: format!(
                "select clock_timestamp() > $2, \
                   coalesce((select e.recorded_at > $2 from {service}.event e \
                              where e.partition = $1 order by e.log_offset desc limit 1), false)"
            ),
            commands: format!(
                "select {COLUMNS} from {service}.event \
                 where (stream, command_id) in (select * from unnest($1::text[], $2::uuid[])) and ordinal = 0"
            ),
            turn: format!("select {service}.turn($1)"),
            heads: format!(
                "select coalesce((select e.log_offset + 1 from {service}.event e \
                   where e.partition = p.partition order by e.log_offset desc limit 1), 0), p.epoch \
                 from {service}.log_partition p order by p.partition"
            ),
            epochs: format!(
                "select partition, epoch, first_offset from {service}.log_epoch order by 1, 2"
            ),
        }
    }
}

/// The epochs of a log, to say in which one an offset lies.
struct Epochs(Vec<(i32, i32, i64)>);

impl Epochs {
    fn of(&self, partition: i32, offset: i64) -> i32 {
        let holds = |(p, _, first): &&(i32, i32, i64)| *p == partition && *first <= offset;
        self.0.iter().rev().find(holds).map_or(1, |(_, epoch, _)| *epoch)
    }
}

/// What was read on a connection of the pool. One that stayed silent leaves the pool: it is open as far as
/// anybody knows, and whoever got it next would wait on it too.
///
/// # Errors
/// What the reading says, or that there was no answer in time.
pub fn give_back<T>(
    read: Result<Result<T, StoreError>, Elapsed>,
    client: deadpool_postgres::Client,
) -> Result<T, StoreError> {
    read.unwrap_or_else(|_elapsed| {
        drop(deadpool_postgres::Client::take(client));
        Err(StoreError::Silent)
    })
}

impl Log {
    /// What is asked on a connection of one's own, for no longer than any call: whoever gives it up leaves the
    /// connection.
    #[cfg(feature = "kafka")]
    pub(crate) async fn in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(self.0.call_timeout, asking).await.unwrap_or(Err(StoreError::Silent))
    }

    /// The events of a partition from an offset on, in order, at most `limit`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn read_partition(
        &self,
        partition: i32,
        from_offset: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let client = self.0.readers.get().await?;
        let page: &[&(dyn ToSql + Sync)] = &[&partition, &from_offset, &limit];
        let read = timeout(self.0.call_timeout, self.read(&client, &self.0.sql.partition, page));
        give_back(read.await, client)
    }

    /// The events of a stream after a version, in order, at most `limit`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn read_stream(
        &self,
        stream: &str,
        after_version: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let client = self.0.readers.get().await?;
        let page: &[&(dyn ToSql + Sync)] = &[&stream, &after_version, &limit];
        let read = timeout(self.0.call_timeout, self.read(&client, &self.0.sql.stream, page));
        give_back(read.await, client)
    }

    /// The snapshot of a stream's state, if there is one that holds: with the event that it is folded to, and
    /// those after it. Else the stream's first events.
    pub(crate) async fn read_from_snapshot(
        &self,
        stream: &str,
        state_version: i32,
        limit: i64,
    ) -> Result<(Option<String>, Vec<Recorded>), StoreError> {
        let client = self.0.readers.get().await?;
        let sought: &[&(dyn ToSql + Sync)] = &[&stream, &state_version, &limit];
        let reading = async {
            let page = client.prepare_cached(&self.0.sql.snapshot).await?;
            let epochs = client.prepare_cached(&self.0.sql.epochs).await?;
            let (rows, epochs) = self.rows(&client, &page, &epochs, sought).await?;
            let state = rows.first().map(|row| row.try_get("snapshot_state")).transpose()?;
            Ok((state.flatten(), self.all_recorded(&rows, &epochs)?))
        };
        give_back(timeout(self.0.call_timeout, reading).await, client)
    }

    /// The same once the append that is under way in its partition has ended, if there is one.
    pub(crate) async fn read_stream_in_turn(
        &self,
        stream: &str,
        after_version: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let client = self.0.readers.get().await?;
        let partition = self.partition_of(stream);
        let page: &[&(dyn ToSql + Sync)] = &[&stream, &after_version, &limit];
        let reading = async {
            let turn = client.prepare_cached(&self.0.sql.turn).await?;
            // In one round trip, one after the other.
            let of_partition: &[&(dyn ToSql + Sync)] = &[&partition];
            let (turned, page) = futures_util::join!(
                client.execute(&turn, of_partition),
                self.read(&client, &self.0.sql.stream, page)
            );
            turned?;
            page
        };
        give_back(timeout(self.0.call_timeout, reading).await, client)
    }

    /// The next offset of each partition, read from the log.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn heads(&self) -> Result<Vec<i64>, StoreError> {
        Ok(self.ends().await?.iter().map(|end| end.next_offset).collect())
    }

    /// The end of each partition, read from the log.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn ends(&self) -> Result<Vec<End>, StoreError> {
        let client = self.0.readers.get().await?;
        let reading = async {
            let statement = client.prepare_cached(&self.0.sql.heads).await?;
            let rows = client.query(&statement, &[]).await?;
            Ok(rows.iter().map(|row| End { next_offset: row.get(0), epoch: row.get(1) }).collect())
        };
        give_back(timeout(self.0.call_timeout, reading).await, client)
    }

    /// Whether a position is of the newest epoch that this process knows of.
    #[must_use]
    pub fn is_of_newest_epoch(&self, position: &Position) -> bool {
        (0..self.partitions()).contains(&position.partition)
            && position.epoch == self.known_epoch(position.partition)
    }

    /// Whether the log has lost a position: a newer epoch begins at or before its offset, or no epoch as new as its own
    /// is known any more.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn has_lost(&self, position: &Position) -> Result<bool, StoreError> {
        let Position { partition, epoch, offset, .. } = position;
        if !(0..self.partitions()).contains(partition) {
            return Ok(true);
        }
        let client = self.0.readers.get().await?;
        let reading = async {
            let statement = client.prepare_cached(&self.0.sql.epochs).await?;
            let rows = client.query(&statement, &[]).await?;
            let epochs = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2)));
            Ok(epochs.collect::<Vec<(i32, i32, i64)>>())
        };
        let epochs = give_back(timeout(self.0.call_timeout, reading).await, client)?;
        let own = || epochs.iter().filter(|(of, ..)| of == partition);
        own().for_each(|(_, epoch, _)| self.learn_epoch(*partition, *epoch));
        let newest = own().map(|(_, epoch, _)| *epoch).max().unwrap_or(0);
        let superseded = |(_, newer, first): &(i32, i32, i64)| epoch < newer && first <= offset;
        Ok(newest < *epoch || own().any(superseded))
    }

    /// Whether nothing more can be recorded in a partition at or before an instant. An append that is under way is
    /// waited for; false if the instant is still to come.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn is_closed_until(
        &self,
        partition: i32,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let client = self.0.readers.get().await?;
        let asking = async {
            let statement = client.prepare_cached(&self.0.sql.closed).await?;
            let row = client.query_one(&statement, &[&partition, &at]).await?;
            let (passed, recorded_later): (bool, bool) = (row.get(0), row.get(1));
            if passed && !recorded_later {
                // Whoever takes the partition's lock from now on reads a later clock.
                let turn = client.prepare_cached(&self.0.sql.turn).await?;
                client.execute(&turn, &[&partition]).await?;
            }
            Ok(passed)
        };
        give_back(timeout(self.0.call_timeout, asking).await, client)
    }

    /// The version that a stream had at an instant, or has now if none is named; 0 before its first event.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn version_at(
        &self,
        stream: &str,
        at: Option<DateTime<Utc>>,
    ) -> Result<i64, StoreError> {
        let client = self.0.readers.get().await?;
        let asking = async {
            let statement = client.prepare_cached(&self.0.sql.version_at).await?;
            Ok(client.query_one(&statement, &[&stream, &at]).await?.get(0))
        };
        give_back(timeout(self.0.call_timeout, asking).await, client)
    }

    /// What commands appended to streams: of each pair of a stream and a command id the first event.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn read_commands(
        &self,
        streams: &[String],
        commands: &[Uuid],
    ) -> Result<Vec<Recorded>, StoreError> {
        let client = self.0.readers.get().await?;
        let sought: &[&(dyn ToSql + Sync)] = &[&streams, &commands];
        let read = timeout(self.0.call_timeout, self.read(&client, &self.0.sql.commands, sought));
        give_back(read.await, client)
    }

    /// The first version and the fingerprint of a command of a stream, if it is in the log.
    pub(crate) async fn find_command(
        &self,
        stream: &str,
        command_id: Uuid,
    ) -> Result<Option<(i64, Option<String>)>, StoreError> {
        let client = self.0.readers.get().await?;
        let reading = async {
            let statement = client.prepare_cached(&self.0.sql.command).await?;
            let row = client.query_opt(&statement, &[&stream, &command_id]).await?;
            Ok(row.map(|row| (row.get(0), row.get(1))))
        };
        give_back(timeout(self.0.call_timeout, reading).await, client)
    }

    /// Rows first and epochs second, in one round trip: an epoch is never older than the rows.
    async fn read(
        &self,
        client: &deadpool_postgres::Client,
        sql: &str,
        arguments: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Recorded>, StoreError> {
        let page = client.prepare_cached(sql).await?;
        let epochs = client.prepare_cached(&self.0.sql.epochs).await?;
        self.read_prepared(client, &page, &epochs, arguments).await
    }

    /// The same on any session, whose statements are `page` and [`Sql::epochs`].
    pub(crate) async fn read_prepared(
        &self,
        client: &Client,
        page: &Statement,
        epochs: &Statement,
        arguments: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Recorded>, StoreError> {
        let (rows, epochs) = self.rows(client, page, epochs, arguments).await?;
        self.all_recorded(&rows, &epochs)
    }

    async fn rows(
        &self,
        client: &Client,
        page: &Statement,
        epochs: &Statement,
        arguments: &[&(dyn ToSql + Sync)],
    ) -> Result<(Vec<Row>, Epochs), StoreError> {
        let (rows, epochs) =
            futures_util::join!(client.query(page, arguments), client.query(epochs, &[]));
        let epochs = epochs?.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        let epochs = Epochs(epochs);
        epochs.0.iter().for_each(|(partition, epoch, _)| self.learn_epoch(*partition, *epoch));
        Ok((rows?, epochs))
    }

    fn all_recorded(&self, rows: &[Row], epochs: &Epochs) -> Result<Vec<Recorded>, StoreError> {
        rows.iter().map(|row| self.recorded(row, epochs)).collect()
    }

    fn recorded(&self, row: &Row, epochs: &Epochs) -> Result<Recorded, StoreError> {
        let partition = row.try_get("partition")?;
        let offset = row.try_get("log_offset")?;
        let payload: JsonText<&str> = row.try_get("payload")?;
        let metadata: JsonText<&str> = row.try_get("metadata")?;
        Ok(Recorded {
            service: self.0.service.clone(),
            partition,
            epoch: epochs.of(partition, offset),
            offset,
            stream: row.try_get("stream")?,
            version: row.try_get("version")?,
            event_id: row.try_get("event_id")?,
            command_id: row.try_get("command_id")?,
            ordinal: row.try_get("ordinal")?,
            event_type: row.try_get("type")?,
            schema_version: row.try_get("schema_version")?,
            payload: payload.0.to_owned(),
            metadata: serde_json::from_str::<Metadata>(metadata.0)?,
            occurred_at: row.try_get("occurred_at")?,
            recorded_at: row.try_get("recorded_at")?,
        })
    }
}
