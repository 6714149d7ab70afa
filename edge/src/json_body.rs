use crate::{Fields, Limits, Problem, admission::Permit, fields::read_document, strict_json};
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A request's body: one strict JSON document within the size limit. An empty body counts as `{}`, so
/// that a command without fields needs none.
#[derive(Debug)]
pub struct JsonBody(Value);

impl JsonBody {
    /// Takes the fields out of the document, or answers 422 with everything that is wrong with it.
    pub fn read<T>(self, read: impl FnOnce(&mut Fields<'_>) -> Option<T>) -> Result<T, Problem> {
        read_document(self.0, read).map_err(Problem::invalid_fields)
    }

    /// The SHA-256, in hex, of the document in canonical form: a body that means the same has the same
    /// fingerprint.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(strict_json::canonical(&self.0));
        digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes everything");
            hex
        })
    }

    /// The document in these bytes, wherever they come from.
    pub fn of(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.is_empty() {
            return Ok(JsonBody(Value::Object(Map::new())));
        }
        strict_json::parse(bytes).map(JsonBody).map_err(|reason| {
            Problem::bad_request("malformed-body", format!("The body is not JSON: {reason}."))
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let limit = request.extensions().get().copied().unwrap_or(Limits::default()).body_bytes;
        let (parts, body) = request.into_parts();
        // Said before it is sent, when it can be: then nothing is read of what is too much.
        if content_length(&parts.headers).is_some_and(|length| length > limit as u64) {
            return Err(too_large(limit));
        }
        let bytes = match Limited::new(body, limit).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large(limit)),
            Err(error) => {
                return Err(
                    Problem::bad_request("incomplete-body", "The body broke off.").caused_by(error)
                );
            }
        };
        if let Some(permit) = parts.extensions.get::<Permit>() {
            permit.wait();
        }
        if !bytes.is_empty() && !is_plain_json(&parts.headers) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
                .detail("Send JSON: Content-Type: application/json, with no Content-Encoding."));
        }
        JsonBody::of(&bytes)
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large")
        .detail(format!("A body has at most {limit} bytes."))
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let media_type = text(header::CONTENT_TYPE).map(|value| value.split(';').next().unwrap_or(""));
    let encoding = text(header::CONTENT_ENCODING).unwrap_or("identity");
    media_type.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
        && encoding.eq_ignore_ascii_case("identity")
}
