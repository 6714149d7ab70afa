use super::by_hand;
use crate::{CommandApi, command_request::CommandRequest};
use axum::{extract::State, response::Response};
use domain::{checkout::checkout::Command, ids::OrderId};
use edge::{Problem, Target};

/// `POST /v1/checkouts/{id}/retry {"reason": "the provider is back", "by": "ann"}`
pub(crate) async fn retry(
    State(api): State<CommandApi>,
    Target(id): Target<OrderId>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    by_hand(&api, id, request, |reason, by| Command::Retry { reason, by }).await
}
