//! A stream is named by its category and its id: `stock-85123A`.

use crate::ids::OrderId;
use crate::values::Sku;
use std::fmt::Display;

pub(crate) fn name(category: &str, id: impl Display) -> String {
    format!("{category}-{id}")
}

/// The SKU in the name of a stream of this category; `None` for any other stream.
pub(crate) fn sku_in(stream: &str, category: &str) -> Option<Sku> {
    id_in(stream, category)?.parse().ok()
}

/// The order in the name of a stream of this category. Only the spelling that [`name`] writes is
/// taken, so that two names can never mean one aggregate.
pub(crate) fn order_in(stream: &str, category: &str) -> Option<OrderId> {
    let order: OrderId = id_in(stream, category)?.parse().ok()?;
    (name(category, order) == stream).then_some(order)
}

fn id_in<'a>(stream: &'a str, category: &str) -> Option<&'a str> {
    stream.strip_prefix(category)?.strip_prefix('-')
}
