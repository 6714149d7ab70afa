use super::by_hand;
use crate::{CommandApi, command_request::CommandRequest};
use axum::{extract::State, response::Response};
use domain::{checkout::checkout::Command, ids::OrderId};
use edge::{Problem, Target};

/// `POST /v1/checkouts/{id}/cancel {"reason": "the customer called", "by": "ann"}`
pub(crate) async fn cancel(
    State(api): State<CommandApi>,
    Target(id): Target<OrderId>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    by_hand(&api, id, request, |reason, by| Command::Cancel { reason, by }).await
}
