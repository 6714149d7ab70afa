//! What stands outside of bodies and queries: headers, and what a path names.

use domain::ids::OrderId;
use domain::values::Sku;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

/// Headers of requests that mean something to some operations.
pub(super) fn sent() -> Map<String, Value> {
    let all = [
        (
            "Idempotency-Key",
            "The same key at the same place is the same command, in double quotes or bare: sent twice, it happens once.",
            json!({ "type": "string", "pattern": r#"^([!#-~]{1,255}|"[!#-\[\]-~]{1,253}")$"# }),
        ),
        (
            "If-Match",
            "The version of the stream at which the command may happen, as an ETag gave it.",
            json!({ "type": "string", "pattern": "^\"[0-9]{1,18}\"$" }),
        ),
        (
            "Daybook-Min-Position",
            "Positions that must be posted before this is answered, comma-separated, as Daybook-Position gave them.",
            json!({ "type": "string", "pattern": "^[a-z]+/[0-9]{1,4}@[1-9][0-9]{0,8}:[0-9]{1,18}$" }),
        ),
        (
            "Daybook-Deadline",
            "An instant after which the answer is of no use: what has not begun by then is not begun.",
            json!({ "type": "string", "format": "date-time" }),
        ),
        (
            "Prefer",
            "`wait=10`: an answer that shows the order settled is worth so many seconds, 20 at most (RFC 7240).",
            json!({ "type": "string" }),
        ),
        (
            "Last-Event-ID",
            "Of server-sent events: the id of the last one that was seen.",
            json!({ "type": "string", "pattern": "^[0-9]{1,18}$" }),
        ),
    ];
    let header = |(name, description, schema): (&str, &str, Value)| {
        let header =
            json!({ "name": name, "in": "header", "description": description, "schema": schema });
        (name.to_owned(), header)
    };
    all.map(header).into_iter().collect()
}

/// Headers of answers.
pub(super) fn answered() -> Map<String, Value> {
    let all = [
        ("ETag", "The version of the stream, in double quotes."),
        ("Location", "Where what was made can be asked for."),
        ("Daybook-Position", "How far the log had come with what the command did."),
        ("Daybook-As-Of", "The instant that the answer shows, if `as_of` was asked for."),
        ("Retry-After", "Seconds until it is worth trying again."),
        ("Link", "The page of this type of problem."),
    ];
    let header = |(name, description): (&str, &str)| {
        let header = json!({ "description": description, "schema": { "type": "string" } });
        (name.to_owned(), header)
    };
    all.map(header).into_iter().collect()
}

/// What a path names, by the word that stands for it.
pub(super) fn in_path(name: &str, generator: &mut SchemaGenerator) -> Value {
    let schema = match name {
        "sku" => generator.subschema_for::<Sku>().into(),
        "id" => generator.subschema_for::<OrderId>().into(),
        "partition" => json!({ "type": "integer", "minimum": 0, "maximum": i32::MAX }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}
