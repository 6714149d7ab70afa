//! How what the write path refuses becomes a problem: told once, for every endpoint.

use crate::answer::position_header;
use domain::{
    catalogue::product, checkout::checkout, inventory::stock, orders::order, payments::payment,
};
use edge::{
    Problem,
    conditional::{POSITION, etag},
};
use event_store::TransactError;
use http::{StatusCode, header};

/// Seconds until a caller should try again.
pub(crate) const RETRY_AFTER_S: u32 = 1;

/// A decider's rejection, whose slug is the end of its problem's type.
pub(crate) trait Rejection: std::error::Error {
    fn slug(&self) -> &'static str;
}

impl Rejection for product::Rejection {
    fn slug(&self) -> &'static str {
        product::Rejection::slug(self)
    }
}

impl Rejection for stock::Rejection {
    fn slug(&self) -> &'static str {
        stock::Rejection::slug(self)
    }
}

impl Rejection for order::Rejection {
    fn slug(&self) -> &'static str {
        order::Rejection::slug(self)
    }
}

impl Rejection for payment::Rejection {
    fn slug(&self) -> &'static str {
        payment::Rejection::slug(self)
    }
}

impl Rejection for checkout::Rejection {
    fn slug(&self) -> &'static str {
        checkout::Rejection::slug(self)
    }
}

/// What the write path answers when it does not do a command.
pub(crate) fn refused<R: Rejection>(error: TransactError<R>) -> Problem {
    match error {
        TransactError::Rejected { rejection, position } => {
            let slug = rejection.slug();
            let problem = Problem::new(status(slug), slug).detail(sentence(&rejection));
            match position {
                Some(position) => problem.header(POSITION, position_header(&position)),
                None => problem,
            }
        }
        TransactError::OtherBody => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused")
                .detail("This Idempotency-Key was used here before, with another body.")
        }
        TransactError::WrongVersion { actual } => {
            Problem::new(StatusCode::PRECONDITION_FAILED, "wrong-version")
                .detail(format!("The version is {actual}."))
                .header(header::ETAG, etag(actual))
        }
        TransactError::Busy => Problem::unavailable("busy", RETRY_AFTER_S)
            .detail("Too many commands are waiting; nothing was done.")
            .caused_by("the write path is full")
            .in_a_rush(),
        TransactError::OutcomeUnknown => Problem::unavailable("outcome-unknown", RETRY_AFTER_S)
            .detail("The command may have happened. Send it again with the same Idempotency-Key.")
            .caused_by("no answer from the log"),
        TransactError::TooLarge { size, limit } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "event-too-large")
                .detail(format!("What would be recorded has {size} bytes, and may have {limit}."))
        }
        TransactError::Data(cause) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unacceptable-data")
                .detail("Something in this command cannot be stored.")
                .caused_by(cause)
        }
        TransactError::Newer { event_type, schema_version } => {
            let cause = format!("a newer binary wrote {event_type} in version {schema_version}");
            Problem::unavailable("newer-version-about", RETRY_AFTER_S)
                .detail(
                    "A newer version of this program is about and has written here what this one \
                     cannot read; nothing was done. Send it again: the newer one does it.",
                )
                .caused_by(cause)
        }
        TransactError::Store(cause) => Problem::unavailable("unavailable", RETRY_AFTER_S)
            .detail("The log is out of reach. Send it again with the same Idempotency-Key.")
            .caused_by(cause),
    }
}

/// The same for another service: the decider's own word is a conflict, and nothing else is.
pub(crate) fn conflict<R: Rejection>(error: TransactError<R>) -> Problem {
    let is_its_word = matches!(error, TransactError::Rejected { .. });
    let problem = refused(error);
    if is_its_word { problem.with_status(StatusCode::CONFLICT) } else { problem }
}

/// A rejection is a conflict with what is there, unless the target is not there at all, or the body
/// could never be accepted.
fn status(slug: &str) -> StatusCode {
    match slug {
        "not-listed" | "not-placed" | "not-started" => StatusCode::NOT_FOUND,
        "no-lines"
        | "too-many-lines"
        | "too-many-units"
        | "mixed-currencies"
        | "total-too-large"
        | "discount-exceeds-total"
        | "partial-not-supported" => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CONFLICT,
    }
}

fn sentence(rejection: &impl std::error::Error) -> String {
    let text = rejection.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
