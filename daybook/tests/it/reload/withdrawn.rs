//! What is withdrawn waits for nothing: neither for another file, nor for an answer to end.

use super::*;
use crate::access::shows;
use crate::support::LIMIT;
use tokio::time::timeout;

#[tokio::test]
async fn a_key_that_is_revoked_opens_nothing_more_while_the_settings_are_bad_and_ends_what_is_open()
{
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    file.set("auth", "on");
    let mut daybook = file.serve();
    daybook.is_ready().await;
    let hand = "token --role operator --role warehouse --role support";
    daybook.http = shows(file.says(hand).await.trim());
    sell(&world, &daybook, "A", 250, 5).await;
    // It does not settle.
    world.provider.behave(&json!({"mode": "error"})).await;
    let placed = daybook.command("/v1/orders", &order(&["A"], "pm_card_visa")).await;
    let order = placed["stream"].as_str().unwrap().replace("order-", "/v1/orders/");

    let loader = shows(file.says("key create loader --role operator").await.trim());
    let ask = |path: &str| loader.get(format!("{}{path}", daybook.url));
    let is_let_in = async |expected: u16| {
        eventually(&format!("it is answered {expected}"), async || {
            let status = ask("/v1/stock").send().await.unwrap().status();
            if status == expected { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    };
    is_let_in(200).await;
    let left = async || daybook.metric("daybook_listeners_left").await.unwrap();
    let before = left().await;
    let events = ask("/v1/log/orders/0").header("accept", "text/event-stream").send();
    let mut events = events.await.unwrap();
    assert_eq!(events.status(), 200);
    let waiting = tokio::spawn(ask(&order).header("prefer", "wait=20").send());
    eventually("one listens and one waits", async || {
        let now = left().await;
        (now < before - 1.5).then_some(()).ok_or_else(|| now.to_string())
    })
    .await;

    let refused = daybook.metric(REFUSED).await.unwrap();
    file.write_with("peer_failures = 0\n");
    counts_on(&daybook, REFUSED, refused).await;
    is_let_in(200).await;
    let listed = file.command_with_own_file("good", "key list --json").output().await.unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let revoke = format!("key revoke {}", listed["id"].as_str().unwrap());
    let revoked = file.command_with_own_file("good", &revoke).output().await.unwrap();
    assert!(revoked.status.success());
    is_let_in(401).await;
    assert_eq!(waiting.await.unwrap().unwrap().status(), 401);
    let ends = async { while events.chunk().await.unwrap().is_some() {} };
    timeout(LIMIT, ends).await.expect("nobody listens by it any more");
    // Nothing else has changed.
    assert_eq!(daybook.get("/v1/stock").await.0, 200);
    assert_ne!(standing(&daybook).await["refused"], json!(null));
    assert!(file.log().contains("are not trusted any more"), "{}", file.log());
    daybook.stop().await;
}
