use super::case::Case;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("stock-that-is-there-is-reserved")
            .after(|it| [it.placed()])
            .unheard(|it| [it.received(5)])
            .owes("reserve")
            .done(&["stock.reserved"]),
        Case::new("stock-that-is-not-there-is-refused")
            .after(|it| [it.placed()])
            .unheard(|it| [it.received(1)])
            .owes("reserve")
            .done(&["stock.reservation_refused"]),
        Case::new("stock-that-nobody-has-received-is-refused")
            .after(|it| [it.placed()])
            .owes("reserve")
            .done(&["stock.reservation_refused"]),
        Case::new("a-reservation-that-is-made-is-not-made-again")
            .after(|it| [it.placed()])
            .unheard(|it| [it.received(5), it.reserved()])
            .owes("reserve")
            .done(&[]),
        Case::new("what-is-reserved-is-released")
            .after(|it| [it.placed(), it.received(5), it.reserved(), it.cancelled()])
            .owes("release")
            .done(&["stock.released"]),
        Case::new("what-is-reserved-is-shipped")
            .after(|it| [it.placed(), it.received(5), it.reserved(), it.authorised()])
            .after(|it| [it.confirmed(), it.order_shipped()])
            .owes("ship")
            .done(&["stock.shipped"]),
        Case::new("what-is-shipped-is-not-shipped-again")
            .after(|it| [it.placed(), it.received(5), it.reserved(), it.authorised()])
            .after(|it| [it.confirmed(), it.order_shipped()])
            .unheard(|it| [it.stock_shipped()])
            .owes("ship")
            .done(&[]),
    ]
}
