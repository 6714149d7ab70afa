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
    pub generations: Generations,
}

impl Orders {
    /// So many of them, in a database that is empty.
    pub async fn open(database: &Database, orders: i64) -> Result<Self> {
        for service in ["orders", "payments"] {
            migrate(database, service, PARTITIONS).await?;
        }
        fill(database, orders).await?;
        let mut logs = Vec::new();
        for service in ["orders", "payments"] {
            let database = database.of_service(service);
            logs.push(Log::open(LogSettings::new(service, PARTITIONS, database)).await?);
        }
        let read = ReadSide::open(&database.of_service("orders"), "orders", 8)?;
        let generations = Generations::open(std::slice::from_ref(&read)).await?;
        Ok(Orders { logs, read, generations })
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

/// Three events of each order and two of its payment, laid out as appends would have left them.
async fn fill(database: &Database, orders: i64) -> Result<()> {
    let client = database.connect("bench fill").await?;
    let event =
        |service: &str, position: i64, events: i64, stream: &str, kind: &str, payload: &str| {
            format!(
                "insert into {service}.event \
             select i % {PARTITIONS}, (i / {PARTITIONS}) * {events} + {position}, '{stream}-' || \
                    ('00000000-0000-5000-8000-' || lpad(to_hex(i), 12, '0')), {position} + 1, \
                    gen_random_uuid(), gen_random_uuid(), 0, '{kind}', 1, ({payload})::json, \
                    '{{\"correlation\":\"bench\",\"actor\":\"bench\"}}', now(), now() \
               from generate_series(0, {orders} - 1) i;"
            )
        };
    let money = |amount: &str| format!("json_build_object('amount', {amount}, 'currency', 'GBP')");
    let order_id = "'00000000-0000-5000-8000-' || lpad(to_hex(i), 12, '0')";
    let line = |n: i64| {
        format!(
            "json_build_object('line', {n}, 'sku', 'SKU' || (i * 7 + {n}) % 200, 'quantity', {n}, 'unit_price', {}, 'tax_rate', 0)",
            money("250")
        )
    };
    let placed = format!(
        "json_build_object('order', {order_id}, 'lines', json_build_array({}, {}), 'shipping', {}, 'discount', {}, \
         'total', {}, 'customer', 'c' || i % 1000, 'country', 'GB', 'payment_method', 'pm_card_visa')",
        line(1),
        line(2),
        money("0"),
        money("0"),
        money("750")
    );
    let shipped = "json_build_object('lines', json_build_array(json_build_object('line', 1, 'quantity', 1), \
         json_build_object('line', 2, 'quantity', 2)))";
    let requested = format!(
        "json_build_object('attempt', 1, 'amount', {}, 'method', 'pm_card_visa')",
        money("750")
    );
    let authorised = format!(
        "json_build_object('attempt', 1, 'amount', {}, 'reference', 'pi_' || i)",
        money("750")
    );
    let all = [
        event("orders", 0, 3, "order", "order.placed", &placed),
        event("orders", 1, 3, "order", "order.confirmed", "'{}'"),
        event("orders", 2, 3, "order", "order.shipped", shipped),
        event("payments", 0, 2, "payment", "payment.authorisation_requested", &requested),
        event("payments", 1, 2, "payment", "payment.authorised", &authorised),
    ];
    client.batch_execute(&all.concat()).await?;
    client.batch_execute("analyze orders.event; analyze payments.event").await?;
    Ok(())
}
