//! The books of a shop in which nothing is under way any more: told by SQL over the tables of events.

use tokio_postgres::{Client, IsolationLevel};

use crate::shop::{SERVICES, audit, eventually};
use crate::support::World;

/// Waits until every event is posted by whoever follows it and nothing is owed, all in one snapshot.
pub(crate) async fn are_quiet(world: &World) {
    let mut client = world.sql().await;
    eventually("nothing is under way", async || {
        let mut open = under_way(&mut client).await;
        open.truncate(20);
        if open.is_empty() { Ok(()) } else { Err(format!("{open:#?}")) }
    })
    .await;
}

async fn under_way(client: &mut Client) -> Vec<String> {
    let snapshot = client.build_transaction().read_only(true);
    let tx = snapshot.isolation_level(IsolationLevel::RepeatableRead).start().await.unwrap();
    let mut open = Vec::new();
    for service in SERVICES {
        let sql = include_str!("books/quiet.sql").replace("{service}", service);
        open.extend(tx.query(&sql, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
    }
    open
}

/// Waits until nothing is under way, then holds the logs, the stock, the orders and the money against what
/// must be true of every shop whose orders have all been shipped or cancelled.
pub(crate) async fn are_closed(world: &World) {
    are_quiet(world).await;
    let client = world.sql().await;
    for service in SERVICES {
        let sql = include_str!("books/log.sql").replace("{service}", service);
        finds_nothing(&client, &format!("the log of {service}"), &sql).await;
    }
    for (what, sql) in [
        ("stock", include_str!("books/stock.sql")),
        ("reservations", include_str!("books/reservations.sql")),
        ("orders", include_str!("books/orders.sql")),
        ("payments", include_str!("books/payments.sql")),
    ] {
        finds_nothing(&client, what, sql).await;
    }
    audit(world).await;
}

/// Asks for what is wrong.
pub(crate) async fn finds_nothing(client: &Client, what: &str, sql: &str) {
    let rows = client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let wrong: Vec<String> = rows.iter().map(|row| row.get(0)).take(20).collect();
    assert!(wrong.is_empty(), "{what}, {} wrong: {wrong:#?}", rows.len());
}
