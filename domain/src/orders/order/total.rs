//! What an order costs.

use super::{Line, PlacedLine, Rejection};
use crate::values::{Currency, LineNumber, Money, Quantity, Sku};
use std::collections::BTreeMap;

/// The most lines that an order may have.
pub const MOST_LINES: usize = 1_000;

/// Everything about money in a placed order.
pub(super) struct Charges {
    pub(super) shipping: Money,
    pub(super) discount: Money,
    pub(super) total: Money,
}

/// `total = sum(lines) + shipping − discount`, in the currency of the lines.
///
/// # Errors
/// If there is no line or there are too many, if currencies are mixed, and if the total would be
/// negative or too large.
pub(super) fn charges(
    lines: &[Line],
    shipping: Option<Money>,
    discount: Option<Money>,
) -> Result<Charges, Rejection> {
    let currency = lines.first().ok_or(Rejection::NoLines)?.unit_price.currency();
    if lines.len() > MOST_LINES {
        return Err(Rejection::TooManyLines);
    }
    let charges = shipping.iter().chain(&discount);
    if lines.iter().map(|line| &line.unit_price).chain(charges).any(|m| m.currency() != currency) {
        return Err(Rejection::MixedCurrencies);
    }
    units_fit(lines)?;
    let shipping = shipping.unwrap_or(Money::zero(currency));
    let discount = discount.unwrap_or(Money::zero(currency));
    let gross = gross(lines, currency).and_then(|sum| sum.checked_add(shipping));
    let gross = gross.ok_or(Rejection::TotalTooLarge)?;
    let total = gross.checked_sub(discount).ok_or(Rejection::DiscountExceedsTotal)?;
    Ok(Charges { shipping, discount, total })
}

pub(super) fn numbered(lines: &[Line]) -> Vec<PlacedLine> {
    LineNumber::sequence()
        .zip(lines)
        .map(|(number, line)| PlacedLine {
            line: number,
            sku: line.sku.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            tax_rate: line.tax_rate,
        })
        .collect()
}

fn gross(lines: &[Line], currency: Currency) -> Option<Money> {
    lines.iter().try_fold(Money::zero(currency), |sum, line| {
        sum.checked_add(line.unit_price.times(line.quantity)?)
    })
}

/// The checkout makes one reservation per SKU, so the sum of its lines has to be a quantity too.
fn units_fit(lines: &[Line]) -> Result<(), Rejection> {
    let mut units: BTreeMap<&Sku, Quantity> = BTreeMap::new();
    for line in lines {
        let sum = match units.get(&line.sku) {
            Some(before) => before.checked_add(line.quantity),
            None => Some(line.quantity),
        };
        let sum = sum.ok_or_else(|| Rejection::TooManyUnits { sku: line.sku.clone() })?;
        units.insert(&line.sku, sum);
    }
    Ok(())
}
