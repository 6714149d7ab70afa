//! The logs of a shop whose orders were placed, paid for and shipped, and the read side that shows them.

use crate::peers::daybook::PARTITIONS;
use anyhow::{Context, Result};
use event_store::follow::ReadSide;
use event_store::{Database, Log, LogSettings, migrate};
use projections::{Generations, Projection};
use std::sync::Arc;

/// Of each order, in both logs.
pub const EVENTS: i64 = 5;

pub struct Orders {
    pub logs: Vec<Log>,
    pub read: ReadSide,
    /// That of the inventory.
    pub stock: ReadSide,
    pub generations: Generations,
}

/// How many lines an order `i` has, in SQL.
#[derive(Clone, Copy)]
pub enum Lines {
    Two,
    /// One to forty, twenty in the middle, as the receipts of the retail sample in `data/`.
    Retail,
}

impl Lines {
    fn sql(self) -> &'static str {
        match self {
            Lines::Two => "2",
            Lines::Retail => "1 + (i * 7919) % 40",
        }
    }
}

/// The sample has a year and a week of days, and nine of ten orders are from one of its 38 countries.
const DAYS: i64 = 373;
const COUNTRY: &str = "case when i % 10 > 0 then 'GB' else \
    (array['DE', 'FR', 'IE', 'ES', 'NL', 'BE', 'CH', 'PT', 'AU', 'NO', 'IT', 'FI'])[1 + i / 10 % 12] end";

const SERVICES: [&str; 5] = ["catalogue", "orders", "inventory", "payments", "checkout"];

impl Orders {
    /// So many of them, in a database that is empty.
    pub async fn open(database: &Database, orders: i64, lines: Lines) -> Result<Self> {
        for service in SERVICES {
            migrate(database, service, PARTITIONS).await?;
        }
        fill(database, orders, lines).await?;
        let mut logs = Vec::new();
        for service in ["orders", "payments", "inventory"] {
            let database = database.of_service(service);
            logs.push(Log::open(LogSettings::new(service, PARTITIONS, database)).await?);
        }
        let read = |service: &str| ReadSide::open(&database.of_service(service), service, 8);
        let (read, stock) = (read("orders")?, read("inventory")?);
        let generations = Generations::open(&[read.clone(), stock.clone()]).await?;
        Ok(Orders { logs, read, stock, generations })
    }

    pub async fn close(self) {
        for log in self.logs {
            log.close().await;
        }
    }
}

pub fn projection(name: &str) -> Result<Arc<dyn Projection>> {
    let named = projections::all().into_iter().find(|p| p.layout().name == name);
    named.with_context(|| format!("there is no projection `{name}`"))
}

/// SKUs of which stock is kept; a multiple of the partitions.
const STOCKS: i64 = 2_000;

/// Of stock, which comes first and is then reserved again and again.
pub async fn fill_stock(database: &Database, events: i64) -> Result<()> {
    let client = database.connect("bench fill").await?;
    let sql = format!(
        "insert into inventory.event \
         select i % {PARTITIONS}, i / {PARTITIONS}, 'stock-SKU' || i % {STOCKS}, i / {STOCKS} + 1, \
                gen_random_uuid(), gen_random_uuid(), 0, \
                case when i < {STOCKS} then 'stock.received' else 'stock.reserved' end, 1, \
                case when i < {STOCKS} then json_build_object('quantity', 1000000) \
                     else json_build_object('order', gen_random_uuid(), 'quantity', 1 + i % 3) end, \
                '{{\"correlation\":\"bench\",\"actor\":\"bench\"}}', now(), now() \
           from generate_series(0, {events} - 1) i; \
         analyze inventory.event"
    );
    client.batch_execute(&sql).await?;
    Ok(())
}

/// Three events of each order and two of its payment, laid out as appends would have left them.
async fn fill(database: &Database, orders: i64, lines: Lines) -> Result<()> {
    let client = database.connect("bench fill").await?;
    let event = |service: &str,
                 position: i64,
                 events: i64,
                 stream: &str,
                 kind: &str,
                 payload: &str| {
        format!(
            "insert into {service}.event \
             select i % {PARTITIONS}, (i / {PARTITIONS}) * {events} + {position}, '{stream}-' || \
                    ('00000000-0000-5000-8000-' || lpad(to_hex(i), 12, '0')), {position} + 1, \
                    gen_random_uuid(), gen_random_uuid(), 0, '{kind}', 1, ({payload})::json, \
                    '{{\"correlation\":\"bench\",\"actor\":\"bench\"}}', t, t \
               from generate_series(0, {orders} - 1) i, \
                    lateral (select now() - interval '{DAYS} days' * (1 - i / {orders}.0)) as at (t);"
        )
    };
    let money = |amount: &str| format!("json_build_object('amount', {amount}, 'currency', 'GBP')");
    let order_id = "'00000000-0000-5000-8000-' || lpad(to_hex(i), 12, '0')";
    let of_each = |what: &str| {
        format!("(select json_agg({what} order by n) from generate_series(1, {}) n)", lines.sql())
    };
    let line = format!(
        "json_build_object('line', n, 'sku', 'SKU' || (i * 7 + n) % 2000, 'quantity', 1 + n % 3, 'unit_price', {}, 'tax_rate', 0)",
        money("250")
    );
    let pieces = format!("(select sum(1 + n % 3) from generate_series(1, {}) n)", lines.sql());
    let total = format!("250 * {pieces}");
    let placed = format!(
        "json_build_object('order', {order_id}, 'lines', {}, 'shipping', {}, 'discount', {}, \
         'total', {}, 'customer', 'c' || i % 1000, 'country', {COUNTRY}, 'payment_method', 'pm_card_visa')",
        of_each(&line),
        money("0"),
        money("0"),
        money(&total)
    );
    let shipped = of_each("json_build_object('line', n, 'quantity', 1 + n % 3)");
    let shipped = format!("json_build_object('lines', {shipped})");
    let requested = format!(
        "json_build_object('attempt', 1, 'amount', {}, 'method', 'pm_card_visa')",
        money(&total)
    );
    let authorised = format!(
        "json_build_object('attempt', 1, 'amount', {}, 'reference', 'pi_' || i)",
        money(&total)
    );
    let all = [
        event("orders", 0, 3, "order", "order.placed", &placed),
        event("orders", 1, 3, "order", "order.confirmed", "'{}'"),
        event("orders", 2, 3, "order", "order.shipped", &shipped),
        event("payments", 0, 2, "payment", "payment.authorisation_requested", &requested),
        event("payments", 1, 2, "payment", "payment.authorised", &authorised),
    ];
    client.batch_execute(&all.concat()).await?;
    client.batch_execute("analyze orders.event; analyze payments.event").await?;
    Ok(())
}
