//! What a person does about a checkout that needs attention.

use super::*;

fn remark() -> Remark {
    "seen to".parse().unwrap()
}

fn by() -> Option<Operator> {
    Some("ann".parse().unwrap())
}

fn retry() -> Command {
    Command::Retry { reason: remark(), by: by() }
}

fn cancel() -> Command {
    Command::Cancel { reason: remark(), by: by() }
}

fn settle() -> Command {
    Command::Settle { reason: remark(), by: by() }
}

fn retried() -> Event {
    Event::Retried { reason: remark(), by: by() }
}

fn cancelled_by_hand() -> Event {
    Event::CancelledByHand { reason: remark(), by: by() }
}

fn settled_by_hand() -> Event {
    Event::SettledByHand { reason: remark(), by: by() }
}

fn rejected(key: &str) -> Event {
    Event::RequestRefused { key: key.to_owned(), problem: reason("not-placed") }
}

/// A person does something, and does it again: the second time there is no attention to end.
trait Helps: Sized {
    fn gets_help(self, command: Command, event: Event) -> Self;
}

impl Helps for Given<Checkout> {
    #[track_caller]
    fn gets_help(self, command: Command, event: Event) -> Self {
        let again = command.clone();
        self.when(command).then([event]).when(again).then_rejected(Rejection::NoAttention)
    }
}

fn why() -> Reason {
    reason("unknown")
}

fn sent() -> Given<Checkout> {
    confirmed().hears(Event::OrderShipped {}).hears(shipped("A")).hears(shipped("B"))
}

fn uncaptured() -> Given<Checkout> {
    sent().hears_trouble(Event::CaptureFailed { reason: why() }, Attention::CaptureFailed)
}

fn given_back() -> Given<Checkout> {
    confirmed().hears(cancelled("other")).hears(released("A")).hears(released("B"))
}

fn unvoided() -> Given<Checkout> {
    given_back().hears_trouble(Event::VoidFailed { reason: why() }, Attention::VoidFailed)
}

fn unconfirmable() -> Given<Checkout> {
    ready().hears_trouble(rejected("confirm"), Attention::RequestRefused)
}

#[test]
fn nobody_helps_a_checkout_that_needs_no_attention() {
    for command in [retry(), cancel(), settle()] {
        given::<Checkout>([]).when(command.clone()).then_rejected(Rejection::NotStarted);
        gathering().when(command.clone()).then_rejected(Rejection::NoAttention);
        confirmed().when(command.clone()).then_rejected(Rejection::NoAttention);
        sent().when(command.clone()).then_rejected(Rejection::NoAttention);
        sent()
            .hears(Event::PaymentCaptured {})
            .hears_the_last(Event::OrderClosed {})
            .when(command)
            .then_rejected(Rejection::Completed);
    }
}

#[test]
fn a_capture_that_failed_is_asked_for_again_under_a_key_of_its_own() {
    let again = uncaptured().gets_help(retry(), retried()).owes(["capture:2", "deadline:finish"]);
    assert_eq!(again.due("capture:2").request, Request::Capture { amount: gbp(900) });
    again
        .hears_trouble(Event::CaptureFailed { reason: why() }, Attention::CaptureFailed)
        .owes(["deadline:finish"])
        .gets_help(retry(), retried())
        .owes(["capture:3", "deadline:finish"])
        .hears(Event::PaymentCaptured {})
        .owes(["close", "deadline:finish"])
        .hears_the_last(Event::OrderClosed {});
}

#[test]
fn a_void_or_a_refund_that_failed_is_asked_for_again() {
    unvoided()
        .gets_help(retry(), retried())
        .owes(["void:2", "deadline:finish"])
        .hears_the_last(Event::PaymentVoided {});
    unvoided()
        .hears(Event::PaymentCaptured {})
        .hears_trouble(Event::RefundFailed { reason: why() }, Attention::RefundFailed)
        .gets_help(retry(), retried())
        .owes(["refund:2", "deadline:finish"])
        .hears_the_last(Event::PaymentRefunded {});
}

#[test]
fn what_was_refused_is_asked_for_again_and_what_is_under_way_is_left_alone() {
    confirmed()
        .hears(cancelled("other"))
        .hears_trouble(rejected("release:A"), Attention::RequestRefused)
        .owes(["release:B", "void", "deadline:finish"])
        .gets_help(retry(), retried())
        .owes(["release:A:2", "release:B", "void", "deadline:finish"])
        .ignores(rejected("release:A"))
        .hears_trouble(rejected("release:A:2"), Attention::RequestRefused)
        .gets_help(retry(), retried())
        .owes(["release:A:3", "release:B", "void", "deadline:finish"]);
    unconfirmable().gets_help(retry(), retried()).owes(["confirm:2", "deadline:settle"]);
}

#[test]
fn a_retry_after_the_deadline_to_finish_sets_another_one() {
    let again = confirmed()
        .hears(Event::OrderShipped {})
        .hears_trouble(passed(Deadline::Finish), Attention::Unfinished)
        .gets_help(retry(), retried())
        .owes(["ship:A", "ship:B", "capture", "deadline:finish:2"]);
    assert_eq!(again.due("deadline:finish:2").delay, Duration::from_secs(3600));
    again
        .hears_trouble(passed(Deadline::Finish), Attention::Unfinished)
        .owes(["ship:A", "ship:B", "capture"]);
}

#[test]
fn what_the_rules_have_settled_already_is_not_asked_for_again() {
    gathering()
        .hears_trouble(rejected("reserve:A"), Attention::RequestRefused)
        .gets_help(retry(), retried())
        .owes(["reserve:B", "cancel"]);
    paying()
        .hears_trouble(rejected("authorise"), Attention::RequestRefused)
        .gets_help(retry(), retried())
        .owes(["cancel"]);
}

#[test]
fn a_refund_by_people_that_failed_is_theirs_to_ask_for_again() {
    sent()
        .hears(Event::PaymentCaptured {})
        .hears_trouble(Event::RefundFailed { reason: why() }, Attention::RefundFailed)
        .gets_help(retry(), retried())
        .owes(["close", "deadline:finish"]);
}

#[test]
fn an_order_that_is_given_up_is_cancelled_by_its_own_stream_before_anything_is_given_back() {
    let given_up = unconfirmable().gets_help(cancel(), cancelled_by_hand()).owes(["cancel:2"]);
    let asked = Request::CancelOrder { reason: CancelReason::ByHand };
    assert_eq!(given_up.due("cancel:2").request, asked);
    given_up
        .hears(cancelled("merchant-request"))
        .owes(["release:A", "release:B", "void", "deadline:finish"])
        .hears(released("A"))
        .hears(Event::PaymentVoided {})
        .hears_the_last(released("B"));
}

#[test]
fn a_confirmation_that_was_under_way_does_not_keep_an_order_that_was_given_up() {
    unconfirmable()
        .gets_help(cancel(), cancelled_by_hand())
        .ignores(Event::OrderConfirmed {})
        .owes(["cancel:2"]);
}

#[test]
fn an_order_that_is_shipped_while_it_is_given_up_is_sent_and_paid_for() {
    unconfirmable()
        .gets_help(cancel(), cancelled_by_hand())
        .hears_trouble(rejected("cancel:2"), Attention::RequestRefused)
        .hears(Event::OrderShipped {})
        .owes(["ship:A", "ship:B", "capture", "deadline:finish"]);
}

#[test]
fn what_was_asked_for_is_answered_before_a_given_up_order_ends() {
    gathering()
        .hears(reserved("A"))
        .hears_trouble(rejected("reserve:B"), Attention::RequestRefused)
        .hears_trouble(rejected("cancel"), Attention::RequestRefused)
        .owes([])
        .gets_help(cancel(), cancelled_by_hand())
        .owes(["cancel:2"])
        .hears(cancelled("merchant-request"))
        .hears_the_last(released("A"));
}

#[test]
fn an_order_that_has_ended_cannot_be_given_up() {
    uncaptured().when(cancel()).then_rejected(Rejection::AlreadyShipped);
    unvoided().when(cancel()).then_rejected(Rejection::Cancelled);
}

#[test]
fn a_capture_that_is_settled_by_hand_is_owed_no_more_and_the_order_is_closed() {
    uncaptured()
        .gets_help(settle(), settled_by_hand())
        .owes(["close", "deadline:finish"])
        .ignores(Event::PaymentCaptured {})
        .hears_the_last(Event::OrderClosed {});
}

#[test]
fn a_void_that_is_settled_by_hand_was_the_last_thing_to_wait_for() {
    unvoided()
        .when_twice(settle())
        .then([settled_by_hand(), Event::Completed {}])
        .owes([])
        .when(settle())
        .then_rejected(Rejection::Completed);
}

#[test]
fn what_is_under_way_in_its_time_goes_on_when_the_rest_is_settled_by_hand() {
    confirmed()
        .hears(Event::OrderShipped {})
        .hears_trouble(Event::CaptureFailed { reason: why() }, Attention::CaptureFailed)
        .gets_help(settle(), settled_by_hand())
        .owes(["ship:A", "ship:B", "deadline:finish"])
        .hears(shipped("A"))
        .hears(shipped("B"))
        .owes(["close", "deadline:finish"])
        .hears_the_last(Event::OrderClosed {});
    confirmed()
        .hears(cancelled("other"))
        .hears_trouble(rejected("release:A"), Attention::RequestRefused)
        .gets_help(settle(), settled_by_hand())
        .owes(["release:B", "void", "deadline:finish"])
        .hears(Event::PaymentVoided {})
        .hears_the_last(released("B"));
}

#[test]
fn what_is_late_is_settled_by_hand_with_the_rest() {
    confirmed()
        .hears(Event::OrderShipped {})
        .hears_trouble(passed(Deadline::Finish), Attention::Unfinished)
        .gets_help(settle(), settled_by_hand())
        .owes(["close", "deadline:finish:2"])
        .hears_the_last(Event::OrderClosed {});
    confirmed()
        .hears(cancelled("other"))
        .hears_trouble(passed(Deadline::Finish), Attention::Unfinished)
        .when_twice(settle())
        .then([settled_by_hand(), Event::Completed {}]);
}

#[test]
fn what_was_asked_for_and_is_not_answered_is_never_settled_by_hand() {
    paying()
        .hears(cancelled("other"))
        .hears(released("A"))
        .hears(released("B"))
        .hears_trouble(passed(Deadline::Finish), Attention::Unfinished)
        .gets_help(settle(), settled_by_hand())
        .owes(["authorise", "deadline:finish:2"])
        .hears(Event::PaymentAuthorised {})
        .owes(["void", "deadline:finish:2"])
        .hears_the_last(Event::PaymentVoided {});
}

#[test]
fn an_order_that_has_not_ended_is_not_settled_by_hand() {
    unconfirmable().when(settle()).then_rejected(Rejection::NotEnded);
    gathering()
        .hears_trouble(rejected("reserve:A"), Attention::RequestRefused)
        .when(settle())
        .then_rejected(Rejection::NotEnded);
}

#[test]
fn an_order_that_refuses_to_end_is_settled_by_hand() {
    gathering()
        .hears(reserved("B"))
        .hears_trouble(rejected("reserve:A"), Attention::RequestRefused)
        .hears_trouble(rejected("cancel"), Attention::RequestRefused)
        .when_twice(settle())
        .then([settled_by_hand(), Event::Completed {}]);
    sent()
        .hears(Event::PaymentCaptured {})
        .hears_trouble(rejected("close"), Attention::RequestRefused)
        .when_twice(settle())
        .then([settled_by_hand(), Event::Completed {}]);
}

#[test]
fn even_an_order_that_refuses_to_end_waits_for_what_was_asked_for() {
    gathering()
        .hears_trouble(rejected("reserve:A"), Attention::RequestRefused)
        .hears_trouble(rejected("cancel"), Attention::RequestRefused)
        .gets_help(settle(), settled_by_hand())
        .owes(["reserve:B"])
        .hears_the_last(reserved("B"));
}

#[test]
fn a_person_says_why_in_a_few_words() {
    let written: Command =
        serde_json::from_str(r#"{"settle":{"reason":"  captured in the dashboard "}}"#).unwrap();
    let reason = "captured in the dashboard".parse().unwrap();
    assert_eq!(written, Command::Settle { reason, by: None });
    for wrong in ["", "  ", "two\nlines", &"x".repeat(501)] {
        assert!(wrong.parse::<Remark>().is_err(), "{wrong:?}");
    }
    assert!("ü".repeat(500).parse::<Remark>().is_ok());
}
