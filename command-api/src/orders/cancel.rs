use crate::{CommandApi, answer, api::served, command_request::CommandRequest, refusal::refused};
use axum::{extract::State, response::Response};
use domain::{
    ids::OrderId,
    orders::order::{CancelReason, Command, stream},
};
use edge::{Fields, Problem, Target};
use schemars::JsonSchema;
use serde::Deserialize;

/// `POST /v1/orders/{id}/cancel {"reason": "customer-request"}`
pub(crate) async fn cancel(
    State(api): State<CommandApi>,
    Target(id): Target<OrderId>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (command, envelope) = request.parse(body)?;
    let done =
        served(&api.orders)?.transact(&stream(id), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}

pub(crate) fn body(fields: &mut Fields<'_>) -> Option<Command> {
    let reason = fields.required::<APersons>("reason")?.into();
    Some(Command::Cancel { reason })
}

/// The other reasons are the checkout's, and the order stream treats them differently.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "CancelReason")]
enum APersons {
    CustomerRequest,
    MerchantRequest,
    FraudSuspected,
    Other,
}

impl From<APersons> for CancelReason {
    fn from(reason: APersons) -> Self {
        match reason {
            APersons::CustomerRequest => CancelReason::CustomerRequest,
            APersons::MerchantRequest => CancelReason::MerchantRequest,
            APersons::FraudSuspected => CancelReason::FraudSuspected,
            APersons::Other => CancelReason::Other,
        }
    }
}
