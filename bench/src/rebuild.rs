//! A read model posted again from the log: the orders view, from orders that were placed, confirmed and shipped.

use crate::bench::Bench;
use crate::report::{Figure, Unit};
use anyhow::{Context, Result};
use event_store::follow::ReadSide;
use event_store::{Database, Log, LogSettings, migrate};
use projections::{Generations, Projection};
use std::sync::Arc;

/// Three events of each order and two of its payment, laid out as appends would have left them.
async fn fill(database: &Database, orders: i64) -> Result<()> {
    let client = database.connect("bench fill").await?;
    let event =
        |service: &str, position: i64, events: i64, stream: &str, kind: &str, payload: &str| {
            format!(
                "insert into {service}.event \
             select i % 8, (i / 8) * {events} + {position}, '{stream}-' || \
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

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let database = bench.servers.database("bench_rebuild").await?;
    let mut logs = Vec::new();
    for service in ["orders", "payments"] {
        migrate(&database, service, 8).await?;
    }
    fill(&database, bench.pace.pick(100_000, 10_000)).await?;
    for service in ["orders", "payments"] {
        logs.push(Log::open(LogSettings::new(service, 8, database.of_service(service))).await?);
    }
    let read = ReadSide::open(&database.of_service("orders"), "orders", 8)?;
    Generations::open(std::slice::from_ref(&read)).await?;
    for name in ["orders", "order-history", "sales"] {
        let projection = projections::all().into_iter().find(|p| p.layout().name == name);
        let projection: Arc<dyn Projection> = projection.context("no such projection")?;
        let mut rates = Vec::new();
        for _ in 0..bench.pace.rounds {
            let rebuilt = projections::rebuild(&projection, &read, &logs, Arc::new(|_| {})).await?;
            rates.push(rebuilt.events as f64 / rebuilt.took.as_secs_f64());
        }
        bench.section.add(Figure::new(format!("rebuild of {name}"), Unit::PerSecond, rates));
    }
    Ok(())
}
