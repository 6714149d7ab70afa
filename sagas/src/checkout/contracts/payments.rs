use super::case::{Answer, Case};

const AUTHORISED: [&str; 3] =
    ["payment.authorised", "payment.declined", "payment.authorisation_failed"];

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("what-an-order-costs-is-authorised")
            .after(|it| [it.placed(), it.reserved()])
            .owes("authorise")
            .begun(&["payment.authorisation_requested"], &AUTHORISED),
        Case::new("an-authorisation-under-way-is-not-asked-for-again")
            .after(|it| [it.placed(), it.reserved(), it.authorisation_requested()])
            .owes("authorise")
            .begun(&[], &AUTHORISED),
        Case::new("what-is-authorised-is-captured")
            .after(|it| [it.placed(), it.reserved(), it.authorisation_requested()])
            .after(|it| [it.authorised(), it.confirmed(), it.order_shipped()])
            .owes("capture")
            .begun(&["payment.capture_requested"], &["payment.captured", "payment.capture_failed"]),
        Case::new("what-is-authorised-is-voided")
            .after(|it| [it.placed(), it.reserved(), it.authorisation_requested()])
            .after(|it| [it.authorised(), it.cancelled()])
            .owes("void")
            .begun(&["payment.void_requested"], &["payment.voided", "payment.void_failed"]),
        Case::new("what-is-being-captured-is-voided-later-if-at-all")
            .after(|it| [it.placed(), it.reserved(), it.authorisation_requested()])
            .after(|it| [it.authorised(), it.cancelled()])
            .unheard(|it| [it.capture_requested()])
            .owes("void")
            .refused(Answer::Later("in-progress")),
        Case::new("what-is-captured-is-not-voided")
            .after(|it| [it.placed(), it.reserved(), it.authorisation_requested()])
            .after(|it| [it.authorised(), it.cancelled()])
            .unheard(|it| [it.capture_requested(), it.captured()])
            .owes("void")
            .refused(Answer::Never("already-captured")),
        Case::new("what-is-captured-is-refunded")
            .after(|it| [it.placed(), it.reserved(), it.authorisation_requested()])
            .after(|it| [it.authorised(), it.capture_requested(), it.captured(), it.cancelled()])
            .owes("refund")
            .begun(&["payment.refund_requested"], &["payment.refunded", "payment.refund_failed"]),
    ]
}
