//! What must hold: at every moment, and when nothing can happen any more.

use super::shop::order_id;
use super::{Help, World};
use decider::Owes;
use domain::checkout::checkout::{self, Attention, Checkout, Deadline, Stage};
use domain::inventory::stock;
use domain::orders::order::{self, CancelReason};
use domain::payments::payment;

impl World {
    pub(super) fn check_now(&self) {
        self.nothing_is_undone_before_the_order_is_cancelled();
        self.nothing_is_handed_over_before_the_order_is_shipped();
        self.an_order_is_confirmed_only_with_stock_and_payment();
        self.a_cancellation_says_why();
        self.a_confirmed_order_waits_and_owes_nothing();
        self.an_order_is_closed_only_when_all_is_sent_and_taken();
        self.a_rejected_request_is_noted_and_owed_no_more();
        self.it_never_ends_silently();
        if self.is_completed() {
            self.nothing_is_left_over();
        }
    }

    /// For a world in which nothing can happen any more.
    pub(crate) fn check_end(&self) {
        let attention = self.attention();
        assert!(self.is_completed() || self.needs_attention(), "ended silently: {}", self.story());
        if !self.has_trouble() && self.helped.is_empty() {
            assert!(self.is_completed(), "left open: {}", self.story());
            let late = self
                .checkout
                .log
                .contains(&checkout::Event::DeadlinePassed { deadline: Deadline::Finish });
            let refused = !self.refused.is_empty();
            assert_eq!(attention.contains(&Attention::Unfinished), late, "{}", self.story());
            assert_eq!(attention.contains(&Attention::RequestRefused), refused, "{}", self.story());
            let reasons = usize::from(late) + usize::from(refused);
            assert_eq!(attention.len(), reasons, "{}", self.story());
        }
    }

    pub(crate) fn is_completed(&self) -> bool {
        self.checkout.state == checkout::State::Completed
    }

    /// Whether something went wrong that no rule can settle. Before the order is confirmed every
    /// rejection is settled by cancelling it.
    fn has_trouble(&self) -> bool {
        let can_be_settled =
            |key: &String| ["reserve", "authorise", "confirm"].iter().any(|k| key.starts_with(k));
        !self.refused.iter().all(can_be_settled)
            || self.payment_says(|event| {
                matches!(
                    event,
                    payment::Event::CaptureFailed { .. } | payment::Event::VoidFailed { .. }
                )
            })
    }

    fn order_is(&self, wanted: fn(&order::Event) -> bool) -> bool {
        self.order.log.iter().any(wanted)
    }

    fn is_cancelled(&self) -> bool {
        self.order_is(|event| matches!(event, order::Event::Cancelled { .. }))
    }

    fn nothing_is_undone_before_the_order_is_cancelled(&self) {
        let released = self.stock_says(|event| matches!(event, stock::Event::Released { .. }));
        let undone = self.payment_says(|event| {
            matches!(
                event,
                payment::Event::VoidRequested { .. } | payment::Event::RefundRequested { .. }
            )
        });
        assert!(self.is_cancelled() || !(released || undone), "{}", self.story());
    }

    fn nothing_is_handed_over_before_the_order_is_shipped(&self) {
        let sent = self.stock_says(|event| matches!(event, stock::Event::Shipped { .. }));
        let taken =
            self.payment_says(|event| matches!(event, payment::Event::CaptureRequested { .. }));
        let shipped = self.order_is(|event| matches!(event, order::Event::Shipped { .. }));
        assert!(shipped || !(sent || taken), "{}", self.story());
    }

    fn an_order_is_confirmed_only_with_stock_and_payment(&self) {
        if self.order_is(|event| matches!(event, order::Event::Confirmed {})) {
            let reserved = self.stock.values().all(|stock| {
                stock.log.iter().any(|event| matches!(event, stock::Event::Reserved { .. }))
            });
            let paid = self.is_free()
                || self.payment_says(|event| matches!(event, payment::Event::Authorised { .. }));
            assert!(reserved && paid, "{}", self.story());
        }
    }

    fn a_cancellation_says_why(&self) {
        let reason = self.order.log.iter().find_map(|event| match event {
            order::Event::Cancelled { reason } => Some(*reason),
            order::Event::Placed { .. }
            | order::Event::Confirmed {}
            | order::Event::Shipped { .. }
            | order::Event::Closed {} => None,
        });
        let refused = |key: &str| self.refused.iter().any(|refused| refused.starts_with(key));
        let so = match reason {
            None
            | Some(
                CancelReason::CustomerRequest
                | CancelReason::MerchantRequest
                | CancelReason::FraudSuspected
                | CancelReason::Other,
            ) => true,
            Some(CancelReason::OutOfStock) => {
                refused("reserve")
                    || self.stock_says(|e| matches!(e, stock::Event::ReservationRefused { .. }))
            }
            Some(CancelReason::PaymentDeclined) => {
                self.payment_says(|e| matches!(e, payment::Event::Declined { .. }))
            }
            Some(CancelReason::PaymentFailed) => {
                refused("authorise")
                    || self
                        .payment_says(|e| matches!(e, payment::Event::AuthorisationFailed { .. }))
            }
            Some(CancelReason::CheckoutTimeout) => {
                let settle = checkout::Event::DeadlinePassed { deadline: Deadline::Settle };
                self.checkout.log.contains(&settle)
            }
        };
        assert!(so, "{}", self.story());
    }

    fn a_confirmed_order_waits_and_owes_nothing(&self) {
        let confirmed = self.order.log.last() == Some(&order::Event::Confirmed {});
        let given_up = self.helped.contains(&Help::Cancel);
        if confirmed && !given_up && self.order.delivered == self.order.log.len() {
            assert_eq!(Checkout::pending(&self.checkout.state), [], "{}", self.story());
        }
    }

    fn an_order_is_closed_only_when_all_is_sent_and_taken(&self) {
        if self.order_is(|event| matches!(event, order::Event::Closed {})) {
            let sent = self.stock.values().all(|stock| {
                stock.log.iter().any(|event| matches!(event, stock::Event::Shipped { .. }))
            });
            let taken = self.payment_says(|event| matches!(event, payment::Event::Captured { .. }));
            let settled = self.helped.contains(&Help::Settle);
            assert!(sent && (taken || self.is_free()) || settled, "{}", self.story());
        }
    }

    fn a_rejected_request_is_noted_and_owed_no_more(&self) {
        for refused in &self.refused {
            let noted = self.checkout.log.iter().any(
                |event| matches!(event, checkout::Event::RequestRefused { key, .. } if key == refused),
            );
            let owed = Checkout::pending(&self.checkout.state);
            assert!(noted && owed.iter().all(|due| due.key != *refused), "{}", self.story());
        }
    }

    /// It is done, or owes something, or a person was told, or it waits for the shipment.
    fn it_never_ends_silently(&self) {
        if let checkout::State::Open(work) = &self.checkout.state {
            let owes = !Checkout::pending(&self.checkout.state).is_empty();
            // Nobody waits to ship what was given up.
            let waits = work.stage == Stage::Confirmed && !self.helped.contains(&Help::Cancel);
            assert!(owes || waits || work.attention, "{}", self.story());
        }
    }

    fn nothing_is_left_over(&self) {
        let ends = self.checkout.log.iter().filter(|e| **e == checkout::Event::Completed {});
        assert_eq!(ends.count(), 1, "{}", self.story());
        assert_eq!(self.checkout.log.last(), Some(&checkout::Event::Completed {}));
        assert!(Checkout::pending(&self.checkout.state).is_empty());
        if self.helped.contains(&Help::Settle) {
            return self.what_was_asked_for_is_answered();
        }

        let held = self.stock.values().any(|stock| stock.state.held_for(order_id()).is_some());
        assert!(!held, "stock is still held: {}", self.story());
        let ended_well = match &self.payment.state {
            payment::State::Unrequested => self.is_cancelled() || self.is_free(),
            payment::State::NotAuthorised { .. } | payment::State::Voided => self.is_cancelled(),
            payment::State::Captured(_) => {
                self.order_is(|event| matches!(event, order::Event::Closed {}))
            }
            payment::State::Authorising { .. }
            | payment::State::Authorised(_)
            | payment::State::Capturing { .. }
            | payment::State::Voiding { .. }
            | payment::State::Refunding { .. } => false,
        };
        assert!(ended_well, "money is still held: {}", self.story());
    }

    /// What a person has settled is his, but he is never left with what nobody knows.
    fn what_was_asked_for_is_answered(&self) {
        for (sku, stock) in &self.stock {
            let is_answered = stock.log.iter().any(|event| {
                let refused = matches!(event, stock::Event::ReservationRefused { .. });
                refused || matches!(event, stock::Event::Reserved { .. })
            });
            let is_heard = self.checkout.log.iter().any(|event| {
                let reserved =
                    matches!(event, checkout::Event::StockReserved { sku: of } if of == sku);
                reserved
                    || matches!(event, checkout::Event::StockRefused { sku: of, .. } if of == sku)
            });
            let is_refused = self.refused.contains(&format!("reserve:{sku}"));
            assert!(!is_answered || is_heard || is_refused, "{}", self.story());
        }
        let is_open = matches!(self.payment.state, payment::State::Authorising { .. });
        assert!(!is_open, "{}", self.story());
    }

    fn is_free(&self) -> bool {
        self.order
            .log
            .iter()
            .any(|event| matches!(event, order::Event::Placed { total, .. } if total.is_zero()))
    }

    fn stock_says(&self, wanted: fn(&stock::Event) -> bool) -> bool {
        self.stock.values().any(|stock| stock.log.iter().any(wanted))
    }

    fn payment_says(&self, wanted: fn(&payment::Event) -> bool) -> bool {
        self.payment.log.iter().any(wanted)
    }

    fn story(&self) -> String {
        let stock: Vec<_> = self.stock.values().map(|stock| &stock.log).collect();
        format!(
            "\ncheckout {:#?}\norder {:#?}\nstock {stock:#?}\npayment {:#?}\nrefused {:?}",
            self.checkout.log, self.order.log, self.payment.log, self.refused
        )
    }
}
