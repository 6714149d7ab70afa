//! Switches for tests: the whole provider may be slow, broken or gone.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Sandbox;

/// How the provider is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    pub mode: Mode,
    /// How late [`Mode::Slow`] and `pm_sandbox_slow` answer.
    #[serde(default = "usual_delay_ms")]
    pub delay_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    Up,
    /// Cuts every line without a word, and does nothing.
    Down,
    /// Acts at once, answers late.
    Slow,
    /// Answers 500, and does nothing.
    Error,
    /// Acts at once, and cuts the line instead of answering.
    Mute,
    /// Refuses for good whatever would move money, as one that has blocked the shop; it still shows what
    /// there is.
    Refuse,
}

fn usual_delay_ms() -> u64 {
    3_000
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { mode: Mode::Up, delay_ms: usual_delay_ms() }
    }
}

pub(super) async fn show(State(sandbox): State<Arc<Sandbox>>) -> Json<Behaviour> {
    Json(*sandbox.behaviour())
}

pub(super) async fn set(
    State(sandbox): State<Arc<Sandbox>>,
    wanted: Result<Json<Behaviour>, JsonRejection>,
) -> Response {
    match wanted {
        Ok(Json(wanted)) => {
            *sandbox.behaviour() = wanted;
            Json(wanted).into_response()
        }
        Err(refused) => {
            (StatusCode::BAD_REQUEST, Json(json!({"error": refused.body_text()}))).into_response()
        }
    }
}
