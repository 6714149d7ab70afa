use chrono::{DateTime, Datelike, Utc};
use edge::ParamFields;
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
}

impl<'a> Filters<'a> {
    /// Adds a condition if there is a value for the `?` in it.
    pub(crate) fn and<T: ToSql + Sync>(&mut self, condition: &str, value: &'a Option<T>) {
        if let Some(value) = value {
            self.push(condition, &[value]);
        }
    }

    /// The same with two values.
    pub(crate) fn and_pair<A: ToSql + Sync, B: ToSql + Sync>(
        &mut self,
        condition: &str,
        values: &'a Option<(A, B)>,
    ) {
        if let Some((first, second)) = values {
            self.push(condition, &[first, second]);
        }
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

    /// Puts the conditions in the place of `{filters}`.
    pub(crate) fn fill(&self, sql: &str) -> String {
        sql.replace("{filters}", &self.conditions)
    }

    pub(crate) fn arguments(&self) -> &[&'a (dyn ToSql + Sync)] {
        &self.arguments
    }
}

/// A parameter that is one of a few words.
pub(crate) fn one_of(
    fields: &mut ParamFields,
    name: &str,
    words: &'static [&'static str],
) -> Option<Option<&'static str>> {
    let Some(asked) = fields.optional::<String>(name)? else { return Some(None) };
    let known = words.iter().find(|word| **word == asked);
    if known.is_none() {
        fields.refuse(name, format!("is one of: {}", words.join(", ")));
    }
    known.map(|word| Some(*word))
}

/// An instant that Postgres can hold: of the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DateTime<Utc>")]
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
        let (status, none, pair) = (Some("placed"), None::<i64>, Some((1_i64, "x")));
        let mut filters = Filters::default();
        filters.and("status = ?", &status);
        filters.and("total > ?", &none);
        filters.and_pair("(a, b) > (?, ?)", &pair);
        let sql = filters.fill("select 1 where true {filters} order by 1");
        assert_eq!(sql, "select 1 where true  and status = $1 and (a, b) > ($2, $3) order by 1");
        assert_eq!(filters.arguments().len(), 3);
    }

    #[test]
    fn an_instant_is_of_a_year_that_postgres_holds() {
        assert!("2010-12-01T08:26:00+01:00".parse::<Instant>().is_ok());
        for text in ["", "2010-12-01", "+262000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "now"] {
            assert!(text.parse::<Instant>().is_err(), "{text}");
        }
    }
}
