use crate::{
    CommandApi, amounts::money, answer, api::served, command_request::CommandRequest,
    refusal::refused,
};
use axum::{extract::State, response::Response};
use domain::{
    ids::OrderId,
    payments::payment::{Command, stream},
};
use edge::{Fields, Problem, Target};

/// `POST /v1/payments/{id}/refund {"amount": {…}}`; without an amount, all that is left.
pub(crate) async fn refund(
    State(api): State<CommandApi>,
    Target(id): Target<OrderId>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (command, envelope) = request.parse(body)?;
    let done =
        served(&api.payments)?.transact(&stream(id), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}

pub(crate) fn body(fields: &mut Fields<'_>) -> Option<Command> {
    let amount = fields.optional_object("amount", money)?;
    Some(Command::Refund { amount })
}
