//! A request, told by what has happened before it.

use chrono::{DateTime, Utc};
use domain::checkout::checkout::{Command, Patience};
use domain::contract::{kit, payloads};
use domain::ids::OrderId;
use domain::inventory::stock;
use domain::orders::order;
use domain::payments::payment;
use domain::values::{Money, Quantity, Sku};
use event_store::{Metadata, Recorded, encode};
use serde_json::json;
use uuid::Uuid;

pub(super) const PATIENCE: Patience = Patience { settle_s: 900, finish_s: 86_400 };

/// What is answered at once.
pub(super) enum Answer {
    /// With the types of the events: none if it was done before, or is no matter any more.
    Done(&'static [&'static str]),
    /// Refused for now: it is asked again.
    Later(&'static str),
    /// Refused for good: a person has to look.
    Never(&'static str),
}

/// One order for two pieces of one SKU, both named by the case, so that no two cases have a stream in common.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) order: OrderId,
    pub(super) sku: Sku,
    /// In the order in which the checkout has heard of it, or has passed it over.
    pub(super) history: Vec<Recorded>,
    /// What it was told then that no event of others tells.
    pub(super) told: Vec<Command>,
    /// What has happened since, and is not heard of yet.
    pub(super) since: Vec<Recorded>,
    /// The verb of the request.
    pub(super) owes: &'static str,
    pub(super) answer: Answer,
    /// The types of the events that follow on it, be it at once or when the provider has answered: one of them. Each ends
    /// the request.
    pub(super) then: Vec<&'static str>,
}

impl Case {
    pub(super) fn new(name: &'static str) -> Self {
        Case {
            name,
            order: OrderId(Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())),
            sku: name.parse().unwrap(),
            history: Vec::new(),
            told: Vec::new(),
            since: Vec::new(),
            owes: "",
            answer: Answer::Done(&[]),
            then: Vec::new(),
        }
    }

    pub(super) fn after<const N: usize>(mut self, events: impl Fn(&Self) -> [Recorded; N]) -> Self {
        let events = events(&self);
        self.history.extend(events);
        self
    }

    /// The order's stream has lost it, so a person is called, and gives it up.
    pub(super) fn given_up_by_hand(mut self) -> Self {
        let (key, problem) = ("confirm".to_owned(), "not-placed".parse().unwrap());
        self.told.push(Command::RequestRefused { key, problem });
        let reason = "asked for on the telephone".parse().unwrap();
        self.told.push(Command::Cancel { reason, by: None });
        self
    }

    pub(super) fn unheard<const N: usize>(
        mut self,
        events: impl Fn(&Self) -> [Recorded; N],
    ) -> Self {
        let events = events(&self);
        self.since.extend(events);
        self
    }

    pub(super) fn owes(mut self, verb: &'static str) -> Self {
        self.owes = verb;
        self
    }

    /// These events, and each of them ends the request.
    pub(super) fn done(self, events: &'static [&'static str]) -> Self {
        self.begun(events, events)
    }

    /// These events, and one of those `then` ends it.
    pub(super) fn begun(mut self, events: &'static [&'static str], then: &[&'static str]) -> Self {
        self.answer = Answer::Done(events);
        self.then = then.to_vec();
        self
    }

    pub(super) fn refused(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    pub(super) fn placed(&self) -> Recorded {
        let line = order::PlacedLine {
            line: 1_i64.try_into().unwrap(),
            sku: self.sku.clone(),
            quantity: two(),
            unit_price: pounds(10),
            tax_rate: Default::default(),
        };
        self.in_order(&order::Event::Placed {
            order: self.order,
            lines: vec![line],
            shipping: pounds(3),
            discount: pounds(0),
            total: pounds(23),
            customer: None,
            country: "GB".parse().unwrap(),
            payment_method: "pm_card_visa".parse().unwrap(),
        })
    }

    pub(super) fn confirmed(&self) -> Recorded {
        self.in_order(&order::Event::Confirmed {})
    }

    pub(super) fn cancelled(&self) -> Recorded {
        self.in_order(&order::Event::Cancelled { reason: order::CancelReason::CustomerRequest })
    }

    pub(super) fn order_shipped(&self) -> Recorded {
        let all = order::ShippedLine { line: 1_i64.try_into().unwrap(), quantity: two() };
        self.in_order(&order::Event::Shipped { lines: vec![all] })
    }

    pub(super) fn received(&self, quantity: i64) -> Recorded {
        self.in_stock(&stock::Event::Received { quantity: quantity.try_into().unwrap() })
    }

    pub(super) fn reserved(&self) -> Recorded {
        self.in_stock(&stock::Event::Reserved { order: self.order, quantity: two() })
    }

    pub(super) fn reservation_refused(&self) -> Recorded {
        let (order, reason) = (self.order, "out-of-stock".parse().unwrap());
        self.in_stock(&stock::Event::ReservationRefused { order, quantity: two(), reason })
    }

    pub(super) fn stock_shipped(&self) -> Recorded {
        self.in_stock(&stock::Event::Shipped { order: self.order, quantity: two() })
    }

    pub(super) fn authorisation_requested(&self) -> Recorded {
        let (amount, method) = (pounds(23), "pm_card_visa".parse().unwrap());
        self.in_payment(&payment::Event::AuthorisationRequested { attempt: 1, amount, method })
    }

    pub(super) fn authorised(&self) -> Recorded {
        let (amount, reference) = (pounds(23), "pi_1".to_owned());
        self.in_payment(&payment::Event::Authorised { attempt: 1, amount, reference })
    }

    pub(super) fn capture_requested(&self) -> Recorded {
        self.in_payment(&payment::Event::CaptureRequested { attempt: 1, amount: pounds(23) })
    }

    pub(super) fn captured(&self) -> Recorded {
        self.in_payment(&payment::Event::Captured { attempt: 1, amount: pounds(23) })
    }

    /// An event of this type, of the corpus, about this order.
    pub(super) fn happens(&self, event_type: &str) -> Recorded {
        let is_it = |event: &domain::contract::Payload| event.event_type == event_type;
        let event = payloads().into_iter().find(is_it).unwrap();
        let mut payload = kit::sample(event_type, event.version);
        if payload.get("order").is_some() {
            payload["order"] = json!(self.order);
        }
        let stream = match event.service {
            "orders" => order::stream(self.order),
            "inventory" => stock::stream(&self.sku),
            _ => payment::stream(self.order),
        };
        recorded(event.service, stream, (event_type, event.version, payload.to_string()))
    }

    fn in_order(&self, event: &order::Event) -> Recorded {
        recorded("orders", order::stream(self.order), encode(event))
    }

    fn in_stock(&self, event: &stock::Event) -> Recorded {
        recorded("inventory", stock::stream(&self.sku), encode(event))
    }

    fn in_payment(&self, event: &payment::Event) -> Recorded {
        recorded("payments", payment::stream(self.order), encode(event))
    }
}

pub(super) fn then() -> DateTime<Utc> {
    DateTime::from_timestamp(1_300_000_000, 0).unwrap()
}

pub(super) fn metadata(order: OrderId) -> Metadata {
    Metadata {
        correlation: "a-contract".to_owned(),
        causation: Some(order.0),
        actor: "checkout-saga".to_owned(),
        traceparent: None,
    }
}

fn recorded(service: &str, stream: String, stored: (&str, i32, String)) -> Recorded {
    event_store::kit::recorded(service, stream, stored, then())
}

fn two() -> Quantity {
    2_i64.try_into().unwrap()
}

fn pounds(amount: i64) -> Money {
    Money::new(amount * 100, "GBP".parse().unwrap()).unwrap()
}
