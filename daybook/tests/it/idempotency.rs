//! One Idempotency-Key, many callers: one order, one charge, one answer, for ever.

use crate::shop::{
    Answer, audit, eventually, order, outcomes, pence, post, priced, sell, settled, their_book,
};
use crate::support::{Daybook, World};
use futures_util::future::join_all;
use serde_json::{Value, json};

const CALLERS: usize = 50;
const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";

/// All callers at once, spread over the processes; each body in its turn.
async fn call(daybooks: &[Daybook], key: &str, bodies: &[&Value]) -> Vec<Answer> {
    call_at(daybooks, "/v1/orders", Some(key), bodies).await
}

async fn call_at(
    daybooks: &[Daybook],
    path: &str,
    key: Option<&str>,
    bodies: &[&Value],
) -> Vec<Answer> {
    let calling = (0..CALLERS).map(|caller| {
        let daybook = &daybooks[caller % daybooks.len()];
        let body = bodies[caller / daybooks.len() % bodies.len()];
        async move { post(&daybook.http, &format!("{}{path}", daybook.url), key, body).await }
    });
    join_all(calling).await
}

/// The answer that all of them are.
fn one(answers: &[Answer]) -> &Answer {
    let first = &answers[0];
    for answer in answers {
        assert_eq!(answer, first);
    }
    first
}

#[tokio::test]
async fn a_key_used_by_fifty_callers_of_two_processes_places_one_order() {
    let world = World::new().await;
    let mut daybooks = vec![world.start().await, world.start().await];
    one_key(&world, &mut daybooks).await;
}

/// Ends all processes in the midst of it, and leaves as many others.
pub(crate) async fn one_key(world: &World, daybooks: &mut Vec<Daybook>) {
    sell(world, &daybooks[0], "ONCE", 250, 1_000).await;
    let mut body = order(&["ONCE"], "pm_card_visa");
    body["lines"][0]["unit_price"] = pence(250);

    let first = one(&call(daybooks, KEY, &[&body]).await).clone();
    let path = format!("/v1/orders/{}", first.order());
    assert_eq!(first.etag.as_deref(), Some("\"1\""));
    assert_eq!(first.location.as_deref(), Some(&*path));
    assert!(first.position.as_ref().unwrap().starts_with("orders/"), "{first:?}");
    assert_eq!(first.body["events"], json!(["order.placed"]));
    settled(world, 1).await;

    another_body_is_refused(daybooks, &body).await;
    daybooks[0].command(&format!("{path}/ship"), &json!({})).await;
    daybooks[0].until("it is closed", &path, |order| order["status"] == "closed").await;
    daybooks[0].command("/v1/products/ONCE/reprice", &json!({"price": pence(999)})).await;
    priced(world, "ONCE", 999).await;
    assert_eq!(one(&call(daybooks, KEY, &[&body]).await), &first, "after the price has changed");

    let processes = daybooks.len();
    for daybook in daybooks.drain(..) {
        daybook.kill().await;
    }
    for _ in 0..processes {
        daybooks.push(world.start().await);
    }
    assert_eq!(one(&call(daybooks, KEY, &[&body]).await), &first, "after a restart");
    let quoted = format!("\"{KEY}\"");
    assert_eq!(one(&call(daybooks, &quoted, &[&body]).await), &first, "in quotes");
    daybooks[0].command("/v1/products/ONCE/discontinue", &json!({})).await;
    eventually("it is no longer sold", async || {
        let url = format!("{}/v1/orders", daybooks[0].url);
        let new = post(&daybooks[0].http, &url, None, &body).await;
        let problem = new.problem().to_owned();
        (problem == "discontinued").then_some(()).ok_or(problem)
    })
    .await;
    assert_eq!(one(&call(daybooks, KEY, &[&body]).await), &first, "of what is no longer sold");
    another_body_is_refused(daybooks, &body).await;

    settled(world, 1).await;
    assert_eq!(
        outcomes(world).await.into_iter().collect::<Vec<_>>(),
        [("confirmed".to_owned(), 1)]
    );
    let book = their_book(world).await;
    assert_eq!(book.len(), 1);
    assert!(book.values().all(|money| money.charges == 1 && money.captured == 250), "{book:?}");
    audit(world).await;
}

async fn another_body_is_refused(daybooks: &[Daybook], body: &Value) {
    let mut other = body.clone();
    other["lines"][0]["quantity"] = json!(2);
    let answers = call(daybooks, KEY, &[&other]).await;
    for answer in answers {
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(answer.problem(), "idempotency-key-reused", "{answer:?}");
    }
}

#[tokio::test]
async fn of_two_bodies_that_race_under_one_key_one_is_answered_and_the_other_refused() {
    let world = World::new().await.without_kafka();
    let daybooks = [world.start().await, world.start().await];
    sell(&world, &daybooks[0], "A", 250, 1_000).await;
    let bodies = [order(&["A"], "pm_card_visa"), order(&["A"], "pm_card_mastercard")];
    for round in 0..10 {
        let key = format!("race-{round}");
        // Twice: while nothing is in the log yet, and when it is.
        for _ in 0..2 {
            let answers = call(&daybooks, &key, &[&bodies[0], &bodies[1]]).await;
            let mine = |body: usize| {
                let of_body = move |(caller, _): &(usize, &Answer)| caller / 2 % 2 == body;
                answers.iter().enumerate().filter(of_body).map(|(_, answer)| answer.clone())
            };
            let (ours, theirs): (Vec<_>, Vec<_>) = (mine(0).collect(), mine(1).collect());
            let (won, lost) = if ours[0].status == 201 { (ours, theirs) } else { (theirs, ours) };
            assert_eq!(one(&won).status, 201, "{:?}", won[0]);
            for answer in lost {
                assert_eq!(answer.status, 422, "{answer:?}");
                assert_eq!(answer.problem(), "idempotency-key-reused", "{answer:?}");
            }
        }
    }
    settled(&world, 10).await;
    assert_eq!(their_book(&world).await.len(), 10, "one charge for each key");
    audit(&world).await;
}

#[tokio::test]
async fn money_is_given_back_once_however_many_ask() {
    let world = World::new().await.without_kafka();
    let daybooks = [world.start().await, world.start().await];
    sell(&world, &daybooks[0], "A", 250, 1_000).await;
    let placed = one(&call(&daybooks, KEY, &[&order(&["A"], "pm_card_visa")]).await).order();
    let path = format!("/v1/orders/{placed}");
    daybooks[0].until("it is confirmed", &path, |order| order["status"] == "confirmed").await;
    let shipping = call_at(&daybooks, &format!("{path}/ship"), Some(KEY), &[&json!({})]).await;
    assert_eq!(one(&shipping).body["events"], json!(["order.shipped"]));
    daybooks[0].until("it is closed", &path, |order| order["status"] == "closed").await;

    let refund = format!("/v1/payments/{placed}/refund");
    let asked = call_at(&daybooks, &refund, Some(KEY), &[&json!({})]).await;
    assert_eq!(one(&asked).body["events"], json!(["payment.refund_requested"]));
    // Others ask without a key: while it is under way there is nothing to add, and then nothing left.
    for answer in call_at(&daybooks, &refund, None, &[&json!({})]).await {
        let nothing_more = answer.status == 200 && answer.body["events"] == json!([]);
        assert!(nothing_more || answer.problem() == "nothing-left", "{answer:?}");
    }
    let given_back = |order: &Value| order["payment_status"] == "refunded";
    daybooks[0].until("it is given back", &path, given_back).await;
    assert_eq!(call_at(&daybooks, &refund, Some(KEY), &[&json!({})]).await, asked);
    audit(&world).await;
    let money = their_book(&world).await[&placed];
    assert_eq!((money.charges, money.captured, money.refunded), (1, 250, 250));
}
