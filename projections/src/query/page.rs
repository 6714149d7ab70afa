use axum::Json;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use edge::ParamFields;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;
use std::str::FromStr;

const DEFAULT_LIMIT: i64 = 50;
pub(crate) const MOST: i64 = 1_000;

/// Which part of a list was asked for. `K` is the key that the list is sorted by.
pub(crate) struct Page<K> {
    pub(crate) after: Option<K>,
    pub(crate) limit: i64,
}

/// A part of a list, and the cursor of what comes after it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Items<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Takes `after` and `limit`.
pub(crate) fn page<K: Serialize + DeserializeOwned>(fields: &mut ParamFields) -> Option<Page<K>> {
    let after = fields.optional::<Cursor<K>>("after");
    let limit = limit(fields);
    Some(Page { after: after?.map(|Cursor(key)| key), limit: limit? })
}

pub(crate) fn limit(fields: &mut ParamFields) -> Option<i64> {
    let limit = fields.optional::<i64>("limit")?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST).contains(&limit) {
        fields.refuse("limit", format!("is between 1 and {MOST}"));
        return None;
    }
    Some(limit)
}

impl<K: Serialize + DeserializeOwned> Page<K> {
    /// The answer, from one item more than was asked for if there is more.
    pub(crate) fn items<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> K) -> Json<Items<T>> {
        let asked = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = items.len() > asked;
        items.truncate(asked);
        let next = items.last().filter(|_| more).map(|last| Cursor(key(last)).to_string());
        Json(Items { items, next })
    }
}

/// The key of the last item that was seen. Opaque to clients, so that the key may change.
struct Cursor<K>(K);

impl<K: Serialize> fmt::Display for Cursor<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = serde_json::to_vec(&self.0).map_err(|_| fmt::Error)?;
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(key))
    }
}

impl<K: DeserializeOwned> FromStr for Cursor<K> {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let key = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| NoCursor)?;
        // Postgres keeps no NUL character in a text, and JSON can spell one only like this.
        let nul = key.windows(6).any(|bytes| bytes == br"\u0000");
        serde_json::from_slice(&key).ok().filter(|_| !nul).map(Cursor).ok_or(NoCursor)
    }
}

struct NoCursor;

impl fmt::Display for NoCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a `next` that this list gave")
    }
}

/// A cursor that is read is given out again as what it was read as.
#[cfg(fuzzing)]
pub fn cursor(text: &str) {
    fn read<K: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(text: &str) {
        let Ok(Cursor(key)) = text.parse::<Cursor<K>>() else { return };
        let again = Cursor(&key).to_string().parse::<Cursor<K>>();
        assert_eq!(again.ok().map(|Cursor(key)| key), Some(key));
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
        let cursor = Cursor((7_i64, "a".to_owned())).to_string();
        let Ok(Cursor((number, text))) = cursor.parse::<Cursor<(i64, String)>>() else {
            panic!("{cursor} does not read back");
        };
        assert_eq!((number, text.as_str()), (7, "a"));
        let nul = Cursor((7_i64, "\0".to_owned())).to_string();
        for bad in ["", "x", "!!!", "bnVsbA", &format!("{cursor}="), &nul] {
            assert!(bad.parse::<Cursor<(i64, String)>>().is_err(), "{bad}");
        }
    }
}
