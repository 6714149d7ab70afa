//! What followers could not post, and what is done about it.

use crate::query::{Items, Queries, failed};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use edge::{Fields, JsonBody, Problem};
use event_store::Position;
use event_store::follow::{Parked, Which, discard, parked, retry};
use http::StatusCode;
use serde_json::json;

/// Of each service; the oldest first.
const SHOWN: i64 = 1_000;
const LONGEST: usize = 1_000;

/// `GET /v1/parked`
pub(crate) async fn list(State(queries): State<Queries>) -> Result<Json<Items<Parked>>, Problem> {
    let mut items = Vec::new();
    for read in queries.reads() {
        items.extend(parked(read, SHOWN).await.map_err(failed)?);
    }
    items.sort_by_key(|parked| parked.parked_at);
    Ok(Json(Items { items, next: None, prev: None }))
}

/// `POST /v1/parked/retry {"follower": "orders", "position": "orders/5@1:1234"}`, both optional.
pub(crate) async fn try_again(
    State(queries): State<Queries>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let which = body.read(|fields| {
        let (follower, position) = (fields.optional::<String>("follower"), position(fields));
        match (follower?, position?) {
            (None, None) => Some(Which::All),
            (Some(follower), None) => Some(Which::Of(follower)),
            (Some(follower), Some(position)) => Some(Which::One { follower, position }),
            (None, Some(_)) => {
                fields.refuse("follower", "must say for whom the event at `position` is parked");
                None
            }
        }
    })?;
    let mut asked = 0;
    for read in queries.reads() {
        asked += retry(read, &which).await.map_err(failed)?;
    }
    answer(asked)
}

/// `POST /v1/parked/discard {"follower": …, "position": …, "reason": …, "by": …}`
pub(crate) async fn leave_out(
    State(queries): State<Queries>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let (follower, position, by, why) = body.read(|fields| {
        let (follower, position) = (fields.required::<String>("follower"), position(fields));
        let (by, why) = (text(fields, "by"), text(fields, "reason"));
        if position == Some(None) {
            fields.refuse("position", "is missing");
        }
        Some((follower?, position??, by?, why?))
    })?;
    let mut asked = 0;
    for read in queries.reads() {
        let found = discard(read, &follower, &position, &by, &why).await.map_err(failed)?;
        asked += u64::from(found);
    }
    answer(asked)
}

fn position(fields: &mut Fields<'_>) -> Option<Option<Position>> {
    let Some(text) = fields.optional::<String>("position")? else { return Some(None) };
    match text.parse() {
        Ok(position) => Some(Some(position)),
        Err(error) => {
            fields.refuse("position", format!("{error}"));
            None
        }
    }
}

/// Somebody will read it later.
fn text(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    let text: String = fields.required(name)?;
    let fits = !text.trim().is_empty() && text.len() <= LONGEST && !text.contains('\0');
    if !fits {
        fields.refuse(name, format!("must be 1 to {LONGEST} bytes of text"));
    }
    fits.then_some(text)
}

fn answer(asked: u64) -> Result<Response, Problem> {
    if asked == 0 {
        return Err(Problem::not_found("No such event is parked."));
    }
    Ok((StatusCode::ACCEPTED, Json(json!({"asked": asked}))).into_response())
}
