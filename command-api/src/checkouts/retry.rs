use super::why_and_who;
use crate::{CommandApi, answer, command_request::CommandRequest, refusal::refused};
use axum::{extract::State, response::Response};
use domain::{
    checkout::checkout::{Command, stream},
    ids::OrderId,
};
use edge::{Problem, Target};

/// `POST /v1/checkouts/{id}/retry {"reason": "the provider is back", "by": "ann"}`
pub(crate) async fn retry(
    State(api): State<CommandApi>,
    Target(id): Target<OrderId>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (command, envelope) = request.parse(|fields| {
        let (reason, by) = why_and_who(fields)?;
        Some(Command::Retry { reason, by })
    })?;
    let done = api.checkouts.transact(&stream(id), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}
