//! What reactors and workers do: facts from the owners to the checkout, requests back.

use super::shop::order_id;
use super::{Source, World};
use decider::Owes;
use domain::checkout::checkout::{self, Command, Patience, Request, Reservation};
use domain::inventory::stock;
use domain::orders::order;
use domain::payments::payment::{self, Outcome, Payment};
use domain::values::Sku;

impl World {
    /// Moves on to the next fact of a stream and gives its place, which is past the end if there is
    /// none.
    pub(super) fn advance(&mut self, source: &Source) -> usize {
        let (delivered, length) = match source {
            Source::Order => (&mut self.order.delivered, self.order.log.len()),
            Source::Payment => (&mut self.payment.delivered, self.payment.log.len()),
            Source::Stock(sku) => {
                let stock = self.stock.get_mut(sku).unwrap();
                (&mut stock.delivered, stock.log.len())
            }
        };
        let place = *delivered;
        *delivered = length.min(place + 1);
        place
    }

    pub(super) fn deliver(&mut self, source: &Source, place: usize) {
        let fact = match source {
            Source::Order => self.order.log.get(place).and_then(of_order),
            Source::Payment => self.payment.log.get(place).and_then(of_payment),
            Source::Stock(sku) => self.stock[sku].log.get(place).and_then(|e| of_stock(sku, e)),
        };
        if let Some(fact) = fact {
            self.tell(format!("{source:?} {place}"), fact);
        }
    }

    pub(super) fn answer(&mut self, outcome: &Outcome) {
        if let Some(due) = Payment::pending(&self.payment.state).pop() {
            let command = payment::Command::Answer {
                operation: due.request.operation,
                attempt: due.request.attempt,
                outcome: outcome.clone(),
            };
            self.payment.send(&due.key, &command).unwrap();
        }
    }

    /// The slug of the rejection, if the owner rejects.
    pub(super) fn carry_out(&mut self, key: &str, request: Request) -> Result<(), &'static str> {
        let order = order_id();
        match request {
            Request::Reserve { sku, quantity } => {
                self.send_to_stock(key, &sku, stock::Command::Reserve { order, quantity })
            }
            Request::Release { sku } => {
                self.send_to_stock(key, &sku, stock::Command::Release { order })
            }
            Request::ShipStock { sku } => {
                self.send_to_stock(key, &sku, stock::Command::Ship { order })
            }
            Request::Authorise { amount, method } => {
                self.send_to_payment(key, payment::Command::Authorise { amount, method })
            }
            Request::Capture { amount } => {
                self.send_to_payment(key, payment::Command::Capture { amount })
            }
            Request::Void {} => self.send_to_payment(key, payment::Command::Void {}),
            Request::Refund { amount } => {
                self.send_to_payment(key, payment::Command::Refund { amount: Some(amount) })
            }
            Request::ConfirmOrder {} => self.send_to_order(key, order::Command::Confirm {}),
            Request::CancelOrder { reason } => {
                let reason = cancel_reason(reason);
                self.send_to_order(key, order::Command::Cancel { reason })
            }
            Request::CloseOrder {} => self.send_to_order(key, order::Command::Close {}),
            Request::Deadline { deadline } => {
                self.tell(key.to_owned(), Command::DeadlinePassed { deadline });
                Ok(())
            }
        }
    }

    fn send_to_stock(
        &mut self,
        key: &str,
        sku: &Sku,
        command: stock::Command,
    ) -> Result<(), &'static str> {
        self.stock.get_mut(sku).unwrap().send(key, &command).map_err(|refusal| refusal.slug())
    }

    fn send_to_payment(
        &mut self,
        key: &str,
        command: payment::Command,
    ) -> Result<(), &'static str> {
        self.payment.send(key, &command).map_err(|refusal| refusal.slug())
    }

    fn send_to_order(&mut self, key: &str, command: order::Command) -> Result<(), &'static str> {
        self.order.send(key, &command).map_err(|refusal| refusal.slug())
    }
}

fn cancel_reason(reason: checkout::CancelReason) -> order::CancelReason {
    match reason {
        checkout::CancelReason::OutOfStock => order::CancelReason::OutOfStock,
        checkout::CancelReason::PaymentDeclined => order::CancelReason::PaymentDeclined,
        checkout::CancelReason::PaymentFailed => order::CancelReason::PaymentFailed,
        checkout::CancelReason::CheckoutTimeout => order::CancelReason::CheckoutTimeout,
        checkout::CancelReason::ByHand => order::CancelReason::MerchantRequest,
    }
}

fn of_order(event: &order::Event) -> Option<Command> {
    Some(match event {
        order::Event::Placed { order, lines, total, payment_method, .. } => Command::Start {
            order: *order,
            reservations: lines
                .iter()
                .map(|line| Reservation { sku: line.sku.clone(), quantity: line.quantity })
                .collect(),
            total: *total,
            payment_method: payment_method.clone(),
            patience: Patience { settle_s: 600, finish_s: 3600 },
        },
        order::Event::Confirmed {} => Command::OrderConfirmed {},
        order::Event::Cancelled { reason } => Command::OrderCancelled { reason: (*reason).into() },
        order::Event::Shipped { .. } => Command::OrderShipped {},
        order::Event::Closed {} => Command::OrderClosed {},
    })
}

fn of_stock(sku: &Sku, event: &stock::Event) -> Option<Command> {
    let sku = sku.clone();
    match event {
        stock::Event::Received { .. } | stock::Event::Adjusted { .. } => None,
        stock::Event::Reserved { .. } => Some(Command::StockReserved { sku }),
        stock::Event::ReservationRefused { reason, .. } => {
            Some(Command::StockRefused { sku, reason: reason.clone() })
        }
        stock::Event::Released { .. } => Some(Command::StockReleased { sku }),
        stock::Event::Shipped { .. } => Some(Command::StockShipped { sku }),
    }
}

fn of_payment(event: &payment::Event) -> Option<Command> {
    match event.clone() {
        payment::Event::AuthorisationRequested { .. }
        | payment::Event::CaptureRequested { .. }
        | payment::Event::VoidRequested { .. }
        | payment::Event::RefundRequested { .. } => None,
        payment::Event::Authorised { .. } => Some(Command::PaymentAuthorised {}),
        payment::Event::Declined { reason, .. } => Some(Command::PaymentDeclined { reason }),
        payment::Event::AuthorisationFailed { reason, .. } => {
            Some(Command::PaymentFailed { reason })
        }
        payment::Event::Captured { .. } => Some(Command::PaymentCaptured {}),
        payment::Event::CaptureFailed { reason, .. } => Some(Command::CaptureFailed { reason }),
        payment::Event::Voided { .. } => Some(Command::PaymentVoided {}),
        payment::Event::VoidFailed { reason, .. } => Some(Command::VoidFailed { reason }),
        payment::Event::Refunded { .. } => Some(Command::PaymentRefunded {}),
        payment::Event::RefundFailed { reason, .. } => Some(Command::RefundFailed { reason }),
    }
}
