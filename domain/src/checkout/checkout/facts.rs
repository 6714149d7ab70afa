//! From a fact, or what a person does, to what the stream says about it.

use super::{Attention, Command, Deadline, Event, State, work};

/// A fact is written down if it changes what the checkout knows; with it, what a person has to hear,
/// and the end when it was the last thing to wait for.
pub(super) fn decide(state: &State, command: &Command) -> Vec<Event> {
    let fact = event_of(command);
    let after = work::evolve(state.clone(), &fact);
    if after == *state {
        return vec![];
    }
    let attention = attention(&fact).map(|reason| Event::NeedsAttention { reason });
    let completed = match &after {
        State::Open(work) if work.is_finished() => Some(Event::Completed {}),
        State::Open(_) | State::NotStarted | State::Completed => None,
    };
    [Some(fact), attention, completed].into_iter().flatten().collect()
}

fn event_of(command: &Command) -> Event {
    match command.clone() {
        Command::Start { order, reservations, total, payment_method, patience } => {
            Event::Started { order, reservations, total, payment_method, patience }
        }
        Command::StockReserved { sku } => Event::StockReserved { sku },
        Command::StockRefused { sku, reason } => Event::StockRefused { sku, reason },
        Command::StockReleased { sku } => Event::StockReleased { sku },
        Command::StockShipped { sku } => Event::StockShipped { sku },
        Command::PaymentAuthorised {} => Event::PaymentAuthorised {},
        Command::PaymentDeclined { reason } => Event::PaymentDeclined { reason },
        Command::PaymentFailed { reason } => Event::PaymentFailed { reason },
        Command::PaymentCaptured {} => Event::PaymentCaptured {},
        Command::CaptureFailed { reason } => Event::CaptureFailed { reason },
        Command::PaymentVoided {} => Event::PaymentVoided {},
        Command::VoidFailed { reason } => Event::VoidFailed { reason },
        Command::PaymentRefunded {} => Event::PaymentRefunded {},
        Command::RefundFailed { reason } => Event::RefundFailed { reason },
        Command::OrderConfirmed {} => Event::OrderConfirmed {},
        Command::OrderCancelled { reason } => Event::OrderCancelled { reason },
        Command::OrderShipped {} => Event::OrderShipped {},
        Command::OrderClosed {} => Event::OrderClosed {},
        Command::DeadlinePassed { deadline } => Event::DeadlinePassed { deadline },
        Command::RequestRefused { key, problem } => Event::RequestRefused { key, problem },
        Command::Retry { reason, by } => Event::Retried { reason, by },
        Command::Cancel { reason, by } => Event::CancelledByHand { reason, by },
        Command::Settle { reason, by } => Event::SettledByHand { reason, by },
    }
}

fn attention(fact: &Event) -> Option<Attention> {
    match fact {
        Event::CaptureFailed { .. } => Some(Attention::CaptureFailed),
        Event::VoidFailed { .. } => Some(Attention::VoidFailed),
        Event::RefundFailed { .. } => Some(Attention::RefundFailed),
        Event::RequestRefused { .. } => Some(Attention::RequestRefused),
        Event::DeadlinePassed { deadline: Deadline::Finish } => Some(Attention::Unfinished),
        Event::DeadlinePassed { deadline: Deadline::Settle }
        | Event::Started { .. }
        | Event::StockReserved { .. }
        | Event::StockRefused { .. }
        | Event::StockReleased { .. }
        | Event::StockShipped { .. }
        | Event::PaymentAuthorised {}
        | Event::PaymentDeclined { .. }
        | Event::PaymentFailed { .. }
        | Event::PaymentCaptured {}
        | Event::PaymentVoided {}
        | Event::PaymentRefunded {}
        | Event::OrderConfirmed {}
        | Event::OrderCancelled { .. }
        | Event::OrderShipped {}
        | Event::OrderClosed {}
        | Event::NeedsAttention { .. }
        | Event::Retried { .. }
        | Event::CancelledByHand { .. }
        | Event::SettledByHand { .. }
        | Event::Completed {} => None,
    }
}
