//! What followers could not post, and what is done about it.

use crate::query::{Instant, Page, Queries, failed, page};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use edge::{Fields, JsonBody, ParamFields, Params, Problem};
use event_store::follow::{Parked, Spot, Stretch, Which, discard, parked_in, retry};
use event_store::{BadPosition, Position};
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

const LONGEST: usize = 1_000;

/// What a [`Spot`] is, of instants that Postgres holds.
type Key = (Instant, String, String, i32, i64);

fn key(parked: &Parked) -> Key {
    let Spot { parked_at, follower, service, partition, offset } = parked.spot();
    (Instant(parked_at), follower, service, partition, offset)
}

fn spot((Instant(parked_at), follower, service, partition, offset): Key) -> Spot {
    Spot { parked_at, follower, service, partition, offset }
}

pub(crate) fn asked(fields: &mut ParamFields<'_>) -> Option<Page<Key>> {
    page(fields)
}

/// `GET /v1/parked`: of all services here, the oldest first.
pub(crate) async fn list(
    State(queries): State<Queries>,
    params: Params,
) -> Result<Response, Problem> {
    let page = params.read(asked)?;
    let from = page.from().map(|(key, and_itself)| (spot(key.clone()), and_itself));
    let stretch = Stretch { from, is_backward: page.is_backward(), limit: page.limit + 1 };
    let mut items = Vec::new();
    for read in queries.reads() {
        items.extend(parked_in(read, &stretch).await.map_err(failed)?);
    }
    items.sort_by_cached_key(Parked::spot);
    if page.is_backward() {
        items.reverse();
    }
    Ok(page.items(items, key))
}

pub(crate) fn which(fields: &mut Fields<'_>) -> Option<Which> {
    let (follower, position) = (fields.optional("follower"), fields.optional::<At>("position"));
    match (follower?, position?.map(|At(position)| position)) {
        (None, None) => Some(Which::All),
        (Some(follower), None) => Some(Which::Of(follower)),
        (Some(follower), Some(position)) => Some(Which::One { follower, position }),
        (None, Some(_)) => {
            fields.refuse("follower", "must say for whom the event at `position` is parked");
            None
        }
    }
}

/// `POST /v1/parked/retry {"follower": "orders", "position": "orders/5@1:1234"}`, both optional.
pub(crate) async fn try_again(
    State(queries): State<Queries>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let which = body.read(which)?;
    let mut asked = 0;
    for read in queries.reads() {
        asked += retry(read, &which).await.map_err(failed)?;
    }
    answer(asked)
}

type LeftOut = (String, Position, String, String);

pub(crate) fn left_out(fields: &mut Fields<'_>) -> Option<LeftOut> {
    let (follower, position) = (fields.required("follower"), fields.required::<At>("position"));
    let (by, why) = (fields.required::<Words>("by"), fields.required::<Words>("reason"));
    Some((follower?, position?.0, by?.0, why?.0))
}

/// `POST /v1/parked/discard {"follower": …, "position": …, "reason": …, "by": …}`
pub(crate) async fn leave_out(
    State(queries): State<Queries>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let (follower, position, by, why) = body.read(left_out)?;
    let mut asked = 0;
    for read in queries.reads() {
        let found = discard(read, &follower, &position, &by, &why).await.map_err(failed)?;
        asked += u64::from(found);
    }
    answer(asked)
}

/// Where an event stands in its log.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct At(Position);

impl TryFrom<String> for At {
    type Error = BadPosition;

    fn try_from(text: String) -> Result<Self, BadPosition> {
        text.parse().map(At)
    }
}

impl JsonSchema for At {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Position".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = "^[^/@:]+/[0-9]{1,9}@[1-9][0-9]{0,8}:[0-9]{1,18}$";
        json_schema!({ "type": "string", "pattern": pattern })
    }
}

/// Somebody will read it later.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline)]
struct Words(#[schemars(length(min = 1, max = LONGEST), regex(pattern = r"\S"))] String);

impl TryFrom<String> for Words {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = !text.trim().is_empty() && text.chars().count() <= LONGEST;
        fits.then_some(Words(text))
            .ok_or_else(|| format!("must be 1 to {LONGEST} characters of text"))
    }
}

/// How many events are to be tried again, or left out.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AskedOfParked")]
pub(crate) struct Asked {
    asked: u64,
}

fn answer(asked: u64) -> Result<Response, Problem> {
    if asked == 0 {
        return Err(Problem::not_found("No such event is parked."));
    }
    Ok((StatusCode::ACCEPTED, Json(Asked { asked })).into_response())
}
