//! Which generation is live, and who notices.

use crate::stories::{Shop, order_id};
use crate::support::{Process, eventually, fresh_database, got, rebuild};
use projections::{Generations, Progress, all};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_agree_on_one_live_generation() {
    let database = fresh_database().await;
    let processes = [
        Process::start(&database).await,
        Process::start(&database).await,
        Process::start(&database).await,
    ];
    let [a, b, c] = &processes;
    let opened = tokio::join!(
        Generations::open(&a.reads),
        Generations::open(&b.reads),
        Generations::open(&c.reads),
    );
    let opened = [opened.0.unwrap(), opened.1.unwrap(), opened.2.unwrap()];
    for projection in all() {
        let layout = projection.layout();
        assert!(opened.iter().all(|it| it.live(layout.name) == Some(1)), "{}", layout.name);
        let sql = format!(
            "select count(*) from {}_read.generation where projection = '{}'",
            layout.service, layout.name
        );
        assert_eq!(a.number(&sql).await, 1, "{}", layout.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn running_processes_take_a_new_generation_on_and_go_on_with_it() {
    let database = fresh_database().await;
    let (one, two) = (Process::start(&database).await, Process::start(&database).await);
    let generations = [one.follow().await, two.follow().await];
    let shop = Shop::of(&one);
    shop.placed(1, 0, vec![]).await;
    one.posted().await;

    let orders = &all()[0];
    let quiet = Arc::new(|_: Progress| {});
    let third = Process::start(&database).await;
    let rebuilt = rebuild(orders, third.read("orders"), &third.logs, quiet).await.unwrap();
    for generations in &generations {
        let what = "the new generation answers";
        eventually(what, || async { generations.live("orders") == Some(rebuilt.generation) }).await;
    }
    shop.placed(2, 60, vec![]).await;
    one.posted().await;
    for (process, generations) in [(&one, &generations[0]), (&two, &generations[1])] {
        let router = process.router(generations);
        for number in [1, 2] {
            got(&router, &format!("/v1/orders/{}", order_id(number))).await;
        }
    }
    let table = format!("select count(*) from orders_read.order_{}", rebuilt.generation);
    assert_eq!(one.number(&table).await, 2);
    assert_eq!(one.number("select count(*) from orders_read.order_1").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_partitions_and_post_every_event_once() {
    let database = fresh_database().await;
    let (one, two) = (Process::start(&database).await, Process::start(&database).await);
    let (first, _second) = (one.follow().await, two.follow().await);
    let (shop, other) = (Shop::of(&one), Shop::of(&two));
    for number in 1..=20 {
        shop.placed(number, 0, vec![domain::orders::order::Command::Confirm {}]).await;
        other.placed(100 + number, 0, vec![]).await;
    }
    one.stop.cancel();
    two.posted().await;
    let sales = got(&two.router(&first), "/v1/sales?by=country").await;
    assert_eq!(sales["items"][0]["orders"], 20);
    assert_eq!(two.number("select count(*) from orders_read.order_event_1").await, 60);
}
