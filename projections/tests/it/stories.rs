//! A shop's words, short enough to tell a story in a test.

use crate::support::{Process, tell};
use domain::catalogue::product::{self, Product};
use domain::checkout::checkout::{self, Checkout, Patience, Reservation};
use domain::ids::OrderId;
use domain::inventory::stock::{self, Stock};
use domain::orders::order::{self, CancelReason, Order};
use domain::payments::payment::{self, Operation, Outcome, Payment};
use domain::values::{Money, Quantity, Reason, Sku};
use event_store::Transactor;
use uuid::Uuid;

pub(crate) fn order_id(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

pub(crate) fn gbp(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap()).unwrap()
}

pub(crate) fn pieces(number: i64) -> Quantity {
    Quantity::try_from(number).unwrap()
}

pub(crate) fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

pub(crate) fn reason(text: &str) -> Reason {
    text.parse().unwrap()
}

pub(crate) fn place(
    number: u128,
    lines: &[(&str, i64, i64)],
    customer: Option<&str>,
    country: &str,
) -> order::Command {
    let line = |(text, quantity, price): &(&str, i64, i64)| order::Line {
        sku: sku(text),
        quantity: pieces(*quantity),
        unit_price: gbp(*price),
        tax_rate: Default::default(),
    };
    order::Command::Place {
        order: order_id(number),
        lines: lines.iter().map(line).collect(),
        shipping: Some(gbp(300)),
        discount: Some(gbp(100)),
        customer: customer.map(|it| it.parse().unwrap()),
        country: country.parse().unwrap(),
        payment_method: "pm_card_visa".parse().unwrap(),
    }
}

/// Everything that people and sagas may say to the shop.
pub(crate) struct Shop {
    pub(crate) orders: Transactor<Order>,
    pub(crate) payments: Transactor<Payment>,
    pub(crate) stock: Transactor<Stock>,
    pub(crate) products: Transactor<Product>,
    pub(crate) checkouts: Transactor<Checkout>,
}

impl Shop {
    pub(crate) fn of(process: &Process) -> Self {
        Shop {
            orders: process.transactor("orders"),
            payments: process.transactor("payments"),
            stock: process.transactor("inventory"),
            products: process.transactor("catalogue"),
            checkouts: process.transactor("checkout"),
        }
    }

    pub(crate) async fn order(&self, number: u128, second: i64, commands: Vec<order::Command>) {
        let stream = order::stream(order_id(number));
        for command in commands {
            tell(&self.orders, &stream, command, second).await;
        }
    }

    /// An order of one line that comes as far as the commands after it say.
    pub(crate) async fn placed(&self, number: u128, second: i64, then: Vec<order::Command>) {
        let place = place(number, &[("A1", 2, 250)], Some("c1"), "GB");
        self.order(number, second, vec![place]).await;
        self.order(number, second, then).await;
    }

    pub(crate) async fn payment(&self, number: u128, commands: Vec<payment::Command>) {
        let stream = payment::stream(order_id(number));
        for command in commands {
            tell(&self.payments, &stream, command, 0).await;
        }
    }

    pub(crate) async fn stock(&self, text: &str, commands: Vec<stock::Command>) {
        for command in commands {
            tell(&self.stock, &stock::stream(&sku(text)), command, 0).await;
        }
    }

    pub(crate) async fn product(&self, text: &str, commands: Vec<product::Command>) {
        for command in commands {
            tell(&self.products, &product::stream(&sku(text)), command, 0).await;
        }
    }

    pub(crate) async fn checkout(&self, number: u128, commands: Vec<checkout::Command>) {
        let stream = checkout::stream(order_id(number));
        for command in commands {
            tell(&self.checkouts, &stream, command, 0).await;
        }
    }

    pub(crate) async fn listed(&self, text: &str, name: &str, price: i64) {
        let (sku, name) = (sku(text), name.parse().unwrap());
        self.product(text, vec![product::Command::List { sku, name, price: gbp(price) }]).await;
    }
}

pub(crate) fn cancel(reason: CancelReason) -> order::Command {
    order::Command::Cancel { reason }
}

pub(crate) fn start(number: u128) -> checkout::Command {
    checkout::Command::Start {
        order: order_id(number),
        reservations: vec![Reservation { sku: sku("A1"), quantity: pieces(1) }],
        total: gbp(500),
        payment_method: "pm_card_visa".parse().unwrap(),
        patience: Patience { settle_s: 60, finish_s: 60 },
    }
}

pub(crate) fn authorise(amount: i64) -> payment::Command {
    let method = "pm_card_visa".parse().unwrap();
    payment::Command::Authorise { amount: gbp(amount), method }
}

pub(crate) fn succeeded(operation: Operation) -> payment::Command {
    let outcome = Outcome::Succeeded { reference: "pi_1".into() };
    payment::Command::Answer { operation, attempt: 1, outcome }
}

pub(crate) fn declined() -> payment::Command {
    let outcome = Outcome::Declined { reason: reason("insufficient-funds") };
    payment::Command::Answer { operation: Operation::Authorisation, attempt: 1, outcome }
}
