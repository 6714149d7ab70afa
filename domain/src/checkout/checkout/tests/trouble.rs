//! What no rule can settle: a person is told, and the work that is left goes on.

use super::*;

fn rejected(key: &str) -> Event {
    Event::RequestRefused { key: key.to_owned(), problem: reason("not-placed") }
}

#[test]
fn a_capture_that_fails_for_good_needs_attention() {
    confirmed()
        .hears(Event::OrderShipped {})
        .hears_trouble(Event::CaptureFailed { reason: reason("expired") }, Attention::CaptureFailed)
        .owes(["ship:A", "ship:B", "deadline:finish"])
        .hears(shipped("A"))
        .hears(shipped("B"))
        .owes(["deadline:finish"])
        .hears(Event::PaymentCaptured {})
        .owes(["close", "deadline:finish"]);
}

#[test]
fn a_void_that_fails_for_good_needs_attention() {
    confirmed()
        .hears(cancelled("other"))
        .hears(released("A"))
        .hears(released("B"))
        .hears_trouble(Event::VoidFailed { reason: reason("unknown") }, Attention::VoidFailed)
        .owes(["deadline:finish"])
        .hears_the_last(Event::PaymentVoided {});
}

#[test]
fn money_that_turns_out_to_be_taken_for_a_cancelled_order_is_refunded() {
    let checkout = confirmed()
        .hears(cancelled("other"))
        .hears(released("A"))
        .hears(released("B"))
        .hears_trouble(Event::VoidFailed { reason: reason("unknown") }, Attention::VoidFailed)
        .hears(Event::PaymentCaptured {})
        .owes(["refund", "deadline:finish"]);
    assert_eq!(checkout.due("refund").request, Request::Refund { amount: gbp(900) });
    checkout
        .hears_trouble(Event::RefundFailed { reason: reason("unknown") }, Attention::RefundFailed)
        .owes(["deadline:finish"])
        .hears_the_last(Event::PaymentRefunded {});
}

#[test]
fn what_is_not_finished_in_time_needs_attention_once_and_goes_on() {
    confirmed()
        .hears(Event::OrderShipped {})
        .hears_trouble(passed(Deadline::Finish), Attention::Unfinished)
        .owes(["ship:A", "ship:B", "capture"])
        .ignores(passed(Deadline::Finish))
        .hears(shipped("A"))
        .hears(shipped("B"))
        .hears(Event::PaymentCaptured {})
        .owes(["close"])
        .hears_the_last(Event::OrderClosed {});
}

#[test]
fn a_rejected_request_needs_attention_and_is_not_made_again() {
    confirmed()
        .hears(cancelled("other"))
        .hears_trouble(rejected("release:A"), Attention::RequestRefused)
        .owes(["release:B", "void", "deadline:finish"])
        .hears(released("B"))
        .hears(Event::PaymentVoided {})
        .owes(["deadline:finish"])
        .hears_trouble(passed(Deadline::Finish), Attention::Unfinished)
        .owes([])
        .hears_the_last(released("A"));
}

#[test]
fn a_rejected_reservation_cancels_the_order() {
    gathering()
        .hears_trouble(rejected("reserve:A"), Attention::RequestRefused)
        .owes(["reserve:B", "cancel"])
        .hears(refused("B"))
        .hears_the_last(cancelled("out-of-stock"));
}

#[test]
fn a_rejected_authorisation_cancels_the_order() {
    let checkout =
        paying().hears_trouble(rejected("authorise"), Attention::RequestRefused).owes(["cancel"]);
    assert_eq!(
        checkout.due("cancel").request,
        Request::CancelOrder { reason: CancelReason::PaymentFailed }
    );
}

#[test]
fn a_rejected_confirmation_leaves_the_deadline_to_cancel() {
    ready()
        .hears_trouble(rejected("confirm"), Attention::RequestRefused)
        .owes(["deadline:settle"])
        .hears(passed(Deadline::Settle))
        .owes(["cancel"]);
}

#[test]
fn a_rejection_of_what_is_not_owed_is_ignored() {
    gathering().ignores(rejected("void")).ignores(rejected("reserve:C"));
}

#[test]
fn what_was_refused_and_is_held_all_the_same_is_given_back() {
    gathering()
        .hears_trouble(rejected("reserve:A"), Attention::RequestRefused)
        .hears(reserved("A"))
        .hears(refused("B"))
        .hears(cancelled("out-of-stock"))
        .owes(["release:A", "deadline:finish"])
        .hears_the_last(released("A"));
    paying()
        .hears(Event::PaymentFailed { reason: reason("unknown") })
        .hears(Event::PaymentAuthorised {})
        .hears(cancelled("payment-failed"))
        .owes(["release:A", "release:B", "void", "deadline:finish"]);
}
