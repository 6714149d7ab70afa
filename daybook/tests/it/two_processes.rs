//! Two processes on one database, one consumer group.

use crate::kafka_copy::equals_the_logs;
use crate::shop::{audit, eventually, order, post, sell, settled};
use crate::support::{Daybook, World};
use futures_util::future::join_all;

/// The consumer group gives each its share; who is killed is followed after its session timed out (6 s).
#[tokio::test]
async fn two_processes_share_the_partitions_and_one_follows_the_other_after_a_kill() {
    let world = World::new().await;
    let (first, second) = (world.start().await, world.start().await);
    sell(&world, &first, "85123A", 255, 1_000_000).await;
    worked(&world, true).await;

    place(&[&first, &second], 60).await;
    settled(&world, 60).await;
    let only = [&second];
    tokio::join!(place(&only, 60), first.kill());
    settled(&world, 120).await;
    worked(&world, false).await;

    audit(&world).await;
    equals_the_logs(&world).await;
    sales_are_counted_once(&world, &second).await;
    second.stop().await;
}

async fn place(daybooks: &[&Daybook], count: usize) {
    let body = order(&["85123A"], "pm_card_visa");
    let placing = (0..count).map(|caller| {
        let daybook = daybooks[caller % daybooks.len()];
        let (url, body) = (format!("{}/v1/orders", daybook.url), &body);
        async move { post(&daybook.http, &url, None, body).await.order() }
    });
    join_all(placing).await;
}

/// Waits until every partition of every follower is worked: by one process, or by more.
pub(crate) async fn worked(world: &World, by_more: bool) {
    const SQL: &str = "select a.pid, count(*) from pg_locks l join pg_stat_activity a using (pid) \
        where l.locktype = 'advisory' and a.datname = current_database() \
          and a.application_name = 'daybook locks' group by 1";
    let postgres = world.sql().await;
    let followed = followed_partitions(&postgres).await;
    eventually("every partition is worked", async || {
        let rows = postgres.query(SQL, &[]).await.unwrap();
        let counts: Vec<i64> = rows.iter().map(|row| row.get(1)).collect();
        let held: i64 = counts.iter().sum();
        // A process holds the locks of a service's followers in one session.
        let more = counts.len() > crate::shop::SERVICES.len();
        if held == followed && more == by_more {
            return Ok(());
        }
        Err(format!("{held} of {followed}, by sessions: {counts:?}"))
    })
    .await;
}

async fn followed_partitions(postgres: &tokio_postgres::Client) -> i64 {
    let mut all = 0;
    for service in crate::shop::SERVICES {
        let sql = format!("select count(*) from {service}_read.checkpoint");
        all += postgres.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0);
    }
    all
}

/// The sales add up what every order says: an event posted twice, or not at all, would show.
async fn sales_are_counted_once(world: &World, daybook: &Daybook) {
    let sql = "select count(*) from orders.event where type = 'order.confirmed'";
    let orders: i64 = world.sql().await.query_one(sql, &[]).await.unwrap().get(0);
    let counted = |sales: &serde_json::Value| {
        let sales = &sales["items"][0];
        sales["orders"] == orders && sales["revenue"]["amount"] == orders * 255
    };
    daybook.until("the sales are those of the log", "/v1/sales?by=country", counted).await;
}
