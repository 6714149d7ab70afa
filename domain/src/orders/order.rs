//! An order's life. This stream arbitrates: whoever wants to confirm, cancel or ship an order asks
//! here, and the first to be written has won.

use crate::ids::OrderId;
use crate::streams;
use crate::values::{
    Country, CustomerRef, LineNumber, Money, PaymentMethod, Quantity, Reason, Sku, TaxRate,
};
use decider::Decider;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "next")]
mod next;
mod total;

pub use total::MOST_LINES;

/// `order-5f0c1b7e-…`
pub fn stream(order: OrderId) -> String {
    streams::name(Order::CATEGORY, order)
}

/// The inverse of [`stream`]; `None` for the name of another stream.
pub fn id_of(stream: &str) -> Option<OrderId> {
    streams::order_in(stream, Order::CATEGORY)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Prices are gross and agreed: whoever sends this has looked them up.
    Place {
        order: OrderId,
        lines: Vec<Line>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shipping: Option<Money>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        discount: Option<Money>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer: Option<CustomerRef>,
        country: Country,
        payment_method: PaymentMethod,
    },
    Confirm {},
    Cancel {
        reason: CancelReason,
    },
    /// All of it; parts come with partial capture.
    Ship {},
    /// Everything is shipped and paid.
    Close {},
}

/// A line as it is ordered. A SKU may stand on several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub sku: Sku,
    pub quantity: Quantity,
    pub unit_price: Money,
    #[serde(default)]
    pub tax_rate: TaxRate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CancelReason {
    CustomerRequest,
    MerchantRequest,
    FraudSuspected,
    Other,
    OutOfStock,
    PaymentDeclined,
    PaymentFailed,
    CheckoutTimeout,
}

impl CancelReason {
    /// Whether the checkout gives this reason; the others are given by people.
    pub fn by_checkout(self) -> bool {
        match self {
            Self::CustomerRequest | Self::MerchantRequest | Self::FraudSuspected | Self::Other => {
                false
            }
            Self::OutOfStock
            | Self::PaymentDeclined
            | Self::PaymentFailed
            | Self::CheckoutTimeout => true,
        }
    }

    /// The same word as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CustomerRequest => "customer-request",
            Self::MerchantRequest => "merchant-request",
            Self::FraudSuspected => "fraud-suspected",
            Self::Other => "other",
            Self::OutOfStock => "out-of-stock",
            Self::PaymentDeclined => "payment-declined",
            Self::PaymentFailed => "payment-failed",
            Self::CheckoutTimeout => "checkout-timeout",
        }
    }
}

impl From<CancelReason> for Reason {
    fn from(reason: CancelReason) -> Self {
        Reason::known(reason.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Event {
    /// `total` is the sum of the lines, plus `shipping`, minus `discount`, all in one currency.
    #[serde(rename = "order.placed")]
    Placed {
        order: OrderId,
        lines: Vec<PlacedLine>,
        shipping: Money,
        discount: Money,
        total: Money,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "CustomerRef")]
        customer: Option<CustomerRef>,
        country: Country,
        payment_method: PaymentMethod,
    },
    #[serde(rename = "order.confirmed")]
    Confirmed {},
    #[serde(rename = "order.cancelled")]
    Cancelled {
        #[cfg_attr(feature = "next", serde(rename = "because"))]
        reason: CancelReason,
    },
    #[serde(rename = "order.shipped")]
    Shipped { lines: Vec<ShippedLine> },
    #[serde(rename = "order.closed")]
    Closed {},
}

/// A line as it was agreed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacedLine {
    pub line: LineNumber,
    pub sku: Sku,
    pub quantity: Quantity,
    pub unit_price: Money,
    pub tax_rate: TaxRate,
}

/// How many pieces of a line were shipped together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShippedLine {
    pub line: LineNumber,
    pub quantity: Quantity,
}

impl decider::Event for Event {
    const TYPES: &'static [(&'static str, i32)] = &[
        ("order.placed", 1),
        ("order.confirmed", 1),
        ("order.cancelled", if cfg!(feature = "next") { 2 } else { 1 }),
        ("order.shipped", 1),
        ("order.closed", 1),
    ];

    #[cfg(feature = "next")]
    fn upcast<'de, D: serde::Deserializer<'de>>(
        event_type: &str,
        schema_version: i32,
        payload: D,
    ) -> Option<Result<Self, D::Error>> {
        next::upcast(event_type, schema_version, payload)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    NotPlaced,
    Placed {
        unshipped: Vec<ShippedLine>,
    },
    Confirmed {
        unshipped: Vec<ShippedLine>,
    },
    Cancelled,
    Shipped,
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("an order has at least one line")]
    NoLines,
    #[error("an order has at most {MOST_LINES} lines")]
    TooManyLines,
    #[error("all amounts of an order are in one currency")]
    MixedCurrencies,
    #[error("the order's total is larger than any amount may be")]
    TotalTooLarge,
    #[error("the lines of {sku} add up to more pieces than one order may have")]
    TooManyUnits { sku: Sku },
    #[error("the discount is larger than lines and shipping together")]
    DiscountExceedsTotal,
    #[error("the order is placed already")]
    AlreadyPlaced,
    #[error("there is no such order")]
    NotPlaced,
    #[error("the order is not confirmed yet")]
    NotConfirmed,
    #[error("the order is cancelled")]
    Cancelled,
    #[error("the order is shipped already")]
    AlreadyShipped,
    #[error("the order is not shipped yet")]
    NotShipped,
}

impl Rejection {
    /// The last part of the problem's type.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::NoLines => "no-lines",
            Self::TooManyLines => "too-many-lines",
            Self::MixedCurrencies => "mixed-currencies",
            Self::TotalTooLarge => "total-too-large",
            Self::TooManyUnits { .. } => "too-many-units",
            Self::DiscountExceedsTotal => "discount-exceeds-total",
            Self::AlreadyPlaced => "already-placed",
            Self::NotPlaced => "not-placed",
            Self::NotConfirmed => "not-confirmed",
            Self::Cancelled => "cancelled",
            Self::AlreadyShipped => "already-shipped",
            Self::NotShipped => "not-shipped",
        }
    }
}

/// The decider of one order.
pub struct Order;

impl Decider for Order {
    const CATEGORY: &'static str = "order";
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Place { .. })
    }

    fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Place {
                order,
                lines,
                shipping,
                discount,
                customer,
                country,
                payment_method,
            } => {
                not_placed(state)?;
                let charges = total::charges(lines, *shipping, *discount)?;
                Ok(vec![Event::Placed {
                    order: *order,
                    lines: total::numbered(lines),
                    shipping: charges.shipping,
                    discount: charges.discount,
                    total: charges.total,
                    customer: customer.clone(),
                    country: *country,
                    payment_method: payment_method.clone(),
                }])
            }
            Command::Confirm {} => confirm(state),
            Command::Cancel { reason } => cancel(state, *reason),
            Command::Ship {} => ship(state),
            Command::Close {} => close(state),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (State::NotPlaced, Event::Placed { lines, .. }) => {
                let unshipped =
                    lines.iter().map(|l| ShippedLine { line: l.line, quantity: l.quantity });
                State::Placed { unshipped: unshipped.collect() }
            }
            (State::Placed { unshipped }, Event::Confirmed {}) => State::Confirmed { unshipped },
            (State::Placed { .. } | State::Confirmed { .. }, Event::Cancelled { .. }) => {
                State::Cancelled
            }
            (State::Confirmed { .. }, Event::Shipped { .. }) => State::Shipped,
            (State::Shipped, Event::Closed {}) => State::Closed,
            (
                same,
                Event::Placed { .. }
                | Event::Confirmed {}
                | Event::Cancelled { .. }
                | Event::Shipped { .. }
                | Event::Closed {},
            ) => same,
        }
    }
}

fn not_placed(state: &State) -> Result<(), Rejection> {
    match state {
        State::NotPlaced => Ok(()),
        State::Placed { .. }
        | State::Confirmed { .. }
        | State::Cancelled
        | State::Shipped
        | State::Closed => Err(Rejection::AlreadyPlaced),
    }
}

fn confirm(state: &State) -> Result<Vec<Event>, Rejection> {
    match state {
        State::NotPlaced => Err(Rejection::NotPlaced),
        State::Placed { .. } => Ok(vec![Event::Confirmed {}]),
        // Only the checkout confirms, and it hears of the cancellation from this stream.
        State::Confirmed { .. } | State::Cancelled | State::Shipped | State::Closed => Ok(vec![]),
    }
}

fn cancel(state: &State, reason: CancelReason) -> Result<Vec<Event>, Rejection> {
    match state {
        State::NotPlaced => Err(Rejection::NotPlaced),
        State::Placed { .. } => Ok(vec![Event::Cancelled { reason }]),
        State::Cancelled => Ok(vec![]),
        // The checkout came too late with a refusal or a deadline: the confirmation has won.
        State::Confirmed { .. } | State::Shipped | State::Closed if reason.by_checkout() => {
            Ok(vec![])
        }
        State::Confirmed { .. } => Ok(vec![Event::Cancelled { reason }]),
        State::Shipped | State::Closed => Err(Rejection::AlreadyShipped),
    }
}

fn ship(state: &State) -> Result<Vec<Event>, Rejection> {
    match state {
        State::NotPlaced => Err(Rejection::NotPlaced),
        State::Placed { .. } => Err(Rejection::NotConfirmed),
        State::Confirmed { unshipped } => Ok(vec![Event::Shipped { lines: unshipped.clone() }]),
        State::Cancelled => Err(Rejection::Cancelled),
        State::Shipped | State::Closed => Ok(vec![]),
    }
}

fn close(state: &State) -> Result<Vec<Event>, Rejection> {
    match state {
        State::NotPlaced => Err(Rejection::NotPlaced),
        State::Placed { .. } | State::Confirmed { .. } => Err(Rejection::NotShipped),
        State::Shipped => Ok(vec![Event::Closed {}]),
        State::Cancelled => Err(Rejection::Cancelled),
        State::Closed => Ok(vec![]),
    }
}

#[cfg(test)]
mod tests;
