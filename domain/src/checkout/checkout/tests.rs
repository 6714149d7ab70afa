use super::*;
use decider::kit::{Given, given};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

mod ending;
mod hand;
mod settling;
mod trouble;

fn order() -> OrderId {
    OrderId(Uuid::from_u128(7))
}

fn sku(code: &str) -> Sku {
    code.parse().unwrap()
}

fn gbp(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap()).unwrap()
}

fn reason(slug: &str) -> Reason {
    slug.parse().unwrap()
}

fn reservations() -> Vec<Reservation> {
    let of = |code, quantity: i64| Reservation {
        sku: sku(code),
        quantity: quantity.try_into().unwrap(),
    };
    vec![of("A", 2), of("B", 1)]
}

const PATIENCE: Patience = Patience { settle_s: 600, finish_s: 3600 };

fn start(total: i64) -> Command {
    Command::Start {
        order: order(),
        reservations: reservations(),
        total: gbp(total),
        payment_method: "pm_card_visa".parse().unwrap(),
        patience: PATIENCE,
    }
}

fn started(total: i64) -> Event {
    Event::Started {
        order: order(),
        reservations: reservations(),
        total: gbp(total),
        payment_method: "pm_card_visa".parse().unwrap(),
        patience: PATIENCE,
    }
}

fn reserved(code: &str) -> Event {
    Event::StockReserved { sku: sku(code) }
}

fn refused(code: &str) -> Event {
    Event::StockRefused { sku: sku(code), reason: reason("out-of-stock") }
}

fn released(code: &str) -> Event {
    Event::StockReleased { sku: sku(code) }
}

fn shipped(code: &str) -> Event {
    Event::StockShipped { sku: sku(code) }
}

fn cancelled(slug: &str) -> Event {
    Event::OrderCancelled { reason: reason(slug) }
}

fn passed(deadline: Deadline) -> Event {
    Event::DeadlinePassed { deadline }
}

fn attention(reason: Attention) -> Event {
    Event::NeedsAttention { reason }
}

/// A fact and its event are the same words, so a test says them once.
fn fact(event: &Event) -> Command {
    let json = serde_json::to_value(event).unwrap();
    let (name, fields) = json.as_object().unwrap().iter().next().unwrap();
    let name =
        name.strip_prefix("checkout.").unwrap().replace('_', "-").replace("started", "start");
    serde_json::from_value(serde_json::json!({ name: fields })).unwrap()
}

/// Facts come, each twice, and each is written down once with what follows from it.
trait Hears: Sized {
    fn hears(self, fact: Event) -> Self;
    fn hears_the_last(self, fact: Event) -> Self;
    fn hears_trouble(self, fact: Event, reason: Attention) -> Self;
    fn ignores(self, fact: Event) -> Self;
}

impl Hears for Given<Checkout> {
    #[track_caller]
    fn hears(self, event: Event) -> Self {
        self.when_twice(fact(&event)).then([event])
    }

    #[track_caller]
    fn hears_the_last(self, event: Event) -> Self {
        self.when_twice(fact(&event)).then([event, Event::Completed {}]).owes([])
    }

    #[track_caller]
    fn hears_trouble(self, event: Event, reason: Attention) -> Self {
        self.when_twice(fact(&event)).then([event, attention(reason)])
    }

    #[track_caller]
    fn ignores(self, event: Event) -> Self {
        self.when(fact(&event)).then_nothing()
    }
}

fn gathering() -> Given<Checkout> {
    given([started(900)])
}

fn paying() -> Given<Checkout> {
    given([started(900), reserved("A"), reserved("B")])
}

fn ready() -> Given<Checkout> {
    given([started(900), reserved("A"), reserved("B"), Event::PaymentAuthorised {}])
}

fn confirmed() -> Given<Checkout> {
    ready().hears(Event::OrderConfirmed {})
}

#[test]
fn a_checkout_starts_once() {
    given::<Checkout>([]).when_twice(start(900)).then([started(900)]).owes([
        "reserve:A",
        "reserve:B",
        "deadline:settle",
    ]);
}

#[test]
fn before_it_starts_no_fact_matters() {
    given::<Checkout>([])
        .ignores(reserved("A"))
        .ignores(Event::PaymentAuthorised {})
        .ignores(cancelled("customer-request"));
}

#[test]
fn a_fact_about_a_sku_that_was_not_ordered_is_ignored() {
    gathering().ignores(reserved("C")).ignores(refused("C")).ignores(released("C"));
}

#[test]
fn a_request_says_all_that_its_owner_needs() {
    let checkout = gathering();
    let reserve = Request::Reserve { sku: sku("A"), quantity: 2.try_into().unwrap() };
    assert_eq!(checkout.due("reserve:A").request, reserve);
    assert_eq!(checkout.due("reserve:A").delay, Duration::ZERO);
    assert_eq!(checkout.due("deadline:settle").delay, Duration::from_secs(600));
    assert_eq!(
        paying().due("authorise").request,
        Request::Authorise { amount: gbp(900), method: "pm_card_visa".parse().unwrap() }
    );
    let shipping = confirmed().hears(Event::OrderShipped {});
    assert_eq!(shipping.due("capture").request, Request::Capture { amount: gbp(900) });
    assert_eq!(shipping.due("deadline:finish").delay, Duration::from_secs(3600));
}

#[test]
fn a_stream_and_its_order_name_each_other() {
    assert_eq!(id_of(&stream(order())), Some(order()));
    assert_eq!(stream(order()), "checkout-00000000-0000-0000-0000-000000000007");
}

fn any_fact() -> impl Strategy<Value = Event> {
    let code = || prop_oneof![Just("A"), Just("B")];
    let stock = prop_oneof![
        code().prop_map(reserved),
        code().prop_map(refused),
        code().prop_map(released),
        code().prop_map(shipped),
    ];
    let why = || reason("unknown");
    let payment = prop_oneof![
        Just(Event::PaymentAuthorised {}),
        Just(Event::PaymentDeclined { reason: why() }),
        Just(Event::PaymentFailed { reason: why() }),
        Just(Event::PaymentCaptured {}),
        Just(Event::CaptureFailed { reason: why() }),
        Just(Event::PaymentVoided {}),
        Just(Event::VoidFailed { reason: why() }),
        Just(Event::PaymentRefunded {}),
        Just(Event::RefundFailed { reason: why() }),
    ];
    let order = prop_oneof![
        Just(Event::OrderConfirmed {}),
        Just(cancelled("customer-request")),
        Just(Event::OrderShipped {}),
        Just(Event::OrderClosed {}),
    ];
    let other = prop_oneof![
        Just(started(900)),
        Just(passed(Deadline::Settle)),
        Just(passed(Deadline::Finish)),
        prop_oneof![Just("reserve:A"), Just("authorise"), Just("void"), Just("close")]
            .prop_map(move |key| Event::RequestRefused { key: key.to_owned(), problem: why() }),
    ];
    prop_oneof![3 => stock, 3 => payment, 1 => order, 1 => other]
}

proptest! {
    /// Also of facts that cannot follow on each other; those that can are tried in `tests/it`.
    #[test]
    fn no_sequence_of_facts_makes_it_owe_a_thing_twice_or_go_on_after_its_end(
        free in any::<bool>(),
        facts in prop::collection::vec(any_fact(), 0..60),
    ) {
        let mut state = Checkout::evolve(State::default(), &started(if free { 0 } else { 900 }));
        let mut gone = BTreeSet::new();
        for heard in facts {
            let before: BTreeSet<String> =
                Checkout::pending(&state).into_iter().map(|due| due.key).collect();
            let was_completed = state == State::Completed;
            let events = Checkout::decide(&state, &fact(&heard)).expect("no fact is rejected");
            prop_assert!(!was_completed || events.is_empty());
            state = Checkout::fold(state, &events);
            let completed = events.last() == Some(&Event::Completed {});
            prop_assert_eq!(completed || was_completed, state == State::Completed);
            prop_assert_eq!(Checkout::decide(&state, &fact(&heard)), Ok(vec![]));

            let after: BTreeSet<String> =
                Checkout::pending(&state).into_iter().map(|due| due.key).collect();
            gone.extend(before.difference(&after).cloned());
            prop_assert!(after.is_disjoint(&gone), "{:?} of {:?}", after, gone);
            prop_assert!(after.is_empty() || state != State::Completed);
        }
    }
}
