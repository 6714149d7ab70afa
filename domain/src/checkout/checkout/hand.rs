//! What a person may do about a checkout that needs attention, and what comes of it.

use super::pending::{CancelReason, Request, wanted};
use super::work::{Hold, Pay, Stage, Work};
use super::{Command, Deadline, Rejection, State};

/// Facts are always allowed: what happened elsewhere has happened.
pub(super) fn allowed(state: &State, command: &Command) -> Result<(), Rejection> {
    match command {
        Command::Retry { .. } => needing_attention(state).map(|_| ()),
        Command::Cancel { .. } => may_cancel(needing_attention(state)?),
        Command::Settle { .. } => may_settle(needing_attention(state)?),
        Command::Start { .. }
        | Command::StockReserved { .. }
        | Command::StockRefused { .. }
        | Command::StockReleased { .. }
        | Command::StockShipped { .. }
        | Command::PaymentAuthorised {}
        | Command::PaymentDeclined { .. }
        | Command::PaymentFailed { .. }
        | Command::PaymentCaptured {}
        | Command::CaptureFailed { .. }
        | Command::PaymentVoided {}
        | Command::VoidFailed { .. }
        | Command::PaymentRefunded {}
        | Command::RefundFailed { .. }
        | Command::OrderConfirmed {}
        | Command::OrderCancelled { .. }
        | Command::OrderShipped {}
        | Command::OrderClosed {}
        | Command::DeadlinePassed { .. }
        | Command::RequestRefused { .. } => Ok(()),
    }
}

fn needing_attention(state: &State) -> Result<&Work, Rejection> {
    match state {
        State::NotStarted => Err(Rejection::NotStarted),
        State::Completed => Err(Rejection::Completed),
        State::Open(work) if work.attention => Ok(work),
        State::Open(_) => Err(Rejection::NoAttention),
    }
}

fn may_cancel(work: &Work) -> Result<(), Rejection> {
    match work.stage {
        Stage::Settling | Stage::Failing { .. } | Stage::Confirmed | Stage::Settled => Ok(()),
        Stage::Cancelled => Err(Rejection::Cancelled),
        Stage::Shipped | Stage::Closed => Err(Rejection::AlreadyShipped),
    }
}

/// What is owed once the order has ended can be settled by hand. Before that, nobody knows what it will
/// be; but an order whose stream refuses to be cancelled, because it has lost it perhaps, never ends.
fn may_settle(work: &Work) -> Result<(), Rejection> {
    match work.stage {
        Stage::Cancelled | Stage::Shipped | Stage::Closed | Stage::Settled => Ok(()),
        Stage::Failing { reason } => {
            let cancel = Request::CancelOrder { reason }.name();
            work.refused.contains(&cancel).then_some(()).ok_or(Rejection::NotEnded)
        }
        Stage::Settling | Stage::Confirmed => Err(Rejection::NotEnded),
    }
}

impl Work {
    /// What failed is as it was before it was asked for, and what is asked for again has another key.
    pub(super) fn retry(&mut self) {
        for name in std::mem::take(&mut self.refused) {
            self.try_again(name);
        }
        if let Some((before, request)) = self.failed_payment() {
            self.payment = before;
            self.try_again(request.name());
        }
        self.end_attention();
    }

    /// Always under a new key: under the last one the order may have been asked for another reason.
    pub(super) fn cancel(&mut self) {
        match self.stage {
            Stage::Settling | Stage::Failing { .. } | Stage::Confirmed | Stage::Settled => {
                let reason = CancelReason::ByHand;
                self.stage = Stage::Failing { reason };
                let cancel = Request::CancelOrder { reason }.name();
                self.refused.remove(&cancel);
                self.try_again(cancel);
            }
            Stage::Cancelled | Stage::Shipped | Stage::Closed => {}
        }
        self.end_attention();
    }

    /// A reservation or an authorisation whose outcome is unknown is never among it: it stays owed until
    /// it is answered.
    pub(super) fn settle(&mut self) {
        if self.failed_payment().is_some() {
            self.payment = Pay::Settled;
        }
        let (late, refused) = (self.overdue, self.refused.clone());
        for request in wanted(self).collect::<Vec<_>>() {
            let is_refused = refused.contains(&request.name());
            match request {
                Request::Release { sku } | Request::ShipStock { sku } if late || is_refused => {
                    self.hold(&sku, &[Hold::Reserved], Hold::Settled);
                }
                Request::Capture { .. } | Request::Void {} | Request::Refund { .. }
                    if late || is_refused =>
                {
                    self.payment = Pay::Settled;
                }
                Request::CancelOrder { .. } | Request::CloseOrder {} if is_refused => {
                    self.stage = Stage::Settled;
                }
                Request::Release { .. }
                | Request::ShipStock { .. }
                | Request::Capture { .. }
                | Request::Void {}
                | Request::Refund { .. }
                | Request::CancelOrder { .. }
                | Request::CloseOrder {}
                | Request::Reserve { .. }
                | Request::Authorise { .. }
                | Request::ConfirmOrder {}
                | Request::Deadline { .. } => {}
            }
        }
        self.end_attention();
    }

    /// What the provider refused of the payment, and how the payment stood before it was asked.
    fn failed_payment(&self) -> Option<(Pay, Request)> {
        let amount = self.total;
        match self.payment {
            Pay::CaptureFailed => Some((Pay::Authorised, Request::Capture { amount })),
            Pay::VoidFailed => Some((Pay::Authorised, Request::Void {})),
            Pay::RefundFailed => Some((Pay::Captured, Request::Refund { amount })),
            Pay::NotNeeded
            | Pay::NotAsked
            | Pay::Asked
            | Pay::Refused
            | Pay::Authorised
            | Pay::Captured
            | Pay::Voided
            | Pay::Refunded
            | Pay::Settled => None,
        }
    }

    /// There is always something that calls a person again: what is asked for may fail, and there is a
    /// deadline for it.
    fn end_attention(&mut self) {
        self.attention = false;
        if std::mem::take(&mut self.overdue) {
            self.try_again(Request::Deadline { deadline: Deadline::Finish }.name());
        }
    }

    fn try_again(&mut self, name: String) {
        *self.tries.entry(name).or_insert(1) += 1;
    }
}
