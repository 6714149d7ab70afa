use super::{Event, Operation, Outcome, Rejection, State, Taken};
use crate::values::{Money, PaymentMethod};

type Decision = Result<Vec<Event>, Rejection>;

pub(super) fn authorise(state: &State, amount: Money, method: &PaymentMethod) -> Decision {
    match state {
        State::Unrequested if amount.is_zero() => Err(Rejection::ZeroAmount),
        State::Unrequested => {
            Ok(vec![Event::AuthorisationRequested { attempt: 1, amount, method: method.clone() }])
        }
        // Asked before, so it has its answer or will get it. A refusal is not tried again: the
        // checkout has heard of it and cancels.
        State::Authorising { amount: asked, method: with, .. }
        | State::NotAuthorised { amount: asked, method: with } => {
            whole(amount, *asked)?;
            if method == with { Ok(vec![]) } else { Err(Rejection::OtherMethod) }
        }
        State::Authorised(held) | State::Capturing { held, .. } | State::Voiding { held, .. } => {
            whole(amount, held.authorised).map(|()| vec![])
        }
        State::Voided => Err(Rejection::Voided),
        State::Captured(taken) | State::Refunding { taken, .. } => {
            whole(amount, taken.authorised).map(|()| vec![])
        }
    }
}

pub(super) fn capture(state: &State, amount: Money) -> Decision {
    match state {
        State::Unrequested | State::NotAuthorised { .. } => Err(Rejection::NotAuthorised),
        State::Authorising { .. } | State::Voiding { .. } => Err(Rejection::InProgress),
        State::Authorised(held) => {
            whole(amount, held.authorised)?;
            Ok(vec![Event::CaptureRequested { attempt: next(held.captures), amount }])
        }
        State::Capturing { amount: asked, .. } => whole(amount, *asked).map(|()| vec![]),
        State::Voided => Err(Rejection::Voided),
        State::Captured(taken) | State::Refunding { taken, .. } if amount == taken.captured => {
            Ok(vec![])
        }
        State::Captured(_) | State::Refunding { .. } => Err(Rejection::AlreadyCaptured),
    }
}

pub(super) fn void(state: &State) -> Decision {
    match state {
        State::Unrequested | State::NotAuthorised { .. } => Err(Rejection::NotAuthorised),
        State::Authorising { .. } | State::Capturing { .. } => Err(Rejection::InProgress),
        State::Authorised(held) => Ok(vec![Event::VoidRequested { attempt: next(held.voids) }]),
        State::Voiding { .. } | State::Voided => Ok(vec![]),
        State::Captured(_) | State::Refunding { .. } => Err(Rejection::AlreadyCaptured),
    }
}

pub(super) fn refund(state: &State, amount: Option<Money>) -> Decision {
    match state {
        State::Unrequested
        | State::NotAuthorised { .. }
        | State::Authorising { .. }
        | State::Authorised(_)
        | State::Capturing { .. }
        | State::Voiding { .. }
        | State::Voided => Err(Rejection::NotCaptured),
        State::Captured(taken) => {
            let amount = refundable(taken, amount)?;
            Ok(vec![Event::RefundRequested { attempt: next(taken.refunds), amount }])
        }
        State::Refunding { amount: asked, .. } => {
            amount.map_or(Ok(()), |amount| whole(amount, *asked)).map(|()| vec![])
        }
    }
}

/// What is left, if that is what is asked for.
fn refundable(taken: &Taken, amount: Option<Money>) -> Result<Money, Rejection> {
    let left = taken.captured.checked_sub(taken.refunded).filter(|left| !left.is_zero());
    let left = left.ok_or(Rejection::NothingLeft)?;
    if let Some(amount) = amount {
        whole(amount, left)?;
    }
    Ok(left)
}

/// An answer to a question that is not open was heard before, and changes nothing.
pub(super) fn answer(
    state: &State,
    operation: Operation,
    attempt: u32,
    outcome: &Outcome,
) -> Vec<Event> {
    match (state, operation) {
        (State::Authorising { attempt: open, amount, .. }, Operation::Authorisation)
            if attempt == *open =>
        {
            vec![authorisation(attempt, *amount, outcome)]
        }
        (State::Capturing { attempt: open, amount, .. }, Operation::Capture)
            if attempt == *open =>
        {
            vec![captured(attempt, *amount, outcome)]
        }
        (State::Voiding { attempt: open, .. }, Operation::Void) if attempt == *open => {
            vec![voided(attempt, outcome)]
        }
        (State::Refunding { attempt: open, amount, .. }, Operation::Refund) if attempt == *open => {
            vec![refunded(attempt, *amount, outcome)]
        }
        (
            State::Unrequested
            | State::Authorising { .. }
            | State::NotAuthorised { .. }
            | State::Authorised(_)
            | State::Capturing { .. }
            | State::Voiding { .. }
            | State::Voided
            | State::Captured(_)
            | State::Refunding { .. },
            Operation::Authorisation | Operation::Capture | Operation::Void | Operation::Refund,
        ) => vec![],
    }
}

fn authorisation(attempt: u32, amount: Money, outcome: &Outcome) -> Event {
    match outcome {
        Outcome::Succeeded { reference } => {
            Event::Authorised { attempt, amount, reference: reference.clone() }
        }
        Outcome::Declined { reason } => Event::Declined { attempt, reason: reason.clone() },
        Outcome::Failed { reason } => {
            Event::AuthorisationFailed { attempt, reason: reason.clone() }
        }
    }
}

fn captured(attempt: u32, amount: Money, outcome: &Outcome) -> Event {
    match outcome {
        Outcome::Succeeded { .. } => Event::Captured { attempt, amount },
        Outcome::Declined { reason } | Outcome::Failed { reason } => {
            Event::CaptureFailed { attempt, reason: reason.clone() }
        }
    }
}

fn voided(attempt: u32, outcome: &Outcome) -> Event {
    match outcome {
        Outcome::Succeeded { .. } => Event::Voided { attempt },
        Outcome::Declined { reason } | Outcome::Failed { reason } => {
            Event::VoidFailed { attempt, reason: reason.clone() }
        }
    }
}

fn refunded(attempt: u32, amount: Money, outcome: &Outcome) -> Event {
    match outcome {
        Outcome::Succeeded { reference } => {
            Event::Refunded { attempt, amount, reference: reference.clone() }
        }
        Outcome::Declined { reason } | Outcome::Failed { reason } => {
            Event::RefundFailed { attempt, reason: reason.clone() }
        }
    }
}

/// That an amount is the whole of another.
fn whole(amount: Money, whole: Money) -> Result<(), Rejection> {
    if amount.currency() != whole.currency() {
        Err(Rejection::OtherCurrency { currency: whole.currency() })
    } else if amount.amount() < whole.amount() {
        Err(Rejection::PartialNotSupported { whole })
    } else if amount.amount() > whole.amount() {
        Err(Rejection::OtherAmount { amount: whole })
    } else {
        Ok(())
    }
}

fn next(attempts: u32) -> u32 {
    attempts.saturating_add(1)
}
