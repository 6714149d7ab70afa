use super::{Event, Held, State, Taken};
use crate::values::Money;

/// An event that cannot happen in a state keeps the state.
pub(super) fn evolve(state: State, event: &Event) -> State {
    match (state, event) {
        (
            State::Unrequested | State::NotAuthorised { .. },
            Event::AuthorisationRequested { attempt, amount, method },
        ) => State::Authorising { attempt: *attempt, amount: *amount, method: method.clone() },
        (State::Authorising { .. }, Event::Authorised { amount, reference, .. }) => {
            State::Authorised(Held::fresh(*amount, reference.clone()))
        }
        (
            State::Authorising { amount, method, .. },
            Event::Declined { .. } | Event::AuthorisationFailed { .. },
        ) => State::NotAuthorised { amount, method },

        (State::Authorised(held), Event::CaptureRequested { attempt, amount }) => {
            let held = Held { captures: *attempt, ..held };
            State::Capturing { held, attempt: *attempt, amount: *amount }
        }
        (State::Capturing { held, .. }, Event::Captured { amount, .. }) => {
            State::Captured(Taken::from(held, *amount))
        }
        (State::Capturing { held, .. }, Event::CaptureFailed { .. }) => State::Authorised(held),

        (State::Authorised(held), Event::VoidRequested { attempt }) => {
            State::Voiding { held: Held { voids: *attempt, ..held }, attempt: *attempt }
        }
        (State::Voiding { .. }, Event::Voided { .. }) => State::Voided,
        (State::Voiding { held, .. }, Event::VoidFailed { .. }) => State::Authorised(held),

        (State::Captured(taken), Event::RefundRequested { attempt, amount }) => {
            let taken = Taken { refunds: *attempt, ..taken };
            State::Refunding { taken, attempt: *attempt, amount: *amount }
        }
        (State::Refunding { taken, .. }, Event::Refunded { amount, .. }) => {
            let refunded = taken.refunded.checked_add(*amount).unwrap_or(taken.captured);
            State::Captured(Taken { refunded, ..taken })
        }
        (State::Refunding { taken, .. }, Event::RefundFailed { .. }) => State::Captured(taken),

        (
            same,
            Event::AuthorisationRequested { .. }
            | Event::Authorised { .. }
            | Event::Declined { .. }
            | Event::AuthorisationFailed { .. }
            | Event::CaptureRequested { .. }
            | Event::Captured { .. }
            | Event::CaptureFailed { .. }
            | Event::VoidRequested { .. }
            | Event::Voided { .. }
            | Event::VoidFailed { .. }
            | Event::RefundRequested { .. }
            | Event::Refunded { .. }
            | Event::RefundFailed { .. },
        ) => same,
    }
}

impl Held {
    fn fresh(authorised: Money, reference: String) -> Self {
        Self { authorised, reference, captures: 0, voids: 0 }
    }
}

impl Taken {
    fn from(held: Held, captured: Money) -> Self {
        Self {
            authorised: held.authorised,
            captured,
            refunded: Money::zero(captured.currency()),
            reference: held.reference,
            refunds: 0,
        }
    }
}
