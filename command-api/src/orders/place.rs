mod draft;
mod agree;

use crate::{CommandApi, answer, api::served, command_request::CommandRequest, refusal::refused};
use agree::agree;
use axum::{extract::State, response::Response};
use domain::{ids::OrderId, orders::order};
use draft::Draft;
use edge::{Fields, OnlyOf, Problem, conditional::min_positions};
use http::HeaderMap;

/// `POST /v1/orders`. The command's id is the order's, so a repeated request cannot place two. A customer's carries his
/// reference.
pub(crate) async fn place(
    State(api): State<CommandApi>,
    headers: HeaderMap,
    OnlyOf(only): OnlyOf,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let min = min_positions(&headers)?;
    let own_prices = request.accepts_history();
    let (draft, envelope) = request.parse(body)?;
    let draft = match only {
        Some(customer) => draft.of(&customer)?,
        None => draft,
    };
    let order = OrderId(envelope.command_id);
    let stream = order::stream(order);
    let done = match agree(&api, &draft, own_prices, &min).await {
        Ok(lines) => {
            let command = draft.agreed(order, lines);
            served(&api.orders)?.transact(&stream, command, envelope).await.map_err(refused)?
        }
        // What has changed since cannot take back an order that was accepted.
        Err(disagreement) => {
            let fingerprint = envelope.fingerprint.as_deref();
            let first =
                served(&api.orders)?.answered(&stream, envelope.command_id, fingerprint).await;
            first.map_err(refused)?.ok_or(disagreement)?
        }
    };
    Ok(answer::created(&done, &format!("/v1/orders/{order}")))
}

pub(crate) fn body(fields: &mut Fields<'_>) -> Option<Draft> {
    Draft::read(fields)
}

/// The command that a body asks for, if each price is the one that it names.
#[cfg(fuzzing)]
pub fn of_body(body: edge::JsonBody) -> Result<order::Command, Problem> {
    use domain::values::Money;
    let draft = body.read(Draft::read)?;
    let nothing = Money::zero("GBP".parse().expect("it is one"));
    let prices = draft.lines.iter().map(|line| line.unit_price.unwrap_or(nothing)).collect();
    Ok(draft.agreed(OrderId(uuid::Uuid::nil()), prices))
}
