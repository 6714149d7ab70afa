//! What is bounded: told in one place, and to be seen at work.

use crate::shop::{eventually, order, sell};
use crate::support::World;
use std::process::Command;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");

/// What the program says of its bounds.
fn table() -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    let output = command.args(["config", "--limits"]).env_clear().output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_document_lists_every_bound_as_it_is() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let told: String = document
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.to_owned() + "\n")
        .collect();
    assert_eq!(told, table(), "put what `daybook config --limits` prints into docs/limits.md");
}

#[tokio::test]
async fn every_bound_has_a_metric_that_is_there() {
    let world = World::new().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "A1", 250, 5).await;
    daybook.command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
    let confirmed = "/v1/orders?status=confirmed";
    daybook
        .until("the order is confirmed", confirmed, |page| {
            page["items"].as_array().is_some_and(|orders| orders.len() == 1)
        })
        .await;
    // Whose body is not read is counted too.
    let refused = daybook.http.put(format!("{}/v1/orders", daybook.url)).body(vec![b' '; 1 << 20]);
    assert_eq!(refused.send().await.unwrap().status(), 405);
    let table = table();
    let metrics: Vec<_> =
        table.lines().skip(2).map(|row| row.rsplit('`').nth(1).unwrap()).collect();
    let url = format!("{}/metrics", daybook.url);
    eventually("every metric is there", async || {
        let shown = daybook.http.get(&url).send().await.unwrap().text().await.unwrap();
        let is_there = |metric: &&str| shown.lines().any(|line| line.starts_with(metric));
        let missing: Vec<_> = metrics.iter().filter(|metric| !is_there(metric)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await;
}
