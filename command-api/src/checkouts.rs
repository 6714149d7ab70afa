//! What a person does about a checkout that needs attention.

mod cancel;
mod retry;
mod settle;

pub(crate) use cancel::cancel;
pub(crate) use retry::retry;
pub(crate) use settle::settle;

use crate::{CommandApi, answer, api::served, command_request::CommandRequest, refusal::refused};
use axum::response::Response;
use domain::{
    checkout::checkout::{Command, stream},
    ids::OrderId,
    values::{Operator, Remark},
};
use edge::{Fields, Problem};

/// Tells a checkout what a person does about it: every such command says why, and may say who.
async fn by_hand(
    api: &CommandApi,
    id: OrderId,
    request: CommandRequest,
    act: fn(Remark, Option<Operator>) -> Command,
) -> Result<Response, Problem> {
    let ((reason, by), envelope) = request.parse(body)?;
    let command = act(reason, by);
    let done =
        served(&api.checkouts)?.transact(&stream(id), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}

pub(crate) fn body(fields: &mut Fields<'_>) -> Option<(Remark, Option<Operator>)> {
    let (reason, by) = (fields.required("reason"), fields.optional("by"));
    Some((reason?, by?))
}
