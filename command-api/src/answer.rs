use axum::{
    Json,
    response::{IntoResponse, Response},
};
use edge::conditional::{POSITION, etag};
use event_store::{Done, Position};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

/// What a command has done.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Answer<'a> {
    stream: &'a str,
    /// Of the stream, after it.
    version: i64,
    /// The types of what was appended; none if there was nothing left to do.
    events: &'a [String],
}

/// 200: what a command appended, or that there was nothing left to do.
pub(crate) fn done(done: &Done) -> Response {
    let body = Answer { stream: &done.stream, version: done.version, events: &done.events };
    let mut headers = HeaderMap::from_iter([(header::ETAG, etag(done.version))]);
    if let Some(position) = &done.position {
        headers.insert(POSITION, position_header(position));
    }
    (headers, Json(body)).into_response()
}

/// 201 with `Location` if the command created what is there, else 200: it was there already.
pub(crate) fn created(answer: &Done, location: &str) -> Response {
    let mut response = done(answer);
    if !answer.events.is_empty() {
        *response.status_mut() = StatusCode::CREATED;
    }
    let location = HeaderValue::try_from(location).expect("paths here are visible ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

pub(crate) fn position_header(position: &Position) -> HeaderValue {
    HeaderValue::try_from(position.to_string()).expect("a service's name is visible ASCII")
}
