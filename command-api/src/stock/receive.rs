use crate::{CommandApi, answer, api::served, command_request::CommandRequest, refusal::refused};
use axum::{extract::State, response::Response};
use domain::{
    inventory::stock::{Command, stream},
    values::Sku,
};
use edge::{Fields, Problem, Target};

/// `POST /v1/stock/{sku}/receive {"quantity": 100}`
pub(crate) async fn receive(
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
    let quantity = fields.required("quantity")?;
    Some(Command::Receive { quantity })
}
