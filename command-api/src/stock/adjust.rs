use crate::{CommandApi, answer, api::served, command_request::CommandRequest, refusal::refused};
use axum::{extract::State, response::Response};
use domain::{
    inventory::stock::{Command, stream},
    values::Sku,
};
use edge::{Fields, Problem, Target};

/// `POST /v1/stock/{sku}/adjust {"change": -3, "reason": "broken"}`
pub(crate) async fn adjust(
    State(api): State<CommandApi>,
    Target(sku): Target<Sku>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (command, envelope) = request.parse(body)?;
    let done =
        served(&api.stock)?.transact(&stream(&sku), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}

pub(crate) fn body(fields: &mut Fields<'_>) -> Option<Command> {
    let (change, reason) = (fields.required("change"), fields.required("reason"));
    Some(Command::Adjust { change: change?, reason: reason? })
}
