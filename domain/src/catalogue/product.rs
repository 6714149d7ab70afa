//! A product and its list price. Orders keep the price that was agreed, so nothing here ever changes
//! an order.

use crate::streams;
use crate::values::{Currency, Money, ProductName, Sku};
use decider::{Decider, Snapshot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `product-85123A`
pub fn stream(sku: &Sku) -> String {
    streams::name(Product::CATEGORY, sku)
}

/// The inverse of [`stream`]; `None` for the name of another stream.
pub fn id_of(stream: &str) -> Option<Sku> {
    streams::sku_in(stream, Product::CATEGORY)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    List { sku: Sku, name: ProductName, price: Money },
    Reprice { price: Money },
    Rename { name: ProductName },
    Discontinue {},
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Event {
    #[serde(rename = "product.listed")]
    Listed { sku: Sku, name: ProductName, price: Money },
    #[serde(rename = "product.repriced")]
    Repriced { price: Money },
    #[serde(rename = "product.renamed")]
    Renamed { name: ProductName },
    #[serde(rename = "product.discontinued")]
    Discontinued {},
}

impl decider::Event for Event {
    const TYPES: &'static [(&'static str, i32)] = &[
        ("product.listed", 1),
        ("product.repriced", 1),
        ("product.renamed", 1),
        ("product.discontinued", 1),
    ];
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum State {
    #[default]
    Unlisted,
    Listed {
        name: ProductName,
        price: Money,
    },
    Discontinued,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the product is listed already, with another name or price")]
    AlreadyListed,
    #[error("the product is not listed")]
    NotListed,
    #[error("the product is discontinued")]
    Discontinued,
    #[error("the product is priced in {listed}, not in {asked}")]
    OtherCurrency { listed: Currency, asked: Currency },
}

impl Rejection {
    /// The last part of the problem's type.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::AlreadyListed => "already-listed",
            Self::NotListed => "not-listed",
            Self::Discontinued => "discontinued",
            Self::OtherCurrency { .. } => "other-currency",
        }
    }
}

/// The decider of one product.
pub struct Product;

impl Decider for Product {
    const CATEGORY: &'static str = "product";
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Rejection> {
        match (state, command) {
            (State::Unlisted, Command::List { sku, name, price }) => {
                Ok(vec![Event::Listed { sku: sku.clone(), name: name.clone(), price: *price }])
            }
            (State::Listed { name, price }, Command::List { name: new, price: asked, .. }) => {
                if (name, price) == (new, asked) {
                    Ok(vec![])
                } else {
                    Err(Rejection::AlreadyListed)
                }
            }
            (State::Listed { price, .. }, Command::Reprice { price: new }) => reprice(*price, *new),
            (State::Listed { name, .. }, Command::Rename { name: new }) => {
                Ok(if name == new { vec![] } else { vec![Event::Renamed { name: new.clone() }] })
            }
            (State::Listed { .. }, Command::Discontinue {}) => Ok(vec![Event::Discontinued {}]),
            (
                State::Unlisted,
                Command::Reprice { .. } | Command::Rename { .. } | Command::Discontinue {},
            ) => Err(Rejection::NotListed),
            (State::Discontinued, Command::Discontinue {}) => Ok(vec![]),
            (
                State::Discontinued,
                Command::List { .. } | Command::Reprice { .. } | Command::Rename { .. },
            ) => Err(Rejection::Discontinued),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (State::Unlisted, Event::Listed { name, price, .. }) => {
                State::Listed { name: name.clone(), price: *price }
            }
            (State::Listed { name, .. }, Event::Repriced { price }) => {
                State::Listed { name, price: *price }
            }
            (State::Listed { price, .. }, Event::Renamed { name }) => {
                State::Listed { name: name.clone(), price }
            }
            (State::Listed { .. }, Event::Discontinued {}) => State::Discontinued,
            (
                same,
                Event::Listed { .. }
                | Event::Repriced { .. }
                | Event::Renamed { .. }
                | Event::Discontinued {},
            ) => same,
        }
    }
}

/// A price may change every minute for years.
impl Snapshot for Product {
    const STATE_VERSION: i32 = 1;
}

fn reprice(price: Money, new: Money) -> Result<Vec<Event>, Rejection> {
    if price == new {
        Ok(vec![])
    } else if price.currency() == new.currency() {
        Ok(vec![Event::Repriced { price: new }])
    } else {
        Err(Rejection::OtherCurrency { listed: price.currency(), asked: new.currency() })
    }
}

#[cfg(test)]
mod tests;
