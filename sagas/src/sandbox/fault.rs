//! Stripe's error object, and whether it is kept under the idempotency key: Stripe keeps an answer
//! once the endpoint began to execute, and forgets what its checks refused.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) kept: bool,
    error: Value,
}

impl Fault {
    fn new(status: StatusCode, kept: bool, error: Value) -> Self {
        Self { status, kept, error }
    }

    pub(super) fn parameter(code: &str, param: &str, what: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            false,
            json!({
                "type": "invalid_request_error",
                "code": code,
                "param": param,
                "message": format!("{param} {what}."),
            }),
        )
    }

    pub(super) fn missing(kind: &str, id: &str, param: &str, status: StatusCode) -> Self {
        Self::new(
            status,
            false,
            json!({
                "type": "invalid_request_error",
                "code": "resource_missing",
                "param": param,
                "message": format!("No such {kind}: '{id}'"),
            }),
        )
    }

    /// The request makes sense, but not in the state that the object is in.
    pub(super) fn refused(code: &str, message: String, intent: Value) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            true,
            json!({
                "type": "invalid_request_error",
                "code": code,
                "message": message,
                "payment_intent": intent,
            }),
        )
    }

    pub(super) fn card(mut error: Value, intent: Value) -> Self {
        error["payment_intent"] = intent;
        Self::new(StatusCode::PAYMENT_REQUIRED, true, error)
    }

    pub(super) fn other_parameters(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same endpoint and parameters \
             they were first used with. Try using a key other than '{key}' if you meant to execute \
             a different request."
        );
        let error = json!({"type": "idempotency_error", "message": message});
        Self::new(StatusCode::BAD_REQUEST, false, error)
    }

    pub(super) fn key_in_use(key: &str) -> Self {
        let message = format!("There is another request in progress under the key '{key}'.");
        let error = json!({
            "type": "idempotency_error",
            "code": "idempotency_key_in_use",
            "message": message,
        });
        Self::new(StatusCode::CONFLICT, false, error)
    }

    pub(super) fn unauthorised(message: &str) -> Self {
        let error = json!({"type": "invalid_request_error", "message": message});
        Self::new(StatusCode::UNAUTHORIZED, false, error)
    }

    pub(super) fn blocked() -> Self {
        let error = json!({
            "type": "invalid_request_error",
            "code": "charges_blocked",
            "message": "This account cannot make charges at the moment.",
        });
        Self::new(StatusCode::BAD_REQUEST, false, error)
    }

    /// The provider's own trouble. It says nothing about whether the request was carried out.
    pub(super) fn internal() -> Self {
        let message = "An unknown error occurred.";
        let error = json!({"type": "api_error", "message": message});
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, false, error)
    }

    pub(super) fn body(&self) -> Value {
        json!({"error": self.error})
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}
