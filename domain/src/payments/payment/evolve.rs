use super::{Event, Held, State, Taken};
use crate::values::Money;

/// An event that cannot happen in a state keeps the state.
pub(super) fn evolve(state: State, event: &Event) -> State {
    match event {
        Event::AuthorisationRequested { attempt, amount, method } => {
            State::Authorising { attempt: *attempt, amount: *amount, method: method.clone() }
        }
        Event::Authorised { amount, reference, .. } => State::Authorised(Held {
            authorised: *amount,
            reference: reference.clone(),
            captures: 0,
            voids: 0,
        }),
        Event::Declined { .. } | Event::AuthorisationFailed { .. } => not_authorised(state),
        Event::CaptureRequested { attempt, amount } => match held(state) {
            Ok(held) => State::Capturing {
                held: Held { captures: *attempt, ..held },
                attempt: *attempt,
                amount: *amount,
            },
            Err(same) => same,
        },
        Event::Captured { amount, .. } => match held(state) {
            Ok(held) => State::Captured(Taken {
                authorised: held.authorised,
                captured: *amount,
                refunded: Money::zero(amount.currency()),
                reference: held.reference,
                refunds: 0,
            }),
            Err(same) => same,
        },
        Event::VoidRequested { attempt } => match held(state) {
            Ok(held) => {
                State::Voiding { held: Held { voids: *attempt, ..held }, attempt: *attempt }
            }
            Err(same) => same,
        },
        Event::Voided { .. } => match held(state) {
            Ok(_gone) => State::Voided,
            Err(same) => same,
        },
        Event::CaptureFailed { .. } | Event::VoidFailed { .. } => match held(state) {
            Ok(held) => State::Authorised(held),
            Err(same) => same,
        },
        Event::RefundRequested { attempt, amount } => match taken(state) {
            Ok(taken) => State::Refunding {
                taken: Taken { refunds: *attempt, ..taken },
                attempt: *attempt,
                amount: *amount,
            },
            Err(same) => same,
        },
        Event::Refunded { amount, .. } => match taken(state) {
            Ok(taken) => State::Captured(Taken {
                refunded: taken.refunded.checked_add(*amount).unwrap_or(taken.refunded),
                ..taken
            }),
            Err(same) => same,
        },
        Event::RefundFailed { .. } => match taken(state) {
            Ok(taken) => State::Captured(taken),
            Err(same) => same,
        },
    }
}

fn not_authorised(state: State) -> State {
    match state {
        State::Authorising { amount, method, .. } => State::NotAuthorised { amount, method },
        same @ (State::Unrequested
        | State::NotAuthorised { .. }
        | State::Authorised(_)
        | State::Capturing { .. }
        | State::Voiding { .. }
        | State::Voided
        | State::Captured(_)
        | State::Refunding { .. }) => same,
    }
}

/// What is held, or the state as it was.
fn held(state: State) -> Result<Held, State> {
    match state {
        State::Authorised(held) | State::Capturing { held, .. } | State::Voiding { held, .. } => {
            Ok(held)
        }
        same @ (State::Unrequested
        | State::Authorising { .. }
        | State::NotAuthorised { .. }
        | State::Voided
        | State::Captured(_)
        | State::Refunding { .. }) => Err(same),
    }
}

/// What was taken, or the state as it was.
fn taken(state: State) -> Result<Taken, State> {
    match state {
        State::Captured(taken) | State::Refunding { taken, .. } => Ok(taken),
        same @ (State::Unrequested
        | State::Authorising { .. }
        | State::NotAuthorised { .. }
        | State::Authorised(_)
        | State::Capturing { .. }
        | State::Voiding { .. }
        | State::Voided) => Err(same),
    }
}
