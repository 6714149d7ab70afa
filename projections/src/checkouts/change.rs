//! What a batch says of one checkout.

use chrono::{DateTime, Utc};
use domain::checkout::checkout::{Attention, Event, Reservation};
use domain::values::{Money, Operator, Remark};
use event_store::Recorded;

#[derive(Default)]
pub(super) struct Change {
    pub(super) state: Option<&'static str>,
    pub(super) outcome: Option<&'static str>,
    /// The version with which attention ended: what was known of it before counts no more.
    pub(super) attention_ended: Option<i64>,
    /// Why a person has to look and since when, and what led to it: the first time since the last one
    /// came.
    pub(super) attention: Option<&'static str>,
    pub(super) attention_since: Option<DateTime<Utc>>,
    pub(super) trouble: Option<String>,
    /// The last time.
    pub(super) hand: Option<Hand>,
    pub(super) started: Option<Started>,
    pub(super) version: i64,
}

pub(super) struct Started {
    pub(super) reservations: Vec<Reservation>,
    pub(super) total: Money,
    pub(super) at: DateTime<Utc>,
}

/// What a person did.
pub(super) struct Hand {
    pub(super) act: &'static str,
    pub(super) reason: Remark,
    pub(super) by: Option<Operator>,
    pub(super) at: DateTime<Utc>,
}

impl Change {
    pub(super) fn take(&mut self, event: Event, recorded: &Recorded) {
        self.version = recorded.version;
        let at = recorded.occurred_at;
        match event {
            Event::Started { order: _, reservations, total, payment_method: _, patience: _ } => {
                self.state = Some("running");
                self.started = Some(Started { reservations, total, at });
            }
            Event::OrderConfirmed {} => self.outcome = Some("confirmed"),
            Event::OrderCancelled { .. } => self.outcome = Some("cancelled"),
            Event::CaptureFailed { reason }
            | Event::VoidFailed { reason }
            | Event::RefundFailed { reason } => self.meet(reason.into()),
            Event::RequestRefused { key, problem } => self.meet(format!("{key}: {problem}")),
            Event::NeedsAttention { reason } => {
                self.state = Some("needs-attention");
                if self.attention.is_none() {
                    self.attention = Some(word(reason));
                    self.attention_since = Some(at);
                }
            }
            Event::Retried { reason, by } => self.help("retried", reason, by, at),
            Event::CancelledByHand { reason, by } => self.help("cancelled", reason, by, at),
            Event::SettledByHand { reason, by } => self.help("settled", reason, by, at),
            Event::Completed {} => self.end_attention("completed"),
            Event::StockReserved { .. }
            | Event::StockRefused { .. }
            | Event::StockReleased { .. }
            | Event::StockShipped { .. }
            | Event::PaymentAuthorised {}
            | Event::PaymentDeclined { .. }
            | Event::PaymentFailed { .. }
            | Event::PaymentCaptured {}
            | Event::PaymentVoided {}
            | Event::PaymentRefunded {}
            | Event::OrderShipped {}
            | Event::OrderClosed {}
            | Event::DeadlinePassed { .. } => {}
        }
    }

    fn meet(&mut self, trouble: String) {
        self.trouble.get_or_insert(trouble);
    }

    fn help(&mut self, act: &'static str, reason: Remark, by: Option<Operator>, at: DateTime<Utc>) {
        self.hand = Some(Hand { act, reason, by, at });
        self.end_attention("running");
    }

    fn end_attention(&mut self, state: &'static str) {
        self.state = Some(state);
        self.attention_ended = Some(self.version);
        (self.attention, self.attention_since, self.trouble) = (None, None, None);
    }
}

fn word(reason: Attention) -> &'static str {
    match reason {
        Attention::CaptureFailed => "capture-failed",
        Attention::VoidFailed => "void-failed",
        Attention::RefundFailed => "refund-failed",
        Attention::RequestRefused => "request-refused",
        Attention::Unfinished => "unfinished",
    }
}
