use domain::values::{Currency, Money};
use edge::Fields;

/// `{"amount": 1095, "currency": "GBP"}`, in minor units.
pub(crate) fn money(fields: &mut Fields<'_>) -> Option<Money> {
    let amount = fields.required::<i64>("amount");
    let currency = fields.required::<Currency>("currency");
    match Money::new(amount?, currency?) {
        Ok(money) => Some(money),
        Err(error) => {
            fields.refuse("amount", error.to_string());
            None
        }
    }
}
