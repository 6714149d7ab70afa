use super::*;
use decider::kit::given;
use proptest::prelude::*;

fn gbp(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap()).unwrap()
}

fn sku() -> Sku {
    "85123A".parse().unwrap()
}

fn named(name: &str) -> ProductName {
    name.parse().unwrap()
}

fn list(name: &str, price: Money) -> Command {
    Command::List { sku: sku(), name: named(name), price }
}

fn listed(name: &str, price: Money) -> Event {
    Event::Listed { sku: sku(), name: named(name), price }
}

#[test]
fn a_product_is_listed_once() {
    given::<Product>([]).when_twice(list("Heart", gbp(255))).then([listed("Heart", gbp(255))]);
}

#[test]
fn another_name_or_price_for_a_listed_product_is_refused() {
    for other in [list("Heart", gbp(256)), list("Star", gbp(255))] {
        given::<Product>([listed("Heart", gbp(255))])
            .when(other)
            .then_rejected(Rejection::AlreadyListed);
    }
}

#[test]
fn a_listed_product_is_repriced_in_its_currency() {
    given::<Product>([listed("Heart", gbp(255))])
        .when_twice(Command::Reprice { price: gbp(295) })
        .then([Event::Repriced { price: gbp(295) }])
        .when(Command::Reprice { price: Money::new(1, "EUR".parse().unwrap()).unwrap() })
        .then_rejected(Rejection::OtherCurrency {
            listed: "GBP".parse().unwrap(),
            asked: "EUR".parse().unwrap(),
        });
}

#[test]
fn a_listed_product_is_renamed() {
    given::<Product>([listed("Heart", gbp(255))])
        .when_twice(Command::Rename { name: named("White heart") })
        .then([Event::Renamed { name: named("White heart") }]);
}

#[test]
fn a_discontinued_product_stays_so() {
    given::<Product>([listed("Heart", gbp(255))])
        .when_twice(Command::Discontinue {})
        .then([Event::Discontinued {}])
        .when(list("Heart", gbp(255)))
        .then_rejected(Rejection::Discontinued)
        .when(Command::Reprice { price: gbp(1) })
        .then_rejected(Rejection::Discontinued)
        .when(Command::Rename { name: named("Star") })
        .then_rejected(Rejection::Discontinued);
}

#[test]
fn nothing_but_listing_can_be_done_to_a_product_that_is_not_listed() {
    for command in [
        Command::Reprice { price: gbp(1) },
        Command::Rename { name: named("Star") },
        Command::Discontinue {},
    ] {
        given::<Product>([]).when(command).then_rejected(Rejection::NotListed);
    }
}

#[test]
fn a_stream_and_its_sku_name_each_other() {
    assert_eq!(stream(&sku()), "product-85123A");
    assert_eq!(id_of("product-85123A"), Some(sku()));
    for other in ["stock-85123A", "product-", "product", "product--", "product-a b"] {
        assert_eq!(id_of(other), None, "{other}");
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    let money = (0..3_i64, prop_oneof![Just("GBP"), Just("EUR")])
        .prop_map(|(amount, code)| Money::new(amount, code.parse().unwrap()).unwrap());
    let name = prop_oneof![Just(named("Heart")), Just(named("Star"))];
    prop_oneof![
        (name.clone(), money.clone()).prop_map(|(name, price)| Command::List {
            sku: sku(),
            name,
            price
        }),
        money.prop_map(|price| Command::Reprice { price }),
        name.prop_map(|name| Command::Rename { name }),
        Just(Command::Discontinue {}),
    ]
}

proptest! {
    #[test]
    fn a_product_keeps_its_currency_and_no_command_counts_twice(
        commands in prop::collection::vec(any_command(), 0..20)
    ) {
        let mut state = State::default();
        let mut currency = None;
        for command in commands {
            let events = Product::decide(&state, &command).unwrap_or_default();
            prop_assert!(events.len() <= 1);
            state = Product::fold(state, &events);
            let again = Product::decide(&state, &command);
            prop_assert!(again.is_err() || again == Ok(vec![]));
            if let State::Listed { price, .. } = &state {
                prop_assert_eq!(*currency.get_or_insert(price.currency()), price.currency());
            }
        }
    }
}
