use std::collections::BTreeMap;

use domain::checkout::checkout::{self, Command, Patience, Reservation};
use domain::orders::order::{self, Event, PlacedLine};
use domain::values::{Quantity, Sku};
use event_store::Recorded;
use event_store::follow::ApplyError;

use super::reactor::Told;

/// What a checkout hears of its order; `order.placed` starts it.
pub(super) fn react(event: &Recorded, patience: Patience) -> Result<Told, ApplyError> {
    let Some(order) = order::id_of(&event.stream) else { return Ok(None) };
    let command = match event.decode::<Event>()? {
        Event::Placed { lines, total, payment_method, .. } => {
            let reservations = reservations(&lines).map_err(ApplyError::Poison)?;
            Command::Start { order, reservations, total, payment_method, patience }
        }
        Event::Confirmed {} => Command::OrderConfirmed {},
        Event::Cancelled { reason } => Command::OrderCancelled { reason: reason.into() },
        Event::Shipped { .. } => Command::OrderShipped {},
        Event::Closed {} => Command::OrderClosed {},
    };
    Ok(Some((checkout::stream(order), command)))
}

/// One reservation per SKU, in the order of their SKUs: a SKU may stand on several lines.
fn reservations(lines: &[PlacedLine]) -> Result<Vec<Reservation>, String> {
    let mut sums: BTreeMap<&Sku, i64> = BTreeMap::new();
    for line in lines {
        *sums.entry(&line.sku).or_default() += i64::from(line.quantity);
    }
    let reservation = |(sku, sum): (&Sku, i64)| {
        let quantity = Quantity::try_from(sum).map_err(|error| format!("{sku}: {error}"))?;
        Ok(Reservation { sku: sku.clone(), quantity })
    };
    sums.into_iter().map(reservation).collect()
}
