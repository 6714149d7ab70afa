//! The beginning: an order was placed, and its checkout has started.

use super::{Source, Stream, World};
use domain::ids::OrderId;
use domain::inventory::stock;
use domain::orders::order;
use domain::values::{Money, Sku, TaxRate};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const PIECES: i64 = 2;

/// What can differ at the beginning.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    /// For each SKU of the order, whether there is enough of it.
    pub(crate) enough: Vec<bool>,
    /// Whether there is anything to pay.
    pub(crate) free: bool,
    /// How many requests an owner may reject without a reason.
    pub(crate) refusals: u32,
    /// How often a person helps.
    pub(crate) helps: u32,
}

impl Shop {
    pub(crate) fn open(&self) -> World {
        let stock = self.enough.iter().enumerate().map(|(number, enough)| (sku(number), *enough));
        let mut world = World {
            order: Stream::new(),
            payment: Stream::new(),
            stock: stock.clone().map(|(sku, enough)| (sku, shelf(enough))).collect(),
            checkout: Stream::new(),
            known: 0,
            requests: BTreeMap::new(),
            gone: BTreeSet::new(),
            asked: BTreeSet::new(),
            refused: BTreeSet::new(),
            refusals_left: self.refusals,
            helps_left: self.helps,
            helped: BTreeSet::new(),
        };
        let price = if self.free { 0 } else { 255 };
        let line = |(sku, _enough)| order::Line {
            sku,
            quantity: PIECES.try_into().unwrap(),
            unit_price: Money::new(price, "GBP".parse().unwrap()).unwrap(),
            tax_rate: TaxRate::default(),
        };
        let place = order::Command::Place {
            order: order_id(),
            lines: stock.map(line).collect(),
            shipping: None,
            discount: None,
            customer: None,
            country: "ZZ".parse().unwrap(),
            payment_method: "pm_card_visa".parse().unwrap(),
        };
        world.order.send("place", &place).unwrap();
        let place = world.advance(&Source::Order);
        world.deliver(&Source::Order, place);
        world.note_what_is_owed();
        world
    }
}

pub(crate) fn order_id() -> OrderId {
    "5f0c1b7e-0000-4000-8000-00000000000a".parse().unwrap()
}

fn sku(number: usize) -> Sku {
    format!("SKU{number}").parse().unwrap()
}

fn shelf(enough: bool) -> Stream<stock::Stock> {
    let mut shelf = Stream::new();
    let quantity = if enough { PIECES } else { PIECES - 1 }.try_into().unwrap();
    shelf.send("receive", &stock::Command::Receive { quantity }).unwrap();
    shelf
}
