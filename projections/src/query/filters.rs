use super::page::Page;
use chrono::{DateTime, Datelike, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// The conditions that a query was asked for, and no others: Postgres plans each combination for itself.
#[derive(Default)]
pub(crate) struct Filters<'a> {
    conditions: String,
    arguments: Vec<&'a (dyn ToSql + Sync)>,
    direction: Direction,
}

/// Which way a list is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    #[default]
    Forward,
    Backward,
}

/// What a list is sorted by, as its SQL says it: these columns, `{up}` or `{down}`.
pub(crate) enum Sorted {
    Up(&'static str),
    Down(&'static str),
}

/// The values of the columns that a list is sorted by.
pub(crate) trait Key {
    fn values(&self) -> Vec<&(dyn ToSql + Sync)>;
}

impl Key for String {
    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![self]
    }
}

impl Key for i64 {
    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![self]
    }
}

impl<A: ToSql + Sync, B: ToSql + Sync> Key for (A, B) {
    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![&self.0, &self.1]
    }
}

impl<'a> Filters<'a> {
    /// Adds a condition if there is a value for the `?` in it.
    pub(crate) fn and<T: ToSql + Sync>(&mut self, condition: &str, value: &'a Option<T>) {
        if let Some(value) = value {
            self.push(condition, &[value]);
        }
    }

    /// What is on the page, read from its cursor in its direction.
    pub(crate) fn from<K: Key>(&mut self, page: &'a Page<K>, sorted: &Sorted) {
        self.direction = page.direction;
        let Some(cursor) = &page.cursor else { return };
        let (columns, up) = match (sorted, page.direction) {
            (Sorted::Up(columns), Direction::Forward)
            | (Sorted::Down(columns), Direction::Backward) => (columns, true),
            (Sorted::Up(columns), Direction::Backward)
            | (Sorted::Down(columns), Direction::Forward) => (columns, false),
        };
        let beyond = if up { ">" } else { "<" };
        let or_itself = if cursor.and_itself { "=" } else { "" };
        let values = cursor.key.values();
        let places = vec!["?"; values.len()].join(", ");
        self.push(&format!("({columns}) {beyond}{or_itself} ({places})"), &values);
    }

    fn push(&mut self, condition: &str, values: &[&'a (dyn ToSql + Sync)]) {
        let mut parts = condition.split('?');
        self.conditions.push_str(" and ");
        self.conditions.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            self.arguments.push(*value);
            self.conditions.push_str(&format!("${}{part}", self.arguments.len()));
        }
    }

    /// Puts the conditions in the place of `{filters}`, and the direction in those of `{up}` and `{down}`.
    pub(crate) fn fill(&self, sql: &str) -> String {
        let (up, down) = match self.direction {
            Direction::Forward => ("asc", "desc"),
            Direction::Backward => ("desc", "asc"),
        };
        sql.replace("{filters}", &self.conditions).replace("{up}", up).replace("{down}", down)
    }

    pub(crate) fn arguments(&self) -> &[&'a (dyn ToSql + Sync)] {
        &self.arguments
    }
}

/// An instant that Postgres can hold: of the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "DateTime<Utc>")]
#[schemars(inline)]
pub(crate) struct Instant(pub(crate) DateTime<Utc>);

#[derive(Debug)]
pub(crate) struct NoInstant;

impl fmt::Display for NoInstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is an instant of RFC 3339 in the years 1 to 9999, like 2010-12-01T08:26:00Z")
    }
}

impl TryFrom<DateTime<Utc>> for Instant {
    type Error = NoInstant;

    fn try_from(at: DateTime<Utc>) -> Result<Self, NoInstant> {
        (1..=9999).contains(&at.year()).then_some(Instant(at)).ok_or(NoInstant)
    }
}

impl FromStr for Instant {
    type Err = NoInstant;

    fn from_str(text: &str) -> Result<Self, NoInstant> {
        let at = DateTime::parse_from_rfc3339(text).map_err(|_| NoInstant)?;
        at.with_timezone(&Utc).try_into()
    }
}

impl ToSql for Instant {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <DateTime<Utc> as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::{Filters, Instant};

    #[test]
    fn conditions_are_numbered_in_the_order_in_which_they_are_added() {
        let (status, none, number) = (Some("placed"), None::<i64>, Some(1_i64));
        let mut filters = Filters::default();
        filters.and("status = ?", &status);
        filters.and("total > ?", &none);
        filters.and("number < ?", &number);
        let sql = filters.fill("select 1 where true {filters} order by a {up}, b {down}");
        let filled = "select 1 where true  and status = $1 and number < $2 order by a asc, b desc";
        assert_eq!(sql, filled);
        assert_eq!(filters.arguments().len(), 2);
    }

    #[test]
    fn an_instant_is_of_a_year_that_postgres_holds() {
        assert!("2010-12-01T08:26:00+01:00".parse::<Instant>().is_ok());
        for text in ["", "2010-12-01", "+262000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "now"] {
            assert!(text.parse::<Instant>().is_err(), "{text}");
        }
    }
}
