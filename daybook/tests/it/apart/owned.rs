//! Customers of a shop whose services are apart: whose an order is, only the process with the orders' log knows.

use super::Street;
use super::street::PARTS;
use crate::access::{shows, wanted};
use crate::shop::{eventually, order, sell};
use crate::support::{Daybook, World, free_port};
use edge::access::SigningKeys;
use edge::{Role, clock};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// Who has the log of the orders.
const OWNER: usize = 1;

struct Guarded {
    world: World,
    keys: SigningKeys,
    ports: Vec<u16>,
    parts: Vec<Daybook>,
}

impl Guarded {
    async fn start() -> Self {
        let mut world = World::apart().await.without_kafka();
        let file = world.folder.path().join("keys");
        let keys = SigningKeys::ensure(&file, clock::now()).unwrap();
        let file = file.display().to_string();
        world.flags = ["--auth", "on", "--auth-keys-file", &file].map(str::to_owned).into();
        let street = street(&world);
        let ports: Vec<_> = PARTS.iter().map(|_| free_port()).collect();
        let parts = street.start_on(&world, &ports).await;
        Guarded { world, keys, ports, parts }
    }

    fn caller(&self, subject: &str, roles: &[Role], customer: Option<&str>) -> Client {
        shows(&self.keys.token(&wanted(subject, roles, customer), clock::now()).unwrap())
    }

    /// The shop as somebody sees it through its one address.
    fn of(&self, who: Client) -> Daybook {
        let mut shop = Daybook::in_parts(Vec::new(), &street(&self.world).front.url);
        shop.http = who;
        shop
    }

    async fn status(&self, who: &Client, path: &str) -> StatusCode {
        let url = format!("{}{path}", street(&self.world).front.url);
        who.get(url).send().await.unwrap().status()
    }

    async fn until(&self, who: &Client, path: &str, status: StatusCode) {
        eventually(&format!("{path} is {status}"), async || {
            let answer = self.status(who, path).await;
            if answer == status { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    }
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

#[tokio::test]
async fn apart_a_customer_sees_what_is_his_wherever_it_is_and_nothing_of_anothers() {
    let mut shop = Guarded::start().await;
    let hands = [Role::Operator, Role::Warehouse, Role::Support];
    let hand = shop.caller("hand", &hands, None);
    sell(&shop.world, &shop.of(hand.clone()), "A1", 250, 100).await;
    let ann = shop.caller("ann", &[Role::Customer], Some("17850"));
    let bob = shop.caller("bob", &[Role::Customer], Some("13047"));
    let mut orders = Vec::new();
    for who in [&ann, &bob, &ann] {
        let placed =
            shop.of(who.clone()).command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
        orders.push(placed["stream"].as_str().unwrap().strip_prefix("order-").unwrap().to_owned());
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
        shop.until(&hand, &path, StatusCode::OK).await;
    }

    let story = format!("/v1/orders/{}/timeline", orders[0]);
    let told = shop.of(ann.clone()).until("it is told by all", &story, is_whole).await;
    assert_eq!(
        told["absent"],
        json!([{"service": "checkout", "what": "due"}, {"service": "payments", "what": "due"}])
    );
    assert_eq!(shop.status(&bob, &story).await, StatusCode::NOT_FOUND);
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
