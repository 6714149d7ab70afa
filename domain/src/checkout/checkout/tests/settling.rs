//! From placed to confirmed or cancelled.

use super::*;

#[test]
fn payment_is_asked_for_when_all_stock_is_reserved() {
    gathering()
        .hears(reserved("B"))
        .owes(["reserve:A", "deadline:settle"])
        .hears(reserved("A"))
        .owes(["authorise", "deadline:settle"]);
}

#[test]
fn an_order_with_stock_and_payment_is_confirmed() {
    paying()
        .hears(Event::PaymentAuthorised {})
        .owes(["confirm", "deadline:settle"])
        .hears(Event::OrderConfirmed {})
        .owes([]);
}

#[test]
fn an_order_with_nothing_to_pay_is_confirmed_without_a_payment() {
    given::<Checkout>([started(0)])
        .hears(reserved("A"))
        .hears(reserved("B"))
        .owes(["confirm", "deadline:settle"]);
}

#[test]
fn an_order_that_is_out_of_stock_is_cancelled() {
    let checkout = gathering().hears(reserved("A")).hears(refused("B")).owes(["cancel"]);
    assert_eq!(
        checkout.due("cancel").request,
        Request::CancelOrder { reason: CancelReason::OutOfStock }
    );
    checkout
        .hears(cancelled("out-of-stock"))
        .owes(["release:A", "deadline:finish"])
        .hears_the_last(released("A"));
}

#[test]
fn a_reservation_stays_owed_until_it_is_answered() {
    gathering()
        .hears(refused("B"))
        .owes(["reserve:A", "cancel"])
        .hears(cancelled("out-of-stock"))
        .owes(["reserve:A", "deadline:finish"])
        .hears(reserved("A"))
        .owes(["release:A", "deadline:finish"])
        .hears_the_last(released("A"));
}

#[test]
fn a_declined_payment_cancels_the_order() {
    let declined = Event::PaymentDeclined { reason: reason("insufficient-funds") };
    let checkout = paying().hears(declined).owes(["cancel"]);
    assert_eq!(
        checkout.due("cancel").request,
        Request::CancelOrder { reason: CancelReason::PaymentDeclined }
    );
    checkout
        .hears(cancelled("payment-declined"))
        .owes(["release:A", "release:B", "deadline:finish"])
        .hears(released("B"))
        .hears_the_last(released("A"));
}

#[test]
fn a_payment_that_fails_for_good_cancels_the_order() {
    let failed = Event::PaymentFailed { reason: reason("no-such-method") };
    let checkout = paying().hears(failed).owes(["cancel"]);
    assert_eq!(
        checkout.due("cancel").request,
        Request::CancelOrder { reason: CancelReason::PaymentFailed }
    );
}

#[test]
fn an_order_that_does_not_settle_in_time_is_cancelled() {
    let checkout =
        gathering().hears(passed(Deadline::Settle)).owes(["reserve:A", "reserve:B", "cancel"]);
    assert_eq!(
        checkout.due("cancel").request,
        Request::CancelOrder { reason: CancelReason::CheckoutTimeout }
    );
}

#[test]
fn an_authorisation_that_succeeds_late_is_voided() {
    paying()
        .hears(passed(Deadline::Settle))
        .owes(["authorise", "cancel"])
        .hears(cancelled("checkout-timeout"))
        .owes(["release:A", "release:B", "authorise", "deadline:finish"])
        .hears(released("A"))
        .hears(released("B"))
        .hears(Event::PaymentAuthorised {})
        .owes(["void", "deadline:finish"])
        .hears_the_last(Event::PaymentVoided {});
}

#[test]
fn the_first_reason_to_cancel_counts() {
    let checkout = gathering()
        .hears(passed(Deadline::Settle))
        .hears(refused("A"))
        .owes(["reserve:B", "cancel"]);
    assert_eq!(
        checkout.due("cancel").request,
        Request::CancelOrder { reason: CancelReason::CheckoutTimeout }
    );
}

#[test]
fn a_confirmation_that_was_under_way_wins_over_the_deadline() {
    ready()
        .hears(passed(Deadline::Settle))
        .owes(["cancel"])
        .hears(Event::OrderConfirmed {})
        .owes([])
        .hears(Event::OrderShipped {})
        .owes(["ship:A", "ship:B", "capture", "deadline:finish"]);
}

#[test]
fn a_cancellation_that_was_under_way_wins_over_the_confirmation() {
    ready().hears(cancelled("customer-request")).ignores(Event::OrderConfirmed {}).owes([
        "release:A",
        "release:B",
        "void",
        "deadline:finish",
    ]);
}

#[test]
fn no_payment_is_asked_for_once_the_order_cannot_be_had() {
    gathering()
        .hears(passed(Deadline::Settle))
        .hears(reserved("A"))
        .hears(reserved("B"))
        .owes(["cancel"]);
    gathering()
        .hears(cancelled("customer-request"))
        .hears(reserved("A"))
        .hears(reserved("B"))
        .owes(["release:A", "release:B", "deadline:finish"]);
}

#[test]
fn a_deadline_that_is_not_awaited_is_ignored() {
    gathering().ignores(passed(Deadline::Finish));
    confirmed().ignores(passed(Deadline::Settle)).ignores(passed(Deadline::Finish));
}
