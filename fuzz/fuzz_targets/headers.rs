//! The headers that say something to us: keys, conditions and positions.

#![no_main]

use edge::IdempotencyKey;
use edge::conditional::{etag, if_match, min_positions};
use event_store::Position;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 3] = ["idempotency-key", "if-match", "daybook-min-position"];

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((first, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(NAMES[usize::from(*first) % NAMES.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    if let Ok(Some(key)) = IdempotencyKey::of(&headers) {
        assert!((1..=255).contains(&key.as_str().len()));
    }
    if let Ok(Some(version)) = if_match(&headers)
        && version >= 0
    {
        let again = HeaderMap::from_iter([(http::header::IF_MATCH, etag(version))]);
        assert_eq!(if_match(&again).ok().flatten(), Some(version));
    }
    for position in min_positions::<Position>(&headers).into_iter().flatten() {
        assert_eq!(position.to_string().parse().ok(), Some(position));
    }
});
