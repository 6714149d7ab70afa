//! Who may go where stands in lists, which the gateway reads anew when it reloads.

use super::{EVERYBODY, Gateway, NOBODY, gateway};
use crate::batch;
use crate::shop::eventually;
use crate::support::{World, http};
use serde_json::json;

/// What an operator's question gets, on a connection of its own: those that are open stay with the lists of before.
async fn status(gateway: &Gateway) -> Result<u16, String> {
    let asked = http().get(format!("{}/metrics", gateway.url)).send().await;
    asked.map(|answer| answer.status().as_u16()).map_err(|error| format!("{error:?}"))
}

async fn becomes(gateway: &Gateway, expected: u16) {
    eventually("the lists are read", async || {
        let status = status(gateway).await?;
        if status == expected { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_list_that_has_changed_is_read_at_a_reload_and_what_is_under_way_goes_on() {
    let world = World::new().await;
    let daybook = world.start().await;
    let mut gateway = gateway(&daybook, NOBODY, &[]).await;
    let (mut sending, mut answers) = batch::begin(&gateway.url).await;
    let line = json!({"path": "/v1/stock/A/receive", "body": {"quantity": 1}}).to_string() + "\n";
    batch::send(&mut sending, &line).await.unwrap();
    assert_eq!(answers.status().await, 200);
    assert_eq!(answers.next().await.unwrap()["status"], 200);

    gateway.welcomes(EVERYBODY);
    assert_eq!(status(&gateway).await, Ok(403), "before it reloads");
    gateway.reload();
    becomes(&gateway, 200).await;
    batch::send(&mut sending, &line).await.unwrap();
    assert_eq!(answers.next().await.unwrap()["status"], 200);
    batch::send(&mut sending, "").await.unwrap();
    assert_eq!(answers.next().await, None);

    gateway.welcomes(NOBODY);
    gateway.reload();
    becomes(&gateway, 403).await;
}
