//! What the tests of the whole shop have in common: something to sell, callers who order it, and the
//! audits that hold what came of it against the log, behind the program's back.

use crate::support::{Daybook, LIMIT, World};
use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_postgres::Client as Postgres;

pub(crate) const SERVICES: [&str; 5] = ["catalogue", "orders", "inventory", "payments", "checkout"];

/// Everything that a caller sees of an answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) position: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    /// An error if the answer breaks off.
    pub(crate) async fn of(answer: reqwest::Response) -> Result<Self, String> {
        let header = |headers: &HeaderMap, name: &str| {
            headers.get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        Ok(Answer {
            status: answer.status(),
            etag: header(answer.headers(), "etag"),
            location: header(answer.headers(), "location"),
            position: header(answer.headers(), "daybook-position"),
            body: answer.json().await.map_err(|error| format!("{error:?}"))?,
        })
    }

    pub(crate) fn problem(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default().trim_start_matches("urn:daybook:problem:")
    }

    /// The id of the order that was placed.
    pub(crate) fn order(&self) -> String {
        assert_eq!(self.status, 201, "{}", self.body);
        self.body["stream"].as_str().unwrap().strip_prefix("order-").unwrap().to_owned()
    }
}

/// `POST`s to a URL, whatever comes of it.
pub(crate) async fn post(http: &Client, url: &str, key: Option<&str>, body: &Value) -> Answer {
    let mut request = http.post(url).json(body);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Answer::of(request.send().await.unwrap()).await.unwrap()
}

/// Sends commands as lines of one request; each must be accepted.
pub(crate) async fn batch(daybook: &Daybook, commands: impl Iterator<Item = (String, Value)>) {
    let line = |(path, body)| format!("{}\n", json!({"path": path, "body": body}));
    let lines: String = commands.map(line).collect();
    let sent = daybook.http.post(format!("{}/v1/commands", daybook.url));
    let sent = sent.header("content-type", "application/x-ndjson").body(lines).send();
    let answers = sent.await.unwrap().text().await.unwrap();
    for answer in answers.lines() {
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert!(answer["status"].as_u64().is_some_and(|status| status < 300), "{answer}");
    }
}

pub(crate) fn pence(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

/// An order of one of each SKU.
pub(crate) fn order(skus: &[&str], method: &str) -> Value {
    let lines: Vec<_> = skus.iter().map(|sku| json!({"sku": sku, "quantity": 1})).collect();
    json!({"country": "GB", "payment_method": method, "lines": lines})
}

/// Lists a product, puts it on the shelf, and waits until orders know its price.
pub(crate) async fn sell(world: &World, daybook: &Daybook, sku: &str, price: i64, stock: i64) {
    let product = json!({"sku": sku, "name": format!("Thing {sku}"), "price": pence(price)});
    daybook.command("/v1/products", &product).await;
    if stock > 0 {
        let path = format!("/v1/stock/{sku}/receive");
        daybook.command(&path, &json!({"quantity": stock})).await;
    }
    priced(world, sku, price).await;
}

/// Waits until the price list has the price.
pub(crate) async fn priced(world: &World, sku: &str, price: i64) {
    let sql = "select count(*) from orders_read.price where sku = $1 and amount = $2";
    let postgres = world.sql().await;
    eventually("orders know the price", async || {
        let row = postgres.query_one(sql, &[&sku, &price]).await.unwrap();
        (row.get::<_, i64>(0) == 1).then_some(()).ok_or_else(|| format!("{sku} at {price}"))
    })
    .await;
}

/// Looks until it holds; what was seen last is told if it never does.
pub(crate) async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(last) if tokio::time::Instant::now() > deadline => panic!("never: {what}: {last}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Waits until each of so many orders is confirmed (or further) or cancelled, and every cancelled one has
/// given back all that it had.
pub(crate) async fn settled(world: &World, orders: usize) {
    const SQL: &str = "with order_event as (select * from orders.event where substr(stream, 7) <> all ($1)) select \
        (select count(*) from order_event where type = 'order.placed'), \
        (select count(distinct stream) from order_event \
          where type in ('order.confirmed', 'order.cancelled')), \
        (select count(*) from order_event where type = 'order.cancelled'), \
        (select count(*) from checkout.event c where type = 'checkout.completed' and exists ( \
          select from order_event o where type = 'order.cancelled' \
             and substr(o.stream, 7) = substr(c.stream, 10)))";
    let (postgres, earlier) = (world.sql().await, world.earlier());
    eventually("every order is settled", async || {
        let row = postgres.query_one(SQL, &[&earlier]).await.unwrap();
        let [placed, settled, cancelled, completed] = [0, 1, 2, 3].map(|at| row.get::<_, i64>(at));
        let all = placed == i64::try_from(orders).unwrap() && settled == placed;
        let seen = || {
            format!("{placed} placed, {settled} settled, {completed} of {cancelled} cancelled done")
        };
        (all && completed == cancelled).then_some(()).ok_or_else(seen)
    })
    .await;
}

/// Another flow begins in the same world: the orders until now are none of its.
pub(crate) async fn another_flow(world: &World) {
    let sql = "select substr(stream, 7) from orders.event where type = 'order.placed'";
    let placed = world.sql().await.query(sql, &[]).await.unwrap();
    world.begins_after(placed.iter().map(|row| row.get(0)).collect());
}

/// How often each reason ended an order; `confirmed` is one of them.
pub(crate) async fn outcomes(world: &World) -> BTreeMap<String, i64> {
    let sql = "select coalesce(last.payload ->> 'reason', 'confirmed'), count(*) from ( \
         select distinct on (stream) payload from orders.event \
          where type in ('order.confirmed', 'order.cancelled') and substr(stream, 7) <> all ($1) \
          order by stream, version desc) last \
         group by 1";
    let rows = world.sql().await.query(sql, &[&world.earlier()]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// The next offset of every partition of every log: what is nowhere in them never happened.
pub(crate) async fn heads(postgres: &Postgres) -> BTreeMap<(String, i32), i64> {
    let mut heads = BTreeMap::new();
    for service in SERVICES {
        let sql = format!("select partition, max(log_offset) from {service}.event group by 1");
        for row in postgres.query(&sql, &[]).await.unwrap() {
            heads.insert((service.to_owned(), row.get(0)), row.get::<_, i64>(1) + 1);
        }
    }
    heads
}

/// What was done with the money of one order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Money {
    pub(crate) charges: i64,
    pub(crate) declines: i64,
    pub(crate) authorised: i64,
    pub(crate) captured: i64,
    pub(crate) voided: i64,
    pub(crate) refunded: i64,
}

impl Money {
    pub(crate) fn held(&self) -> i64 {
        self.authorised - self.captured - self.voided
    }
}

/// The payments as our log tells them, by order.
async fn our_book(world: &World) -> BTreeMap<String, Money> {
    let sql = "select substr(stream, 9) as order, type, (payload -> 'amount' ->> 'amount')::bigint \
         from payments.event order by stream, version";
    let mut book = BTreeMap::<String, Money>::new();
    for row in world.sql().await.query(sql, &[]).await.unwrap() {
        let money = book.entry(row.get(0)).or_default();
        let amount = row.get::<_, Option<i64>>(2).unwrap_or_default();
        match row.get(1) {
            "payment.authorised" => {
                money.charges += 1;
                money.authorised += amount;
            }
            "payment.declined" => money.declines += 1,
            "payment.captured" => money.captured += amount,
            "payment.voided" => money.voided += money.held(),
            "payment.refunded" => money.refunded += amount,
            _ => {}
        }
    }
    book.retain(|_, money| *money != Money::default());
    book
}

/// The payments as the provider's own book tells them, by order.
pub(crate) async fn their_book(world: &World) -> BTreeMap<String, Money> {
    let (mut book, earlier) = (their_whole_book(world).await, world.earlier());
    book.retain(|order, _| !earlier.contains(order));
    book
}

async fn their_whole_book(world: &World) -> BTreeMap<String, Money> {
    let book = world.provider.book().await;
    let entry = |entry: &Value| {
        assert_eq!(entry["currency"], "GBP", "{entry}");
        let sum = |name: &str| entry[name].as_i64().unwrap();
        let money = Money {
            charges: sum("charges"),
            declines: sum("declines"),
            authorised: sum("authorised"),
            captured: sum("captured"),
            voided: sum("released"),
            refunded: sum("refunded"),
        };
        assert_eq!(money.held(), sum("held"), "the book adds up: {entry}");
        (entry["order"].as_str().unwrap().to_owned(), money)
    };
    book["orders"].as_array().unwrap().iter().map(entry).collect()
}

/// What must hold of every shop that is at rest: the provider's book equals ours, nobody was charged
/// twice, nothing is held or reserved for an order that was cancelled, and what is confirmed is covered
/// by as much money and stock as was ordered.
pub(crate) async fn audit(world: &World) {
    let (ours, theirs) = (our_book(world).await, their_whole_book(world).await);
    assert_eq!(ours, theirs, "the provider's book equals ours");
    let postgres = world.sql().await;
    let sql = "select substr(p.stream, 7), (p.payload -> 'total' ->> 'amount')::bigint, \
           (select array_agg(e.type) from orders.event e where e.stream = p.stream), \
           exists (select from checkout.event c where c.type = 'checkout.settled_by_hand' \
                      and substr(c.stream, 10) = substr(p.stream, 7)) \
         from orders.event p where p.type = 'order.placed'";
    for row in postgres.query(sql, &[]).await.unwrap() {
        let (order, total, types): (String, i64, Vec<String>) =
            (row.get(0), row.get(1), row.get(2));
        let by_hand: bool = row.get(3);
        let is = |kind: &str| types.iter().any(|known| known == kind);
        let money = ours.get(&order).copied().unwrap_or_default();
        assert!(money.charges <= 1, "{order} is charged once: {money:?}");
        if by_hand {
            // A person answers for it.
        } else if is("order.cancelled") {
            let kept = money.held() + money.captured - money.refunded;
            assert_eq!(kept, 0, "nothing is kept of the cancelled {order}: {money:?}");
        } else if is("order.closed") {
            assert_eq!(money.captured, total, "{order} is paid: {money:?}");
        } else if is("order.confirmed") {
            assert_eq!(money.authorised, total, "{order} is covered: {money:?}");
        }
    }
    audit_stock(&postgres).await;
}

/// Reserved is exactly what open orders have on their lines.
async fn audit_stock(postgres: &Postgres) {
    const SQL: &str = "with reserved as ( \
        select substr(stream, 7) as sku, payload ->> 'order' as order_id, \
               sum((payload ->> 'quantity')::bigint * case type when 'stock.reserved' then 1 else -1 end) as units \
          from inventory.event where type in ('stock.reserved', 'stock.released', 'stock.shipped') \
         group by 1, 2), \
      open as ( \
        select line ->> 'sku' as sku, substr(p.stream, 7) as order_id, sum((line ->> 'quantity')::bigint) as units \
          from orders.event p, json_array_elements(p.payload -> 'lines') line \
         where p.type = 'order.placed' \
           and exists (select from orders.event c where c.stream = p.stream and c.type = 'order.confirmed') \
           and not exists (select from orders.event c where c.stream = p.stream \
                              and c.type in ('order.cancelled', 'order.shipped')) \
         group by 1, 2) \
      select coalesce(r.sku, o.sku) || ' for ' || coalesce(r.order_id, o.order_id) || ': ' \
             || coalesce(r.units, 0) || ' reserved, ' || coalesce(o.units, 0) || ' on open orders' \
        from reserved r full join open o using (sku, order_id) \
       where coalesce(r.units, 0) <> coalesce(o.units, 0)";
    let rows = postgres.query(SQL, &[]).await.unwrap();
    let wrong: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(wrong.is_empty(), "reserved is what open orders have: {wrong:#?}");
}
