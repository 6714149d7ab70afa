use crate::{
    CommandApi, amounts::money, answer, api::served, command_request::CommandRequest,
    refusal::refused,
};
use axum::{extract::State, response::Response};
use domain::{
    catalogue::product::{Command, stream},
    values::Sku,
};
use edge::{Fields, Problem, Target};

/// `POST /v1/products/{sku}/reprice {"price": {…}}`
pub(crate) async fn reprice(
    State(api): State<CommandApi>,
    Target(sku): Target<Sku>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (command, envelope) = request.parse(body)?;
    let done =
        served(&api.products)?.transact(&stream(&sku), command, envelope).await.map_err(refused)?;
    Ok(answer::done(&done))
}

pub(crate) fn body(fields: &mut Fields<'_>) -> Option<Command> {
    let price = fields.object("price", money)?;
    Some(Command::Reprice { price })
}
