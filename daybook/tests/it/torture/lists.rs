//! Lists that somebody asks for all the time while what they are made of is rebuilt, or lost.

use crate::rebuild_e2e::live;
use crate::shop::{batch, eventually, order, sell, settled};
use crate::support::{Daybook, World};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// A list of a read model, whose rows are told from those of the next generation by a mark that a hand makes: no fold
/// would.
pub(super) struct List {
    pub(super) projection: &'static str,
    /// The schema that it lives in.
    pub(super) read: &'static str,
    rows: usize,
    mark: &'static str,
    path: &'static str,
    is_marked: fn(&Value) -> bool,
}

const SKUS: usize = 400;
/// Each of another customer.
const ORDERS: usize = 200;
const MUCH: i64 = 1_000_000;

pub(super) const LISTS: [List; 3] = [
    List {
        projection: "stock",
        read: "inventory_read",
        rows: SKUS,
        mark: "update inventory_read.stock_{g} set on_hand = on_hand + 1000000",
        path: "/v1/stock?limit=1000",
        is_marked: |level| level["on_hand"].as_i64() >= Some(MUCH),
    },
    List {
        projection: "orders",
        read: "orders_read",
        rows: ORDERS,
        mark: "update orders_read.order_{g} set total = total + 1000000",
        path: "/v1/orders?limit=1000",
        is_marked: |order| order["total"]["amount"].as_i64() >= Some(MUCH),
    },
    List {
        projection: "sales",
        read: "orders_read",
        rows: ORDERS,
        mark: "update orders_read.sales_{g} set orders = orders + 1000000",
        path: "/v1/sales?by=customer&limit=1000",
        is_marked: |sales| sales["orders"].as_i64() >= Some(MUCH),
    },
];

/// Fills a shop with as many rows.
pub(super) async fn fill(world: &World, daybook: &Daybook) {
    let sku = |number: usize| format!("SKU{number}");
    sell(world, daybook, &sku(0), 255, 1_000).await;
    let received = (1..SKUS)
        .map(|number| (format!("/v1/stock/{}/receive", sku(number)), json!({"quantity": number})));
    batch(daybook, received).await;
    let placed = (0..ORDERS).map(|number| {
        let mut placed = order(&["SKU0"], "pm_card_visa");
        placed["customer"] = json!(format!("C{number}"));
        ("/v1/orders".to_owned(), placed)
    });
    batch(daybook, placed).await;
    settled(world, ORDERS).await;
    for list in LISTS {
        let whole = |page: &Value| page["items"].as_array().is_some_and(|it| it.len() == list.rows);
        daybook.until("all of it is posted", list.path, whole).await;
    }
}

impl List {
    /// Marks the rows that are live.
    pub(super) async fn mark(&self, world: &World) {
        let sql = world.sql().await;
        let live = live(&sql, self.projection, self.read).await;
        sql.batch_execute(&self.mark.replace("{g}", &live.to_string())).await.unwrap();
    }

    /// Waits until the rows that are shown are those with the mark, or those without.
    pub(super) async fn shows(&self, daybook: &Daybook, marked: bool) {
        let what = format!("{} shows its rows, marked: {marked}", self.projection);
        eventually(&what, async || {
            let shown = self.shown(&daybook.http, &daybook.url).await;
            if shown == Some(marked) { Ok(()) } else { Err(format!("{shown:?}")) }
        })
        .await;
    }

    /// Whether the rows are those with the mark; none while nobody can tell.
    async fn shown(&self, http: &Client, url: &str) -> Option<bool> {
        let answer = http.get(format!("{url}{}", self.path)).send().await.unwrap();
        let (status, page) = (answer.status(), answer.json::<Value>().await.unwrap());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        assert_eq!(status, StatusCode::OK, "{}: {page}", self.path);
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), self.rows, "{} is whole", self.path);
        let marked = items.iter().filter(|item| (self.is_marked)(item)).count();
        assert!(marked == 0 || marked == self.rows, "{}: {marked} are marked", self.path);
        Some(marked > 0)
    }
}

/// Whoever asks for the lists all the time: each is answered from one whole generation, or not at all.
pub(super) struct Asking {
    is_over: Arc<AtomicBool>,
    tasks: JoinSet<(usize, usize)>,
}

impl Asking {
    pub(super) fn begin(daybook: &Daybook) -> Self {
        let (is_over, mut tasks) = (Arc::<AtomicBool>::default(), JoinSet::new());
        for list in LISTS {
            let (http, url, is_over) = (daybook.http.clone(), daybook.url.clone(), is_over.clone());
            tasks.spawn(async move {
                let (mut answered, mut refused) = (0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    match list.shown(&http, &url).await {
                        Some(_) => answered += 1,
                        None => refused += 1,
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                (answered, refused)
            });
        }
        Asking { is_over, tasks }
    }

    /// How often they were answered, and how often nobody could tell.
    pub(super) async fn end(mut self) -> (usize, usize) {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = (0, 0);
        while let Some(asked) = self.tasks.join_next().await {
            let (answered, refused) = asked.unwrap();
            all = (all.0 + answered, all.1 + refused);
        }
        all
    }
}
