//! A shop that is busy: orders of every fate, prices and names that change, and somebody who asks all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::shop::{eventually, order, pence, post, sell};
use crate::support::{Daybook, LIMIT, World};

const SKUS: [&str; 5] = ["85123A", "71053", "84406B", "22752", "21730"];
/// Of this there is hardly any.
const SCARCE: &str = "10002";
/// So many orders are under way at once.
const CUSTOMERS: usize = 4;

/// Goes on until it is stopped. A task of it that fails fails the test.
pub(super) struct Flow {
    shop: Arc<Shop>,
    tasks: JoinSet<()>,
}

struct Shop {
    http: Client,
    url: String,
    is_open: AtomicBool,
    begun: AtomicUsize,
    done: AtomicUsize,
    asked: AtomicUsize,
}

impl Flow {
    pub(super) async fn start(world: &World, daybook: &Daybook) -> Self {
        for sku in SKUS {
            sell(world, daybook, sku, 255, 100_000).await;
        }
        sell(world, daybook, SCARCE, 99, 2).await;
        let (http, url) = (daybook.http.clone(), daybook.url.clone());
        let (begun, done, asked) = Default::default();
        let shop = Arc::new(Shop { http, url, is_open: true.into(), begun, done, asked });
        let first = shop.lives(1).await;
        let path = format!("/v1/payments/{first}");
        daybook.until("its payment is shown", &path, |payment| payment["order"] == *first).await;
        let mut tasks = JoinSet::new();
        for _ in 0..CUSTOMERS {
            let shop = shop.clone();
            tasks.spawn(async move {
                while shop.is_open() {
                    let number = 2 + shop.begun.fetch_add(1, Ordering::Relaxed);
                    shop.lives(number).await;
                    shop.changes(number).await;
                    shop.done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let asking = shop.clone();
        tasks.spawn(async move { asking.asks(&first).await });
        Flow { shop, tasks }
    }

    /// Orders that have come to their end.
    pub(super) fn done(&self) -> usize {
        self.shop.done.load(Ordering::Relaxed)
    }

    /// Waits until so many orders have.
    pub(super) async fn has_done(&self, orders: usize) {
        eventually("the orders flow", async || {
            let done = self.done();
            (done >= orders).then_some(()).ok_or_else(|| format!("{done} of {orders} are done"))
        })
        .await;
    }

    pub(super) async fn stop(mut self) {
        self.shop.is_open.store(false, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        assert!(self.shop.asked.load(Ordering::Relaxed) > 0, "somebody asked");
    }
}

impl Shop {
    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        let answer = post(&self.http, &format!("{}{path}", self.url), None, body).await;
        assert!(
            answer.status.is_success(),
            "POST {path} {body}: {} {}",
            answer.status,
            answer.body
        );
        answer.body
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// An order from its beginning to its end, which is different for each; its id.
    async fn lives(&self, number: usize) -> String {
        let method =
            if number.is_multiple_of(6) { "pm_card_visa_chargeDeclined" } else { "pm_card_visa" };
        let (first, second) = (SKUS[number % 5], SKUS[(number + number / 5) % 5]);
        let skus =
            if number.is_multiple_of(7) { vec![first, SCARCE] } else { vec![first, second, first] };
        let mut order = order(&skus, method);
        order["customer"] = json!(format!("C{}", number % 3));
        order["shipping"] = pence(i64::try_from(number % 4).unwrap() * 100);
        order["discount"] = pence(i64::try_from(number % 3).unwrap() * 10);
        if number.is_multiple_of(4) {
            order.as_object_mut().unwrap().remove("customer");
        }
        let placed = self.command("/v1/orders", &order).await;
        let id = placed["stream"].as_str().unwrap().trim_start_matches("order-").to_owned();
        if self.until(&id, &["confirmed", "cancelled"]).await == "confirmed" {
            self.goes_on(&id, number).await;
        }
        id
    }

    async fn goes_on(&self, id: &str, number: usize) {
        let path = format!("/v1/orders/{id}");
        match number % 5 {
            0 => {
                let reason = json!({"reason": "customer-request"});
                self.command(&format!("{path}/cancel"), &reason).await;
                self.until(id, &["cancelled"]).await;
            }
            1 | 2 => {
                self.command(&format!("{path}/ship"), &json!({})).await;
                self.until(id, &["closed"]).await;
                if number % 5 == 2 {
                    self.command(&format!("/v1/payments/{id}/refund"), &json!({})).await;
                }
            }
            3 => {
                self.command(&format!("{path}/ship"), &json!({})).await;
            }
            _ => {}
        }
    }

    async fn until(&self, id: &str, statuses: &[&str]) -> String {
        let path = format!("/v1/orders/{id}");
        let asking = async {
            loop {
                // Until it is posted it is not found.
                let (_, order) = self.get(&path).await;
                let status = order["status"].as_str().unwrap_or_default();
                if statuses.contains(&status) {
                    return status.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(LIMIT, asking).await;
        found.unwrap_or_else(|_| panic!("{id} never is one of {statuses:?}"))
    }

    /// What happens besides orders.
    async fn changes(&self, number: usize) {
        let sku = SKUS[number % 5];
        let price = 200 + i64::try_from(number).unwrap();
        self.command(&format!("/v1/products/{sku}/reprice"), &json!({"price": pence(price)})).await;
        let name = json!({"name": format!("Thing no. {number} of {sku}")});
        self.command(&format!("/v1/products/{sku}/rename"), &name).await;
        self.command(&format!("/v1/stock/{sku}/receive"), &json!({"quantity": number})).await;
        let lost = json!({"change": -1, "reason": "written-off"});
        self.command(&format!("/v1/stock/{sku}/adjust"), &lost).await;
        let old = format!("OLD{number}");
        let product = json!({"sku": old, "name": "Of yesterday", "price": pence(1)});
        self.command("/v1/products", &product).await;
        self.command(&format!("/v1/products/{old}/discontinue"), &json!({})).await;
    }

    /// Every query, over and over: each is answered, and nobody is shown less than he has seen.
    async fn asks(&self, first: &str) {
        let mut paths = vec![format!("/v1/orders/{first}"), format!("/v1/orders/{first}/history")];
        paths.push(format!("/v1/payments/{first}"));
        paths.extend(
            ["product", "day", "country", "customer"].map(|by| format!("/v1/sales?by={by}")),
        );
        let lists = [
            "products?search=thing",
            "products/85123A",
            "stock",
            "stock/85123A",
            "orders",
            "checkouts",
        ];
        paths.extend(lists.map(|path| format!("/v1/{path}")));
        let mut sold = 0;
        while self.is_open() {
            for path in &paths {
                let (status, answer) = self.get(path).await;
                assert_eq!(status, 200, "{path}: {answer}");
                if path.ends_with("by=country") {
                    let orders = answer["items"][0]["orders"].as_i64().unwrap_or(0);
                    // One that was sold may be cancelled, a few at once.
                    let at_least = sold - i64::try_from(CUSTOMERS).unwrap();
                    assert!(orders >= at_least, "{orders} orders were sold, and {sold} before");
                    sold = orders;
                }
                self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}
