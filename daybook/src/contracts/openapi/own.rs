//! What every process answers, whatever it serves.

use edge::Operation;
use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// How it is, what it has done, and what it promises.
pub(super) fn operations() -> Vec<Operation> {
    vec![
        json("/health/live", "getLiveness", "Whether the process lives."),
        json("/health/ready", "getReadiness", "Whether it can do its work, and what it misses.")
            .refuses(&["not-ready"]),
        text("/metrics", "getMetrics", "What it has done, for Prometheus.", "text/plain"),
        json("/openapi.json", "getOpenapi", "This document."),
        json("/asyncapi.json", "getAsyncapi", "The topics and their events."),
        json(
            "/.well-known/jwks.json",
            "getKeys",
            "The keys by which the tokens of this issuer can be checked.",
        ),
        text("/docs", "readDocs", "A reader of this document.", "text/html"),
        text("/docs/rapidoc.js", "getReader", "The program of the reader.", "text/javascript"),
        text("/problems", "listProblems", "Every type of problem.", "text/html"),
        text(
            "/problems/{slug}",
            "getProblem",
            "What a type of problem means, and what to do.",
            "text/html",
        )
        .refuses(&["bad-request", "not-found"]),
    ]
}

fn json(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::GET, path, id, summary)
        .answers::<Map<String, Value>>(StatusCode::OK, &[])
}

fn text(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    media_type: &'static str,
) -> Operation {
    Operation::new(Method::GET, path, id, summary).answers_as::<String>(
        StatusCode::OK,
        media_type,
        &[],
    )
}
