use super::Shared;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use edge::conditional::POSITION;
use edge::{Fields, JsonBody, Problem};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt::Display;
use tower::ServiceExt;

/// A command as a line has it: what the request for it alone would say.
///
/// `{"path": "/v1/stock/85123A/receive", "idempotency_key": "k-1", "body": {"quantity": 100}}`, and `if_match`, as
/// `"\"17\""`, where that is asked for. `method` may be there, and is `POST`.
pub(super) struct Line {
    path: Uri,
    headers: HeaderMap,
    body: Value,
}

impl Line {
    pub(super) fn read(text: &[u8]) -> Result<Self, Problem> {
        JsonBody::of(text)?.read(|fields| {
            let (method, path) = (method(fields), path(fields));
            let key = header(fields, "idempotency_key", "idempotency-key");
            let version = header(fields, "if_match", "if-match");
            let body = fields.optional::<Value>("body");
            method?;
            let headers = [key?, version?].into_iter().flatten().collect();
            let body = body?.unwrap_or_else(|| Value::Object(Default::default()));
            Some(Line { path: path?, headers, body })
        })
    }

    /// What the command's stream is called here; those of one stream are done one after another. None: it makes a
    /// stream of its own.
    pub(super) fn stream(&self) -> Option<String> {
        let mut parts = self.path.path().split('/').skip(2);
        let noun = parts.next()?;
        let target = match parts.next() {
            Some(target) => percent_decode_str(target).decode_utf8_lossy().into_owned(),
            // Whoever is listed is named in the body.
            None if noun == "products" => self.body.get("sku")?.as_str()?.to_owned(),
            None => return None,
        };
        // An id has two spellings; that two streams then wait for each other harms nobody.
        Some(format!("{noun}/{}", target.to_ascii_lowercase()))
    }

    /// The answer to the command by itself.
    pub(super) async fn send(self, commands: Router, shared: &Shared) -> Response {
        let mut request = Request::new(Body::from(self.body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path;
        *request.headers_mut() = shared.headers.clone();
        if let Some(from) = shared.from {
            request.extensions_mut().insert(from);
        }
        request.headers_mut().extend(self.headers);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        match commands.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn method(fields: &mut Fields<'_>) -> Option<()> {
    let method = fields.optional::<String>("method")?;
    if method.is_some_and(|method| method != "POST") {
        fields.refuse("method", "is POST, if it is there: every command is");
        return None;
    }
    Some(())
}

fn path(fields: &mut Fields<'_>) -> Option<Uri> {
    let path = fields.required::<String>("path")?;
    let uri = path.parse::<Uri>().ok().filter(|uri| uri.authority().is_none());
    let uri = uri.filter(|uri| uri.path().starts_with("/v1/"));
    if uri.is_none() {
        fields.refuse("path", "is the path of a command, like /v1/orders");
    }
    uri
}

fn header(
    fields: &mut Fields<'_>,
    name: &str,
    header: &'static str,
) -> Option<Option<(HeaderName, HeaderValue)>> {
    let Some(text) = fields.optional::<String>(name)? else { return Some(None) };
    let Ok(value) = HeaderValue::try_from(text) else {
        fields.refuse(name, format!("is what the header {header} may hold"));
        return None;
    };
    Some(Some((HeaderName::from_static(header), value)))
}

/// What a line is answered: the status, headers and body of the request by itself.
#[derive(Serialize)]
struct Answer<'a> {
    line: u64,
    status: u16,
    headers: Headers<'a>,
    body: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Headers<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
    #[serde(rename = "daybook-position", skip_serializing_if = "Option::is_none")]
    position: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
    #[serde(rename = "retry-after", skip_serializing_if = "Option::is_none")]
    retry_after: Option<&'a str>,
}

pub(super) async fn answer(line: u64, response: Response) -> Bytes {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    written(&Answer {
        line,
        status: parts.status.as_u16(),
        headers: Headers {
            etag: text(header::ETAG),
            position: text(POSITION),
            location: text(header::LOCATION),
            retry_after: text(header::RETRY_AFTER),
        },
        body: serde_json::from_slice(&body).ok(),
    })
}

/// The answer to a line of which nobody knows what became of it.
pub(super) fn lost(line: u64, cause: &dyn Display) -> Bytes {
    tracing::error!(line, %cause, "a line of a batch was lost");
    let headers = Headers { etag: None, position: None, location: None, retry_after: None };
    written(&Answer { line, status: 500, headers, body: None })
}

fn written(answer: &Answer<'_>) -> Bytes {
    let mut text = serde_json::to_vec(answer).expect("numbers and strings always serialise");
    text.push(b'\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::Line;
    use serde_json::json;

    fn stream(path: &str, body: serde_json::Value) -> Option<String> {
        let line = json!({"path": path, "body": body}).to_string();
        Line::read(line.as_bytes()).unwrap().stream()
    }

    #[test]
    fn lines_of_one_stream_are_known_by_their_target() {
        let of_stock = stream("/v1/stock/85123A/receive", json!({"quantity": 1}));
        assert_eq!(of_stock, Some("stock/85123a".to_owned()));
        assert_eq!(stream("/v1/stock/85%31%323A/adjust", json!({})), of_stock);
        let listed = stream("/v1/products", json!({"sku": "85123A"}));
        assert_eq!(listed, stream("/v1/products/85123A/reprice", json!({})));
        assert_ne!(listed, of_stock);
        assert_eq!(stream("/v1/orders", json!({})), None);
    }

    #[test]
    fn a_line_that_is_no_command_says_where() {
        for (line, pointer) in [
            (json!({}), "/path"),
            (json!({"path": "/v1/orders", "method": "GET"}), "/method"),
            (json!({"path": "http://elsewhere/v1/orders"}), "/path"),
            (json!({"path": "/health/live"}), "/path"),
            (json!({"path": "/v1/orders", "idempotency_key": "a\nb"}), "/idempotency_key"),
            (json!({"path": "/v1/orders", "colour": "red"}), "/colour"),
        ] {
            let problem = Line::read(line.to_string().as_bytes()).err().unwrap();
            let said = format!("{problem:?}");
            assert!(said.contains(&format!("{:?}", Some(pointer))), "{line}: {said}");
        }
    }
}
