use domain::checkout::checkout::{self, Command};
use domain::payments::payment::{self, Event};
use event_store::Recorded;
use event_store::follow::ApplyError;

use super::reactor::Told;

/// What a checkout hears of its payment: outcomes, not what is still under way.
pub(super) fn react(event: &Recorded) -> Result<Told, ApplyError> {
    let Some(order) = payment::id_of(&event.stream) else { return Ok(None) };
    let command = match event.decode::<Event>()? {
        Event::AuthorisationRequested { .. }
        | Event::CaptureRequested { .. }
        | Event::VoidRequested { .. }
        | Event::RefundRequested { .. } => return Ok(None),
        Event::Authorised { .. } => Command::PaymentAuthorised {},
        Event::Declined { reason, .. } => Command::PaymentDeclined { reason },
        Event::AuthorisationFailed { reason, .. } => Command::PaymentFailed { reason },
        Event::Captured { .. } => Command::PaymentCaptured {},
        Event::CaptureFailed { reason, .. } => Command::CaptureFailed { reason },
        Event::Voided { .. } => Command::PaymentVoided {},
        Event::VoidFailed { reason, .. } => Command::VoidFailed { reason },
        Event::Refunded { .. } => Command::PaymentRefunded {},
        Event::RefundFailed { reason, .. } => Command::RefundFailed { reason },
    };
    Ok(Some((checkout::stream(order), command)))
}
