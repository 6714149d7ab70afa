use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use std::{borrow::Cow, fmt};

/// The media type of every error that leaves the building.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What stands before the slug in a problem's `type`. An absolute URI, the same wherever Daybook runs: clients
/// compare it as a whole and never resolve it. Whoever wants to read about it follows the answer's `Link`.
pub const PROBLEM_URN: &str = "urn:daybook:problem:";

/// An error as clients see it, RFC 9457. Its `type` is [`PROBLEM_URN`] and a slug of its own, and its
/// `title` is the slug in words. What caused it is for the log alone and never serialised.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    slug: Cow<'static, str>,
    detail: Option<String>,
    errors: Vec<FieldError>,
    headers: HeaderMap,
    cause: Option<String>,
    in_a_rush: bool,
}

/// One thing that is wrong with a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub detail: String,
    /// A JSON Pointer into the body, RFC 6901.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The name of a query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

impl Problem {
    /// `slug` is kebab-case.
    pub fn new(status: StatusCode, slug: impl Into<Cow<'static, str>>) -> Self {
        Problem(Box::new(Parts {
            status,
            slug: slug.into(),
            detail: None,
            errors: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
            in_a_rush: false,
        }))
    }

    /// 500. The cause goes to the log.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error").caused_by(cause)
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(slug: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, slug).detail(detail)
    }

    /// 422: understood, but these fields cannot be accepted.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields")
            .detail("Some fields cannot be accepted; errors says which and why.")
            .errors(errors)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, "not-found").detail(detail)
    }

    /// 503 with `Retry-After`, in seconds.
    pub fn unavailable(slug: &'static str, retry_after_s: u32) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, slug)
            .header(header::RETRY_AFTER, HeaderValue::from(retry_after_s))
    }

    /// The same under another status, where that one is to say something of its own.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// What a person needs to put this occurrence right.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// For the request's line in the log; clients never see it.
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// One of many like it: whoever refuses for want of time does not spend it on a line for each, so this one's
    /// is for debugging.
    pub fn in_a_rush(mut self) -> Self {
        self.0.in_a_rush = true;
        self
    }

    pub(crate) fn is_in_a_rush(&self) -> bool {
        self.0.in_a_rush
    }

    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    pub fn slug(&self) -> &str {
        &self.0.slug
    }

    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The response, with the occurrence named where it is known: the path that was asked for, and the
    /// correlation id under which the log has the rest.
    pub(crate) fn response(self, occurrence: Option<Occurrence<'_>>) -> Response {
        let mut title = self.0.slug.replace('-', " ");
        title[..1].make_ascii_uppercase();
        let document = ProblemDocument {
            type_: format!("{PROBLEM_URN}{}", self.0.slug),
            title,
            status: self.0.status.as_u16(),
            detail: self.0.detail.as_deref(),
            instance: occurrence.map(|occurrence| occurrence.path),
            correlation: occurrence.map(|occurrence| occurrence.correlation),
            errors: &self.0.errors,
        };
        let body = serde_json::to_vec(&document).expect("strings and numbers always serialise");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers.clone();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Ok(page) =
            HeaderValue::try_from(format!("</problems/{}>; rel=\"help\"", self.0.slug))
        {
            response.headers_mut().append(header::LINK, page);
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Occurrence<'a> {
    pub(crate) path: &'a str,
    pub(crate) correlation: &'a str,
}

#[derive(Serialize)]
struct ProblemDocument<'a> {
    #[serde(rename = "type")]
    type_: String,
    title: String,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response(None)
    }
}
