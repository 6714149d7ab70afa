use crate::{
    CommandApi, amounts::money, answer, api::served, command_request::CommandRequest,
    refusal::refused,
};
use axum::{extract::State, response::Response};
use domain::{
    catalogue::product::{self, Command},
    values::{Money, ProductName, Sku},
};
use edge::{Fields, Problem};
use uuid::Uuid;

/// `POST /v1/products {"sku": …, "name": …, "price": {…}}`
pub(crate) async fn list(
    State(api): State<CommandApi>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let ((sku, name, price), mut envelope) = request.parse(body)?;
    // The target of this command is the SKU, though it stands in the body and not in the path.
    envelope.command_id = Uuid::new_v5(&envelope.command_id, sku.as_str().as_bytes());
    let (stream, location) = (product::stream(&sku), format!("/v1/products/{sku}"));
    let command = Command::List { sku, name, price };
    let done =
        served(&api.products)?.transact(&stream, command, envelope).await.map_err(refused)?;
    Ok(answer::created(&done, &location))
}

pub(crate) fn body(fields: &mut Fields<'_>) -> Option<(Sku, ProductName, Money)> {
    let (sku, name) = (fields.required("sku"), fields.required("name"));
    let price = fields.object("price", money);
    Some((sku?, name?, price?))
}
