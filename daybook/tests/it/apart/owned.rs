//! Customers of a shop whose services are apart: whose an order is, only the process with the orders' log knows.

use super::Street;
use super::street::{PARTS, Way};
use crate::access::{others, shows, wanted};
use crate::shop::{SERVICES, eventually, order, sell};
use crate::support::{Daybook, World, free_port};
use edge::access::SigningKeys;
use edge::{Role, clock};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// Who has the log of the orders.
const OWNER: usize = 1;

/// A shop apart that asks who its callers are.
pub(super) struct Guarded {
    pub(super) world: World,
    keys: SigningKeys,
    ports: Vec<u16>,
    parts: Vec<Daybook>,
    /// Who sells and helps.
    pub(super) hand: Client,
}

impl Guarded {
    async fn start() -> Self {
        Self::on(PARTS.map(|_| free_port()).into(), &[]).await
    }

    /// Some parts come to a service by another way than the rest does.
    pub(super) async fn on(ports: Vec<u16>, ways: &[Way]) -> Self {
        let mut world = World::apart().await.without_kafka();
        let file = world.folder.path().join("keys");
        let keys = SigningKeys::ensure(&file, clock::now()).unwrap();
        let file = file.display().to_string();
        world.flags = ["--auth", "on", "--auth-keys-file", &file].map(str::to_owned).into();
        let parts = street(&world).start_by_ways(&world, &ports, ways).await;
        let hands = [Role::Operator, Role::Warehouse, Role::Support];
        let hand = caller(&keys, "hand", &hands, None);
        let shop = Guarded { world, keys, ports, parts, hand };
        sell(&shop.world, &shop.of(shop.hand.clone()), "A1", 250, 100).await;
        shop
    }

    pub(super) fn customer(&self, subject: &str, customer: &str) -> Client {
        caller(&self.keys, subject, &[Role::Customer], Some(customer))
    }

    /// Orders something; returns the id.
    pub(super) async fn placed(&self, who: &Client) -> String {
        let body = order(&["A1"], "pm_card_visa");
        let placed = self.of(who.clone()).command("/v1/orders", &body).await;
        placed["stream"].as_str().unwrap().strip_prefix("order-").unwrap().to_owned()
    }

    /// The shop as somebody sees it through its one address.
    pub(super) fn of(&self, who: Client) -> Daybook {
        let mut shop = Daybook::in_parts(Vec::new(), &street(&self.world).front.url);
        shop.http = who;
        shop
    }

    pub(super) async fn status(&self, who: &Client, path: &str) -> StatusCode {
        let url = format!("{}{path}", street(&self.world).front.url);
        who.get(url).send().await.unwrap().status()
    }

    pub(super) async fn until(&self, who: &Client, path: &str, status: StatusCode) {
        eventually(&format!("{path} is {status}"), async || {
            let answer = self.status(who, path).await;
            if answer == status { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    }
}

fn caller(keys: &SigningKeys, subject: &str, roles: &[Role], customer: Option<&str>) -> Client {
    shows(&keys.token(&wanted(subject, roles, customer), clock::now()).unwrap())
}

fn street(world: &World) -> &Street {
    world.street.as_ref().unwrap()
}

fn types(story: &Value) -> Vec<&str> {
    let events = story["events"].as_array().into_iter().flatten();
    events.filter_map(|event| event["type"].as_str()).collect()
}

/// Each service has said its part.
fn is_whole(story: &Value) -> bool {
    let types = types(story);
    ["order.confirmed", "stock.reserved", "payment.authorised", "checkout.order_confirmed"]
        .iter()
        .all(|part| types.contains(part))
}

/// Whatever he tries with another's order, which is at rest, at whichever service.
async fn changes_nothing(shop: &Guarded, who: &Client, anothers: &str) {
    let front = shop.of(who.clone());
    let events = async || {
        let logs = SERVICES.map(|it| format!("select stream from {it}.event"));
        let sql = format!(
            "select count(*) from ({}) event where stream like '%' || $1",
            logs.join(" union all ")
        );
        shop.world.sql().await.query_one(&sql, &[&anothers]).await.unwrap().get::<_, i64>(0)
    };
    let before = events().await;
    for (path, body) in others::COMMANDS {
        others::is_told_nothing(&front, who, (&Method::POST, path, body), anothers).await;
    }
    for path in ["orders/{id}", "orders/{id}/history", "payments/{id}", "checkouts/{id}"] {
        let path = format!("/v1/{path}?as_of=1");
        others::is_told_nothing(&front, who, (&Method::GET, &path, ""), anothers).await;
    }
    // Lines go where the orders are.
    let of_orders: Vec<_> =
        others::COMMANDS.into_iter().filter(|(it, _)| it.starts_with("/v1/orders")).collect();
    others::lines_tell_him_nothing(&front, who, &of_orders, anothers).await;
    assert_eq!(events().await, before);
}

#[tokio::test]
async fn apart_a_customer_sees_what_is_his_wherever_it_is_and_nothing_of_anothers() {
    let mut shop = Guarded::start().await;
    let (ann, bob) = (shop.customer("ann", "17850"), shop.customer("bob", "13047"));
    let mut orders = Vec::new();
    for who in [&ann, &bob, &ann] {
        orders.push(shop.placed(who).await);
    }
    let of = |nth: usize| ["payments", "checkouts"].map(|it| format!("/v1/{it}/{}", orders[nth]));
    let guessed = "/v1/payments/0199a000-0000-7000-8000-000000000000";
    for path in of(0) {
        shop.until(&ann, &path, StatusCode::OK).await;
        assert_eq!(shop.status(&bob, &path).await, StatusCode::NOT_FOUND);
    }
    assert_eq!(shop.status(&ann, guessed).await, StatusCode::NOT_FOUND);
    let [payment, checkout] = of(1);
    shop.until(&bob, &payment, StatusCode::OK).await;
    for path in of(2) {
        shop.until(&shop.hand, &path, StatusCode::OK).await;
    }

    let story = format!("/v1/orders/{}/timeline", orders[0]);
    let told = shop.of(ann.clone()).until("it is told by all", &story, is_whole).await;
    assert_eq!(
        told["absent"],
        json!([{"service": "checkout", "what": "due"}, {"service": "payments", "what": "due"}])
    );
    assert_eq!(shop.status(&bob, &story).await, StatusCode::NOT_FOUND);
    changes_nothing(&shop, &bob, &orders[0]).await;
    let hers = format!("/v1/orders/{}/cancel", shop.placed(&ann).await);
    shop.of(ann.clone()).command(&hers, &json!({"reason": "customer-request"})).await;

    let inventory = PARTS.iter().position(|(service, _)| *service == "inventory").unwrap();
    shop.parts.remove(inventory).kill().await;
    let (status, told) = shop.of(ann.clone()).get(&story).await;
    assert_eq!(
        (status, &told["absent"][0]),
        (StatusCode::OK, &json!({"service": "inventory", "what": "events"}))
    );
    assert!(!types(&told).contains(&"stock.reserved"), "{told}");

    // What was asked once is remembered; the rest is asked for again when somebody can answer.
    shop.parts.remove(OWNER).kill().await;
    assert_eq!(shop.status(&bob, &payment).await, StatusCode::OK);
    assert_eq!(shop.status(&ann, &payment).await, StatusCode::NOT_FOUND);
    let [unasked, _] = of(2);
    for path in [&checkout, &unasked] {
        let url = format!("{}{path}", street(&shop.world).front.url);
        let answer = bob.get(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "urn:daybook:problem:unavailable", "{problem}");
    }
    let owner = street(&shop.world).start_part(&shop.world, PARTS[OWNER], shop.ports[OWNER]).await;
    shop.until(&bob, &checkout, StatusCode::OK).await;
    shop.until(&bob, &unasked, StatusCode::NOT_FOUND).await;
    owner.stop().await;
}
