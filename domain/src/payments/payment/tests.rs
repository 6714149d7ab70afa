use super::*;
use decider::kit::{Given, given};
use proptest::prelude::*;
use uuid::Uuid;

fn gbp(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap()).unwrap()
}

fn visa() -> PaymentMethod {
    "pm_card_visa".parse().unwrap()
}

fn authorise(amount: Money) -> Command {
    Command::Authorise { amount, method: visa() }
}

fn reason() -> Reason {
    "insufficient-funds".parse().unwrap()
}

fn succeeded(operation: Operation, attempt: u32) -> Command {
    let outcome = Outcome::Succeeded { reference: "pi_1".to_owned() };
    Command::Answer { operation, attempt, outcome }
}

fn declined(operation: Operation, attempt: u32) -> Command {
    Command::Answer { operation, attempt, outcome: Outcome::Declined { reason: reason() } }
}

fn failed(operation: Operation, attempt: u32) -> Command {
    Command::Answer { operation, attempt, outcome: Outcome::Failed { reason: reason() } }
}

fn requested() -> Event {
    Event::AuthorisationRequested { attempt: 1, amount: gbp(900), method: visa() }
}

fn authorised() -> Event {
    Event::Authorised { attempt: 1, amount: gbp(900), reference: "pi_1".to_owned() }
}

fn capture_requested(attempt: u32) -> Event {
    Event::CaptureRequested { attempt, amount: gbp(900) }
}

fn captured() -> Event {
    Event::Captured { attempt: 1, amount: gbp(900) }
}

fn refund_requested(attempt: u32) -> Event {
    Event::RefundRequested { attempt, amount: gbp(900) }
}

fn refunded(attempt: u32) -> Event {
    Event::Refunded { attempt, amount: gbp(900), reference: "pi_1".to_owned() }
}

fn held() -> Given<Payment> {
    given([requested(), authorised()])
}

fn taken() -> Given<Payment> {
    given([requested(), authorised(), capture_requested(1), captured()])
}

#[test]
fn the_intent_is_written_before_the_provider_is_called() {
    let payment = given::<Payment>([])
        .when_twice(authorise(gbp(900)))
        .then([requested()])
        .owes(["authorise:1"]);
    assert_eq!(
        payment.due("authorise:1").request,
        Call {
            operation: Operation::Authorisation,
            attempt: 1,
            amount: Some(gbp(900)),
            method: Some(visa()),
            reference: None,
        }
    );
    payment.when_twice(succeeded(Operation::Authorisation, 1)).then([authorised()]).owes([]);
}

#[test]
fn a_declined_authorisation_is_not_tried_again() {
    given::<Payment>([requested()])
        .when_twice(declined(Operation::Authorisation, 1))
        .then([Event::Declined { attempt: 1, reason: reason() }])
        .owes([])
        .when(authorise(gbp(900)))
        .then_nothing();
}

#[test]
fn an_authorisation_that_fails_for_good_is_told_apart_from_a_declined_one() {
    given::<Payment>([requested()])
        .when_twice(failed(Operation::Authorisation, 1))
        .then([Event::AuthorisationFailed { attempt: 1, reason: reason() }])
        .owes([])
        .when(succeeded(Operation::Authorisation, 1))
        .then_nothing();
}

#[test]
fn another_amount_currency_or_method_is_refused() {
    let eur = Money::new(900, "EUR".parse().unwrap()).unwrap();
    let other_method =
        Command::Authorise { amount: gbp(900), method: "pm_card_mastercard".parse().unwrap() };
    given::<Payment>([requested()])
        .when(authorise(gbp(901)))
        .then_rejected(Rejection::OtherAmount { amount: gbp(900) })
        .when(authorise(eur))
        .then_rejected(Rejection::OtherCurrency { currency: "GBP".parse().unwrap() })
        .when(other_method)
        .then_rejected(Rejection::OtherMethod);
    held().when(authorise(gbp(900))).then_nothing();
    given::<Payment>([]).when(authorise(gbp(0))).then_rejected(Rejection::ZeroAmount);
}

#[test]
fn what_is_held_is_captured_whole() {
    let payment = held()
        .when_twice(Command::Capture { amount: gbp(900) })
        .then([capture_requested(1)])
        .owes(["capture:1"]);
    assert_eq!(
        payment.due("capture:1").request,
        Call {
            operation: Operation::Capture,
            attempt: 1,
            amount: Some(gbp(900)),
            method: None,
            reference: Some("pi_1".to_owned()),
        }
    );
    payment
        .when_twice(succeeded(Operation::Capture, 1))
        .then([captured()])
        .owes([])
        .when(Command::Capture { amount: gbp(900) })
        .then_nothing();
}

#[test]
fn no_more_and_no_less_than_what_is_held_is_captured() {
    held()
        .when(Command::Capture { amount: gbp(899) })
        .then_rejected(Rejection::PartialNotSupported { whole: gbp(900) })
        .when(Command::Capture { amount: gbp(901) })
        .then_rejected(Rejection::OtherAmount { amount: gbp(900) });
    taken().when(Command::Capture { amount: gbp(1) }).then_rejected(Rejection::AlreadyCaptured);
    for history in [vec![], vec![requested(), Event::Declined { attempt: 1, reason: reason() }]] {
        given::<Payment>(history)
            .when(Command::Capture { amount: gbp(900) })
            .then_rejected(Rejection::NotAuthorised)
            .when(Command::Void {})
            .then_rejected(Rejection::NotAuthorised);
    }
}

#[test]
fn a_capture_that_failed_for_good_can_be_tried_again_under_a_new_key() {
    held()
        .when(Command::Capture { amount: gbp(900) })
        .then([capture_requested(1)])
        .when_twice(failed(Operation::Capture, 1))
        .then([Event::CaptureFailed { attempt: 1, reason: reason() }])
        .owes([])
        .when(Command::Capture { amount: gbp(900) })
        .then([capture_requested(2)])
        .owes(["capture:2"])
        .when(succeeded(Operation::Capture, 1))
        .then_nothing()
        .when(declined(Operation::Capture, 2))
        .then([Event::CaptureFailed { attempt: 2, reason: reason() }]);
}

#[test]
fn what_is_held_is_let_go() {
    held()
        .when_twice(Command::Void {})
        .then([Event::VoidRequested { attempt: 1 }])
        .owes(["void:1"])
        .when_twice(succeeded(Operation::Void, 1))
        .then([Event::Voided { attempt: 1 }])
        .owes([])
        .when(Command::Void {})
        .then_nothing()
        .when(Command::Capture { amount: gbp(900) })
        .then_rejected(Rejection::Voided)
        .when(authorise(gbp(900)))
        .then_rejected(Rejection::Voided);
}

#[test]
fn a_void_that_failed_for_good_can_be_tried_again_under_a_new_key() {
    held()
        .when(Command::Void {})
        .then([Event::VoidRequested { attempt: 1 }])
        .when_twice(failed(Operation::Void, 1))
        .then([Event::VoidFailed { attempt: 1, reason: reason() }])
        .when(Command::Void {})
        .then([Event::VoidRequested { attempt: 2 }])
        .owes(["void:2"]);
}

#[test]
fn nothing_is_begun_while_an_outcome_is_unknown() {
    given::<Payment>([requested()])
        .when(Command::Void {})
        .then_rejected(Rejection::InProgress)
        .when(Command::Capture { amount: gbp(900) })
        .then_rejected(Rejection::InProgress);
    given::<Payment>([requested(), authorised(), capture_requested(1)])
        .when(Command::Void {})
        .then_rejected(Rejection::InProgress);
    given::<Payment>([requested(), authorised(), Event::VoidRequested { attempt: 1 }])
        .when(Command::Capture { amount: gbp(900) })
        .then_rejected(Rejection::InProgress);
}

#[test]
fn what_was_taken_is_given_back_once() {
    let payment = taken()
        .when_twice(Command::Refund { amount: None })
        .then([refund_requested(1)])
        .owes(["refund:1"]);
    assert_eq!(payment.due("refund:1").request.amount, Some(gbp(900)));
    payment
        .when_twice(succeeded(Operation::Refund, 1))
        .then([refunded(1)])
        .owes([])
        .when(Command::Refund { amount: None })
        .then_rejected(Rejection::NothingLeft);
}

#[test]
fn a_part_is_not_given_back_yet() {
    taken()
        .when(Command::Refund { amount: Some(gbp(1)) })
        .then_rejected(Rejection::PartialNotSupported { whole: gbp(900) })
        .when(Command::Refund { amount: Some(gbp(1000)) })
        .then_rejected(Rejection::OtherAmount { amount: gbp(900) })
        .when(Command::Refund { amount: Some(gbp(900)) })
        .then([refund_requested(1)]);
}

#[test]
fn a_refund_that_failed_for_good_can_be_tried_again_under_a_new_key() {
    taken()
        .when(Command::Refund { amount: None })
        .then([refund_requested(1)])
        .when_twice(failed(Operation::Refund, 1))
        .then([Event::RefundFailed { attempt: 1, reason: reason() }])
        .when(Command::Refund { amount: None })
        .then([refund_requested(2)])
        .owes(["refund:2"]);
}

#[test]
fn what_was_not_taken_is_not_given_back_and_what_was_taken_is_not_voided() {
    held().when(Command::Refund { amount: None }).then_rejected(Rejection::NotCaptured);
    taken().when(Command::Void {}).then_rejected(Rejection::AlreadyCaptured);
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    given::<Payment>([]).when(succeeded(Operation::Authorisation, 1)).then_nothing();
    held().when(succeeded(Operation::Void, 1)).then_nothing();
    given::<Payment>([requested()]).when(succeeded(Operation::Authorisation, 2)).then_nothing();
}

#[test]
fn a_stream_and_its_order_name_each_other() {
    let order = OrderId(Uuid::from_u128(7));
    assert_eq!(id_of(&stream(order)), Some(order));
    assert_eq!(stream(order), "payment-00000000-0000-0000-0000-000000000007");
}

fn any_command() -> impl Strategy<Value = Command> {
    let amount = prop_oneof![Just(gbp(900)), Just(gbp(1)), Just(gbp(0)), Just(gbp(901))];
    let operation = prop_oneof![
        Just(Operation::Authorisation),
        Just(Operation::Capture),
        Just(Operation::Void),
        Just(Operation::Refund)
    ];
    let outcome = prop_oneof![
        3 => Just(Outcome::Succeeded { reference: "pi_1".to_owned() }),
        1 => Just(Outcome::Declined { reason: reason() }),
        1 => Just(Outcome::Failed { reason: reason() }),
    ];
    prop_oneof![
        amount.clone().prop_map(authorise),
        amount.clone().prop_map(|amount| Command::Capture { amount }),
        Just(Command::Void {}),
        prop::option::of(amount).prop_map(|amount| Command::Refund { amount }),
        (operation, 1..4_u32, outcome).prop_map(|(operation, attempt, outcome)| {
            Command::Answer { operation, attempt, outcome }
        }),
    ]
}

/// What the events say, added up with no help from `evolve`: authorised, captured, refunded.
fn added_up(log: &[Event]) -> (i64, i64, i64) {
    log.iter().fold((0, 0, 0), |(authorised, captured, refunded), event| match event {
        Event::Authorised { amount, .. } => (authorised + amount.amount(), captured, refunded),
        Event::Voided { .. } => (0, captured, refunded),
        Event::Captured { amount, .. } => (authorised, captured + amount.amount(), refunded),
        Event::Refunded { amount, .. } => (authorised, captured, refunded + amount.amount()),
        Event::AuthorisationRequested { .. }
        | Event::Declined { .. }
        | Event::AuthorisationFailed { .. }
        | Event::CaptureRequested { .. }
        | Event::CaptureFailed { .. }
        | Event::VoidRequested { .. }
        | Event::VoidFailed { .. }
        | Event::RefundRequested { .. }
        | Event::RefundFailed { .. } => (authorised, captured, refunded),
    })
}

proptest! {
    #[test]
    fn no_more_is_captured_than_authorised_and_no_more_refunded_than_captured(
        commands in prop::collection::vec(any_command(), 0..60)
    ) {
        let mut state = State::default();
        let mut log = vec![];
        let mut calls = vec![];
        for command in commands {
            let events = Payment::decide(&state, &command).unwrap_or_default();
            let before = Payment::pending(&state);
            state = Payment::fold(state, &events);
            log.extend(events);
            let (authorised, captured, refunded) = added_up(&log);
            prop_assert!(0 <= refunded && refunded <= captured && captured <= authorised);

            let again = Payment::decide(&state, &command);
            prop_assert!(again.is_err() || again == Ok(vec![]));
            for due in Payment::pending(&state).into_iter().filter(|due| !before.contains(due)) {
                prop_assert!(!calls.contains(&due.key), "{} is used twice", due.key);
                calls.push(due.key);
            }
        }
    }
}
