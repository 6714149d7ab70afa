//! Conditional GET (RFC 9110, 13.1.2): who sends back the tag of what he has is told that nothing has changed.

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, response::Parts};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Whoever asked may keep it, asks before he shows it again, and shows it to nobody else.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");
/// Of the digest; enough to tell the answers that one address ever gives from each other.
const DIGEST_BYTES: usize = 8;

/// Gives what is found a tag that changes whenever its body does, and answers 304 to whoever has that one.
///
/// What an endpoint says of the version stays in front, for `If-Match`; by itself it would be no tag of the answer: how
/// an order stands with its payment changes while its own stream does not, and another build shows a thing otherwise.
pub(crate) async fn revalidate(request: Request, next: Next) -> Response {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return next.run(request).await;
    }
    let has = request.headers().contains_key(header::IF_NONE_MATCH);
    let asked = if has { request.headers().clone() } else { HeaderMap::new() };
    let response = next.run(request).await;
    // What goes on has no tag: nobody knows its body yet.
    if response.status() != StatusCode::OK || response.body().size_hint().exact().is_none() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // All of it is in memory already.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return broken(parts) };
    let tag = tag(parts.headers.get(header::ETAG), &body);
    parts.headers.entry(header::CACHE_CONTROL).or_insert(ASK_AGAIN);
    let known = tags(&asked).find(|it| *it == "*" || stem(it) == tag).map(str::to_owned);
    let shown = known.as_deref().filter(|it| *it != "*").unwrap_or(&tag);
    if let Ok(shown) = HeaderValue::try_from(shown) {
        parts.headers.insert(header::ETAG, shown);
    }
    if known.is_none() {
        return Response::from_parts(parts, Body::from(body));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

fn broken(mut parts: Parts) -> Response {
    parts.status = StatusCode::INTERNAL_SERVER_ERROR;
    Response::from_parts(parts, Body::empty())
}

/// `"17-b0123456789abcdef"` of a thing with a version, else `"b0123456789abcdef"`.
fn tag(version: Option<&HeaderValue>, body: &[u8]) -> String {
    let version = version.and_then(|version| version.to_str().ok()).unwrap_or_default();
    let version = version.trim_matches('"');
    let mut tag = format!("\"{version}{}b", if version.is_empty() { "" } else { "-" });
    for byte in &Sha256::digest(body)[..DIGEST_BYTES] {
        write!(tag, "{byte:02x}").expect("a string takes everything");
    }
    tag.push('"');
    tag
}

/// The tags of `If-None-Match`, compared weakly: there are no commas in ours.
fn tags(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let tags = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tags.map(|tag| tag.trim().trim_start_matches("W/"))
}

/// A tag without the coding in which the answer was sent.
fn stem(tag: &str) -> String {
    let coding = CODINGS.iter().find_map(|coding| tag.strip_suffix(&format!("-{coding}\"")));
    coding.map_or_else(|| tag.to_owned(), |stem| format!("{stem}\""))
}

/// Those that [`crate::compression`] may choose.
const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// An answer in a coding is another one than that without: so is its tag.
pub(crate) fn coded(headers: &mut HeaderMap) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(coding), Some(tag)) = (text(header::CONTENT_ENCODING), text(header::ETAG)) else {
        return;
    };
    let coded = tag.strip_suffix('"').map(|tag| format!("{tag}-{coding}\""));
    if let Some(coded) = coded.and_then(|it| HeaderValue::try_from(it).ok()) {
        headers.insert(header::ETAG, coded);
    }
}
