//! A checkout that no rule can settle, as an operator meets it.

use crate::rebuild_e2e::rows_are_what_the_events_say;
use crate::shop::{Answer, audit, eventually, order, pence, post, sell, their_book};
use crate::support::{Daybook, World};
use serde_json::{Value, json};
use std::process::Output;

async fn shop(world: &World) -> Daybook {
    let daybook = world.start().await;
    sell(world, &daybook, "A", 250, 100).await;
    daybook
}

async fn place(daybook: &Daybook) -> String {
    let url = format!("{}/v1/orders", daybook.url);
    post(&daybook.http, &url, None, &order(&["A"], "pm_card_visa")).await.order()
}

async fn until_status(daybook: &Daybook, order: &str, status: &str) -> Value {
    let path = format!("/v1/orders/{order}");
    daybook.until(&format!("{order} is {status}"), &path, |order| order["status"] == status).await
}

/// What the view says of a checkout, once it is so.
async fn checkout(daybook: &Daybook, order: &str, what: &str, so: fn(&Value) -> bool) -> Value {
    let of = |list: &Value| {
        list["items"]
            .as_array()
            .and_then(|all| all.iter().find(|it| it["order"] == *order).cloned())
    };
    let list = daybook.until(what, "/v1/checkouts", |list| of(list).is_some_and(|it| so(&it)));
    of(&list.await).unwrap()
}

fn needs_attention(checkout: &Value) -> bool {
    checkout["state"] == "needs-attention"
}

async fn run(world: &World, command: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = world.command(command);
    let Output { status, stdout, stderr } = command.args(arguments).output().await.unwrap();
    (status.success(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

/// The events of a stream: each with its payload and who acted.
async fn log(world: &World, stream: &str) -> Vec<(String, Value, String)> {
    let sql = "select type, payload::text, metadata ->> 'actor' from checkout.event \
         where stream = $1 union all select type, payload::text, metadata ->> 'actor' \
         from payments.event where stream = $1";
    let rows = world.sql().await.query(sql, &[&stream]).await.unwrap();
    let event = |row: &tokio_postgres::Row| {
        (row.get(0), serde_json::from_str(row.get(1)).unwrap(), row.get(2))
    };
    rows.iter().map(event).collect()
}

async fn count(world: &World, stream: &str, event_type: &str) -> usize {
    log(world, stream).await.iter().filter(|(of_type, ..)| of_type == event_type).count()
}

/// So many orders that are shipped, and whose capture the provider has refused for good.
async fn uncaptured<const N: usize>(world: &World, daybook: &Daybook) -> [String; N] {
    let orders: [String; N] =
        futures_util::future::join_all((0..N).map(|_| place(daybook))).await.try_into().unwrap();
    for order in &orders {
        until_status(daybook, order, "confirmed").await;
    }
    world.provider.behave(&json!({"mode": "refuse"})).await;
    for order in &orders {
        daybook.command(&format!("/v1/orders/{order}/ship"), &json!({})).await;
    }
    for order in &orders {
        let needing = checkout(daybook, order, "it needs attention", needs_attention).await;
        assert_eq!(needing["attention"], "capture-failed", "{needing}");
        assert_eq!(needing["trouble"], "charges-blocked", "{needing}");
    }
    orders
}

#[tokio::test]
async fn a_capture_that_was_refused_for_good_is_retried_by_a_person_and_taken_once() {
    let world = World::new().await.without_kafka();
    let daybook = shop(&world).await;
    let [order] = uncaptured(&world, &daybook).await;
    let (stream, payment) = (format!("checkout-{order}"), format!("payment-{order}"));
    let (_, said) = run(&world, "status", &[]).await;
    assert!(said.contains("1 checkout needs attention"), "{said}");
    eventually("somebody is woken by it", async || {
        let needing = daybook.metric("daybook_checkouts_needing_attention").await;
        (needing == Some(1.0)).then_some(()).ok_or(format!("{needing:?}"))
    })
    .await;
    let (well, said) = run(&world, "checkout list", &[]).await;
    assert!(well && said.contains(&order) && said.contains("charges-blocked"), "{said}");

    let (well, said) = run(&world, "checkout retry", &[&order]).await;
    assert!(!well && said.contains("--reason"), "{said}");
    let why = ["--reason", "they say it is mended", "--by", "ann"];
    let (well, said) = run(&world, "checkout retry", &[&[order.as_str()], &why[..]].concat()).await;
    assert!(well && said.contains("checkout.retried"), "{said}");
    eventually("it has failed again", async || {
        let failed = count(&world, &stream, "checkout.needs_attention").await;
        (failed == 2).then_some(()).ok_or(format!("{failed}"))
    })
    .await;
    let again = |it: &Value| needs_attention(it) && it["by_hand"]["act"] == "retried";
    checkout(&daybook, &order, "it needs attention again", again).await;

    // Nobody is there who could do at once what follows from it.
    daybook.kill().await;
    world.provider.behave(&json!({"mode": "up"})).await;
    let (well, said) = run(&world, "checkout retry", &[&[order.as_str()], &why[..]].concat()).await;
    assert!(well, "{said}");
    let (well, said) = run(&world, "checkout retry", &[&[order.as_str()], &why[..]].concat()).await;
    assert!(!well && said.contains("the checkout needs no attention"), "{said}");
    let daybook = world.start().await;
    until_status(&daybook, &order, "closed").await;
    let done = |it: &Value| it["state"] == "completed" && it["attention"].is_null();
    let done = checkout(&daybook, &order, "it is completed", done).await;
    assert_eq!((&done["trouble"], &done["by_hand"]["by"]), (&Value::Null, &json!("ann")));
    assert_eq!(count(&world, &payment, "payment.capture_requested").await, 3);
    let money = their_book(&world).await[&order];
    assert_eq!((money.charges, money.captured), (1, 250));
    audit(&world).await;

    let (well, said) = run(&world, "checkout retry", &[&[order.as_str()], &why[..]].concat()).await;
    assert!(!well && said.contains("the checkout is completed"), "{said}");
    let listed = run(&world, "checkout list", &[]).await;
    assert_eq!(listed, (true, "no checkout needs attention\n".to_owned()));
    let (_, said) = run(&world, "status", &[]).await;
    assert!(!said.contains("attention"), "{said}");
    rows_are_what_the_events_say(&world).await;
    daybook.stop().await;
}

#[tokio::test]
async fn a_capture_that_a_person_settles_is_owed_no_more_and_nobody_says_that_it_was_made() {
    let world = World::new().await.without_kafka();
    let daybook = shop(&world).await;
    let [order, other] = uncaptured(&world, &daybook).await;
    let url = format!("{}/v1/checkouts/{order}", daybook.url);
    let tell = async |act: &str, key, body: &Value| {
        post(&daybook.http, &format!("{url}/{act}"), Some(key), body).await
    };
    let because = json!({"reason": " captured in the dashboard ", "by": "ann"});
    let refused = tell("cancel", "k0", &because).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (409, "already-shipped"));
    let settled = tell("settle", "k1", &because).await;
    assert_eq!(settled.status, 200, "{}", settled.body);
    assert_eq!(settled.body["events"], json!(["checkout.settled_by_hand"]));
    assert!(settled.position.as_ref().is_some_and(|at| at.starts_with("checkout/")));
    let repeated: Answer = tell("settle", "k1", &because).await;
    assert_eq!(repeated, settled, "the first answer");
    let otherwise = tell("settle", "k1", &json!({"reason": "written off"})).await;
    assert_eq!((otherwise.status.as_u16(), otherwise.problem()), (422, "idempotency-key-reused"));
    until_status(&daybook, &order, "closed").await;
    let done = |it: &Value| it["state"] == "completed" && it["by_hand"]["act"] == "settled";
    let done = checkout(&daybook, &order, "it is completed", done).await;
    assert_eq!(done["by_hand"]["reason"], "captured in the dashboard");

    let recorded = log(&world, &format!("checkout-{order}")).await;
    let settled = ("checkout.settled_by_hand".to_owned(), "local".to_owned());
    let payload = json!({"reason": "captured in the dashboard", "by": "ann"});
    assert!(recorded.contains(&(settled.0, payload, settled.1)), "{recorded:#?}");
    assert_eq!(count(&world, &format!("payment-{order}"), "payment.captured").await, 0);
    let money = their_book(&world).await[&order];
    assert_eq!((money.captured, money.held()), (0, 250), "as the provider has it");
    audit(&world).await;

    let rebuilt = run(&world, "rebuild checkouts", &[]).await;
    assert!(rebuilt.0, "{}", rebuilt.1);
    checkout(&daybook, &other, "the other one still needs attention", needs_attention).await;
    let (_, listed) = run(&world, "checkout list", &["--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["order"], &listed["total"]), (&json!(other), &pence(250)));
    daybook.stop().await;
}

/// Puts an event into a checkout's log as no rule of today does: a person is called before the shipment.
async fn call_a_person(world: &World, order: &str) {
    let stream = format!("checkout-{order}");
    let partition = event_store::partition_of(&stream, 8);
    let mut sql = world.sql().await;
    let tx = sql.transaction().await.unwrap();
    let lock = "select from checkout.log_partition where partition = $1 for no key update";
    tx.execute(lock, &[&partition]).await.unwrap();
    let insert = "insert into checkout.event (partition, log_offset, stream, version, event_id, command_id, \
           ordinal, type, schema_version, payload, metadata, occurred_at, recorded_at) \
         select $1, (select max(log_offset) + 1 from checkout.event where partition = $1), $2, \
           (select max(version) + 1 from checkout.event where stream = $2), gen_random_uuid(), \
           gen_random_uuid(), 0, 'checkout.needs_attention', 1, '{\"reason\": \"unfinished\"}', \
           '{\"correlation\": \"c\", \"actor\": \"nobody\"}', now(), clock_timestamp()";
    tx.execute(insert, &[&partition, &stream]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_void_that_was_refused_for_good_is_retried_by_a_person_and_made_once() {
    let world = World::new().await.without_kafka();
    let daybook = shop(&world).await;
    let order = place(&daybook).await;
    until_status(&daybook, &order, "confirmed").await;
    world.provider.behave(&json!({"mode": "refuse"})).await;
    let cancel = format!("/v1/orders/{order}/cancel");
    daybook.command(&cancel, &json!({"reason": "customer-request"})).await;
    let needing = checkout(&daybook, &order, "it needs attention", needs_attention).await;
    assert_eq!(needing["attention"], "void-failed", "{needing}");
    let because = [order.as_str(), "--reason", "it is mended", "--by", "ann"];
    let (well, said) = run(&world, "checkout cancel", &because).await;
    assert!(!well && said.contains("the order is cancelled already"), "{said}");
    world.provider.behave(&json!({"mode": "up"})).await;
    let (well, said) = run(&world, "checkout retry", &because).await;
    assert!(well, "{said}");
    checkout(&daybook, &order, "it ends", |it| it["state"] == "completed").await;
    let money = their_book(&world).await[&order];
    assert_eq!((money.charges, money.voided, money.held()), (1, 250, 0));
    audit(&world).await;
    daybook.stop().await;
}

#[tokio::test]
async fn an_order_that_a_person_gives_up_is_cancelled_and_gives_back_what_it_holds() {
    let world = World::new().await.without_kafka();
    let daybook = shop(&world).await;
    let confirmed = place(&daybook).await;
    until_status(&daybook, &confirmed, "confirmed").await;
    world.provider.behave(&json!({"mode": "down"})).await;
    let paying = place(&daybook).await;
    let payment = format!("payment-{paying}");
    eventually("its payment is asked for", async || {
        let asked = count(&world, &payment, "payment.authorisation_requested").await;
        (asked == 1).then_some(()).ok_or(format!("{asked}"))
    })
    .await;
    for order in [&confirmed, &paying] {
        let because = ["--reason", "agreed by telephone", "--by", "ann"];
        let arguments = [&[order.as_str()], &because[..]].concat();
        let (well, said) = run(&world, "checkout cancel", &arguments).await;
        assert!(!well && said.contains("needs no attention"), "{said}");
        call_a_person(&world, order).await;
        checkout(&daybook, order, "it needs attention", needs_attention).await;
        let (well, said) = run(&world, "checkout settle", &arguments).await;
        assert!(!well && said.contains("neither shipped nor cancelled"), "{said}");
        let (well, said) = run(&world, "checkout cancel", &arguments).await;
        assert!(well && said.contains("checkout.cancelled_by_hand"), "{said}");
        let cancelled = until_status(&daybook, order, "cancelled").await;
        assert_eq!(cancelled["cancel_reason"], "merchant-request", "{cancelled}");
    }
    let going_on = |it: &Value| it["state"] == "running" && it["outcome"] == "cancelled";
    checkout(&daybook, &paying, "nobody knows yet what became of its payment", going_on).await;
    world.provider.behave(&json!({"mode": "up"})).await;
    for order in [&confirmed, &paying] {
        checkout(&daybook, order, "it ends", |it| it["state"] == "completed").await;
        assert_eq!(their_book(&world).await[order.as_str()].voided, 250);
    }
    audit(&world).await;
    let back = |stock: &Value| stock["reserved"] == 0 && stock["available"] == 100;
    daybook.until("the stock is back", "/v1/stock/A", back).await;
    daybook.stop().await;
}
