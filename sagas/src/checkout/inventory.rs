use domain::checkout::checkout::{self, Command};
use domain::inventory::stock::{self, Event};
use event_store::Recorded;
use event_store::follow::ApplyError;

use super::reactor::Told;

/// What the checkouts hear of stock: only what concerns an order.
pub(super) fn react(event: &Recorded) -> Result<Told, ApplyError> {
    let Some(sku) = stock::id_of(&event.stream) else { return Ok(None) };
    let (order, command) = match event.decode::<Event>()? {
        Event::Received { .. } | Event::Adjusted { .. } => return Ok(None),
        Event::Reserved { order, .. } => (order, Command::StockReserved { sku }),
        Event::ReservationRefused { order, reason, .. } => {
            (order, Command::StockRefused { sku, reason })
        }
        Event::Released { order, .. } => (order, Command::StockReleased { sku }),
        Event::Shipped { order, .. } => (order, Command::StockShipped { sku }),
    };
    Ok(Some((checkout::stream(order), command)))
}
