//! What is promised to those who call and follow: documents that are made of the code, served by every process, and
//! committed in `docs/contracts`, where a change of them can be seen.

mod asyncapi;

pub use asyncapi::asyncapi;

use edge::{Permission, Routes};
use http::header;
use std::sync::LazyLock;

/// `GET /asyncapi.json`.
#[must_use]
pub fn routes() -> Routes<()> {
    static ASYNCAPI: LazyLock<String> = LazyLock::new(|| asyncapi().to_string());
    let json = [(header::CONTENT_TYPE, "application/json")];
    Routes::new().get("/asyncapi.json", Permission::Open, async move || (json, ASYNCAPI.as_str()))
}
