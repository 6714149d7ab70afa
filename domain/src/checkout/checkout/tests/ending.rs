//! From shipped to closed, and from cancelled to nothing held.

use super::*;

#[test]
fn on_shipment_stock_goes_out_and_the_payment_is_captured() {
    confirmed()
        .hears(Event::OrderShipped {})
        .owes(["ship:A", "ship:B", "capture", "deadline:finish"])
        .hears(shipped("A"))
        .hears(Event::PaymentCaptured {})
        .owes(["ship:B", "deadline:finish"])
        .hears(shipped("B"))
        .owes(["close", "deadline:finish"])
        .hears_the_last(Event::OrderClosed {});
}

#[test]
fn an_order_with_nothing_to_pay_is_closed_when_it_is_shipped() {
    given::<Checkout>([started(0), reserved("A"), reserved("B"), Event::OrderConfirmed {}])
        .hears(Event::OrderShipped {})
        .owes(["ship:A", "ship:B", "deadline:finish"])
        .hears(shipped("A"))
        .hears(shipped("B"))
        .owes(["close", "deadline:finish"])
        .hears_the_last(Event::OrderClosed {});
}

#[test]
fn a_confirmed_order_that_is_cancelled_gives_back_stock_and_money() {
    confirmed()
        .hears(cancelled("customer-request"))
        .owes(["release:A", "release:B", "void", "deadline:finish"])
        .hears(released("A"))
        .hears(Event::PaymentVoided {})
        .owes(["release:B", "deadline:finish"])
        .hears_the_last(released("B"));
}

#[test]
fn an_order_that_is_cancelled_before_any_answer_waits_for_every_answer() {
    gathering()
        .hears(cancelled("customer-request"))
        .owes(["reserve:A", "reserve:B", "deadline:finish"])
        .hears(refused("A"))
        .hears_the_last(refused("B"));
    paying()
        .hears(cancelled("customer-request"))
        .hears(released("A"))
        .hears(released("B"))
        .owes(["authorise", "deadline:finish"])
        .hears_the_last(Event::PaymentDeclined { reason: reason("insufficient-funds") });
}

#[test]
fn an_order_that_is_cancelled_with_nothing_held_is_done_at_once() {
    gathering()
        .hears(refused("A"))
        .hears(refused("B"))
        .owes(["cancel"])
        .hears_the_last(cancelled("out-of-stock"));
}

#[test]
fn what_came_first_of_cancellation_and_shipment_stays() {
    confirmed().hears(cancelled("other")).ignores(Event::OrderShipped {});
    confirmed().hears(Event::OrderShipped {}).ignores(cancelled("other"));
}

#[test]
fn an_order_that_was_closed_early_is_still_sent_and_paid_for() {
    confirmed()
        .hears(Event::OrderShipped {})
        .hears(Event::OrderClosed {})
        .owes(["ship:A", "ship:B", "capture", "deadline:finish"])
        .hears(shipped("A"))
        .hears(shipped("B"))
        .hears_the_last(Event::PaymentCaptured {});
}

#[test]
fn what_is_refunded_by_people_does_not_keep_an_order_open() {
    confirmed()
        .hears(Event::OrderShipped {})
        .hears(Event::PaymentCaptured {})
        .hears(Event::PaymentRefunded {})
        .hears(shipped("A"))
        .hears(shipped("B"))
        .owes(["close", "deadline:finish"]);
}

#[test]
fn after_the_end_no_fact_matters() {
    gathering()
        .hears(refused("A"))
        .hears(refused("B"))
        .hears_the_last(cancelled("out-of-stock"))
        .ignores(refused("A"))
        .ignores(Event::PaymentRefunded {})
        .ignores(passed(Deadline::Finish))
        .when(start(900))
        .then_nothing();
}
