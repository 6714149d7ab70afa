//! What an open checkout knows, and how each fact changes it. A fact that cannot follow on what is
//! known leaves everything as it is.

use super::pending::{CancelReason, Request, pending};
use super::{Deadline, Event, Patience, State};
use crate::values::{Money, PaymentMethod, Quantity, Sku};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    pub total: Money,
    pub payment_method: PaymentMethod,
    pub patience: Patience,
    pub stage: Stage,
    pub items: BTreeMap<Sku, Item>,
    pub payment: Pay,
    /// Names of requests that their owner rejected; they are owed no more.
    pub refused: BTreeSet<String>,
    /// Which try it is, of the requests that are tried again: by their names, from 2.
    pub tries: BTreeMap<String, u32>,
    /// The deadline to finish has passed.
    pub overdue: bool,
    /// A person was called, and has not come yet.
    pub attention: bool,
}

/// How far the order has come, as far as the checkout has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Stock and payment are being gathered.
    Settling,
    /// The order cannot be had, and the order stream is asked to cancel it.
    Failing {
        reason: CancelReason,
    },
    Confirmed,
    Cancelled,
    Shipped,
    Closed,
    /// The order's stream refused what it was asked last, and a person has settled that.
    Settled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    pub quantity: Quantity,
    pub hold: Hold,
}

/// The reservation of one SKU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Asked for, and the answer is not known.
    Asked,
    Refused,
    Reserved,
    Released,
    Shipped,
    /// Was reserved when a person settled it.
    Settled,
}

/// The order's payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pay {
    /// The total is 0.
    NotNeeded,
    /// Stock comes first.
    NotAsked,
    /// Asked for, and the answer is not known.
    Asked,
    /// Declined or failed for good: nothing is held.
    Refused,
    Authorised,
    Captured,
    CaptureFailed,
    Voided,
    VoidFailed,
    Refunded,
    RefundFailed,
    /// Whatever became of it, a person has settled it.
    Settled,
}

pub(super) fn evolve(state: State, event: &Event) -> State {
    match (state, event) {
        (
            State::NotStarted,
            Event::Started { reservations, total, payment_method, patience, order: _ },
        ) => {
            let mut work = Work {
                total: *total,
                payment_method: payment_method.clone(),
                patience: *patience,
                stage: Stage::Settling,
                items: BTreeMap::new(),
                payment: if total.is_zero() { Pay::NotNeeded } else { Pay::NotAsked },
                refused: BTreeSet::new(),
                tries: BTreeMap::new(),
                overdue: false,
                attention: false,
            };
            for wanted in reservations {
                let asked = Item { quantity: wanted.quantity, hold: Hold::Asked };
                work.items.entry(wanted.sku.clone()).or_insert(asked);
            }
            work.ask_for_payment();
            State::Open(work)
        }
        (State::Open(_), Event::Completed {}) => State::Completed,
        (State::Open(mut work), fact) => {
            work.learn(fact);
            State::Open(work)
        }
        (same @ (State::NotStarted | State::Completed), _ignored) => same,
    }
}

impl Work {
    /// Nothing is held any more, neither stock nor money, and nothing is left to do.
    pub fn is_finished(&self) -> bool {
        match self.stage {
            Stage::Settling | Stage::Failing { .. } | Stage::Confirmed | Stage::Shipped => false,
            Stage::Cancelled => {
                self.items.values().all(|item| item.hold.is_nothing_held())
                    && self.payment.is_nothing_held()
            }
            Stage::Closed => self.is_delivered(),
            // What was asked for is known first, also here.
            Stage::Settled => {
                self.items.values().all(|item| item.hold != Hold::Asked)
                    && self.payment != Pay::Asked
            }
        }
    }

    /// Everything is reserved and what has to be paid is authorised.
    pub(super) fn is_ready(&self) -> bool {
        let may_be_taken = self.payment == Pay::NotNeeded || self.payment == Pay::Authorised;
        self.all(Hold::Reserved) && may_be_taken
    }

    /// Everything is shipped and what had to be paid was taken, or a person has settled it.
    pub(super) fn is_delivered(&self) -> bool {
        let is_sent = |item: &Item| item.hold == Hold::Shipped || item.hold == Hold::Settled;
        self.items.values().all(is_sent) && self.payment.is_settled()
    }

    /// The order is cancelled or shipped, and what follows from that has a deadline.
    pub(super) fn is_ending(&self) -> bool {
        match self.stage {
            Stage::Settling | Stage::Failing { .. } | Stage::Confirmed | Stage::Settled => false,
            Stage::Cancelled | Stage::Shipped | Stage::Closed => true,
        }
    }

    /// The key of a request at the try that it has come to.
    pub(super) fn key(&self, request: &Request) -> String {
        let name = request.name();
        match self.tries.get(&name) {
            Some(nth) => format!("{name}:{nth}"),
            None => name,
        }
    }

    fn all(&self, hold: Hold) -> bool {
        self.items.values().all(|item| item.hold == hold)
    }

    fn learn(&mut self, fact: &Event) {
        match fact {
            Event::StockReserved { sku } => {
                // What was refused and is held all the same has to be released, so it counts.
                self.hold(sku, &[Hold::Asked, Hold::Refused], Hold::Reserved);
                self.ask_for_payment();
            }
            Event::StockRefused { sku, .. } => self.refuse_stock(sku),
            Event::StockReleased { sku } => self.hold(sku, &[Hold::Reserved], Hold::Released),
            Event::StockShipped { sku } => self.hold(sku, &[Hold::Reserved], Hold::Shipped),
            // The same for money that is held: it has to be voided, whatever was said before.
            Event::PaymentAuthorised {} => {
                self.pay(&[Pay::NotAsked, Pay::Asked, Pay::Refused], Pay::Authorised);
            }
            Event::PaymentDeclined { .. } => self.refuse_payment(CancelReason::PaymentDeclined),
            Event::PaymentFailed { .. } => self.refuse_payment(CancelReason::PaymentFailed),
            Event::PaymentCaptured {} => {
                self.pay(&[Pay::Authorised, Pay::CaptureFailed, Pay::VoidFailed], Pay::Captured);
            }
            Event::CaptureFailed { .. } => self.pay(&[Pay::Authorised], Pay::CaptureFailed),
            Event::PaymentVoided {} => {
                self.pay(&[Pay::Authorised, Pay::CaptureFailed, Pay::VoidFailed], Pay::Voided);
            }
            Event::VoidFailed { .. } => {
                self.pay(&[Pay::Authorised, Pay::CaptureFailed], Pay::VoidFailed);
            }
            Event::PaymentRefunded {} => {
                self.pay(&[Pay::Captured, Pay::RefundFailed], Pay::Refunded);
            }
            Event::RefundFailed { .. } => self.pay(&[Pay::Captured], Pay::RefundFailed),
            Event::OrderConfirmed {} => self.move_on_to(Stage::Confirmed),
            Event::OrderCancelled { .. } => self.move_on_to(Stage::Cancelled),
            Event::OrderShipped {} => self.move_on_to(Stage::Shipped),
            Event::OrderClosed {} => self.move_on_to(Stage::Closed),
            Event::DeadlinePassed { deadline: Deadline::Settle } => {
                self.fail(CancelReason::CheckoutTimeout);
            }
            Event::DeadlinePassed { deadline: Deadline::Finish } => {
                self.overdue = self.is_ending();
            }
            Event::RequestRefused { key, .. } => self.give_up(key),
            Event::NeedsAttention { .. } => self.attention = true,
            Event::Retried { .. } => self.retry(),
            Event::CancelledByHand { .. } => self.cancel(),
            Event::SettledByHand { .. } => self.settle(),
            Event::Started { .. } | Event::Completed {} => {}
        }
    }

    /// The order's own stream says in which order these come; what was overtaken is not taken back.
    fn move_on_to(&mut self, next: Stage) {
        let follows = match (self.stage, next) {
            // A confirmation that was under way takes nothing back: the person wants it cancelled all
            // the same.
            (Stage::Failing { reason: CancelReason::ByHand }, Stage::Confirmed) => false,
            (Stage::Settling | Stage::Failing { .. }, Stage::Confirmed) => true,
            (
                Stage::Settling | Stage::Failing { .. } | Stage::Confirmed,
                Stage::Cancelled | Stage::Shipped,
            ) => true,
            (Stage::Shipped, Stage::Closed) => true,
            (
                Stage::Settling
                | Stage::Failing { .. }
                | Stage::Confirmed
                | Stage::Cancelled
                | Stage::Shipped
                | Stage::Closed
                | Stage::Settled,
                Stage::Settling
                | Stage::Failing { .. }
                | Stage::Confirmed
                | Stage::Cancelled
                | Stage::Shipped
                | Stage::Closed
                | Stage::Settled,
            ) => false,
        };
        if follows {
            self.stage = next;
        }
    }

    pub(super) fn hold(&mut self, sku: &Sku, from: &[Hold], to: Hold) {
        if let Some(item) = self.items.get_mut(sku).filter(|item| from.contains(&item.hold)) {
            item.hold = to;
        }
    }

    fn pay(&mut self, from: &[Pay], to: Pay) {
        if from.contains(&self.payment) {
            self.payment = to;
        }
    }

    fn refuse_stock(&mut self, sku: &Sku) {
        if self.items.get(sku).is_some_and(|item| item.hold == Hold::Asked) {
            self.hold(sku, &[Hold::Asked], Hold::Refused);
            self.fail(CancelReason::OutOfStock);
        }
    }

    fn refuse_payment(&mut self, reason: CancelReason) {
        if self.payment == Pay::Asked {
            self.payment = Pay::Refused;
            self.fail(reason);
        }
    }

    fn ask_for_payment(&mut self) {
        if self.stage == Stage::Settling && self.all(Hold::Reserved) {
            self.pay(&[Pay::NotAsked], Pay::Asked);
        }
    }

    /// The first reason counts.
    fn fail(&mut self, reason: CancelReason) {
        if self.stage == Stage::Settling {
            self.stage = Stage::Failing { reason };
        }
    }

    /// A rejected request did nothing and never will, so its outcome is known.
    fn give_up(&mut self, key: &str) {
        let Some(due) = pending(self).into_iter().find(|due| due.key == key) else { return };
        self.refused.insert(due.request.name());
        match due.request {
            Request::Reserve { sku, .. } => self.refuse_stock(&sku),
            Request::Authorise { .. } => self.refuse_payment(CancelReason::PaymentFailed),
            Request::Release { .. }
            | Request::ShipStock { .. }
            | Request::Capture { .. }
            | Request::Void {}
            | Request::Refund { .. }
            | Request::ConfirmOrder {}
            | Request::CancelOrder { .. }
            | Request::CloseOrder {}
            | Request::Deadline { .. } => {}
        }
    }
}

impl Hold {
    fn is_nothing_held(self) -> bool {
        match self {
            Self::Refused | Self::Released | Self::Shipped | Self::Settled => true,
            Self::Asked | Self::Reserved => false,
        }
    }
}

impl Pay {
    /// Neither held nor taken, and not asked for either; or a person has settled it.
    fn is_nothing_held(self) -> bool {
        match self {
            Self::NotNeeded
            | Self::NotAsked
            | Self::Refused
            | Self::Voided
            | Self::Refunded
            | Self::Settled => true,
            Self::Asked
            | Self::Authorised
            | Self::Captured
            | Self::CaptureFailed
            | Self::VoidFailed
            | Self::RefundFailed => false,
        }
    }

    /// Taken, if anything had to be; what people refund later does not undo that.
    fn is_settled(self) -> bool {
        match self {
            Self::NotNeeded
            | Self::Captured
            | Self::Refunded
            | Self::RefundFailed
            | Self::Settled => true,
            Self::NotAsked
            | Self::Asked
            | Self::Refused
            | Self::Authorised
            | Self::CaptureFailed
            | Self::Voided
            | Self::VoidFailed => false,
        }
    }
}
