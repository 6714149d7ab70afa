use std::time::Duration;

use domain::ids::OrderId;
use domain::payments::payment::Outcome;
use domain::values::Money;
use edge::BreakerSettings;
use sagas::provider::{Provider, Reference, Timeouts, Unknown};
use sagas::sandbox::Mode;
use tokio::net::TcpListener;

use crate::support::Sandbox;

struct Shop {
    sandbox: Sandbox,
    provider: Provider,
    what: Reference,
}

impl Shop {
    async fn open() -> Self {
        let sandbox = Sandbox::start().await;
        let provider = client(&sandbox.url);
        let what = Reference { order: OrderId(edge::ids::mint()), attempt: 1 };
        Self { sandbox, provider, what }
    }

    async fn authorise(&self, method: &str) -> Result<Outcome, Unknown> {
        self.provider.authorise(self.what, pence(1095), &method.parse().unwrap()).await
    }

    async fn held(&self, method: &str) -> String {
        loop {
            match self.authorise(method).await {
                Ok(outcome) => return reference(outcome),
                Err(unknown) => assert_known_trouble(&unknown),
            }
        }
    }

    async fn sums(&self) -> sagas::sandbox::Sums {
        self.sandbox.entry(&self.what.order.to_string()).await.unwrap().sums
    }
}

fn client(url: &str) -> Provider {
    let timeouts =
        Timeouts { connect: Duration::from_millis(500), answer: Duration::from_millis(500) };
    let never = BreakerSettings { failures: u32::MAX, ..BreakerSettings::default() };
    Provider::new(url, "sk_test_it", timeouts, never).unwrap()
}

fn pence(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap()).unwrap()
}

fn reference(outcome: Outcome) -> String {
    let Outcome::Succeeded { reference } = outcome else { panic!("{outcome:?}") };
    reference
}

fn assert_known_trouble(unknown: &Unknown) {
    let known = matches!(unknown, Unknown::Broken { .. } | Unknown::Line(_) | Unknown::TimedOut(_));
    assert!(known || matches!(unknown, Unknown::Busy), "{unknown:?}");
}

fn declined(reason: &str) -> Outcome {
    Outcome::Declined { reason: reason.parse().unwrap() }
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.parse().unwrap() }
}

#[tokio::test]
async fn a_payment_goes_from_held_to_taken_to_given_back() {
    let shop = Shop::open().await;
    let intent = reference(shop.authorise("pm_card_visa").await.unwrap());
    assert_eq!(reference(shop.authorise("pm_card_visa").await.unwrap()), intent);
    for _ in 0..2 {
        let captured = shop.provider.capture(shop.what, &intent, pence(1095)).await.unwrap();
        assert_eq!(reference(captured), intent);
    }
    let first = shop.provider.refund(shop.what, &intent, pence(1095)).await.unwrap();
    let second = shop.provider.refund(shop.what, &intent, pence(1095)).await.unwrap();
    assert_eq!(first, second);
    let sums = shop.sums().await;
    assert_eq!((sums.charges, sums.captured, sums.refunded), (1, 1095, 1095));
}

#[tokio::test]
async fn a_decline_is_final_and_says_why() {
    for (method, reason) in [
        ("pm_card_visa_chargeDeclined", "generic-decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient-funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired-card"),
        ("pm_card_authenticationRequired", "authentication-required"),
    ] {
        let shop = Shop::open().await;
        assert_eq!(shop.authorise(method).await.unwrap(), declined(reason));
        assert_eq!(shop.authorise(method).await.unwrap(), declined(reason));
        let found = shop.provider.find(shop.what).await.unwrap();
        assert_eq!(found, Some(declined(reason)));
    }
}

#[tokio::test]
async fn what_the_provider_cannot_do_fails_and_is_no_decline() {
    let shop = Shop::open().await;
    let unheard_of = shop.authorise("pm_nobody_knows").await.unwrap();
    assert_eq!(unheard_of, failed("resource-missing"));
    let capture = shop.provider.capture(shop.what, "pi_none", pence(1)).await.unwrap();
    assert_eq!(capture, failed("resource-missing"));
}

#[tokio::test]
async fn errors_are_unknown_until_they_pass() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        let unknown = shop.authorise("pm_sandbox_error").await.unwrap_err();
        assert!(matches!(unknown, Unknown::Broken { status: 500 }), "{unknown:?}");
    }
    reference(shop.authorise("pm_sandbox_error").await.unwrap());
    assert_eq!(shop.sums().await.charges, 1);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_repeat_is_told() {
    let shop = Shop::open().await;
    let unknown = shop.authorise("pm_sandbox_lost").await.unwrap_err();
    assert!(matches!(unknown, Unknown::Line(_)), "{unknown:?}");
    let intent = shop.held("pm_sandbox_lost").await;
    let lost = shop.provider.void(shop.what, &intent).await.unwrap_err();
    assert!(matches!(lost, Unknown::Line(_)), "{lost:?}");
    shop.provider.void(shop.what, &intent).await.map(reference).unwrap();
    let sums = shop.sums().await;
    assert_eq!((sums.charges, sums.released), (1, 1095));
}

#[tokio::test]
async fn under_a_spent_key_the_providers_own_state_is_looked_up() {
    let shop = Shop::open().await;
    let method = "pm_sandbox_error_kept";
    shop.authorise(method).await.unwrap_err();
    let intent = reference(shop.authorise(method).await.unwrap());
    shop.provider.capture(shop.what, &intent, pence(1095)).await.unwrap_err();
    shop.provider.capture(shop.what, &intent, pence(1095)).await.map(reference).unwrap();
    shop.provider.refund(shop.what, &intent, pence(1095)).await.unwrap_err();
    shop.provider.refund(shop.what, &intent, pence(1095)).await.map(reference).unwrap();
    let sums = shop.sums().await;
    assert_eq!((sums.charges, sums.captured, sums.refunded), (1, 1095, 1095));
}

#[tokio::test]
async fn a_slow_answer_is_unknown_and_comes_in_the_end() {
    let shop = Shop::open().await;
    shop.sandbox.behave(Mode::Up, 800).await;
    let unknown = shop.authorise("pm_sandbox_slow").await.unwrap_err();
    assert!(matches!(unknown, Unknown::TimedOut(_)), "{unknown:?}");
    let unknown = shop.authorise("pm_sandbox_slow").await.unwrap_err();
    assert!(matches!(unknown, Unknown::Busy), "{unknown:?}");
    shop.held("pm_sandbox_slow").await;
    assert_eq!(shop.sums().await.charges, 1);
}

#[tokio::test]
async fn a_provider_that_is_down_or_gone_or_locked_is_unknown() {
    let shop = Shop::open().await;
    shop.sandbox.behave(Mode::Down, 0).await;
    let unknown = shop.authorise("pm_card_visa").await.unwrap_err();
    assert!(matches!(unknown, Unknown::Line(_)), "{unknown:?}");
    assert!(shop.provider.find(shop.what).await.is_err(), "a failed look-up is no answer either");

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = client(&format!("http://{nobody}"));
    let method = "pm_card_visa".parse().unwrap();
    let unknown = gone.authorise(shop.what, pence(1), &method).await.unwrap_err();
    assert!(matches!(unknown, Unknown::Line(_)), "{unknown:?}");

    shop.sandbox.behave(Mode::Up, 0).await;
    let breaker = BreakerSettings::default();
    let wrong = Provider::new(&shop.sandbox.url, "pk_wrong", Timeouts::default(), breaker).unwrap();
    let unknown = wrong.authorise(shop.what, pence(1), &method).await.unwrap_err();
    assert!(matches!(unknown, Unknown::Unauthorised), "{unknown:?}");
}

#[tokio::test]
async fn already_so_is_success_and_too_late_is_failure() {
    let shop = Shop::open().await;
    let again = Reference { attempt: 2, ..shop.what };
    let intent = shop.held("pm_card_visa").await;
    shop.provider.void(shop.what, &intent).await.map(reference).unwrap();
    shop.provider.void(again, &intent).await.map(reference).unwrap();
    let late = shop.provider.capture(shop.what, &intent, pence(1095)).await.unwrap();
    assert_eq!(late, failed("payment-intent-unexpected-state"));

    let shop = Shop::open().await;
    let again = Reference { attempt: 2, ..shop.what };
    let intent = shop.held("pm_card_visa").await;
    shop.provider.capture(shop.what, &intent, pence(1000)).await.map(reference).unwrap();
    shop.provider.capture(again, &intent, pence(1000)).await.map(reference).unwrap();
    let other = Reference { attempt: 3, ..shop.what };
    let other = shop.provider.capture(other, &intent, pence(1095)).await.unwrap();
    assert_eq!(other, failed("captured-other-amount"));
    let void = shop.provider.void(shop.what, &intent).await.unwrap();
    assert_eq!(void, failed("already-captured"));
}

#[tokio::test]
async fn an_expired_hold_cannot_be_captured() {
    let shop = Shop::open().await;
    let intent = shop.held("pm_sandbox_capture_fails").await;
    let gone = shop.provider.capture(shop.what, &intent, pence(1095)).await.unwrap();
    assert_eq!(gone, failed("charge-expired-for-capture"));
}

#[tokio::test]
async fn an_authorisation_is_found_by_its_order_and_attempt() {
    let shop = Shop::open().await;
    assert_eq!(shop.provider.find(shop.what).await.unwrap(), None);
    let intent = shop.held("pm_card_visa").await;
    let found = shop.provider.find(shop.what).await.unwrap();
    assert_eq!(found, Some(Outcome::Succeeded { reference: intent }));
    let other = Reference { attempt: 2, ..shop.what };
    assert_eq!(shop.provider.find(other).await.unwrap(), None);
}

#[tokio::test]
async fn a_failing_provider_is_left_alone_for_a_moment() {
    let sandbox = Sandbox::start().await;
    let pause = Duration::from_millis(100);
    let breaker = BreakerSettings { failures: 3, first_pause: pause, longest_pause: pause };
    let provider = Provider::new(&sandbox.url, "sk_test_it", Timeouts::default(), breaker).unwrap();
    let what = Reference { order: OrderId(edge::ids::mint()), attempt: 1 };
    let method = "pm_card_visa".parse().unwrap();
    sandbox.behave(Mode::Error, 0).await;
    for _ in 0..3 {
        let unknown = provider.authorise(what, pence(1), &method).await.unwrap_err();
        assert!(matches!(unknown, Unknown::Broken { .. }), "{unknown:?}");
    }
    let unknown = provider.authorise(what, pence(1), &method).await.unwrap_err();
    assert!(matches!(unknown, Unknown::BreakerOpen), "{unknown:?}");

    sandbox.behave(Mode::Up, 0).await;
    while let Err(unknown) = provider.authorise(what, pence(1), &method).await {
        assert!(matches!(unknown, Unknown::BreakerOpen), "{unknown:?}");
        tokio::task::yield_now().await;
    }
}
