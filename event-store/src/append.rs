//! What a writer hands to the log, and the one call that a lane makes of it.

use crate::{AppendError, Metadata};
use chrono::{DateTime, SubsecRound, Utc};
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use std::collections::BTreeMap;
use std::error::Error;
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

/// The commands of one stream that stand or fall together.
#[derive(Clone, Debug)]
pub struct Chain {
    pub stream: String,
    /// The version that the stream must have; 0 is a stream without events.
    pub expected: i64,
    pub entries: Vec<Entry>,
}

/// One command of a chain. Without events it is a version check.
#[derive(Clone, Debug)]
pub struct Entry {
    pub command_id: Uuid,
    pub events: Vec<EventEntry>,
}

#[derive(Clone, Debug)]
pub struct EventEntry {
    pub event_id: Uuid,
    pub event_type: &'static str,
    pub schema_version: i32,
    pub payload: String,
    pub metadata: StoredMetadata,
    pub occurred_at: DateTime<Utc>,
}

/// The metadata column: what every reader sees, and the fingerprint for the write side.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StoredMetadata {
    #[serde(flatten)]
    pub metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Appended; `version` and `offset` are its first ones, or nothing was to be appended.
    Ok { version: i64, offset: i64 },
    /// In the log before: its first version and offset, the number of its events, its fingerprint.
    Already { version: i64, offset: i64, events: i32, fingerprint: Option<String> },
    /// Fell with its chain beside an `Already`: decide it again.
    Again,
    /// The stream's actual version is another.
    Conflict { actual: i64 },
}

#[derive(Clone, Debug)]
pub struct ChainOutcome {
    pub partition: i32,
    pub epoch: i32,
    /// When the log took what was appended; none if nothing was.
    pub recorded_at: Option<DateTime<Utc>>,
    /// One for each entry of the chain, in its order.
    pub verdicts: Vec<Verdict>,
}

impl Chain {
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.entries.iter().map(|entry| entry.events.len()).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.entries.iter().flat_map(|e| &e.events).map(|e| e.payload.len() + 256).sum()
    }

    /// Postgres keeps microseconds: who hears of an event from the lane hears the same as who reads it.
    pub(crate) fn keep_what_is_kept(&mut self) {
        for event in self.entries.iter_mut().flat_map(|entry| &mut entry.events) {
            event.occurred_at = event.occurred_at.trunc_subsecs(6);
        }
    }

    /// Refuses what Postgres or the topic would, and what could be written but never read.
    pub(crate) fn check(&self, limit: usize) -> Result<(), AppendError> {
        if !self.entries.iter().flat_map(|e| &e.events).all(EventEntry::has_readable_metadata) {
            return Err(AppendError::Data("a text of the metadata holds U+0000".into()));
        }
        let largest = self.entries.iter().flat_map(|e| &e.events).map(|e| e.payload.len()).max();
        match largest {
            Some(size) if size > limit => Err(AppendError::TooLarge { size, limit }),
            Some(_) | None => Ok(()),
        }
    }
}

impl EventEntry {
    /// JSON may say `\u0000`, and Postgres stores it; but it reads no field of such a document, so the
    /// repeat of the command could never be told from a new one.
    fn has_readable_metadata(&self) -> bool {
        let StoredMetadata { metadata, fingerprint } = &self.metadata;
        let texts = [Some(&metadata.correlation), Some(&metadata.actor)];
        let texts = texts.into_iter().chain([metadata.traceparent.as_ref(), fingerprint.as_ref()]);
        !texts.flatten().any(|text| text.contains('\0'))
    }
}

/// JSON text in a `json` column, byte for byte.
#[derive(Debug)]
pub(crate) struct JsonText<T>(pub(crate) T);

impl<T: AsRef<str> + std::fmt::Debug> ToSql for JsonText<T> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_ref().as_bytes());
        Ok(IsNull::No)
    }
    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
    to_sql_checked!();
}

impl<'a> FromSql<'a> for JsonText<&'a str> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(JsonText(std::str::from_utf8(raw)?))
    }
    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
}

/// The arguments of one call of the append function. `_entry`, `_event_stream`, `_event_command`,
/// `_event_part`, `_version` and `_ordinal` are left out where every command has one event.
#[derive(Default)]
pub(crate) struct Call<'a> {
    parts: Vec<i32>,
    epochs: Vec<i32>,
    stream: Vec<&'a str>,
    expected: Vec<Option<i64>>,
    command: Vec<Uuid>,
    part: Vec<i32>,
    entry: Vec<i32>,
    event_stream: Vec<&'a str>,
    event_command: Vec<Uuid>,
    event_part: Vec<i32>,
    version: Vec<i64>,
    ordinal: Vec<i32>,
    rank: Vec<i64>,
    event_id: Vec<Uuid>,
    event_type: Vec<&'static str>,
    schema_version: Vec<i32>,
    payload: Vec<JsonText<&'a str>>,
    metadata: Vec<JsonText<String>>,
    occurred_at: Vec<DateTime<Utc>>,
}

impl<'a> Call<'a> {
    /// `chains` with their partitions; `epochs` by partition.
    pub(crate) fn new(chains: &[(i32, &'a Chain)], epochs: &[i32]) -> Self {
        let mut call = Call::default();
        let mut parts: BTreeMap<i32, i64> = chains.iter().map(|(p, _)| (*p, 0)).collect();
        call.parts = parts.keys().copied().collect();
        call.epochs = call.parts.iter().map(|p| epochs[index(*p)]).collect();
        for (partition, chain) in chains {
            let part = call.parts.partition_point(|p| p < partition);
            let part = i32::try_from(part + 1).expect("a log has few partitions");
            let next_rank = parts.entry(*partition).or_default();
            call.add(chain, part, next_rank);
        }
        call
    }

    fn add(&mut self, chain: &'a Chain, part: i32, next_rank: &mut i64) {
        let mut version = chain.expected;
        for (place, entry) in chain.entries.iter().enumerate() {
            self.stream.push(&chain.stream);
            self.expected.push((place == 0).then_some(chain.expected));
            self.command.push(entry.command_id);
            self.part.push(part);
            let number = i32::try_from(self.command.len()).expect("a batch is bounded");
            for (event, ordinal) in entry.events.iter().zip(0..) {
                version += 1;
                self.entry.push(number);
                self.event_stream.push(&chain.stream);
                self.event_command.push(entry.command_id);
                self.event_part.push(part);
                self.version.push(version);
                self.ordinal.push(ordinal);
                self.rank.push(*next_rank);
                *next_rank += 1;
                self.event_id.push(event.event_id);
                self.event_type.push(event.event_type);
                self.schema_version.push(event.schema_version);
                self.payload.push(JsonText(&event.payload));
                let metadata = serde_json::to_string(&event.metadata);
                self.metadata.push(JsonText(metadata.expect("metadata is text and ids")));
                self.occurred_at.push(event.occurred_at);
            }
        }
    }

    /// The answer of the short form, if the call is one event of one command, and passes.
    async fn run_one(
        &self,
        client: &Client,
        append_one: &Statement,
    ) -> Result<Option<Answered>, tokio_postgres::Error> {
        if self.command.len() != 1 || !self.is_plain() {
            return Ok(None);
        }
        let row = client
            .query_one(
                append_one,
                &[
                    &self.parts[0],
                    &self.epochs[0],
                    &self.stream[0],
                    &self.expected[0],
                    &self.command[0],
                    &self.event_id[0],
                    &self.event_type[0],
                    &self.schema_version[0],
                    &self.payload[0],
                    &self.metadata[0],
                    &self.occurred_at[0],
                ],
            )
            .await?;
        let offset: Option<i64> = row.try_get("first_offset")?;
        let recorded_at = row.try_get("recorded_at")?;
        Ok(offset.map(|offset| Answered::All { bases: vec![offset], recorded_at }))
    }

    /// Whether every command has exactly one event and none is chained: the short form of the call.
    fn is_plain(&self) -> bool {
        self.entry.len() == self.command.len()
            && self.entry.iter().zip(1..).all(|(entry, i)| *entry == i)
            && self.expected.iter().all(Option::is_some)
    }

    pub(crate) async fn run(
        &self,
        client: &Client,
        statements: &Statements,
    ) -> Result<Answered, tokio_postgres::Error> {
        if let Some(answered) = self.run_one(client, &statements.append_one).await? {
            return Ok(answered);
        }
        let long = !self.is_plain();
        let entry = long.then_some(&self.entry);
        let event_stream = long.then_some(&self.event_stream);
        let event_command = long.then_some(&self.event_command);
        let event_part = long.then_some(&self.event_part);
        let version = long.then_some(&self.version);
        let ordinal = long.then_some(&self.ordinal);
        let rows = client
            .query(
                &statements.append,
                &[
                    &self.parts,
                    &self.epochs,
                    &self.stream,
                    &self.expected,
                    &self.command,
                    &self.part,
                    &entry,
                    &event_stream,
                    &event_command,
                    &event_part,
                    &version,
                    &ordinal,
                    &self.rank,
                    &self.event_id,
                    &self.event_type,
                    &self.schema_version,
                    &self.payload,
                    &self.metadata,
                    &self.occurred_at,
                ],
            )
            .await?;
        Ok(match rows.first() {
            Some(row) if row.try_get::<_, i32>("entry")? == 0 => Answered::All {
                bases: row.try_get::<_, Option<_>>("bases")?.unwrap_or_default(),
                recorded_at: row.try_get("recorded_at")?,
            },
            Some(_) | None => Answered::Each(rows),
        })
    }

    /// Reads the answer of [`run`](Self::run): the outcome of each chain, in the order sent.
    pub(crate) fn outcomes(
        &self,
        chains: &[(i32, &Chain)],
        answered: &Answered,
    ) -> Vec<ChainOutcome> {
        let mut command = 0;
        let mut event = 0;
        chains
            .iter()
            .map(|(partition, chain)| {
                let part = self.parts.partition_point(|p| p < partition);
                let mut version = chain.expected + 1;
                let mut recorded_at = None;
                let verdicts = chain
                    .entries
                    .iter()
                    .map(|entry| {
                        let verdict = match answered {
                            Answered::All { bases, recorded_at: at } => {
                                recorded_at = *at;
                                let rank = self.rank.get(event).copied().unwrap_or_default();
                                let base = bases.get(part).copied().unwrap_or_default();
                                Verdict::Ok { version, offset: base + rank }
                            }
                            Answered::Each(rows) => {
                                recorded_at = recorded_at.or(rows[command].get("recorded_at"));
                                verdict(&rows[command])
                            }
                        };
                        command += 1;
                        event += entry.events.len();
                        version += i64::try_from(entry.events.len()).expect("a batch is bounded");
                        verdict
                    })
                    .collect();
                let epoch = self.epochs[part];
                ChainOutcome { partition: *partition, epoch, recorded_at, verdicts }
            })
            .collect()
    }
}

/// The statements of a call, prepared on one session.
pub(crate) struct Statements {
    append: Statement,
    append_one: Statement,
}

impl Statements {
    pub(crate) async fn prepare(
        client: &Client,
        service: &str,
    ) -> Result<Self, tokio_postgres::Error> {
        let call = async |name: &str, arguments: usize| {
            let arguments: Vec<_> = (1..=arguments).map(|i| format!("${i}")).collect();
            let sql = format!("select * from {service}.{name}({})", arguments.join(", "));
            client.prepare(&sql).await
        };
        Ok(Statements {
            append: call("append", 19).await?,
            append_one: call("append_one", 11).await?,
        })
    }
}

/// What a call came to.
pub(crate) enum Answered {
    /// Everything passed: the first offset of each partition, and when the log took it.
    All { bases: Vec<i64>, recorded_at: Option<DateTime<Utc>> },
    /// A row for each command.
    Each(Vec<Row>),
}

fn verdict(row: &Row) -> Verdict {
    let version = || row.get::<_, Option<i64>>("version").unwrap_or_default();
    let offset = || row.get::<_, Option<i64>>("first_offset").unwrap_or_default();
    match row.get("verdict") {
        "ok" => Verdict::Ok { version: version(), offset: offset() },
        "already" => Verdict::Already {
            version: version(),
            offset: offset(),
            events: row.get("events"),
            fingerprint: row.get("fingerprint"),
        },
        "again" => Verdict::Again,
        _ => Verdict::Conflict { actual: version() },
    }
}

pub(crate) fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("a partition's number is not negative")
}
