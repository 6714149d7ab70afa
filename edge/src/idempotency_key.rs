use crate::Problem;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{HeaderMap, HeaderValue, request::Parts};

const NAME: &str = "idempotency-key";
const MAX_CHARS: usize = 255;

/// The `Idempotency-Key` of a command: the same key at the same place is the same command.
///
/// The draft (draft-ietf-httpapi-idempotency-key-header-07) makes it a string in quotes; many clients send
/// it bare. Both are taken, and mean the same key. It has 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key in these headers, if there is one.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(NAME).iter();
        let Some(value) = values.next() else { return Ok(None) };
        match (parse(value), values.next()) {
            (Some(key), None) => Ok(Some(key)),
            (None, _) | (_, Some(_)) => Err(Problem::bad_request(
                "invalid-idempotency-key",
                "Idempotency-Key is one string of 1 to 255 visible ASCII characters, \
                 in double quotes or bare.",
            )),
        }
    }
}

fn parse(value: &HeaderValue) -> Option<IdempotencyKey> {
    let text = value.to_str().ok()?.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => unescape(rest.strip_suffix('"')?)?,
        // A quote inside a bare key is a quoted one gone wrong.
        None if text.contains('"') => return None,
        None => text.to_owned(),
    };
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    (visible && (1..=MAX_CHARS).contains(&key.len())).then_some(IdempotencyKey(key))
}

/// RFC 8941, 3.3.3: a backslash escapes a quote or a backslash, and nothing else.
fn unescape(text: &str) -> Option<String> {
    let mut key = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => key.push(chars.next().filter(|next| matches!(next, '"' | '\\'))?),
            '"' => return None,
            plain => key.push(plain),
        }
    }
    Some(key)
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        IdempotencyKey::of(&parts.headers)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        IdempotencyKey::of(&parts.headers)?.ok_or_else(|| {
            Problem::bad_request("missing-idempotency-key", "Idempotency-Key is missing.")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{IdempotencyKey, NAME};
    use http::{HeaderMap, HeaderValue};

    fn key(value: &[u8]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        headers.append(NAME, HeaderValue::from_bytes(value).unwrap());
        match IdempotencyKey::of(&headers) {
            Ok(key) => Ok(key.unwrap().0),
            Err(problem) => Err(problem.slug().to_owned()),
        }
    }

    #[test]
    fn quoted_and_bare_are_the_same_key() {
        assert_eq!(key(br#""8e03978e-40d5""#), Ok("8e03978e-40d5".to_owned()));
        assert_eq!(key(b"8e03978e-40d5"), Ok("8e03978e-40d5".to_owned()));
        assert_eq!(key(br#" "a\"b\\c" "#), Ok(r#"a"b\c"#.to_owned()));
    }

    #[test]
    fn a_key_has_1_to_255_visible_ascii_characters() {
        assert!(key("x".repeat(255).as_bytes()).is_ok());
        assert!(key(format!("\"{}\"", "x".repeat(255)).as_bytes()).is_ok());
        for bad in [
            &b""[..],
            b"\"\"",
            b"\"",
            b"\"open",
            b"a\"b",
            b"two words",
            b"\"a\\b\"",
            b"\"a\" \"b\"",
            b"\"a\";p=1",
            b"\xc3\xa9",
            "x".repeat(256).as_bytes(),
        ] {
            assert_eq!(
                key(bad),
                Err("invalid-idempotency-key".to_owned()),
                "{}",
                bad.escape_ascii()
            );
        }
    }

    #[test]
    fn two_keys_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(NAME, HeaderValue::from_static("a"));
        headers.append(NAME, HeaderValue::from_static("a"));
        assert!(IdempotencyKey::of(&headers).is_err());
        assert_eq!(IdempotencyKey::of(&HeaderMap::new()).unwrap(), None);
    }
}
