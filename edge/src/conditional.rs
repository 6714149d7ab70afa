//! The headers of conditional requests and of reading one's own writes.

use crate::Problem;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::{fmt, str::FromStr};

/// How far the log had come with what a command did: `orders/5@1:1234`.
pub const POSITION: HeaderName = HeaderName::from_static("daybook-position");
/// How far a reader must have come before it may answer: positions, comma-separated.
pub const MIN_POSITION: HeaderName = HeaderName::from_static("daybook-min-position");

/// The `ETag` of a stream at a version: `"17"`.
pub fn etag(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits and quotes are a header's value")
}

/// The version that `If-Match` asks for, if it is there. The tag of what a query shows has the version in front, and
/// stands for it. A tag that no version has is 412; a list, `*` and a weak tag are not understood, and 400.
pub fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let tag = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().strip_prefix('"')?.strip_suffix('"'))
        .filter(|tag| !tag.contains('"') && values.next().is_none())
        .ok_or_else(|| {
            Problem::bad_request(
                "invalid-if-match",
                "If-Match is one version in double quotes, as ETag gave it.",
            )
        })?;
    let tag = tag.split_once("-b").map_or(tag, |(version, _)| version);
    let version = tag.bytes().all(|byte| byte.is_ascii_digit()).then(|| tag.parse().ok()).flatten();
    version.map(Some).ok_or_else(|| {
        Problem::new(StatusCode::PRECONDITION_FAILED, "wrong-version")
            .detail("If-Match names no version of this stream.")
    })
}

/// Everything in `Daybook-Min-Position`. A position is `T`, because the edge knows no log.
pub fn min_positions<T: FromStr<Err: fmt::Display>>(
    headers: &HeaderMap,
) -> Result<Vec<T>, Problem> {
    let invalid = |reason: &dyn fmt::Display| {
        Problem::bad_request(
            "invalid-min-position",
            format!("Daybook-Min-Position is a comma-separated list of positions: {reason}"),
        )
    };
    let mut positions = Vec::new();
    for value in headers.get_all(MIN_POSITION) {
        let text = value.to_str().map_err(|error| invalid(&error))?;
        for position in text.split(',').map(str::trim).filter(|position| !position.is_empty()) {
            positions.push(position.parse().map_err(|error| invalid(&error))?);
        }
    }
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::{MIN_POSITION, etag, if_match, min_positions};
    use http::{HeaderMap, HeaderValue, header};

    fn with(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn an_etag_sent_back_is_its_version() {
        let headers = HeaderMap::from_iter([(header::IF_MATCH, etag(17))]);
        assert_eq!(if_match(&headers).unwrap(), Some(17));
        let shown = with(header::IF_MATCH, "\"17-b0123456789abcdef-gzip\"");
        assert_eq!(if_match(&shown).unwrap(), Some(17));
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn a_tag_that_no_version_has_fails_the_condition() {
        for (value, status) in [
            ("\"abc\"", 412),
            ("\"-1\"", 412),
            ("\"\"", 412),
            ("\"b0123456789abcdef\"", 412),
            ("\"1-1\"", 412),
            ("\"99999999999999999999\"", 412),
            ("17", 400),
            ("*", 400),
            ("W/\"17\"", 400),
            ("\"1\", \"2\"", 400),
        ] {
            let problem = if_match(&with(header::IF_MATCH, value)).unwrap_err();
            assert_eq!(problem.status().as_u16(), status, "{value}");
        }
    }

    #[test]
    fn positions_are_comma_separated() {
        let headers = with(MIN_POSITION, "1, 2,,3");
        assert_eq!(min_positions::<u8>(&headers).unwrap(), [1, 2, 3]);
        let problem = min_positions::<u8>(&with(MIN_POSITION, "1, x")).unwrap_err();
        assert_eq!(problem.slug(), "invalid-min-position");
    }
}
