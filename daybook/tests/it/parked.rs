//! An event that no follower can post, as an operator meets it.

use crate::reading::said;
use crate::shop::{eventually, order, sell};
use crate::support::{Daybook, World};
use serde_json::{Value, json};
use std::process::Output;
use uuid::Uuid;

/// Two events of an order as no binary of ours writes them: the first has a payload of another kind.
async fn poison(world: &World) -> Uuid {
    let order = Uuid::from_u128(0x0bad_0bad_0bad_0bad);
    let stream = format!("order-{order}");
    let partition = event_store::partition_of(&stream, 8);
    let mut sql = world.sql().await;
    let tx = sql.transaction().await.unwrap();
    let lock = "select from orders.log_partition where partition = $1 for no key update";
    tx.execute(lock, &[&partition]).await.unwrap();
    for (version, kind, payload) in
        [(1_i64, "order.placed", r#"{"lines": "none"}"#), (2, "order.confirmed", "{}")]
    {
        let insert = "insert into orders.event (partition, log_offset, stream, version, event_id, command_id, \
               ordinal, type, schema_version, payload, metadata, occurred_at, recorded_at) \
             select $1, (select coalesce(max(log_offset) + 1, 0) from orders.event where partition = $1), $2, $3, \
               gen_random_uuid(), gen_random_uuid(), 0, $4, 1, $5::text::json, \
               '{\"correlation\": \"c\", \"actor\": \"nobody\"}', now(), now()";
        tx.execute(insert, &[&partition, &stream, &version, &kind, &payload]).await.unwrap();
    }
    tx.commit().await.unwrap();
    order
}

async fn parked(daybook: &Daybook) -> Vec<Value> {
    daybook.get("/v1/parked").await.1["items"].as_array().unwrap().clone()
}

/// Of several services, one at a time.
async fn read_both_ways(daybook: &Daybook) {
    let followers =
        parked(daybook).await.iter().map(|it| it["follower"].clone()).collect::<Vec<_>>();
    let page = async |cursor: String| {
        let (status, page) = daybook.get(&format!("/v1/parked?limit=1{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        page
    };
    let first = |page: &Value| page["items"][0]["follower"].clone();
    let mut pages = vec![page(String::new()).await];
    while let Some(next) = pages.last().and_then(|page| page["next"].as_str()) {
        assert!(pages.len() <= followers.len(), "it has an end");
        pages.push(page(format!("&after={next}")).await);
    }
    assert_eq!(pages.iter().map(first).collect::<Vec<_>>(), followers);
    for (before, after) in followers.iter().zip(&pages[1..]) {
        let back = page(format!("&before={}", after["prev"].as_str().unwrap())).await;
        assert_eq!(first(&back), *before);
    }
    let foreign = daybook.get("/v1/parked?after=bnVsbA").await;
    assert_eq!(foreign.0, 400, "{}", foreign.1);
}

async fn run(world: &World, act: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = world.command(&format!("parked {act}"));
    let Output { status, stdout, stderr } = command.args(arguments).output().await.unwrap();
    (status.success(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn what_nobody_can_post_is_listed_tried_again_and_discarded_while_the_shop_goes_on() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let broken = poison(&world).await;
    eventually("each follower of orders that looks at it has parked it", async || {
        let parked = parked(&daybook).await;
        let behind = parked.iter().all(|it| it["behind"] == 1 && it["type"] == "order.placed");
        let of = |name: &str| parked.iter().any(|it| it["follower"] == name);
        let all = behind && of("orders") && of("sales") && of("checkout-reactor");
        if all { Ok(()) } else { Err(format!("{parked:#?}")) }
    })
    .await;

    let placed = daybook.command("/v1/orders", &order(&["85123A"], "pm_card_visa")).await;
    let path = format!("/v1/orders/{}", placed["stream"].as_str().unwrap().replace("order-", ""));
    daybook.until("others flow", &path, |order| order["status"] == "confirmed").await;
    daybook.until("it is well", "/health/ready", |answer| answer["status"] == "ready").await;
    let metric = daybook.metric("daybook_follower_parked_events").await;
    assert!(metric.is_some_and(|parked| parked > 0.0), "somebody is woken by it: {metric:?}");

    let (well, said) = run(&world, "list", &[]).await;
    assert!(well && said.contains("order.placed") && said.contains("checkout-reactor"), "{said}");
    let (well, said) = run(&world, "retry", &["--all"]).await;
    assert!(!well && said.contains("still parked"), "{said}");
    assert!(parked(&daybook).await.iter().all(|it| it["tries"] == 2));
    read_both_ways(&daybook).await;

    for it in parked(&daybook).await {
        let (follower, position) =
            (it["follower"].as_str().unwrap(), it["position"].as_str().unwrap());
        let (well, said) = run(&world, "show", &[follower, position]).await;
        assert!(well && said.contains(r#""lines": "none""#), "{said}");
        let (well, said) = run(&world, "discard", &[follower, position]).await;
        assert!(!well && said.contains("--reason"), "{said}");
        let decided = [follower, position, "--reason", "a test", "--by", "an operator"];
        let (_, said) = run(&world, "discard", &decided).await;
        assert!(said.contains("done"), "{said}");
    }
    assert_eq!(run(&world, "list", &[]).await, (true, "nothing is parked\n".to_owned()));
    let sql = world.sql().await;
    let kept = "select count(*) from orders_read.discarded where stream = $1 and why = 'a test' \
         and discarded_by = 'an operator'";
    let stream = format!("order-{broken}");
    let kept: i64 = sql.query_one(kept, &[&stream]).await.unwrap().get(0);
    assert!(kept >= 2, "the decision is on the record");

    let rebuilt = world.command("rebuild").arg("orders").output().await.unwrap();
    let said = String::from_utf8(rebuilt.stdout).unwrap();
    assert!(rebuilt.status.success() && said.contains("1 of them were discarded"), "{said}");
    daybook.until("the order is still there", &path, |it| it["status"] == "confirmed").await;
    daybook.stop().await;
}

/// Somebody writes into the broken event what another order's first event says.
async fn mend(world: &World, broken: Uuid, like: &str) {
    let sql = format!(
        "set session_replication_role = replica; \
         update orders.event set payload = (select payload from orders.event where stream = '{like}' and version = 1) \
          where stream = 'order-{broken}' and version = 1"
    );
    world.sql().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn rows_that_lack_what_is_parked_are_not_said_to_be_what_the_log_says() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let placed = daybook.command("/v1/orders", &order(&["85123A"], "pm_card_visa")).await;
    let path = format!("/v1/orders/{}", placed["stream"].as_str().unwrap().replace("order-", ""));
    daybook.until("it is confirmed", &path, |order| order["status"] == "confirmed").await;
    let broken = poison(&world).await;
    eventually("sales and orders have parked it", async || {
        let parked = parked(&daybook).await;
        let of = |name: &str| parked.iter().any(|it| it["follower"] == name && it["behind"] == 1);
        if of("sales") && of("orders") { Ok(()) } else { Err(format!("{parked:#?}")) }
    })
    .await;
    // A replay meets it too, and names it.
    let met = said(&world, "verify", &["orders"]).await;
    assert_eq!(met.code, 4, "{}", met.err);
    let first = parked(&daybook).await.into_iter().find(|it| it["follower"] == "orders").unwrap();
    for part in [
        &*format!("order-{broken} has parked events"),
        first["position"].as_str().unwrap(),
        "nor are the live rows past it",
    ] {
        assert!(met.out.contains(part), "{part}? {}", met.out);
    }
    // It keeps no other row from a new generation, in which it waits as it did.
    let rebuilt = said(&world, "rebuild", &["orders", "--json"]).await;
    assert_eq!(rebuilt.code, 3, "{}", rebuilt.err);
    let rebuilt = &rebuilt.json()[0];
    assert_eq!((&rebuilt["generation"], &rebuilt["parked"]), (&json!(2), &json!(2)), "{rebuilt}");
    let waits = parked(&daybook).await.into_iter().find(|it| it["follower"] == "orders").unwrap();
    assert_eq!((&waits["generation"], &waits["behind"]), (&json!(2), &json!(1)), "{waits}");
    assert_eq!(waits["position"], first["position"]);

    mend(&world, broken, placed["stream"].as_str().unwrap()).await;
    let partly = said(&world, "verify", &["sales"]).await;
    assert_eq!(partly.code, 4, "{}", partly.err);
    for part in [
        "not all were compared",
        "sales: not compared: its rows are about many streams",
        &format!("order-{broken} has parked events"),
    ] {
        assert!(partly.out.contains(part), "{part}? {}", partly.out);
    }
    // Where rows are about one stream each, the others are compared, and it is not all of them either.
    let partly = said(&world, "verify", &["orders"]).await;
    assert_eq!(partly.code, 4, "{}", partly.out);
    assert!(partly.out.contains("not all were compared"), "{}", partly.out);
    let partly = said(&world, "verify", &["sales", "--json"]).await;
    assert_eq!((partly.code, &partly.json()[0]["same"]), (4, &json!(false)));

    let (well, retried) = run(&world, "retry", &["--all"]).await;
    assert!(well, "{retried}");
    let whole = said(&world, "verify", &["sales"]).await;
    assert_eq!(whole.code, 0, "{}", whole.out);
    assert!(whole.out.contains("rows are what the log says"), "{}", whole.out);
    daybook.stop().await;
}

#[tokio::test]
async fn what_is_not_parked_is_neither_tried_again_nor_discarded() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    let some = json!({"follower": "orders", "position": "orders/0@1:0"});
    let refused = [
        ("/v1/parked/retry", json!({}), 404),
        ("/v1/parked/retry", some.clone(), 404),
        ("/v1/parked/retry", json!({"position": "orders/0@1:0"}), 422),
        ("/v1/parked/retry", json!({"follower": "orders", "position": "there"}), 422),
        ("/v1/parked/discard", json!({}), 422),
        ("/v1/parked/discard", some, 422),
        (
            "/v1/parked/discard",
            json!({"follower": "orders", "position": "orders/0@1:0", "by": "me", "reason": "why"}),
            404,
        ),
    ];
    for (path, body, status) in refused {
        let answer = daybook.send(path, None, &body).await.unwrap();
        assert_eq!(answer.status(), status, "{path} {body}");
    }
    daybook.stop().await;
}
