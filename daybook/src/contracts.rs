//! What is promised to those who call and follow: documents that are made of the code, served by every process, and
//! committed in `docs/contracts`, where a change of them can be seen.

mod asyncapi;
mod openapi;

pub use asyncapi::asyncapi;
pub use openapi::{openapi, operations};

use axum::response::Html;
use edge::{Permission, Routes};
use http::{HeaderName, header};
use std::sync::{Arc, LazyLock};

/// The reader of the document: RapiDoc, as its package has it, so that it works where nothing else can be reached.
const READER: &[u8] = include_bytes!("../assets/rapidoc-9.3.8.min.js.gz");
const PAGE: &str = include_str!("contracts/docs.html");

/// `GET /openapi.json`, `/asyncapi.json`, and a reader of the first at `/docs`. The first says of each endpoint what it
/// takes, where callers are asked who they are.
#[must_use]
pub fn routes(are_asked: bool) -> Routes<()> {
    let document = Arc::new(LazyLock::new(move || openapi(are_asked).to_string()));
    static ASYNCAPI: LazyLock<String> = LazyLock::new(|| asyncapi().to_string());
    Routes::new()
        .get("/openapi.json", Permission::Open, async move || (JSON, document.as_str().to_owned()))
        .get("/asyncapi.json", Permission::Open, async move || (JSON, ASYNCAPI.as_str()))
        .get("/docs", Permission::Open, async || Html(PAGE))
        .get("/docs/rapidoc.js", Permission::Open, async || (READER_HEADERS, READER))
}

const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];
const READER_HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_TYPE, "text/javascript"),
    (header::CONTENT_ENCODING, "gzip"),
    (header::CACHE_CONTROL, "public, max-age=86400"),
];
