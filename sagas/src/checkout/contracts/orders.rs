use super::case::{Answer, Case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("an-order-with-all-it-needs-is-confirmed")
            .after(|it| [it.placed(), it.reserved(), it.authorised()])
            .owes("confirm")
            .done(&["order.confirmed"]),
        Case::new("an-order-that-was-cancelled-meanwhile-is-not-confirmed")
            .after(|it| [it.placed(), it.reserved(), it.authorised()])
            .unheard(|it| [it.cancelled()])
            .owes("confirm")
            .done(&[]),
        Case::new("an-order-that-cannot-be-had-is-cancelled")
            .after(|it| [it.placed(), it.reservation_refused()])
            .owes("cancel")
            .done(&["order.cancelled"]),
        Case::new("an-order-that-was-confirmed-meanwhile-stays-so")
            .after(|it| [it.placed(), it.reservation_refused()])
            .unheard(|it| [it.confirmed()])
            .owes("cancel")
            .done(&[]),
        Case::new("an-order-that-a-person-gives-up-is-cancelled-even-if-confirmed")
            .after(|it| [it.placed(), it.reserved(), it.authorised()])
            .given_up_by_hand()
            .unheard(|it| [it.confirmed()])
            .owes("cancel")
            .done(&["order.cancelled"]),
        Case::new("an-order-that-was-shipped-meanwhile-is-not-given-up")
            .after(|it| [it.placed(), it.reserved(), it.authorised()])
            .given_up_by_hand()
            .unheard(|it| [it.confirmed(), it.order_shipped()])
            .owes("cancel")
            .refused(Answer::Never("already-shipped")),
        Case::new("an-order-that-is-shipped-and-paid-is-closed")
            .after(|it| [it.placed(), it.reserved(), it.authorised(), it.confirmed()])
            .after(|it| [it.order_shipped(), it.stock_shipped(), it.captured()])
            .owes("close")
            .done(&["order.closed"]),
    ]
}
