//! Walking through a list, there and back again.

use crate::stories::{Shop, gbp, order_id, pieces, place};
use crate::support::{Process, fresh_database, get, got, tell};
use axum::Router;
use axum::body::Body;
use domain::checkout::checkout::{self, Checkout, Patience, Reservation};
use domain::inventory::stock;
use domain::orders::order;
use http::{Request, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The lists, each with what tells an item from the others.
fn lists() -> Vec<(String, &'static str)> {
    let list = |path: &str, key| (path.to_owned(), key);
    let mut lists = vec![
        list("/v1/orders?status=placed", "order"),
        list("/v1/checkouts?", "order"),
        list("/v1/products?search=heart", "sku"),
        list("/v1/stock?", "sku"),
        list("/v1/sales?by=product", "sku"),
        list("/v1/sales?by=customer", "customer"),
        (format!("/v1/orders/{}/history?", order_id(1)), "version"),
        (format!("/v1/log/orders/streams/{}?", order::stream(order_id(3))), "version"),
    ];
    lists.extend((0..3).map(|partition| (format!("/v1/log/orders/{partition}?"), "offset")));
    lists
}

fn keys(page: &Value, key: &str) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item[key].to_string()).collect()
}

/// A shop to which things are added everywhere.
struct Growing {
    process: Process,
    shop: Shop,
    next: u128,
}

impl Growing {
    /// Something in every list, at a place that this number decides.
    async fn grow(&mut self, at: u8) {
        self.next += 1;
        let (number, shop) = (self.next, &self.shop);
        let sku = format!("{:03}-{number}", at);
        let customer = format!("c{at}-{number}");
        let place = place(number, &[(&sku, 1, 100)], Some(&customer), "GB");
        // Several in one second: the id decides between them.
        let second = i64::from(at) / 8;
        shop.order(number, second, vec![place]).await;
        shop.listed(&sku, "Heart", 100).await;
        shop.stock(&sku, vec![stock::Command::Receive { quantity: pieces(1) }]).await;
        if number.is_multiple_of(3) {
            shop.order(number, second, vec![order::Command::Confirm {}]).await;
        }
        let start = checkout::Command::Start {
            order: order_id(number),
            reservations: vec![Reservation { sku: sku.parse().unwrap(), quantity: pieces(1) }],
            total: gbp(100),
            payment_method: "pm_card_visa".parse().unwrap(),
            patience: Patience { settle_s: 600, finish_s: 600 },
        };
        let checkouts = self.process.transactor::<Checkout>("checkout");
        tell(&checkouts, &checkout::stream(order_id(number)), start, second).await;
        self.process.posted().await;
    }
}

/// Every page in one direction, from one that is there; between two of them something is added.
async fn walk(
    (router, growing): (&Router, &mut Growing),
    (path, key, turn): (&str, &str, (&str, &str)),
    mut page: Value,
    adds: &mut impl Iterator<Item = u8>,
) -> (Vec<Vec<String>>, Value) {
    let (relation, parameter) = turn;
    let mut pages = vec![keys(&page, key)];
    while let Some(cursor) = page[relation].as_str() {
        if let Some(at) = adds.next() {
            growing.grow(at).await;
        }
        page = got(router, &format!("{path}&{parameter}={cursor}")).await;
        pages.push(keys(&page, key));
    }
    (pages, page)
}

async fn there_and_back(
    (router, growing): (&Router, &mut Growing),
    (path, key): (&str, &str),
    limit: usize,
    adds: &[u8],
) -> Result<(), TestCaseError> {
    let whole = format!("{path}&limit=1000");
    let (before, path) = (keys(&got(router, &whole).await, key), format!("{path}&limit={limit}"));
    let mut adds = adds.iter().copied();
    let first = got(router, &path).await;
    prop_assert_eq!(&first["prev"], &json!(null), "{}", &path);
    let turn = (&*path, key, ("next", "after"));
    let (there, last) = walk((router, growing), turn, first, &mut adds).await;
    let turn = (&*path, key, ("prev", "before"));
    let (mut back, _) = walk((router, growing), turn, last, &mut adds).await;
    back.reverse();
    let after = keys(&got(router, &whole).await, key);
    for walked in [there.concat(), back.concat()] {
        // In the list's order, each once, and whatever was there all the time.
        let mut all = after.iter();
        prop_assert!(walked.iter().all(|it| all.any(|other| other == it)), "{path}: {walked:?}");
        let mut walked = walked.iter();
        prop_assert!(before.iter().all(|it| walked.any(|other| other == it)), "{path}");
    }
    if before == after {
        prop_assert_eq!(there.concat(), back.concat(), "{}", &path);
    }
    Ok(())
}

#[test]
fn a_list_is_walked_there_and_back_while_it_grows() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (router, growing) = runtime.block_on(async {
        let process = Process::start(&fresh_database().await).await;
        let router = process.router(&process.follow().await);
        let shop = Shop::of(&process);
        let mut growing = Growing { process, shop, next: 0 };
        for at in [9, 200, 3, 100, 100, 250, 7] {
            growing.grow(at).await;
        }
        (router, growing)
    });
    let growing = std::cell::RefCell::new(growing);
    let config = Config { cases: 6, failure_persistence: None, ..Config::default() };
    let property = |(limit, adds): (usize, Vec<u8>)| {
        for (path, key) in lists() {
            let growing = &mut *growing.borrow_mut();
            for adds in [&adds[..], &[]] {
                let walking = there_and_back((&router, growing), (&path, key), limit, adds);
                runtime.block_on(walking)?;
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&(1..6_usize, vec(any::<u8>(), 0..4)), property).unwrap();
}

#[tokio::test]
async fn a_page_links_to_those_beside_it_with_all_that_was_asked_for() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    for number in 1..=3 {
        shop.listed(&format!("P{number}"), "Heart of gold", 100).await;
    }
    process.posted().await;
    let links = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let links = answer.headers().get("link").map(|it| it.to_str().unwrap().to_owned());
        let links = links.unwrap_or_default();
        let link = |relation| {
            let all = &mut links.split(", ");
            let link = all.find(|link| link.ends_with(&format!("; rel=\"{relation}\"")))?;
            Some(link[1..link.find('>').unwrap()].to_owned())
        };
        (link("next"), link("prev"))
    };
    let (next, prev) = links("/v1/products?search=heart%20gold&limit=1").await;
    assert_eq!(prev, None);
    let second = next.unwrap();
    assert!(second.starts_with("/v1/products?limit=1&search=heart+gold&after="), "{second}");
    let (next, prev) = links(&second).await;
    assert_eq!(got(&router, &second).await["items"][0]["sku"], "P2");
    let (first, third) = (prev.unwrap(), next.unwrap());
    assert_eq!(got(&router, &first).await["items"][0]["sku"], "P1");
    assert_eq!(links(&third).await.0, None);
    assert_eq!(links(&first).await.1, None);
    let (_, prev) = links("/v1/log/catalogue/0?after=0&limit=1").await;
    assert_eq!(prev.unwrap(), "/v1/log/catalogue/0?limit=1&before=1");
}

#[tokio::test]
async fn whoever_walked_past_the_end_finds_back_to_all_that_he_has_seen() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    shop.listed("P1", "Heart", 100).await;
    shop.listed("P2", "Heart", 100).await;
    process.posted().await;
    let first = got(&router, "/v1/products?limit=1").await;
    let next = first["next"].as_str().unwrap().to_owned();
    let last = got(&router, &format!("/v1/products?limit=1&after={next}")).await;
    let of_the_last = last["prev"].as_str().unwrap();
    // As if what came after it had gone: the cursor of the last item, and of the first.
    let cursor = |sku: &str| {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        BASE64_URL_SAFE_NO_PAD.encode(json!(sku).to_string())
    };
    assert_eq!(cursor("P2"), of_the_last);
    let beyond = got(&router, &format!("/v1/products?after={}", cursor("P2"))).await;
    assert_eq!((&beyond["items"], &beyond["next"]), (&json!([]), &json!(null)));
    let back = beyond["prev"].as_str().unwrap();
    let all = got(&router, &format!("/v1/products?before={back}")).await;
    assert_eq!(keys(&all, "sku"), ["\"P1\"", "\"P2\""]);
    let before = got(&router, &format!("/v1/products?before={}", cursor("P1"))).await;
    assert_eq!((&before["items"], &before["prev"]), (&json!([]), &json!(null)));
    let back = before["next"].as_str().unwrap();
    let all = got(&router, &format!("/v1/products?after={back}")).await;
    assert_eq!(keys(&all, "sku"), ["\"P1\"", "\"P2\""]);
    let (status, both) = get(&router, &format!("/v1/products?after={back}&before={back}")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(both["errors"][0]["parameter"], "before");
}
