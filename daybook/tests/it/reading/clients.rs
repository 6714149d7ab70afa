//! Clients who read what they have just written, on two processes, while read models are rebuilt and partitions change
//! hands.

use super::said;
use crate::on_file::counts_on;
use crate::shop::{Answer, eventually, order, pence, post, sell};
use crate::support::{Daybook, World};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const CLIENTS: usize = 100;
/// Of each client at least; they go on until nothing disturbs them any more.
const ROUNDS: usize = 4;

/// A hundred clients, each with things of his own: what one of two processes has written, the other one shows, whatever
/// else goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_what_was_before_his_own_command_under_a_rebuild_and_a_rebalance() {
    let world = World::new().await;
    let (first, second) = (world.start().await, world.start().await);
    sell(&world, &first, "SOLD", 250, 1_000_000).await;
    let (stale, asked, disturbed) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(true));
    let clients = (0..CLIENTS).map(|number| {
        let daybooks = [&first, &second];
        let (stale, asked, disturbed) = (&stale, &asked, &disturbed);
        async move {
            for round in 1.. {
                if ROUNDS < round && !disturbed.load(Ordering::Relaxed) {
                    break;
                }
                asked.fetch_add(1, Ordering::Relaxed);
                let writes = daybooks[(number + round) % 2];
                let reads = daybooks[(number + round + number / 2) % 2];
                let client = Client { number, round, writes, reads };
                // Orders are the most work for the shop, and so the fewest.
                let sees = match number % 10 {
                    0 => client.his_order().await,
                    1 | 2 => client.his_price().await,
                    _ => client.his_goods().await,
                };
                if !sees {
                    stale.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let disturbing = async {
        for _ in 0..2 {
            let all = ["stock", "products", "orders", "order-history"];
            let rebuilt = said(&world, "rebuild", &all).await;
            assert_eq!(rebuilt.code, 0, "{}\n{}", rebuilt.out, rebuilt.err);
        }
        // It takes its share of the partitions, and gives it back.
        let third = world.start().await;
        counts_on(&third, "daybook_follower_events_total{follower=\"stock\"}", 0.0).await;
        third.stop().await;
        disturbed.store(false, Ordering::Relaxed);
    };
    tokio::join!(join_all(clients), disturbing);
    assert_eq!(stale.load(Ordering::Relaxed), 0, "of {} answers", asked.load(Ordering::Relaxed));
    first.stop().await;
    second.stop().await;
}

struct Client<'a> {
    number: usize,
    round: usize,
    writes: &'a Daybook,
    reads: &'a Daybook,
}

impl Client<'_> {
    /// A level of stock.
    async fn his_goods(&self) -> bool {
        let path = format!("/v1/stock/OWN{}", self.number);
        let position = self.write(&format!("{path}/receive"), &json!({"quantity": 1})).await;
        self.read(&path, &position).await["on_hand"] == self.round
    }

    /// A product, and an order that must know its price: a command that looks it up.
    async fn his_price(&self) -> bool {
        let sku = format!("OWN{}", self.number);
        let price = pence(100 + i64::try_from(self.round).unwrap());
        let path = format!("/v1/products/{sku}");
        let position = if self.round == 1 {
            let product = json!({"sku": sku, "name": "A thing", "price": price});
            self.write("/v1/products", &product).await
        } else {
            self.write(&format!("{path}/reprice"), &json!({"price": price})).await
        };
        let sees = self.read(&path, &position).await["price"] == price;
        if self.round != 2 {
            return sees;
        }
        let order = order(&[&sku], "pm_card_visa");
        let placed = eventually("it is ordered", async || {
            let url = format!("{}/v1/orders", self.reads.url);
            let placing = self.reads.http.post(url).header("daybook-min-position", &position);
            let placed = Answer::of(placing.json(&order).send().await.unwrap()).await?;
            if placed.status == 503 { Err(placed.body.to_string()) } else { Ok(placed) }
        })
        .await;
        let path = format!("/v1/orders/{}", placed.order());
        let order = self.read(&path, &placed.position.unwrap()).await;
        sees && order["lines"][0]["unit_price"] == price
    }

    /// An order, its history, and the list of his orders.
    async fn his_order(&self) -> bool {
        let customer = format!("C{}", self.number);
        let mut order = order(&["SOLD"], "pm_card_visa");
        order["customer"] = json!(customer);
        let url = format!("{}/v1/orders", self.writes.url);
        let placed = post(&self.writes.http, &url, None, &order).await;
        let (path, position) = (format!("/v1/orders/{}", placed.order()), placed.position.unwrap());
        let shown = self.read(&path, &position).await;
        let history = self.read(&format!("{path}/history"), &position).await;
        let list = format!("/v1/orders?customer={customer}&limit=1000");
        let list = self.read(&list, &position).await;
        // He orders again once this one has settled, or the shop would have more to do than it can.
        let settled = self.reads.http.get(format!("{}{path}", self.reads.url));
        settled.header("prefer", "wait=20").send().await.unwrap();
        shown["customer"] == *customer
            && history["items"][0]["type"] == "order.placed"
            && list["items"].as_array().unwrap().len() == self.round
    }

    async fn write(&self, path: &str, body: &Value) -> String {
        let url = format!("{}{path}", self.writes.url);
        let done = post(&self.writes.http, &url, None, body).await;
        assert!(done.status.is_success(), "{}", done.body);
        done.position.unwrap()
    }

    /// Asks until it is answered; who waited in vain asks again, as he is told.
    async fn read(&self, path: &str, position: &str) -> Value {
        eventually("it is shown", async || {
            let asked = self.reads.http.get(format!("{}{path}", self.reads.url));
            let answer = asked.header("daybook-min-position", position).send().await.unwrap();
            let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
            if status == 200 {
                return Ok(body);
            }
            assert_eq!(status, 503, "{body}");
            Err(body.to_string())
        })
        .await
    }
}
