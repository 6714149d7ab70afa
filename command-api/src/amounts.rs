use domain::values::{Currency, Money};
use edge::Fields;
use schemars::JsonSchema;
use serde::Deserialize;

/// `{"amount": 1095, "currency": "GBP"}`, in minor units.
pub(crate) fn money(fields: &mut Fields<'_>) -> Option<Money> {
    let amount = fields.required::<Minor>("amount");
    let currency = fields.required::<Currency>("currency");
    match Money::new(amount?.0, currency?) {
        Ok(money) => Some(money),
        Err(error) => {
            fields.refuse("amount", error.to_string());
            None
        }
    }
}

/// Minor units: pence, cents.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
struct Minor(#[schemars(range(min = 0, max = Money::MAX))] i64);
