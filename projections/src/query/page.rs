//! A list is read page by page, in both directions. A cursor is the key of an item that was seen, so that whatever
//! comes and goes meanwhile, nothing that stays is shown twice or left out.

use super::filters::Direction;
use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use edge::{Address, ParamFields};
use http::{HeaderValue, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

const DEFAULT_LIMIT: i64 = 50;
pub(crate) const MOST: i64 = 1_000;

/// Which part of a list was asked for. `K` is the key that the list is sorted by.
pub(crate) struct Page<K> {
    /// None: from the list's beginning.
    pub(super) cursor: Option<Cursor<K>>,
    pub(super) direction: Direction,
    pub(crate) limit: i64,
    address: Address,
}

/// A part of a list, and the cursors of what comes after it and before it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub(crate) struct Items<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
    pub(crate) prev: Option<String>,
}

/// Takes `after` or `before`, and `limit`.
pub(crate) fn page<K: Serialize + DeserializeOwned>(
    fields: &mut ParamFields<'_>,
) -> Option<Page<K>> {
    let (after, before) = (fields.optional("after"), fields.optional("before"));
    let limit = limit(fields);
    let (cursor, direction) = one_way(fields, after?, before?)?;
    Some(Page { cursor, direction, limit: limit?, address: fields.address().clone() })
}

/// Nobody reads in both directions at once.
pub(crate) fn one_way<C>(
    fields: &mut ParamFields<'_>,
    after: Option<C>,
    before: Option<C>,
) -> Option<(Option<C>, Direction)> {
    match (after, before) {
        (Some(_), Some(_)) => {
            fields.refuse("before", "stands beside `after`; a page is read in one direction");
            None
        }
        (after, None) => Some((after, Direction::Forward)),
        (None, before) => Some((before, Direction::Backward)),
    }
}

pub(crate) fn limit(fields: &mut ParamFields<'_>) -> Option<i64> {
    Some(fields.optional::<Limit>("limit")?.map_or(DEFAULT_LIMIT, |Limit(limit)| limit))
}

/// How many items are asked for at once.
#[derive(JsonSchema)]
#[schemars(inline)]
struct Limit(#[schemars(range(min = 1, max = MOST))] i64);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let limit = text.parse::<i64>().map_err(|error| error.to_string())?;
        let fits = (1..=MOST).contains(&limit);
        fits.then_some(Limit(limit)).ok_or_else(|| format!("is between 1 and {MOST}"))
    }
}

impl<K: Clone + Serialize + DeserializeOwned> Page<K> {
    /// Whether it is the list's first one, whatever there is.
    pub(crate) fn is_first(&self) -> bool {
        self.cursor.is_none()
    }

    /// The key after which it begins, if there is one.
    pub(crate) fn after(&self) -> Option<&K> {
        self.cursor.as_ref().filter(|_| self.direction == Direction::Forward).map(|it| &it.key)
    }

    /// The key from which on it is read, and whether what has that key belongs to it.
    pub(crate) fn from(&self) -> Option<(&K, bool)> {
        self.cursor.as_ref().map(|cursor| (&cursor.key, cursor.and_itself))
    }

    pub(crate) fn is_backward(&self) -> bool {
        self.direction == Direction::Backward
    }

    /// The answer, from the items in the order in which they were read, one more than was asked for if there is more.
    pub(crate) fn items<T: Serialize>(&self, mut items: Vec<T>, key: impl Fn(&T) -> K) -> Response {
        let asked = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = items.len() > asked;
        items.truncate(asked);
        let beyond = |item: &T| Cursor { key: key(item), and_itself: false }.to_string();
        let ahead = items.last().filter(|_| more).map(&beyond);
        // Whoever came here by a cursor has seen what it stands for, and finds back to it.
        let back = self.cursor.as_ref().map(|cursor| match items.first() {
            Some(first) => beyond(first),
            None => Cursor { key: cursor.key.clone(), and_itself: true }.to_string(),
        });
        let (next, prev) = match self.direction {
            Direction::Forward => (ahead, back),
            Direction::Backward => {
                items.reverse();
                (back, ahead)
            }
        };
        Items { items, next, prev }.at(&self.address)
    }
}

impl<T: Serialize> Items<T> {
    /// The answer at an address, which links to the pages beside it (RFC 8288).
    pub(crate) fn at(self, address: &Address) -> Response {
        let turn = |cursor: &Option<String>, name, relation| {
            let to = address.with_instead(&["after", "before"], name, cursor.as_ref()?);
            Some(format!("<{to}>; rel=\"{relation}\""))
        };
        let links = [turn(&self.next, "after", "next"), turn(&self.prev, "before", "prev")];
        let links = links.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let mut response = Json(self).into_response();
        if let Some(links) = HeaderValue::try_from(links).ok().filter(|links| !links.is_empty()) {
            response.headers_mut().insert(header::LINK, links);
        }
        response
    }
}

/// The key of the first or last item that was seen. Opaque to clients, so that the key may change.
#[derive(Debug, PartialEq)]
pub(crate) struct Cursor<K> {
    pub(super) key: K,
    /// The item of this key belongs to the page, too.
    pub(super) and_itself: bool,
}

/// At the end of a cursor's text; no letter of base64.
const AND_ITSELF: char = '~';

impl<K: Serialize> fmt::Display for Cursor<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = serde_json::to_vec(&self.key).map_err(|_| fmt::Error)?;
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(key))?;
        if self.and_itself { write!(f, "{AND_ITSELF}") } else { Ok(()) }
    }
}

impl<K: DeserializeOwned> FromStr for Cursor<K> {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (text, and_itself) =
            text.strip_suffix(AND_ITSELF).map_or((text, false), |text| (text, true));
        let key = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| NoCursor)?;
        // Postgres keeps no NUL character in a text, and JSON can spell one only like this.
        let nul = key.windows(6).any(|bytes| bytes == br"\u0000");
        let key = serde_json::from_slice(&key).ok().filter(|_| !nul).ok_or(NoCursor)?;
        Ok(Cursor { key, and_itself })
    }
}

/// Whatever the key is, to clients it is a word that they were given.
impl<K> JsonSchema for Cursor<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "What a part of this list gave for the next one.",
        })
    }
}

pub(crate) struct NoCursor;

impl fmt::Display for NoCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a `next` or `prev` that this list gave")
    }
}

/// A cursor that is read is given out again as what it was read as.
#[cfg(fuzzing)]
pub fn cursor(text: &str) {
    fn read<K: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(text: &str) {
        let Ok(cursor) = text.parse::<Cursor<K>>() else { return };
        let again = cursor.to_string().parse::<Cursor<K>>();
        assert_eq!(again.ok(), Some(cursor));
    }
    read::<String>(text);
    read::<(String, String)>(text);
    read::<(chrono::DateTime<chrono::Utc>, uuid::Uuid)>(text);
    read::<i64>(text);
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        for and_itself in [false, true] {
            let cursor = Cursor { key: (7_i64, "a".to_owned()), and_itself };
            let text = cursor.to_string();
            assert_eq!(text.parse::<Cursor<(i64, String)>>().ok(), Some(cursor), "{text}");
        }
        let cursor = Cursor { key: (7_i64, "a".to_owned()), and_itself: false }.to_string();
        let nul = Cursor { key: (7_i64, "\0".to_owned()), and_itself: false }.to_string();
        for bad in ["", "~", "x", "!!!", "bnVsbA", &format!("{cursor}="), &nul] {
            assert!(bad.parse::<Cursor<(i64, String)>>().is_err(), "{bad}");
        }
    }
}
