use crate::{CommandApi, answer, api::served, command_request::CommandRequest, refusal::refused};
use axum::{extract::State, response::Response};
use domain::{
    catalogue::product::{Command, stream},
    values::Sku,
};
use edge::{Fields, Problem, Target};

/// `POST /v1/products/{sku}/discontinue`
pub(crate) async fn discontinue(
    State(api): State<CommandApi>,
    Target(sku): Target<Sku>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (command, envelope) = request.parse(body)?;
    let done =
        served(&api.products)?.transact(&stream(&sku), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}

pub(crate) fn body(_: &mut Fields<'_>) -> Option<Command> {
    Some(Command::Discontinue {})
}
