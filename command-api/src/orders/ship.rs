use crate::{CommandApi, answer, api::served, command_request::CommandRequest, refusal::refused};
use axum::{extract::State, response::Response};
use domain::{
    ids::OrderId,
    orders::order::{Command, stream},
};
use edge::{Fields, Problem, Target};

/// `POST /v1/orders/{id}/ship`: all of it.
pub(crate) async fn ship(
    State(api): State<CommandApi>,
    Target(id): Target<OrderId>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (command, envelope) = request.parse(body)?;
    let done =
        served(&api.orders)?.transact(&stream(id), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}

pub(crate) fn body(_: &mut Fields<'_>) -> Option<Command> {
    Some(Command::Ship {})
}
