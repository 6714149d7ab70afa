use crate::{CommandApi, answer, api::served, command_request::CommandRequest, refusal::refused};
use axum::{extract::State, response::Response};
use domain::{
    ids::OrderId,
    orders::order::{CancelReason, Command, stream},
};
use edge::{Fields, Problem, Target};

/// `POST /v1/orders/{id}/cancel {"reason": "customer-request"}`
pub(crate) async fn cancel(
    State(api): State<CommandApi>,
    Target(id): Target<OrderId>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (command, envelope) = request.parse(|fields| {
        let reason = reason_of_a_person(fields)?;
        Some(Command::Cancel { reason })
    })?;
    let done =
        served(&api.orders)?.transact(&stream(id), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}

/// The other reasons are the checkout's, and the order stream treats them differently.
fn reason_of_a_person(fields: &mut Fields<'_>) -> Option<CancelReason> {
    let reason = fields.required::<CancelReason>("reason")?;
    if reason.by_checkout() {
        fields.refuse("reason", "is a reason that only the checkout gives");
        return None;
    }
    Some(reason)
}
