use super::*;
use decider::kit::given;
use proptest::prelude::*;
use uuid::Uuid;

fn order() -> OrderId {
    OrderId(Uuid::from_u128(0x5f0c_1b7e))
}

fn money(amount: i64, code: &str) -> Money {
    Money::new(amount, code.parse().unwrap()).unwrap()
}

fn gbp(amount: i64) -> Money {
    money(amount, "GBP")
}

fn line(sku: &str, quantity: i64, price: i64) -> Line {
    Line {
        sku: sku.parse().unwrap(),
        quantity: quantity.try_into().unwrap(),
        unit_price: gbp(price),
        tax_rate: TaxRate::default(),
    }
}

fn place(lines: Vec<Line>, shipping: Option<Money>, discount: Option<Money>) -> Command {
    Command::Place {
        order: order(),
        lines,
        shipping,
        discount,
        customer: Some("17850".parse().unwrap()),
        country: "GB".parse().unwrap(),
        payment_method: "pm_card_visa".parse().unwrap(),
    }
}

fn placed() -> Event {
    Event::Placed {
        order: order(),
        lines: vec![
            PlacedLine {
                line: 1.try_into().unwrap(),
                sku: "85123A".parse().unwrap(),
                quantity: 6.try_into().unwrap(),
                unit_price: gbp(255),
                tax_rate: TaxRate::default(),
            },
            PlacedLine {
                line: 2.try_into().unwrap(),
                sku: "71053".parse().unwrap(),
                quantity: 1.try_into().unwrap(),
                unit_price: gbp(339),
                tax_rate: TaxRate::default(),
            },
        ],
        shipping: gbp(500),
        discount: gbp(69),
        total: gbp(2300),
        customer: Some("17850".parse().unwrap()),
        country: "GB".parse().unwrap(),
        payment_method: "pm_card_visa".parse().unwrap(),
    }
}

fn shipped() -> Event {
    let of = |line: i64, quantity: i64| ShippedLine {
        line: line.try_into().unwrap(),
        quantity: quantity.try_into().unwrap(),
    };
    Event::Shipped { lines: vec![of(1, 6), of(2, 1)] }
}

fn cancel(reason: CancelReason) -> Command {
    Command::Cancel { reason }
}

fn cancelled(reason: CancelReason) -> Event {
    Event::Cancelled { reason }
}

const BY_PEOPLE: CancelReason = CancelReason::CustomerRequest;
const BY_CHECKOUT: CancelReason = CancelReason::CheckoutTimeout;

#[test]
fn a_total_is_lines_plus_shipping_minus_discount() {
    given::<Order>([])
        .when_twice(place(
            vec![line("85123A", 6, 255), line("71053", 1, 339)],
            Some(gbp(500)),
            Some(gbp(69)),
        ))
        .then([placed()]);
}

#[test]
fn an_order_is_placed_once() {
    given::<Order>([placed()])
        .when(place(vec![line("85123A", 6, 255)], None, None))
        .then_rejected(Rejection::AlreadyPlaced);
}

#[test]
fn a_whole_order_may_be_given_away() {
    let decision =
        Order::decide(&State::NotPlaced, &place(vec![line("A", 2, 50)], None, Some(gbp(100))));
    let Ok([Event::Placed { total, .. }]) = decision.as_deref() else { panic!("{decision:?}") };
    assert_eq!(*total, gbp(0));
}

#[test]
fn an_order_that_makes_no_sense_is_refused() {
    let dear = line("A", 1_000_000, Money::MAX);
    let eur = Some(money(1, "EUR"));
    for (command, rejection) in [
        (place(vec![], None, None), Rejection::NoLines),
        (place(vec![line("A", 1, 1); MOST_LINES + 1], None, None), Rejection::TooManyLines),
        (place(vec![line("A", 1, 1)], eur, None), Rejection::MixedCurrencies),
        (place(vec![line("A", 1, 1)], None, eur), Rejection::MixedCurrencies),
        (
            place(
                vec![line("A", 1, 1), Line { unit_price: money(1, "EUR"), ..line("B", 1, 1) }],
                None,
                None,
            ),
            Rejection::MixedCurrencies,
        ),
        (place(vec![dear], None, None), Rejection::TotalTooLarge),
        (
            place(vec![line("A", 1, Money::MAX)], Some(gbp(1)), Some(gbp(1))),
            Rejection::TotalTooLarge,
        ),
        (
            place(vec![line("A", 2, 50)], Some(gbp(10)), Some(gbp(111))),
            Rejection::DiscountExceedsTotal,
        ),
        (
            place(vec![line("A", 1_000_000, 0), line("A", 1, 0)], None, None),
            Rejection::TooManyUnits { sku: "A".parse().unwrap() },
        ),
    ] {
        given::<Order>([]).when(command).then_rejected(rejection);
    }
}

#[test]
fn an_order_goes_from_placed_over_confirmed_and_shipped_to_closed() {
    given::<Order>([placed()])
        .when_twice(Command::Confirm {})
        .then([Event::Confirmed {}])
        .when_twice(Command::Ship {})
        .then([shipped()])
        .when_twice(Command::Close {})
        .then([Event::Closed {}]);
}

#[test]
fn people_may_cancel_until_the_order_is_shipped() {
    given::<Order>([placed()]).when_twice(cancel(BY_PEOPLE)).then([cancelled(BY_PEOPLE)]);
    given::<Order>([placed(), Event::Confirmed {}])
        .when_twice(cancel(BY_PEOPLE))
        .then([cancelled(BY_PEOPLE)]);
    let shipped = || [placed(), Event::Confirmed {}, shipped()];
    given::<Order>(shipped())
        .when(cancel(BY_PEOPLE))
        .then_rejected(Rejection::AlreadyShipped)
        .when(Command::Close {})
        .then([Event::Closed {}])
        .when(cancel(BY_PEOPLE))
        .then_rejected(Rejection::AlreadyShipped);
}

#[test]
fn the_checkout_cannot_cancel_a_confirmed_order() {
    given::<Order>([placed()]).when_twice(cancel(BY_CHECKOUT)).then([cancelled(BY_CHECKOUT)]);
    given::<Order>([placed(), Event::Confirmed {}])
        .when(cancel(BY_CHECKOUT))
        .then_nothing()
        .when(Command::Ship {})
        .then([shipped()])
        .when(cancel(BY_CHECKOUT))
        .then_nothing();
}

#[test]
fn a_cancelled_order_stays_cancelled() {
    given::<Order>([placed(), cancelled(BY_PEOPLE)])
        .when(Command::Confirm {})
        .then_nothing()
        .when(cancel(BY_CHECKOUT))
        .then_nothing()
        .when(Command::Ship {})
        .then_rejected(Rejection::Cancelled)
        .when(Command::Close {})
        .then_rejected(Rejection::Cancelled);
}

#[test]
fn only_a_confirmed_order_is_shipped_and_only_a_shipped_one_closed() {
    given::<Order>([placed()])
        .when(Command::Ship {})
        .then_rejected(Rejection::NotConfirmed)
        .when(Command::Close {})
        .then_rejected(Rejection::NotShipped)
        .when(Command::Confirm {})
        .then([Event::Confirmed {}])
        .when(Command::Close {})
        .then_rejected(Rejection::NotShipped);
}

#[test]
fn an_order_that_does_not_exist_can_only_be_placed() {
    for command in [
        Command::Confirm {},
        cancel(BY_PEOPLE),
        cancel(BY_CHECKOUT),
        Command::Ship {},
        Command::Close {},
    ] {
        given::<Order>([]).when(command).then_rejected(Rejection::NotPlaced);
    }
}

#[test]
fn a_reason_is_the_same_word_in_json_and_in_the_code() {
    let mut by_checkout = vec![];
    for reason in [
        CancelReason::CustomerRequest,
        CancelReason::MerchantRequest,
        CancelReason::FraudSuspected,
        CancelReason::Other,
        CancelReason::OutOfStock,
        CancelReason::PaymentDeclined,
        CancelReason::PaymentFailed,
        CancelReason::CheckoutTimeout,
    ] {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        assert_eq!(Reason::from(reason), reason.as_str().parse().unwrap());
        if reason.by_checkout() {
            by_checkout.push(reason.as_str());
        }
    }
    assert_eq!(
        by_checkout,
        ["out-of-stock", "payment-declined", "payment-failed", "checkout-timeout"]
    );
}

#[test]
fn a_stream_and_its_order_name_each_other() {
    let name = "order-5f0c1b7e-0000-4000-8000-00000000000a";
    let id: OrderId = "5f0c1b7e-0000-4000-8000-00000000000a".parse().unwrap();
    assert_eq!(stream(id), name);
    assert_eq!(id_of(name), Some(id));
    for other in [&name.to_uppercase(), &name.replace("0-", "0"), "order-", "payment-", "order"] {
        assert_eq!(id_of(other), None, "{other}");
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    let amount = prop_oneof![0..300_i64, Just(Money::MAX)];
    let any_line = (prop_oneof![Just("A"), Just("B")], 1..4_i64, amount.clone())
        .prop_map(|(sku, quantity, price)| line(sku, quantity, price));
    let charge = prop::option::of(amount.prop_map(gbp));
    let reason = prop_oneof![Just(BY_PEOPLE), Just(BY_CHECKOUT)];
    prop_oneof![
        (prop::collection::vec(any_line, 0..4), charge.clone(), charge)
            .prop_map(|(lines, shipping, discount)| place(lines, shipping, discount)),
        Just(Command::Confirm {}),
        reason.prop_map(cancel),
        Just(Command::Ship {}),
        Just(Command::Close {}),
    ]
}

fn sum(lines: &[PlacedLine]) -> i128 {
    lines.iter().map(|l| i128::from(l.unit_price.amount()) * i128::from(l.quantity.get())).sum()
}

proptest! {
    #[test]
    fn totals_add_up_and_an_order_never_ends_twice(
        commands in prop::collection::vec(any_command(), 0..30)
    ) {
        let mut state = State::default();
        let mut log = vec![];
        for command in commands {
            let events = Order::decide(&state, &command).unwrap_or_default();
            state = Order::fold(state, &events);
            log.extend(events);
            let again = Order::decide(&state, &command);
            prop_assert!(again.is_err() || again == Ok(vec![]));
        }
        for event in &log {
            if let Event::Placed { lines, shipping, discount, total, .. } = event {
                let expected = sum(lines) + i128::from(shipping.amount())
                    - i128::from(discount.amount());
                prop_assert_eq!(i128::from(total.amount()), expected);
            }
        }
        let count = |wanted: fn(&Event) -> bool| log.iter().filter(|e| wanted(e)).count();
        let placed = count(|e| matches!(e, Event::Placed { .. }));
        let ended = count(|e| matches!(e, Event::Cancelled { .. } | Event::Shipped { .. }));
        let closed = count(|e| matches!(e, Event::Closed {}));
        prop_assert!(placed <= 1 && ended <= placed && closed <= ended);
    }
}
