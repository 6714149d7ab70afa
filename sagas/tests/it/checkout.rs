use domain::checkout::checkout::Patience;
use domain::ids::OrderId;
use domain::orders::order::CancelReason;
use domain::payments::payment;
use domain::values::Money;
use futures_util::future::join_all;
use sagas::sandbox::Mode;

use crate::shop::{Shop, completed_all, database, envelope, eventually, two};
use crate::support::Sandbox;

#[tokio::test]
async fn an_order_is_reserved_authorised_confirmed_shipped_captured_and_closed() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 10).await;
    shop.receive("B", 5).await;
    let order = shop.place(&[("A", 2), ("B", 1), ("A", 1)], "pm_card_visa").await;
    shop.confirmed(order).await;
    assert_eq!((shop.shelf("A").await, shop.shelf("B").await), ((10, 3), (5, 1)));
    shop.assert_books_agree(&sandbox, &[order]).await;

    shop.ship(order).await;
    shop.completed(order).await;
    assert_eq!((shop.shelf("A").await, shop.shelf("B").await), ((7, 0), (4, 0)));
    assert_eq!(
        shop.order_events(order).await,
        ["order.placed", "order.confirmed", "order.shipped", "order.closed"]
    );
    assert_eq!(
        shop.payment_events(order).await,
        [
            "payment.authorisation_requested",
            "payment.authorised",
            "payment.capture_requested",
            "payment.captured"
        ]
    );
    assert_eq!(sandbox.entry(&order.to_string()).await.unwrap().sums.captured, 400);
    shop.assert_books_agree(&sandbox, &[order]).await;
    shop.close().await;
}

#[tokio::test]
async fn what_caused_what_can_be_read_from_the_metadata() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 10).await;
    let order = shop.place(&[("A", 2)], "pm_card_visa").await;
    shop.confirmed(order).await;
    let placed = domain::orders::order::stream(order);
    let orders = shop.order.log().read_stream(&placed, 0, 10).await.unwrap();
    let checkout = domain::checkout::checkout::stream(order);
    let checkouts = shop.checkout.log().read_stream(&checkout, 0, 10).await.unwrap();
    let payments = shop.payment.log().read_stream(&payment::stream(order), 0, 10).await.unwrap();
    let correlation = &orders[0].metadata.correlation;
    let all = orders.iter().chain(&checkouts).chain(&payments);
    assert!(all.clone().all(|event| event.metadata.correlation == *correlation));
    assert_eq!(checkouts[0].metadata.causation, Some(orders[0].event_id));
    let causes: Vec<_> = all.clone().map(|event| event.event_id).collect();
    for event in payments.iter().chain(&orders[1..]) {
        let cause = event.metadata.causation.unwrap();
        assert!(causes.contains(&cause), "{} was caused by nothing here", event.event_type);
    }
    shop.close().await;
}

#[tokio::test]
async fn an_order_that_is_out_of_stock_is_cancelled_and_gives_back_the_rest() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 10).await;
    shop.receive("B", 1).await;
    let order = shop.place(&[("A", 2), ("B", 2), ("C", 1)], "pm_card_visa").await;
    shop.completed(order).await;
    assert_eq!(shop.cancel_reason(order).await, CancelReason::OutOfStock);
    assert_eq!((shop.shelf("A").await, shop.shelf("B").await), ((10, 0), (1, 0)));
    assert_eq!(shop.payment_events(order).await, [""; 0], "nobody was asked for money");
    shop.assert_books_agree(&sandbox, &[order]).await;
    shop.close().await;
}

#[tokio::test]
async fn a_declined_payment_cancels_the_order_and_gives_back_the_stock() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 10).await;
    let declined = shop.place(&[("A", 2)], "pm_card_visa_chargeDeclined").await;
    let unheard_of = shop.place(&[("A", 2)], "pm_nobody_knows").await;
    completed_all(&shop, &[declined, unheard_of]).await;
    assert_eq!(shop.cancel_reason(declined).await, CancelReason::PaymentDeclined);
    assert_eq!(shop.cancel_reason(unheard_of).await, CancelReason::PaymentFailed);
    assert_eq!(shop.shelf("A").await, (10, 0));
    shop.assert_books_agree(&sandbox, &[declined, unheard_of]).await;
    shop.close().await;
}

#[tokio::test]
async fn an_order_that_costs_nothing_needs_no_payment() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 10).await;
    let order = shop.place_at(0, &[("A", 2)], "pm_card_visa_chargeDeclined").await;
    shop.confirmed(order).await;
    shop.ship(order).await;
    shop.completed(order).await;
    assert_eq!(shop.shelf("A").await, (8, 0));
    assert_eq!(sandbox.report().await.orders, []);
    shop.close().await;
}

#[tokio::test]
async fn a_provider_that_errs_is_asked_until_it_answers_and_charges_once() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    sandbox.behave(Mode::Up, 300).await;
    shop.receive("A", 100).await;
    let mut orders = Vec::new();
    for method in
        ["pm_sandbox_error", "pm_sandbox_lost", "pm_sandbox_error_kept", "pm_sandbox_slow"]
    {
        for _ in 0..3 {
            orders.push(shop.place(&[("A", 1)], method).await);
        }
    }
    for &order in &orders {
        shop.confirmed(order).await;
        shop.ship(order).await;
    }
    completed_all(&shop, &orders).await;
    assert_eq!(shop.shelf("A").await, (88, 0));
    shop.assert_books_agree(&sandbox, &orders).await;
    assert_eq!(sandbox.report().await.totals["GBP"].captured, 1_200);
    shop.close().await;
}

#[tokio::test]
async fn orders_wait_for_a_provider_that_is_down_and_settle_when_it_is_back() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 100).await;
    let mut orders = Vec::new();
    for mode in [Mode::Down, Mode::Error, Mode::Slow] {
        sandbox.behave(mode, 3_000).await;
        for _ in 0..5 {
            orders.push(shop.place(&[("A", 1)], "pm_card_visa").await);
        }
        let first = orders[orders.len() - 5];
        eventually("the payment is asked for", || async {
            !shop.payment_events(first).await.is_empty()
        })
        .await;
        assert!(!shop.is_settled(first).await);
    }
    sandbox.behave(Mode::Up, 0).await;
    for &order in &orders {
        shop.confirmed(order).await;
    }
    shop.assert_books_agree(&sandbox, &orders).await;
    shop.close().await;
}

#[tokio::test]
async fn a_late_authorisation_of_an_order_that_timed_out_is_voided() {
    let sandbox = Sandbox::start().await;
    let hasty = Patience { settle_s: 1, finish_s: 600 };
    let shop = Shop::on(&database().await, &sandbox, hasty).await;
    shop.receive("A", 10).await;
    sandbox.behave(Mode::Down, 0).await;
    let order = shop.place(&[("A", 2)], "pm_card_visa").await;
    eventually("the order is cancelled", || shop.is_settled(order)).await;
    assert_eq!(shop.cancel_reason(order).await, CancelReason::CheckoutTimeout);
    eventually("the stock is given back", || async { shop.shelf("A").await == (10, 0) }).await;
    assert!(!shop.is_completed(order).await, "the payment's outcome is not known");

    sandbox.behave(Mode::Up, 0).await;
    shop.completed(order).await;
    assert_eq!(shop.payment_events(order).await.last().unwrap(), "payment.voided");
    let sums = sandbox.entry(&order.to_string()).await.unwrap().sums;
    assert_eq!((sums.charges, sums.held, sums.released), (1, 0, 200));
    shop.assert_books_agree(&sandbox, &[order]).await;
    shop.close().await;
}

#[tokio::test]
async fn a_customer_may_cancel_at_any_moment_before_shipment() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 100).await;

    let at_once = shop.place(&[("A", 2)], "pm_card_visa").await;
    shop.cancel(at_once).await;

    sandbox.behave(Mode::Up, 500).await;
    let while_paying = shop.place(&[("A", 2)], "pm_sandbox_slow").await;
    eventually("the provider has it", || async {
        sandbox.entry(&while_paying.to_string()).await.is_some()
    })
    .await;
    shop.cancel(while_paying).await;

    let confirmed = shop.place(&[("A", 2)], "pm_card_visa").await;
    shop.confirmed(confirmed).await;
    shop.cancel(confirmed).await;

    let orders = [at_once, while_paying, confirmed];
    completed_all(&shop, &orders).await;
    for order in orders {
        assert_eq!(shop.cancel_reason(order).await, CancelReason::CustomerRequest);
    }
    assert_eq!(shop.shelf("A").await, (100, 0));
    assert_eq!(sandbox.report().await.totals["GBP"].held, 0);
    assert_eq!(sandbox.report().await.totals["GBP"].captured, 0);
    shop.assert_books_agree(&sandbox, &orders).await;
    shop.close().await;
}

#[tokio::test]
async fn cancellations_at_random_moments_leave_nothing_held() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 1_000).await;
    let mut orders = Vec::new();
    for pause_ms in 0..30 {
        let order = shop.place(&[("A", 1)], "pm_card_visa").await;
        // Not to wait for anything: so that each is cancelled at another step.
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms * 2)).await;
        shop.cancel(order).await;
        orders.push(order);
    }
    completed_all(&shop, &orders).await;
    assert_eq!(shop.shelf("A").await, (1_000, 0));
    shop.assert_books_agree(&sandbox, &orders).await;
    shop.close().await;
}

#[tokio::test]
async fn a_capture_that_fails_after_shipment_needs_attention() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 10).await;
    let order = shop.place(&[("A", 2)], "pm_sandbox_capture_fails").await;
    shop.confirmed(order).await;
    shop.ship(order).await;
    eventually("a person is told", || async {
        shop.checkout_events(order).await.contains(&"checkout.needs_attention".to_owned())
    })
    .await;
    assert!(!shop.order_events(order).await.contains(&"order.closed".to_owned()));
    shop.close().await;
}

#[tokio::test]
async fn a_refund_reaches_the_provider_once() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 10).await;
    let mut orders = Vec::new();
    for method in ["pm_card_visa", "pm_sandbox_lost", "pm_sandbox_error_kept"] {
        let order = shop.place(&[("A", 2)], method).await;
        shop.confirmed(order).await;
        shop.ship(order).await;
        shop.completed(order).await;
        let refund = payment::Command::Refund { amount: None };
        shop.payment.transact(&payment::stream(order), refund, envelope()).await.unwrap();
        eventually("it is refunded", || async {
            shop.payment_events(order).await.last().unwrap() == "payment.refunded"
        })
        .await;
        orders.push(order);
    }
    shop.assert_books_agree(&sandbox, &orders).await;
    assert_eq!(sandbox.report().await.totals["GBP"].refunded, 600);
    shop.close().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 100).await;
    sandbox.behave(Mode::Down, 0).await;
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(shop.place(&[("A", 1)], "pm_card_visa").await);
    }
    let database = shop.close().await;
    sandbox.behave(Mode::Up, 0).await;
    let shop = Shop::on(&database, &sandbox, crate::shop::PATIENT).await;
    for &order in &orders {
        shop.confirmed(order).await;
    }
    assert_eq!(shop.shelf("A").await, (100, 10));
    shop.assert_books_agree(&sandbox, &orders).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_orders_for_a_hundred_pieces_confirm_exactly_a_hundred() {
    let sandbox = Sandbox::start().await;
    let (one, other) = two(&sandbox).await;
    one.receive("A", 100).await;
    let places = (0..200).map(|turn| {
        let shop = if turn % 2 == 0 { one.clone() } else { other.clone() };
        async move { shop.place(&[("A", 1)], "pm_card_visa").await }
    });
    let orders = join_all(places).await;
    for &order in &orders {
        eventually("the order is settled", || one.is_settled(order)).await;
    }
    let mut confirmed = Vec::new();
    for &order in &orders {
        if one.is_confirmed(order).await {
            confirmed.push(order);
        } else {
            assert_eq!(one.cancel_reason(order).await, CancelReason::OutOfStock);
            one.completed(order).await;
        }
    }
    assert_eq!(confirmed.len(), 100);
    assert_eq!(one.shelf("A").await, (100, 100));
    one.assert_books_agree(&sandbox, &orders).await;
    assert_eq!(sandbox.report().await.totals["GBP"].charges, 100);
    for shop in [one, other] {
        std::sync::Arc::into_inner(shop).unwrap().close().await;
    }
}

#[tokio::test]
async fn a_request_that_its_owner_rejects_is_recorded_and_needs_attention() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    shop.receive("A", 10).await;
    sandbox.behave(Mode::Down, 0).await;
    let order = OrderId(edge::ids::mint());
    let amount = Money::new(200, "GBP".parse().unwrap()).unwrap();
    let method = "pm_card_mastercard".parse().unwrap();
    let meddling = payment::Command::Authorise { amount, method };
    shop.payment.transact(&payment::stream(order), meddling, envelope()).await.unwrap();
    shop.place_as(order, 100, &[("A", 2)], "pm_card_visa").await;
    eventually("a person is told", || async {
        shop.checkout_events(order).await.contains(&"checkout.needs_attention".to_owned())
    })
    .await;
    assert!(shop.checkout_events(order).await.contains(&"checkout.request_refused".to_owned()));
    shop.close().await;
}
#[tokio::test]
async fn an_order_of_many_lines_is_carried_to_its_end() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::open(&sandbox).await;
    let skus: Vec<String> = (0..300).map(|number| format!("S{number}")).collect();
    join_all(skus.iter().map(|sku| shop.receive(sku, 2))).await;
    let lines: Vec<_> = skus.iter().map(|sku| (sku.as_str(), 2)).collect();
    let order = shop.place(&lines, "pm_card_visa").await;
    shop.confirmed(order).await;
    shop.ship(order).await;
    shop.completed(order).await;
    for sku in &skus {
        assert_eq!(shop.shelf(sku).await, (0, 0));
    }
    shop.assert_books_agree(&sandbox, &[order]).await;
    shop.close().await;
}
