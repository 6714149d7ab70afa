//! What a process owes when it is asked to stop, under load.

use crate::shop::{audit, order, post, sell, settled};
use crate::support::{Daybook, LIMIT, World};
use futures_util::future::join_all;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What `serve` promises.
const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let world = World::new().await;
    stop_under_load(&world).await;
}

#[tokio::test]
async fn a_stop_under_load_loses_nothing_without_kafka() {
    let world = World::new().await.without_kafka();
    stop_under_load(&world).await;
}

async fn stop_under_load(world: &World) {
    const BEFORE: usize = 150;
    let (daybook, other) = (world.start().await, world.start().await);
    sell(world, &daybook, "85123A", 255, 1_000_000).await;
    let (enough, acknowledged) = (CancellationToken::new(), std::sync::Mutex::new(Vec::new()));
    let calling = join_all((0..16).map(|_| calls(&daybook, &acknowledged, BEFORE, &enough)));
    let stopping = async {
        enough.cancelled().await;
        let began = Instant::now();
        daybook.terminate().await;
        began
    };
    let (_, began) = tokio::join!(calling, stopping);
    let refused = daybook.http.get(format!("{}/health/live", daybook.url)).send().await;
    assert!(refused.is_err(), "it accepts nothing new");
    daybook.ended().await;
    assert!(began.elapsed() < WITHIN, "it took {:?}", began.elapsed());

    // The one that is left has every lock at once: it needs no session to time out.
    let acknowledged = acknowledged.into_inner().unwrap();
    let sql = "select substr(stream, 7) from orders.event where type = 'order.placed'";
    let placed = world.sql().await.query(sql, &[]).await.unwrap();
    let placed: Vec<String> = placed.iter().map(|row| row.get(0)).collect();
    for order in &acknowledged {
        assert!(placed.contains(order), "{order} was acknowledged and is not in the log");
    }
    settled(world, placed.len()).await;
    audit(world).await;
    for order in &acknowledged {
        let path = format!("/v1/orders/{order}");
        other.until("it is confirmed", &path, |order| order["status"] == "confirmed").await;
    }
    other.stop().await;
}

/// Places one order after another until nobody answers.
async fn calls(
    daybook: &Daybook,
    acknowledged: &std::sync::Mutex<Vec<String>>,
    before: usize,
    enough: &CancellationToken,
) {
    let url = format!("{}/v1/orders", daybook.url);
    let body = order(&["85123A"], "pm_card_visa");
    loop {
        let Ok(answer) = daybook.http.post(&url).json(&body).send().await else {
            assert!(enough.is_cancelled(), "it stopped answering before it was asked to stop");
            return;
        };
        assert_eq!(answer.status(), 201, "what it took on it finishes");
        let answer: serde_json::Value = answer.json().await.expect("the whole answer");
        let order = answer["stream"].as_str().unwrap().trim_start_matches("order-").to_owned();
        let mut acknowledged = acknowledged.lock().unwrap();
        acknowledged.push(order);
        if acknowledged.len() >= before {
            enough.cancel();
        }
    }
}

/// A process that leaves gives back what others wait for: when it has ended, no session of its own holds a
/// lock, and the next one works every partition.
#[tokio::test]
async fn who_stops_gives_its_locks_back_and_the_next_one_takes_over() {
    for world in [World::new().await, World::new().await.without_kafka()] {
        let (first, second) = (world.start().await, world.start().await);
        sell(&world, &first, "85123A", 255, 1_000).await;
        let url = format!("{}/v1/orders", second.url);
        let body = order(&["85123A"], "pm_card_visa");
        post(&second.http, &url, None, &body).await.order();
        settled(&world, 1).await;
        first.stop().await;
        let locks = "select count(*) from pg_stat_activity \
             where datname = current_database() and application_name = 'daybook locks'";
        let sql = world.sql().await;
        let given_back = async {
            // One process of five services.
            while sql.query_one(locks, &[]).await.unwrap().get::<_, i64>(0) > 5 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, given_back).await.expect("the locks are given back");
        // One for each partition, nearly.
        for _ in 0..24 {
            post(&second.http, &url, None, &body).await.order();
        }
        settled(&world, 25).await;
        second.stop().await;
    }
}

/// A stop is asked for while Kafka is out of reach: nothing waits for it.
#[tokio::test]
async fn a_kafka_that_is_gone_does_not_hold_up_a_stop() {
    let mut world = World::new().await;
    // Nobody listens there.
    world.brokers = Some("127.0.0.1:9".to_owned());
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 10).await;
    let url = format!("{}/v1/orders", daybook.url);
    post(&daybook.http, &url, None, &order(&["85123A"], "pm_card_visa")).await.order();
    settled(&world, 1).await;
    let began = Instant::now();
    daybook.stop().await;
    assert!(began.elapsed() < WITHIN, "it took {:?}", began.elapsed());
}
