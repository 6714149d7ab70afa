//! Services that are asked who they are, each by all others.

use super::{Shape, flows};
use crate::access::wanted;
use crate::shop::{Answer, SERVICES, another_flow, audit, eventually, order, sell, settled};
use crate::support::{Daybook, World};
use edge::access::{SigningKeys, Wanted};
use edge::{Role, clock};
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test]
async fn apart_and_guarded_the_flows_of_the_shop_pass_and_strangers_do_not() {
    let world = World::shaped(Shape::Guarded).await;
    let mut shop = vec![world.start().await];
    flows::pass(&world, &mut shop).await;
    another_flow(&world).await;
    who_acted_and_for_whom_is_told(&world, &shop[0]).await;
    another_flow(&world).await;
    a_new_key_stops_nobody(&world, &shop[0]).await;
    strangers_are_refused(&world).await;
}

/// In the order's own first event; what other services did because of it names the saga that asked them, and belongs to
/// the same request.
async fn who_acted_and_for_whom_is_told(world: &World, shop: &Daybook) {
    sell(world, shop, "TOLD", 250, 10).await;
    let guard = world.street.as_ref().unwrap().guard();
    let ann = guard.caller(&Wanted {
        acting: Some("shopfront".to_owned()),
        ..wanted("ann", &[Role::Customer], Some("17850"))
    });
    let placing = ann.post(format!("{}/v1/orders", shop.url));
    let placing = placing.header("x-correlation-id", "for-ann");
    let placing = placing.json(&order(&["TOLD"], "pm_card_visa")).send();
    let placed = Answer::of(placing.await.unwrap()).await.unwrap().order();
    settled(world, 1).await;
    audit(world).await;

    let logs = SERVICES.map(|service| format!("select type, metadata from {service}.event"));
    let sql = format!(
        "select type, metadata ->> 'actor' from ({}) event \
          where metadata ->> 'correlation' = 'for-ann'",
        logs.join(" union all ")
    );
    let rows = world.sql().await.query(&sql, &[]).await.unwrap();
    let actors: BTreeMap<String, String> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (event, actor) in [
        ("order.placed", "shopfront for ann"),
        ("stock.reserved", "checkout-saga"),
        ("payment.authorisation_requested", "checkout-saga"),
        ("order.confirmed", "checkout-saga"),
    ] {
        assert_eq!(actors[event], actor, "{event}: {actors:#?}");
    }
    for event in ["stock.reserved", "payment.authorised", "order.confirmed"] {
        its_causes_lead_to_the_caller(world, event, "shopfront for ann").await;
    }
    let path = format!("/v1/orders/{placed}/history");
    let told = |page: &Value| page["items"][0]["actor"] == "shopfront for ann";
    let history = shop.until("its history says so too", &path, told).await;
    assert_eq!(history["items"][0]["payload"]["customer"], "17850");
}

/// Orders are placed and settled while the key that all sign with is replaced, and nobody is refused by another one who
/// has not read of it yet.
async fn a_new_key_stops_nobody(world: &World, shop: &Daybook) {
    let street = world.street.as_ref().unwrap();
    let guard = street.guard();
    sell(world, shop, "KEYED", 250, 1_000_000).await;
    let key = SigningKeys::rotate(&guard.keys_file(), clock::now()).unwrap();
    let mut orders = 0;
    for name in SERVICES {
        let published = format!("{}/.well-known/jwks.json", street.address_of(name));
        eventually("it has read of the key", async || {
            shop.command("/v1/orders", &order(&["KEYED"], "pm_card_visa")).await;
            orders += 1;
            let keys = guard.nobody().get(&published).send().await.unwrap().text().await.unwrap();
            keys.contains(key.id().unwrap()).then_some(()).ok_or(keys)
        })
        .await;
    }
    settled(world, orders).await;
    audit(world).await;
    let operator = guard.caller(&wanted("operator", &[Role::Operator], None));
    for name in SERVICES {
        let metrics = operator.get(format!("{}/metrics", street.address_of(name)));
        let metrics = metrics.send().await.unwrap().text().await.unwrap();
        assert!(metrics.contains("daybook_auth_refused_total{why=\"unknown-key\"} 0\n"), "{name}");
    }
}

/// What made another service do something leads back to the caller who placed the order.
async fn its_causes_lead_to_the_caller(world: &World, event: &str, caller: &str) {
    let logs =
        SERVICES.map(|service| format!("select event_id, type, metadata from {service}.event"));
    let sql = format!(
        "with recursive event as ({}), cause (event_id, metadata) as ( \
           select event_id, metadata from event \
            where type = $1 and metadata ->> 'correlation' = 'for-ann' \
           union all \
           select event.event_id, event.metadata from event \
             join cause on event.event_id = (cause.metadata ->> 'causation')::uuid) \
         select array_agg(distinct metadata ->> 'actor') from cause \
          where metadata ->> 'causation' is null",
        logs.join(" union all ")
    );
    let row = world.sql().await.query_one(&sql, &[&event]).await.unwrap();
    assert_eq!(row.get::<_, Vec<String>>(0), [caller], "{event}");
}

/// With a certificate, but without a token that is signed with the key that the services share; and without one.
async fn strangers_are_refused(world: &World) {
    let street = world.street.as_ref().unwrap();
    let guard = street.guard();
    let service = |to: &str, subject: &str| Wanted {
        audience: format!("daybook/{to}"),
        ..wanted(subject, &[Role::Service], None)
    };
    let others = SigningKeys::ensure(&world.folder.path().join("others"), clock::now()).unwrap();
    let forged =
        guard.shows(&others.token(&service("inventory", "checkout-saga"), clock::now()).unwrap());
    let customer = guard.caller(&wanted("ann", &[Role::Customer], Some("17850")));
    let command = json!({
        "stream": "stock-TOLD",
        "command_id": "0199a000-0000-7000-8000-000000000000",
        "command": {"reserve": {"order": "0199a000-0000-7000-8000-000000000001", "quantity": 1}},
        "occurred_at": "2010-12-01T08:26:00Z",
        "actor": "checkout-saga",
    });
    for name in SERVICES {
        let address = street.address_of(name);
        let ask = async |who: &Client| {
            let commands = who.post(format!("{address}/internal/commands")).json(&command).send();
            let log = who.get(format!("{address}/v1/log/{name}/0")).send();
            [commands.await.unwrap().status().as_u16(), log.await.unwrap().status().as_u16()]
        };
        assert_eq!(ask(&guard.nobody()).await, [401, 401], "{name}");
        assert_eq!(ask(&forged).await, [401, 401], "{name}");
        assert_eq!(ask(&customer).await, [403, 403], "{name}");
        for other in SERVICES.into_iter().filter(|other| *other != name) {
            let others = guard.caller(&service(other, "checkout-saga"));
            assert_eq!(ask(&others).await, [401, 401], "what {other} is shown, at {name}");
        }
        let at_all = guard.caller(&wanted("checkout-saga", &[Role::Service], None));
        assert_eq!(ask(&at_all).await, [403, 200], "{name}: it is good at every service");
        let forger = guard.caller(&service(name, "checkout"));
        let refused = if name == "inventory" { 403 } else { 503 };
        assert_eq!(ask(&forger).await, [refused, 200], "{name}: it was not he who acted");
        let live = format!("{address}/health/live");
        assert!(guard.stranger().get(&live).send().await.is_err(), "{name}: without a certificate");
        let clear = live.replace("https", "http");
        assert!(guard.nobody().get(&clear).send().await.is_err(), "{name}: in clear");
    }
    let done = "select count(*) from inventory.event where command_id = $1::text::uuid";
    let id = "0199a000-0000-7000-8000-000000000000";
    let sql = world.sql().await;
    let count = async || sql.query_one(done, &[&id]).await.unwrap().get::<_, i64>(0);
    assert_eq!(count().await, 0);
    // The same, of a service: nothing else was wrong with it.
    let asking = guard
        .caller(&service("inventory", "checkout-saga"))
        .post(street.address_of("inventory") + "/internal/commands");
    assert_eq!(asking.json(&command).send().await.unwrap().status(), 200);
    assert_eq!(count().await, 1);
}
