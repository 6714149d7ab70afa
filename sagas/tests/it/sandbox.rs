use std::time::Duration;

use reqwest::StatusCode;
use sagas::sandbox::Mode;
use serde_json::json;

use crate::support::{Sandbox, Seen, authorisation};

const INTENTS: &str = "/v1/payment_intents";

async fn capture(sandbox: &Sandbox, key: &str, intent: &str, form: &[(&str, &str)]) -> Seen {
    let path = format!("{INTENTS}/{intent}/capture");
    Seen::of(sandbox.post(&path, key, form).send().await.unwrap()).await
}

async fn cancel(sandbox: &Sandbox, key: &str, intent: &str) -> Seen {
    let path = format!("{INTENTS}/{intent}/cancel");
    Seen::of(sandbox.post(&path, key, &[]).send().await.unwrap()).await
}

async fn refund(sandbox: &Sandbox, key: &str, form: &[(&str, &str)]) -> Seen {
    Seen::of(sandbox.post("/v1/refunds", key, form).send().await.unwrap()).await
}

#[tokio::test]
async fn money_is_held_then_taken_then_given_back() {
    let sandbox = Sandbox::start().await;
    let held = sandbox.authorise("a", "o1", "pm_card_visa").await;
    let intent = held.id();
    assert_eq!(held.body["status"], "requires_capture");
    assert_eq!(held.body["amount_capturable"], 1095);
    assert_eq!(held.body["metadata"], json!({"order": "o1", "attempt": "1"}));

    let taken = capture(&sandbox, "c", intent, &[("amount_to_capture", "1000")]).await;
    assert_eq!(taken.body["status"], "succeeded");
    assert_eq!(taken.body["amount_received"], 1000);

    let back = refund(&sandbox, "r", &[("payment_intent", intent), ("amount", "400")]).await;
    assert_eq!(back.body["object"], "refund");
    assert_eq!(back.body["amount"], 400);
    let rest = refund(&sandbox, "s", &[("payment_intent", intent)]).await;
    assert_eq!(rest.body["amount"], 600);
    let more = refund(&sandbox, "t", &[("payment_intent", intent)]).await;
    assert_eq!(more.error()["code"], "charge_already_refunded");

    let listed = sandbox.get(&format!("/v1/refunds?payment_intent={intent}")).await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2);
    let sums = sandbox.entry("o1").await.unwrap().sums;
    assert_eq!((sums.charges, sums.authorised, sums.held), (1, 1095, 0));
    assert_eq!((sums.captured, sums.released, sums.refunded), (1000, 95, 1000));
}

#[tokio::test]
async fn what_is_held_is_let_go_by_a_cancellation() {
    let sandbox = Sandbox::start().await;
    let held = sandbox.authorise("a", "o1", "pm_card_mastercard").await;
    assert_eq!(cancel(&sandbox, "v", held.id()).await.body["status"], "canceled");
    let seen = sandbox.get(&format!("{INTENTS}/{}", held.id())).await;
    assert_eq!(seen.body["status"], "canceled");
    let sums = sandbox.entry("o1").await.unwrap().sums;
    assert_eq!((sums.held, sums.released, sums.captured), (0, 1095, 0));
}

#[tokio::test]
async fn a_state_that_does_not_allow_it_is_a_400_that_shows_the_intent() {
    let sandbox = Sandbox::start().await;
    let intent = sandbox.authorise("a", "o1", "pm_card_visa").await;
    capture(&sandbox, "c", intent.id(), &[]).await.id();

    let again = capture(&sandbox, "d", intent.id(), &[]).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.error()["code"], "payment_intent_unexpected_state");
    assert_eq!(again.error()["payment_intent"]["status"], "succeeded");
    let undone = cancel(&sandbox, "v", intent.id()).await;
    assert_eq!(undone.error()["code"], "payment_intent_unexpected_state");

    let other = sandbox.authorise("b", "o2", "pm_card_visa").await;
    cancel(&sandbox, "w", other.id()).await.id();
    assert_eq!(
        cancel(&sandbox, "x", other.id()).await.error()["payment_intent"]["status"],
        "canceled"
    );
    let late = capture(&sandbox, "e", other.id(), &[]).await;
    assert_eq!(late.error()["code"], "payment_intent_unexpected_state");
    let none = refund(&sandbox, "r", &[("payment_intent", other.id())]).await;
    assert_eq!(none.error()["code"], "payment_intent_unexpected_state");
}

#[tokio::test]
async fn cards_are_declined_as_stripes_test_cards_are() {
    let sandbox = Sandbox::start().await;
    for (method, code, decline) in [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ] {
        let declined = sandbox.authorise(method, method, method).await;
        assert_eq!(declined.status, 402);
        assert_eq!(declined.error()["type"], "card_error");
        assert_eq!(declined.error()["code"], code);
        assert_eq!(declined.error()["decline_code"], decline);
        let intent = &declined.error()["payment_intent"];
        assert_eq!(intent["status"], "requires_payment_method");
        assert_eq!(intent["last_payment_error"]["decline_code"], decline);
        let sums = sandbox.entry(method).await.unwrap().sums;
        assert_eq!((sums.charges, sums.declines, sums.authorised), (0, 1, 0));
    }
}

#[tokio::test]
async fn one_key_is_one_charge() {
    let sandbox = Sandbox::start().await;
    let first = sandbox.authorise("k", "o1", "pm_card_visa").await;
    let second = sandbox.authorise("k", "o1", "pm_card_visa").await;
    assert!(!first.replayed && second.replayed);
    assert_eq!(first.body, second.body);

    let other = sandbox.authorise("k", "o1", "pm_card_mastercard").await;
    assert_eq!((other.status, &other.error()["type"]), (400, &json!("idempotency_error")));
    let elsewhere = refund(&sandbox, "k", &[("payment_intent", first.id())]).await;
    assert_eq!(elsewhere.error()["type"], "idempotency_error");
    assert_eq!(sandbox.entry("o1").await.unwrap().sums.charges, 1);

    sandbox.authorise("another", "o1", "pm_card_visa").await.id();
    assert_eq!(sandbox.entry("o1").await.unwrap().sums.charges, 2, "a double charge shows");
}

#[tokio::test]
async fn a_decline_is_kept_under_its_key_and_a_malformed_request_is_not() {
    let sandbox = Sandbox::start().await;
    let method = "pm_card_visa_chargeDeclined";
    sandbox.authorise("k", "o1", method).await;
    let again = sandbox.authorise("k", "o1", method).await;
    assert_eq!((again.status, again.replayed), (402, true));

    let bad = sandbox.authorise("m", "o2", "pm_card_nobody_knows").await;
    assert_eq!(bad.error()["code"], "resource_missing");
    assert_eq!(sandbox.authorise("m", "o2", "pm_card_visa").await.status, 200);
}

#[tokio::test]
async fn fifty_callers_with_one_key_make_one_charge() {
    let sandbox = Sandbox::start().await;
    sandbox.behave(Mode::Up, 200).await;
    let form = authorisation("o1", "pm_sandbox_slow");
    let calls = (0..50).map(|_| sandbox.post(INTENTS, "k", &form).send());
    let answers = futures_util::future::join_all(calls).await;
    let statuses: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().status()).collect();
    assert!(statuses.contains(&StatusCode::OK));
    assert!(statuses.iter().all(|it| [StatusCode::OK, StatusCode::CONFLICT].contains(it)));
    assert_eq!(sandbox.entry("o1").await.unwrap().sums.charges, 1);
}

#[tokio::test]
async fn a_key_in_flight_is_a_409() {
    let sandbox = Sandbox::start().await;
    sandbox.behave(Mode::Up, 60_000).await;
    let form = authorisation("o1", "pm_sandbox_slow");
    let first = tokio::spawn(sandbox.post(INTENTS, "k", &form).send());
    while sandbox.entry("o1").await.is_none() {
        tokio::task::yield_now().await;
    }
    let second = sandbox.authorise("k", "o1", "pm_sandbox_slow").await;
    assert_eq!(second.status, 409);
    assert_eq!(second.error()["code"], "idempotency_key_in_use");
    first.abort();
}

#[tokio::test]
async fn an_act_goes_on_when_its_caller_has_hung_up() {
    let sandbox = Sandbox::start().await;
    sandbox.behave(Mode::Up, 100).await;
    let form = authorisation("o1", "pm_sandbox_slow");
    let impatient = sandbox.post(INTENTS, "k", &form).timeout(Duration::from_millis(30));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    loop {
        let again = sandbox.authorise("k", "o1", "pm_sandbox_slow").await;
        if again.status == 200 {
            assert!(again.replayed);
            break;
        }
        assert_eq!(again.status, 409);
    }
    assert_eq!(sandbox.entry("o1").await.unwrap().sums.charges, 1);
}

#[tokio::test]
async fn an_error_does_nothing_and_passes() {
    let sandbox = Sandbox::start().await;
    for _ in 0..2 {
        let broken = sandbox.authorise("k", "o1", "pm_sandbox_error").await;
        assert_eq!((broken.status, &broken.error()["type"]), (500, &json!("api_error")));
        assert!(sandbox.entry("o1").await.is_none());
    }
    assert_eq!(sandbox.authorise("k", "o1", "pm_sandbox_error").await.status, 200);
}

#[tokio::test]
async fn a_lost_answer_is_told_again() {
    let sandbox = Sandbox::start().await;
    let form = authorisation("o1", "pm_sandbox_lost");
    let lost = sandbox.post(INTENTS, "k", &form).send().await;
    assert!(!lost.unwrap_err().is_timeout(), "the line was cut");
    let again = sandbox.authorise("k", "o1", "pm_sandbox_lost").await;
    assert!(again.replayed);
    assert_eq!(again.body["status"], "requires_capture");
    assert_eq!(sandbox.entry("o1").await.unwrap().sums.charges, 1);
}

#[tokio::test]
async fn an_error_may_be_kept_and_the_intent_found_all_the_same() {
    let sandbox = Sandbox::start().await;
    for _ in 0..3 {
        assert_eq!(sandbox.authorise("k", "o1", "pm_sandbox_error_kept").await.status, 500);
    }
    sandbox.authorise("l", "o2", "pm_card_visa").await.id();
    let query = "query=metadata['order']:'o1' AND metadata['attempt']:'1'";
    let found = sandbox.get(&format!("{INTENTS}/search?{query}")).await;
    let data = found.body["data"].as_array().unwrap();
    assert_eq!(data.len(), 1);
    assert_eq!(data[0]["status"], "requires_capture");
    let query = "query=metadata['order']:'o1' AND metadata['attempt']:'2'";
    let none = sandbox.get(&format!("{INTENTS}/search?{query}")).await;
    assert_eq!(none.body["data"], json!([]));
}

#[tokio::test]
async fn a_hold_may_have_expired_when_it_is_captured() {
    let sandbox = Sandbox::start().await;
    let held = sandbox.authorise("k", "o1", "pm_sandbox_capture_fails").await;
    let gone = capture(&sandbox, "c", held.id(), &[]).await;
    assert_eq!(gone.error()["code"], "charge_expired_for_capture");
    let sums = sandbox.entry("o1").await.unwrap().sums;
    assert_eq!((sums.captured, sums.released), (0, 1095));
}

#[tokio::test]
async fn the_whole_provider_can_be_down_or_broken_or_slow() {
    let sandbox = Sandbox::start().await;
    sandbox.behave(Mode::Down, 0).await;
    let form = authorisation("o1", "pm_card_visa");
    assert!(sandbox.post(INTENTS, "k", &form).send().await.is_err());
    sandbox.behave(Mode::Error, 0).await;
    assert_eq!(sandbox.authorise("k", "o1", "pm_card_visa").await.status, 500);
    assert!(sandbox.entry("o1").await.is_none());

    sandbox.behave(Mode::Slow, 10_000).await;
    let impatient = sandbox.post(INTENTS, "k", &form).timeout(Duration::from_millis(300));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    sandbox.behave(Mode::Up, 0).await;
    let there = sandbox.authorise("k", "o1", "pm_card_visa").await;
    assert!(there.replayed, "slow is not idle");
}

#[tokio::test]
async fn a_provider_that_refuses_moves_nothing_and_shows_what_there_is() {
    let sandbox = Sandbox::start().await;
    let held = sandbox.authorise("k", "o1", "pm_card_visa").await;
    sandbox.behave(Mode::Refuse, 0).await;
    let refused = capture(&sandbox, "c", held.id(), &[]).await;
    assert_eq!((refused.status, &refused.error()["code"]), (400, &json!("charges_blocked")));
    let shown = sandbox.get(&format!("{INTENTS}/{}", held.id())).await;
    assert_eq!(shown.body["status"], "requires_capture");
    sandbox.behave(Mode::Up, 0).await;
    assert_eq!(capture(&sandbox, "c", held.id(), &[]).await.status, 200, "nothing was kept");
}

#[tokio::test]
async fn bad_requests_are_refused_and_nothing_is_written() {
    let sandbox = Sandbox::start().await;
    let good = authorisation("o1", "pm_card_visa");
    for (name, value, code) in [
        ("amount", "", "parameter_missing"),
        ("amount", "0", "amount_too_small"),
        ("amount", "-5", "amount_too_small"),
        ("amount", "1.5", "parameter_invalid_integer"),
        ("amount", "100000000", "amount_too_large"),
        ("currency", "pounds", "parameter_invalid"),
        ("confirm", "false", "parameter_invalid"),
        ("capture_method", "never", "parameter_invalid"),
        ("colour", "red", "parameter_unknown"),
    ] {
        let mut form = good.clone();
        form.retain(|(known, _)| *known != name);
        form.push((name, value));
        let refused = Seen::of(sandbox.post(INTENTS, "", &form).send().await.unwrap()).await;
        assert_eq!((refused.status, &refused.error()["code"]), (400, &json!(code)), "{name}");
    }
    let missing = capture(&sandbox, "c", "pi_nobody", &[]).await;
    assert_eq!((missing.status, &missing.error()["code"]), (404, &json!("resource_missing")));
    let long = "k".repeat(256);
    assert_eq!(sandbox.authorise(&long, "o1", "pm_card_visa").await.status, 400);
    let nowhere = sandbox.get("/v1/customers").await;
    assert_eq!(nowhere.status, 404);
    assert_eq!(crate::support::lines(&sandbox.book()), 0);
}

#[tokio::test]
async fn only_a_test_key_opens_the_sandbox() {
    let sandbox = Sandbox::start().await;
    let http = reqwest::Client::new();
    let url = format!("{}{INTENTS}", sandbox.url);
    for request in [
        http.get(&url),
        http.get(&url).bearer_auth("pk_test_1"),
        http.get(&url).bearer_auth("sk_live_1"),
        http.get(&url).basic_auth("sk_test_1", None::<&str>),
    ] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(sandbox.get(INTENTS).await.status, 200);
}
