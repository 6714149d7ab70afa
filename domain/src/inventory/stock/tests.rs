use super::*;
use decider::kit::given;
use proptest::prelude::*;
use uuid::Uuid;

fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

fn pieces(number: i64) -> Quantity {
    number.try_into().unwrap()
}

fn received(number: i64) -> Event {
    Event::Received { quantity: pieces(number) }
}

fn reserve(by: u128, number: i64) -> Command {
    Command::Reserve { order: order(by), quantity: pieces(number) }
}

fn reserved(by: u128, number: i64) -> Event {
    Event::Reserved { order: order(by), quantity: pieces(number) }
}

fn refused(by: u128, number: i64) -> Event {
    Event::ReservationRefused {
        order: order(by),
        quantity: pieces(number),
        reason: "out-of-stock".parse().unwrap(),
    }
}

fn released(by: u128, number: i64) -> Event {
    Event::Released { order: order(by), quantity: pieces(number) }
}

fn shipped(by: u128, number: i64) -> Event {
    Event::Shipped { order: order(by), quantity: pieces(number) }
}

fn adjust(change: i64) -> Command {
    Command::Adjust { change: change.try_into().unwrap(), reason: "found".parse().unwrap() }
}

fn adjusted(change: i64) -> Event {
    Event::Adjusted { change: change.try_into().unwrap(), reason: "found".parse().unwrap() }
}

#[test]
fn what_is_received_is_on_hand() {
    let stock =
        given::<Stock>([]).when(Command::Receive { quantity: pieces(7) }).then([received(7)]);
    assert_eq!((stock.state().on_hand(), stock.state().available()), (7, 7));
}

#[test]
fn a_second_delivery_of_the_same_size_counts_too() {
    // Only the command id tells a repeated message from a second delivery, so the log refuses it.
    given::<Stock>([received(7)])
        .when(Command::Receive { quantity: pieces(7) })
        .then([received(7)]);
}

#[test]
fn a_reservation_is_held_until_it_is_released() {
    let stock = given::<Stock>([received(10)])
        .when_twice(reserve(1, 3))
        .then([reserved(1, 3)])
        .when_twice(Command::Release { order: order(1) })
        .then([released(1, 3)]);
    assert_eq!((stock.state().on_hand(), stock.state().reserved()), (10, 0));
}

#[test]
fn what_is_shipped_is_neither_on_hand_nor_reserved() {
    let stock = given::<Stock>([received(10), reserved(1, 3)])
        .when_twice(Command::Ship { order: order(1) })
        .then([shipped(1, 3)]);
    assert_eq!((stock.state().on_hand(), stock.state().reserved()), (7, 0));
}

#[test]
fn the_last_piece_is_reserved_once() {
    given::<Stock>([received(1)])
        .when(reserve(1, 1))
        .then([reserved(1, 1)])
        .when(reserve(2, 1))
        .then([refused(2, 1)]);
}

#[test]
fn a_reservation_is_for_all_or_nothing_and_its_refusal_is_an_event() {
    given::<Stock>([received(2)]).when(reserve(1, 3)).then([refused(1, 3)]);
    given::<Stock>([]).when(reserve(1, 1)).then([refused(1, 1)]);
}

#[test]
fn an_order_holds_one_reservation() {
    given::<Stock>([received(10), reserved(1, 3)]).when(reserve(1, 4)).then_nothing();
}

#[test]
fn releasing_or_shipping_what_is_not_held_changes_nothing() {
    for command in [Command::Release { order: order(1) }, Command::Ship { order: order(1) }] {
        given::<Stock>([received(10), reserved(2, 3)]).when(command).then_nothing();
    }
}

#[test]
fn a_count_falls_as_far_as_to_what_is_reserved() {
    given::<Stock>([received(10), reserved(1, 3)])
        .when(adjust(-7))
        .then([adjusted(-7)])
        .when(adjust(-1))
        .then_rejected(Rejection::BelowReserved { on_hand: 3, reserved: 3 });
    given::<Stock>([])
        .when(adjust(-1))
        .then_rejected(Rejection::BelowReserved { on_hand: 0, reserved: 0 });
}

#[test]
fn there_is_a_most_that_may_be_on_hand() {
    let shelf = Shelf { on_hand: MOST_ON_HAND - 1, ..Shelf::default() };
    let nearly_full = State::Stocked(shelf);
    assert_eq!(Stock::decide(&nearly_full, &adjust(1)), Ok(vec![adjusted(1)]));
    let too_much = Err(Rejection::TooMuchStock { on_hand: MOST_ON_HAND - 1 });
    assert_eq!(Stock::decide(&nearly_full, &adjust(2)), too_much);
    assert_eq!(Stock::decide(&nearly_full, &Command::Receive { quantity: pieces(2) }), too_much);
}

#[test]
fn a_stream_and_its_sku_name_each_other() {
    let sku: Sku = "85123A".parse().unwrap();
    assert_eq!(stream(&sku), "stock-85123A");
    assert_eq!(id_of("stock-85123A"), Some(sku));
    assert_eq!(id_of("product-85123A"), None);
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (1..20_i64).prop_map(|n| Command::Receive { quantity: pieces(n) }),
        (-20..20_i64).prop_filter("not 0", |n| *n != 0).prop_map(adjust),
        (0..5_u128, 1..10_i64).prop_map(|(by, n)| reserve(by, n)),
        (0..5_u128).prop_map(|by| Command::Release { order: order(by) }),
        (0..5_u128).prop_map(|by| Command::Ship { order: order(by) }),
    ]
}

/// What the events say, added up with no help from `evolve`.
fn added_up(events: &[Event]) -> (i64, i64) {
    events.iter().fold((0, 0), |(on_hand, reserved), event| match event {
        Event::Received { quantity } => (on_hand + i64::from(*quantity), reserved),
        Event::Adjusted { change, .. } => (on_hand + change.get(), reserved),
        Event::Reserved { quantity, .. } => (on_hand, reserved + i64::from(*quantity)),
        Event::ReservationRefused { .. } => (on_hand, reserved),
        Event::Released { quantity, .. } => (on_hand, reserved - i64::from(*quantity)),
        Event::Shipped { quantity, .. } => {
            (on_hand - i64::from(*quantity), reserved - i64::from(*quantity))
        }
    })
}

proptest! {
    #[test]
    fn reserved_stays_between_zero_and_on_hand(
        commands in prop::collection::vec(any_command(), 0..60)
    ) {
        let mut state = State::default();
        let mut log = vec![];
        for command in commands {
            let events = Stock::decide(&state, &command).unwrap_or_default();
            state = Stock::fold(state, &events);
            log.extend(events);

            let (on_hand, reserved) = added_up(&log);
            prop_assert!(0 <= reserved && reserved <= on_hand);
            prop_assert_eq!((state.on_hand() as i64, state.reserved() as i64), (on_hand, reserved));
            if let State::Stocked(shelf) = &state {
                let open: i64 = shelf.open.values().map(|quantity| i64::from(*quantity)).sum();
                prop_assert_eq!(open, reserved);
            }
        }
    }

    #[test]
    fn no_request_of_a_checkout_counts_twice(
        commands in prop::collection::vec(any_command(), 0..60)
    ) {
        let mut state = State::default();
        for command in commands {
            state = Stock::fold(state.clone(), &Stock::decide(&state, &command).unwrap_or_default());
            let again = Stock::decide(&state, &command);
            match command {
                Command::Receive { .. } | Command::Adjust { .. } => {}
                Command::Reserve { .. } | Command::Release { .. } | Command::Ship { .. } => {
                    let after = Stock::fold(state.clone(), &again.unwrap_or_default());
                    prop_assert_eq!(&after, &state);
                }
            }
        }
    }
}
