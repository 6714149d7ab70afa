use crate::{CommandApi, answer, api::served, command_request::CommandRequest, refusal::refused};
use axum::{extract::State, response::Response};
use domain::{
    inventory::stock::{Command, stream},
    values::Sku,
};
use edge::{Problem, Target};

/// `POST /v1/stock/{sku}/receive {"quantity": 100}`
pub(crate) async fn receive(
    State(api): State<CommandApi>,
    Target(sku): Target<Sku>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (command, envelope) = request.parse(|fields| {
        let quantity = fields.required("quantity")?;
        Some(Command::Receive { quantity })
    })?;
    let done =
        served(&api.stock)?.transact(&stream(&sku), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}
