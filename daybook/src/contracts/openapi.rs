//! The endpoints, OpenAPI 3.1: <https://spec.openapis.org/oas/v3.1.1.html>. Its schemas are JSON Schema as it is, so what
//! the types and the readers say of themselves is what stands here.

mod headers;
mod own;

use crate::problems::{Kind, kinds};
use crate::table::Table;
use edge::{Answer, Operation, PROBLEM_JSON, Permission, Row};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the process answers for, each operation under its path.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let parts = [command_api::operations(), projections::operations(), own::operations()];
    parts.into_iter().flatten().collect()
}

/// The document of a process whose callers are asked who they are, or are not asked.
#[must_use]
pub fn openapi(are_asked: bool) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    let rows = Table::new(are_asked).rows();
    for operation in operations() {
        let takes = |row: &&Row| (&row.method, row.path) == (&operation.method, operation.path);
        let permission = rows.iter().find(takes).map_or(Permission::Open, |row| row.permission);
        let method = operation.method.as_str().to_ascii_lowercase();
        let mut described = described(&operation, permission, &mut schemas);
        described["security"] = security(permission, are_asked);
        paths.entry(operation.path).or_insert_with(|| json!({}))[method] = described;
    }
    schemas.written.subschema_for::<ProblemDocument>();
    let mut document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Daybook",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Orders, stock and money of a shop as one append-only log.",
            "description": "Commands answer what they appended; queries answer what was posted from the log, which is \
                within about a tenth of a second of it. Money is in minor units. A command that is sent again with \
                its `Idempotency-Key` happens once. A server started with `--accept-history` takes `occurred_at` in \
                the body of every command.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
    });
    document["components"] = json!({
        "schemas": schemas.merged(&mut document),
        "securitySchemes": {
            "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT or API key" },
        },
        "headers": headers::answered(),
        "parameters": headers::sent(),
    });
    document
}

/// What is written and what is read, by the same types. Where the two differ, as with codes of which only today's are
/// taken, the name of what is read ends with `Input`.
struct Schemas {
    written: SchemaGenerator,
    read: SchemaGenerator,
}

const SCHEMAS: &str = "#/components/schemas/";
/// Only while the two are apart.
const READ: &str = "#/components/read/";

impl Schemas {
    fn new() -> Self {
        let settings = |path: &'static str| {
            SchemaSettings::draft2020_12().with(|it| {
                it.definitions_path = path.into();
                it.meta_schema = None;
            })
        };
        Schemas {
            written: settings("/components/schemas").for_serialize().into_generator(),
            read: settings("/components/read").for_deserialize().into_generator(),
        }
    }

    fn merged(mut self, document: &mut Value) -> Map<String, Value> {
        let mut all = self.written.take_definitions(true);
        let mut read = self.read.take_definitions(true);
        let apart = apart(&all, &read);
        let name = |name: &str| match apart.contains(name) {
            true => format!("{name}Input"),
            false => name.to_owned(),
        };
        for (old, schema) in std::mem::take(&mut read) {
            all.insert(name(&old), renamed(schema, &name));
        }
        *document = renamed(document.take(), &name);
        all
    }
}

/// The names under which something else is read than written, in itself or in what it refers to.
fn apart(written: &Map<String, Value>, read: &Map<String, Value>) -> BTreeSet<String> {
    let differs = |(name, schema): &(&String, &Value)| {
        let plain = renamed((*schema).clone(), &str::to_owned);
        written.get(*name).is_some_and(|written| *written != plain)
    };
    let mut apart: BTreeSet<String> =
        read.iter().filter(differs).map(|(name, _)| name.clone()).collect();
    loop {
        let refers = |(name, schema): &(&String, &Value)| {
            let text = schema.to_string();
            let to_one = |other: &String| text.contains(&format!("\"{READ}{other}\""));
            written.contains_key(*name) && !apart.contains(*name) && apart.iter().any(to_one)
        };
        let more: Vec<_> = read.iter().filter(refers).map(|(name, _)| name.clone()).collect();
        if more.is_empty() {
            return apart;
        }
        apart.extend(more);
    }
}

/// Points what was read to where it stands in the end.
fn renamed(value: Value, name: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| {
                let of_read = value.as_str().and_then(|it| it.strip_prefix(READ)).map(name);
                match (key.as_str(), of_read) {
                    ("$ref", Some(of_read)) => (key, json!(format!("{SCHEMAS}{of_read}"))),
                    _ => (key, renamed(value, name)),
                }
            });
            fields.collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(|item| renamed(item, name)).collect(),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

fn described(operation: &Operation, permission: Permission, schemas: &mut Schemas) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(operation.path)],
        "responses": responses(operation, permission, schemas),
    });
    let parameters = parameters(operation, schemas);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body(&mut schemas.read) {
        described["requestBody"] = json!({
            "required": body.get("required").is_some(),
            "content": { operation.takes: { "schema": body } },
        });
    }
    described
}

/// Any of these scopes; where access is off, none as well.
fn security(permission: Permission, are_asked: bool) -> Value {
    let scope = |scope: String| json!({ "token": [scope] });
    if !are_asked {
        return json!([]);
    }
    match permission {
        Permission::Open => json!([]),
        Permission::Known => json!([{ "token": [] }]),
        Permission::Scope(only) => json!([scope(only.to_string())]),
        Permission::Own(all, own) | Permission::Narrowed(all, own) => {
            json!([scope(all.to_string()), scope(own.to_string())])
        }
        Permission::Part { of, parameter } => json!([scope(format!("{of}:{{{parameter}}}"))]),
    }
}

/// `orders` of `/v1/orders/{id}`
fn tag(path: &str) -> &str {
    path.split('/').find(|part| !part.is_empty() && *part != "v1").unwrap_or_default()
}

fn parameters(operation: &Operation, schemas: &mut Schemas) -> Vec<Value> {
    let names = operation.path.split('/').filter_map(|part| part.strip_prefix('{'));
    let in_path = names.map(|name| headers::in_path(name.trim_end_matches('}'), &mut schemas.read));
    let mut all: Vec<Value> = in_path.collect();
    for param in operation.params(&mut schemas.read) {
        all.push(json!({
            "name": param.name,
            "in": "query",
            "required": param.required,
            "schema": param.schema,
        }));
    }
    let header = |name: &&str| json!({ "$ref": format!("#/components/parameters/{name}") });
    all.extend(operation.headers.iter().map(header));
    all
}

fn responses(
    operation: &Operation,
    permission: Permission,
    schemas: &mut Schemas,
) -> Map<String, Value> {
    let mut responses = Map::new();
    for answer in &operation.answers {
        let status = answer.status.as_u16().to_string();
        let response = responses.entry(status).or_insert_with(|| described_answer(answer));
        let schema = answer.schema(&mut schemas.written);
        response["content"][answer.media_type] = json!({ "schema": schema });
    }
    let mut refusals = BTreeMap::<u16, Vec<Kind>>::new();
    let of_access: &[&str] = match permission {
        Permission::Open => &[],
        Permission::Known => &["unauthenticated", "too-many-failures"],
        Permission::Scope(_)
        | Permission::Own(..)
        | Permission::Narrowed(..)
        | Permission::Part { .. } => &["unauthenticated", "forbidden", "too-many-requests"],
    };
    let own = |kind: &Kind| {
        operation.problems.contains(&kind.slug)
            || of_access.contains(&kind.slug)
            || ["internal-error", "not-acceptable"].contains(&kind.slug)
    };
    for kind in kinds().filter(own) {
        refusals.entry(kind.status).or_default().push(kind);
    }
    for (status, kinds) in refusals {
        let line = |kind: &Kind| format!("- `{}`: {}\n", kind.slug, kind.means);
        let mut response = json!({
            "description": kinds.iter().map(line).collect::<String>(),
            "headers": { "Link": { "$ref": "#/components/headers/Link" } },
            "content": { PROBLEM_JSON: { "schema": { "$ref": format!("{SCHEMAS}Problem") } } },
        });
        if status == 503 {
            response["headers"]["Retry-After"] =
                json!({ "$ref": "#/components/headers/Retry-After" });
        }
        responses.insert(status.to_string(), response);
    }
    responses
}

fn described_answer(answer: &Answer) -> Value {
    let header = |name: &&str| {
        ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
    };
    let reason = answer.status.canonical_reason().unwrap_or_default();
    json!({
        "description": reason,
        "headers": answer.headers.iter().map(header).collect::<Map<_, _>>(),
    })
}

/// What every problem looks like, RFC 9457.
#[derive(JsonSchema)]
#[schemars(rename = "Problem")]
#[expect(dead_code, reason = "it is only described; `edge::Problem` writes it")]
struct ProblemDocument {
    /// `urn:daybook:problem:` and the type.
    #[schemars(rename = "type", regex(pattern = "^urn:daybook:problem:[a-z-]+$"))]
    kind: String,
    title: String,
    status: u16,
    #[schemars(with = "String", skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The path that was asked for.
    #[schemars(with = "String", skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Under which the server's log has the rest.
    #[schemars(with = "String", skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    /// What is wrong with which field or parameter.
    #[schemars(with = "Vec<Wrong>", skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<Wrong>>,
}

#[derive(JsonSchema)]
#[schemars(rename = "FieldError")]
#[expect(dead_code, reason = "it is only described; `edge::FieldError` is written")]
struct Wrong {
    detail: String,
    /// A JSON Pointer into the body.
    #[schemars(with = "String", skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// The name of a query parameter.
    #[schemars(with = "String", skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
}
