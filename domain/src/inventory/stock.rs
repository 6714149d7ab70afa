//! The stock of one SKU: what is on hand, and what of it is held for orders. A reservation is held
//! until it is released or shipped; it never expires by itself.

use crate::ids::OrderId;
use crate::streams;
use crate::values::{Quantity, Reason, Sku, StockChange};
use decider::{Decider, Snapshot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `stock-85123A`
pub fn stream(sku: &Sku) -> String {
    streams::name(Stock::CATEGORY, sku)
}

/// The inverse of [`stream`]; `None` for the name of another stream.
pub fn id_of(stream: &str) -> Option<Sku> {
    streams::sku_in(stream, Stock::CATEGORY)
}

/// The most pieces that may be on hand.
pub const MOST_ON_HAND: u64 = 1_000_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    Receive {
        quantity: Quantity,
    },
    /// Corrects the count after a stocktaking, a breakage, a find.
    Adjust {
        change: StockChange,
        reason: Reason,
    },
    /// Holds pieces for an order: all that are asked for, or none.
    Reserve {
        order: OrderId,
        quantity: Quantity,
    },
    /// Gives back what the order holds.
    Release {
        order: OrderId,
    },
    /// What the order holds leaves the house.
    Ship {
        order: OrderId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Event {
    #[serde(rename = "stock.received")]
    Received { quantity: Quantity },
    #[serde(rename = "stock.adjusted")]
    Adjusted { change: StockChange, reason: Reason },
    #[serde(rename = "stock.reserved")]
    Reserved { order: OrderId, quantity: Quantity },
    /// A refusal that somebody waits for, so it is an event. Its reason is `out-of-stock`.
    #[serde(rename = "stock.reservation_refused")]
    ReservationRefused { order: OrderId, quantity: Quantity, reason: Reason },
    #[serde(rename = "stock.released")]
    Released { order: OrderId, quantity: Quantity },
    #[serde(rename = "stock.shipped")]
    Shipped { order: OrderId, quantity: Quantity },
}

impl decider::Event for Event {
    const TYPES: &'static [(&'static str, i32)] = &[
        ("stock.received", 1),
        ("stock.adjusted", 1),
        ("stock.reserved", 1),
        ("stock.reservation_refused", 1),
        ("stock.released", 1),
        ("stock.shipped", 1),
    ];
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    #[default]
    Empty,
    Stocked(Shelf),
}

/// What decisions about a stocked SKU read. `0 ≤ reserved ≤ on_hand`, and `reserved` is the sum of
/// `open`, which keeps only the reservations that are still held: it does not grow with the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shelf {
    pub on_hand: u64,
    pub reserved: u64,
    pub open: BTreeMap<OrderId, Quantity>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("{reserved} of {on_hand} on hand are reserved, so the count cannot fall that far")]
    BelowReserved { on_hand: u64, reserved: u64 },
    #[error("{on_hand} are on hand, and no more than {MOST_ON_HAND} may be")]
    TooMuchStock { on_hand: u64 },
}

impl Rejection {
    /// The last part of the problem's type.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::BelowReserved { .. } => "below-reserved",
            Self::TooMuchStock { .. } => "too-much-stock",
        }
    }
}

/// The decider of one SKU's stock. Every decision is at most O(log n) in the open reservations.
pub struct Stock;

impl Decider for Stock {
    const CATEGORY: &'static str = "stock";
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Receive { quantity } => {
                state.on_hand_after(i64::from(*quantity))?;
                Ok(vec![Event::Received { quantity: *quantity }])
            }
            Command::Adjust { change, reason } => {
                state.on_hand_after(change.get())?;
                Ok(vec![Event::Adjusted { change: *change, reason: reason.clone() }])
            }
            Command::Reserve { order, quantity } => Ok(reserve(state, *order, *quantity)),
            Command::Release { order } => Ok(state
                .held_for(*order)
                .map(|quantity| Event::Released { order: *order, quantity })
                .into_iter()
                .collect()),
            Command::Ship { order } => Ok(state
                .held_for(*order)
                .map(|quantity| Event::Shipped { order: *order, quantity })
                .into_iter()
                .collect()),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        let mut shelf = match state {
            State::Empty => Shelf::default(),
            State::Stocked(shelf) => shelf,
        };
        match event {
            Event::Received { quantity } => shelf.count(i64::from(*quantity)),
            Event::Adjusted { change, .. } => shelf.count(change.get()),
            Event::Reserved { order, quantity } => shelf.hold(*order, *quantity),
            Event::ReservationRefused { .. } => {}
            Event::Released { order, .. } => {
                shelf.let_go(*order);
            }
            Event::Shipped { order, .. } => {
                let shipped = shelf.let_go(*order);
                shelf.on_hand = shelf.on_hand.saturating_sub(shipped);
            }
        }
        if shelf == Shelf::default() { State::Empty } else { State::Stocked(shelf) }
    }
}

/// Every order that was ever for this SKU stands in its stream.
impl Snapshot for Stock {
    const STATE_VERSION: i32 = 1;
}

fn reserve(state: &State, order: OrderId, quantity: Quantity) -> Vec<Event> {
    if state.held_for(order).is_some() {
        vec![]
    } else if u64::from(quantity.get()) <= state.available() {
        vec![Event::Reserved { order, quantity }]
    } else {
        vec![Event::ReservationRefused { order, quantity, reason: Reason::known("out-of-stock") }]
    }
}

impl State {
    pub fn on_hand(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Stocked(shelf) => shelf.on_hand,
        }
    }

    pub fn reserved(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Stocked(shelf) => shelf.reserved,
        }
    }

    /// What may still be reserved.
    pub fn available(&self) -> u64 {
        self.on_hand().saturating_sub(self.reserved())
    }

    /// What this order holds now; `None` if nothing.
    pub fn held_for(&self, order: OrderId) -> Option<Quantity> {
        match self {
            Self::Empty => None,
            Self::Stocked(shelf) => shelf.open.get(&order).copied(),
        }
    }

    fn on_hand_after(&self, change: i64) -> Result<u64, Rejection> {
        let (on_hand, reserved) = (self.on_hand(), self.reserved());
        match on_hand.checked_add_signed(change) {
            Some(after) if after > MOST_ON_HAND && change > 0 => {
                Err(Rejection::TooMuchStock { on_hand })
            }
            Some(after) if after >= reserved => Ok(after),
            Some(_) | None => Err(Rejection::BelowReserved { on_hand, reserved }),
        }
    }
}

impl Shelf {
    fn count(&mut self, change: i64) {
        self.on_hand = self.on_hand.saturating_add_signed(change);
    }

    fn hold(&mut self, order: OrderId, quantity: Quantity) {
        self.let_go(order);
        self.open.insert(order, quantity);
        self.reserved += u64::from(quantity.get());
    }

    /// How many pieces the order held until now.
    fn let_go(&mut self, order: OrderId) -> u64 {
        let pieces = self.open.remove(&order).map_or(0, |quantity| u64::from(quantity.get()));
        self.reserved = self.reserved.saturating_sub(pieces);
        pieces
    }
}

#[cfg(test)]
mod tests;
