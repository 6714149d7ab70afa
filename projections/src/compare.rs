//! Whether two generations hold the same rows: by the sums of their rows' hashes, and where those differ row by row.

use crate::{Layout, Place};
use deadpool_postgres::{ClientWrapper, Object};
use event_store::follow::ReadSide;
use event_store::{Position, StoreError};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::time::{Duration, Instant};
use tokio_postgres::Row;
use uuid::Uuid;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    pub tables: Vec<ComparedTable>,
    /// Streams with parked events: what they are about is left out on both sides.
    pub parked: Vec<ParkedStream>,
}

/// A stream that is not compared, because an event of it could not be posted.
#[derive(Clone, Debug, Serialize)]
pub struct ParkedStream {
    pub stream: String,
    /// Of the first event that could not be posted, and why not.
    pub position: Position,
    pub reason: String,
    pub by: ParkedBy,
}

/// Who could not post it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParkedBy {
    Live,
    Replay,
    Both,
}

#[derive(Clone, Debug, Serialize)]
pub struct ComparedTable {
    /// Without the suffix of a generation.
    pub table: &'static str,
    /// Of the live side.
    pub rows: i64,
    pub differing: i64,
    /// The first of them by key.
    pub differences: Vec<Difference>,
    /// Why it was not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<&'static str>,
    /// Columns that only one side has; the others were compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_live: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_replayed: Vec<String>,
}

/// A row that differs, or that one side alone has.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    pub key: Map<String, Value>,
    /// The stream whose events to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    pub columns: Columns,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Columns {
    Differ(Vec<ColumnDiffers>),
    OnlyLive,
    OnlyReplayed,
}

#[derive(Clone, Debug, Serialize)]
pub struct ColumnDiffers {
    pub column: String,
    pub live: Value,
    pub replayed: Value,
}

impl Compared {
    /// How many rows differ.
    #[must_use]
    pub fn differing(&self) -> i64 {
        self.tables.iter().map(|table| table.differing).sum()
    }

    /// Whether nothing that was compared differs: no row, no table in its columns; and every event is posted that was posted
    /// before.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let columns = |it: &ComparedTable| it.only_live.is_empty() && it.only_replayed.is_empty();
        self.differing() == 0
            && self.tables.iter().all(columns)
            && !self.parked.iter().any(|it| it.by == ParkedBy::Replay)
    }

    #[must_use]
    pub fn rows(&self) -> i64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Whether everything was compared.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.parked.is_empty() && self.tables.iter().all(|table| table.left_out.is_none())
    }

    /// Every row that is named.
    pub fn differences(&self) -> impl Iterator<Item = (&'static str, &Difference)> {
        self.tables.iter().flat_map(|it| it.differences.iter().map(|row| (it.table, row)))
    }
}

impl fmt::Display for ParkedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParkedStream { stream, position, reason, by } = self;
        let whose = match by {
            ParkedBy::Live => "the live rows wait for it",
            ParkedBy::Replay => "the live rows have it, a replay cannot post it",
            ParkedBy::Both => "nor are the live rows past it",
        };
        write!(
            f,
            "{stream} has parked events, and was not compared: {position}: {reason} ({whose})"
        )
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (column, value)) in self.key.iter().enumerate() {
            let between = if nth == 0 { "" } else { ", " };
            write!(f, "{between}{column} {value}")?;
        }
        match &self.columns {
            Columns::OnlyLive => write!(f, ": only the live rows have it")?,
            Columns::OnlyReplayed => write!(f, ": the live rows lack it")?,
            Columns::Differ(columns) => {
                for ColumnDiffers { column, live, replayed } in columns {
                    write!(f, "\n      {column}: live {live}, from the log {replayed}")?;
                }
            }
        }
        if let Some(stream) = &self.stream {
            write!(f, "\n      see daybook log --stream {stream}")?;
        }
        Ok(())
    }
}

/// Of each table so many rows are named.
const NAMED: i64 = 20;
/// While somebody serves, so many pages of a table are looked at between two rests, which are so many times as long, and no
/// longer than this.
const PAGES: i64 = 64;
const REST: u32 = 3;
const LONGEST_REST: Duration = Duration::from_secs(1);

/// How far a generation has posted, partition by partition: two that have posted the same can be compared.
pub(crate) type Vector = Vec<(String, i32, i64, i32, Option<Uuid>)>;

/// Everything as it was at one moment, for as long as it takes to look at it.
pub(crate) struct Snapshot {
    session: ClientWrapper,
    /// Whether somebody serves meanwhile, who has the processor first.
    gentle: bool,
}

impl Snapshot {
    /// The session is taken out of its pool, and ends with this.
    pub(crate) async fn open(read: &ReadSide, gentle: bool) -> Result<Self, StoreError> {
        let session = Object::take(read.pool.get().await?);
        // The first question fixes the moment.
        session.batch_execute("begin isolation level repeatable read read only; select 1").await?;
        if gentle {
            session.batch_execute("set local max_parallel_workers_per_gather = 0").await?;
        }
        Ok(Snapshot { session, gentle })
    }

    pub(crate) async fn vector(
        &self,
        layout: &Layout,
        place: &Place,
    ) -> Result<Vector, StoreError> {
        let sql = place.sql(include_str!("compare/vector.sql"));
        let rows = self.session.query(&sql, &[&layout.name, &place.generation]).await?;
        let part = |row: &Row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
        Ok(rows.iter().map(part).collect())
    }

    /// Compares the rows of two generations that have posted the same. `tell` is told how many pages were looked at, of
    /// how many.
    pub(crate) async fn compare(
        &self,
        layout: &Layout,
        (live, replayed): (&Place, &Place),
        tell: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Compared, StoreError> {
        let (name, sql) = (layout.name, live.sql(include_str!("compare/parked.sql")));
        let generations = (&live.generation, &replayed.generation);
        let rows = self.session.query(&sql, &[&name, generations.0, generations.1]).await?;
        let parked: Vec<_> = rows.iter().map(parked_stream).collect();
        let mut pages = Pages { done: 0, total: 0, tell };
        for &table in layout.tables {
            for place in [live, replayed] {
                pages.total += self.pages(&name_of(table, place)).await?;
            }
        }
        pages.looked_at(0);
        let mut tables = Vec::new();
        for &table in layout.tables {
            let compared = self.table(layout, table, (live, replayed), &parked, &mut pages);
            tables.push(compared.await?);
        }
        Ok(Compared { tables, parked })
    }

    async fn table(
        &self,
        layout: &Layout,
        table: &'static str,
        (live, replayed): (&Place, &Place),
        parked: &[ParkedStream],
        pages: &mut Pages<'_>,
    ) -> Result<ComparedTable, StoreError> {
        let (mine, other) = (name_of(table, live), name_of(table, replayed));
        let (left, right) = (self.columns(&mine).await?, self.columns(&other).await?);
        let both: Vec<_> = left.iter().filter(|column| right.contains(column)).collect();
        let only = |here: &[Column], there: &[Column]| {
            let only = here.iter().filter(|column| !there.contains(column));
            only.map(|column| column.name.clone()).collect()
        };
        let mut compared = ComparedTable {
            table,
            rows: 0,
            differing: 0,
            differences: Vec::new(),
            left_out: None,
            only_live: only(&left, &right),
            only_replayed: only(&right, &left),
        };
        let keys: Vec<_> = both.iter().filter(|column| column.is_key).copied().collect();
        let same_key =
            left.iter().chain(&right).filter(|it| it.is_key).all(|it| keys.contains(&it));
        if keys.is_empty() || !same_key {
            compared.left_out = Some("only one side has it, or its key is another one");
            return Ok(compared);
        }
        let (_, key) = layout.key;
        let by_stream = both.iter().any(|column| column.name == key);
        if !parked.is_empty() && !by_stream {
            compared.left_out =
                Some("its rows are about many streams, and some have parked events");
            return Ok(compared);
        }
        let ids = parked.iter().filter_map(|it| Some(it.stream.split_once('-')?.1.to_owned()));
        let ids: Option<Vec<String>> = Some(ids.collect()).filter(|ids: &Vec<_>| !ids.is_empty());
        let quoted = |column: &&Column| format!("\"{}\"", column.name);
        let columns = both.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let fill = |text: &str| {
            let kept = if by_stream { format!("t.{key}::text <> all ($1)") } else { "true".into() };
            text.replace("{columns}", &columns)
                .replace("{keys}", &keys.iter().map(quoted).collect::<Vec<_>>().join(", "))
                .replace("{kept}", &kept)
        };
        let digest = fill(include_str!("compare/digest.sql"));
        let sum = self.digest(&digest, &mine, &ids, pages).await?;
        compared.rows = sum.rows;
        if sum == self.digest(&digest, &other, &ids, pages).await? {
            return Ok(compared);
        }
        let sql = fill(include_str!("compare/differing.sql"));
        let sql = sql.replace("{table}", &mine).replace("{other}", &other);
        let rows = self.session.query(&sql, &[&ids, &NAMED]).await?;
        compared.differing = rows.first().map_or(0, |row| row.get(2));
        let by_stream = by_stream.then_some(layout);
        for row in &rows {
            compared.differences.push(difference(row, &keys, by_stream)?);
        }
        Ok(compared)
    }

    async fn columns(&self, table: &str) -> Result<Vec<Column>, StoreError> {
        let rows = self.session.query(include_str!("compare/columns.sql"), &[&table]).await?;
        Ok(rows.iter().map(|row| Column { name: row.get(0), is_key: row.get(1) }).collect())
    }

    /// How many pages a table has; none if it is not there.
    async fn pages(&self, table: &str) -> Result<i64, StoreError> {
        let row = self.session.query_one(include_str!("compare/pages.sql"), &[&table]).await?;
        Ok(row.get::<_, Option<i64>>(0).unwrap_or(0))
    }

    async fn digest(
        &self,
        sql: &str,
        table: &str,
        left_out: &Option<Vec<String>>,
        looked: &mut Pages<'_>,
    ) -> Result<Sum, StoreError> {
        let sql = sql.replace("{table}", table);
        let (mut sum, pages) = (Sum::default(), self.pages(table).await?);
        if !self.gentle {
            sum.add(&self.session.query_one(&sql.replace("{part}", "true"), &[left_out]).await?)?;
            looked.looked_at(pages);
            return Ok(sum);
        }
        for from in (0..pages).step_by(usize::try_from(PAGES).unwrap_or(usize::MAX)) {
            let part = format!("ctid >= '({from},0)' and ctid < '({},0)'", from + PAGES);
            let began = Instant::now();
            sum.add(&self.session.query_one(&sql.replace("{part}", &part), &[left_out]).await?)?;
            looked.looked_at(PAGES.min(pages - from));
            tokio::time::sleep((began.elapsed() * REST).min(LONGEST_REST)).await;
        }
        Ok(sum)
    }
}

fn name_of(table: &str, place: &Place) -> String {
    place.sql("{schema}.{table}_{g}").replace("{table}", table)
}

/// How far a comparison is, and who is told.
struct Pages<'a> {
    done: i64,
    total: i64,
    tell: &'a (dyn Fn(u64, u64) + Send + Sync),
}

impl Pages<'_> {
    fn looked_at(&mut self, more: i64) {
        self.done += more;
        // The live table may have grown since its pages were counted.
        let total = self.total.max(self.done);
        (self.tell)(self.done.unsigned_abs(), total.unsigned_abs());
    }
}

/// The number of some rows, and the sum of their hashes.
#[derive(Default, PartialEq, Eq)]
struct Sum {
    rows: i64,
    hashes: i128,
}

impl Sum {
    fn add(&mut self, row: &Row) -> Result<(), StoreError> {
        self.rows += row.get::<_, i64>(0);
        // A number in JSON too, and no more of them than 2^63 are added.
        self.hashes += serde_json::from_str::<i128>(row.get(1))?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Column {
    name: String,
    is_key: bool,
}

fn parked_stream(row: &Row) -> ParkedStream {
    let position = Position {
        service: row.get("service"),
        partition: row.get("partition"),
        epoch: row.get("epoch"),
        offset: row.get("log_offset"),
    };
    let by = match (row.get("by_live"), row.get("by_replay")) {
        (true, false) => ParkedBy::Live,
        (false, true) => ParkedBy::Replay,
        (true, true) | (false, false) => ParkedBy::Both,
    };
    ParkedStream { stream: row.get("stream"), position, reason: row.get("reason"), by }
}

fn difference(
    row: &Row,
    keys: &[&Column],
    by_stream: Option<&Layout>,
) -> Result<Difference, StoreError> {
    let side = |at| -> Result<Option<Map<String, Value>>, StoreError> {
        Ok(row.get::<_, Option<&str>>(at).map(serde_json::from_str).transpose()?)
    };
    let (live, replayed) = (side(0)?, side(1)?);
    let either = live.as_ref().or(replayed.as_ref()).cloned().unwrap_or_default();
    let is_key = |name: &str| keys.iter().any(|key| key.name == name);
    let columns = match (live, replayed) {
        (Some(_), None) => Columns::OnlyLive,
        (None, _) => Columns::OnlyReplayed,
        (Some(live), Some(mut replayed)) => {
            let pairs = live.into_iter().map(|(column, live)| {
                let replayed = replayed.remove(&column).unwrap_or_default();
                ColumnDiffers { column, live, replayed }
            });
            Columns::Differ(pairs.filter(|it| it.live != it.replayed).collect())
        }
    };
    let stream = by_stream.and_then(|layout| {
        let (category, column) = layout.key;
        let id = either.get(column)?.as_str()?;
        Some(format!("{}-{id}", told_by(&columns, layout.of_others).unwrap_or(category)))
    });
    let key = either.into_iter().filter(|(column, _)| is_key(column)).collect();
    Ok(Difference { key, stream, columns })
}

/// The kind of stream that tells all the columns that differ, if they are all another one's.
fn told_by<'a>(columns: &Columns, of_others: &[(&str, &'a str)]) -> Option<&'a str> {
    let Columns::Differ(columns) = columns else { return None };
    let other = |it: &ColumnDiffers| of_others.iter().find(|(column, _)| *column == it.column);
    let mut others = columns.iter().map(|it| other(it).map(|(_, category)| *category));
    let first = others.next()??;
    others.all(|it| it == Some(first)).then_some(first)
}
