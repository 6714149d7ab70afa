//! What one caller may ask for, through the real program, and changed without a restart.

use crate::batch;
use crate::on_file::{OnFile, REFUSED, TAKEN, counts_on, hang_up, standing};
use crate::shop::eventually;
use crate::support::{World, binary, free_port};
use serde_json::{Value, json};

#[tokio::test]
async fn a_caller_gets_his_share_which_changes_at_a_hangup_and_not_by_a_bad_file() {
    let world = World::new().await;
    let file = world.folder.path().join("shop.toml");
    // Only a hangup has it read again.
    let write = |text: &str| {
        std::fs::write(&file, format!("reload_look_ms = 86400000\n{text}")).unwrap();
    };
    write("commands_per_s = 1\ncommands_burst = 5\n");
    let mut command = binary();
    command.env("DAYBOOK_CONFIG", &file);
    let daybook = world.spawn(command, free_port());
    daybook.is_ready().await;
    let receive = async || {
        let body = json!({"quantity": 1});
        let answer = daybook.send("/v1/stock/A/receive", None, &body).await.unwrap();
        let header = |name| {
            let value = answer.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        (answer.status().as_u16(), header("ratelimit-policy"), header("retry-after"))
    };
    eventually("one command too many", async || {
        let (status, policy, retry) = receive().await;
        assert_eq!(policy, "\"commands\";q=5;w=5");
        if status == 429 && retry == "1" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    // Queries have a share of their own, here without an end.
    assert_eq!(daybook.get("/v1/stock").await.0, 200);

    let heard = async |outcome: &str, times: f64| {
        let metric = format!("daybook_reloads_total{{outcome=\"{outcome}\"}}");
        eventually("the settings are read again", async || {
            let read = daybook.metric(&metric).await;
            if read == Some(times) { Ok(()) } else { Err(format!("{metric} {read:?}")) }
        })
        .await;
    };
    write("commands_per_s = 2\nno_such_key = 1\n");
    hang_up(&daybook).await;
    heard("refused", 1.0).await;
    assert_eq!(receive().await.1, "\"commands\";q=5;w=5");
    write("commands_per_s = 1\ncommands_burst = 7\n");
    hang_up(&daybook).await;
    heard("taken", 1.0).await;
    assert_eq!(receive().await.1, "\"commands\";q=7;w=7");

    // A line of many is a command like any other.
    eventually("one line too many", async || {
        let (mut sending, mut answers) = batch::begin(&daybook.url).await;
        for number in 0..20 {
            let line =
                json!({"path": format!("/v1/stock/A{number}/receive"), "body": {"quantity": 1}});
            batch::send(&mut sending, &format!("{line}\n")).await.unwrap();
        }
        batch::send(&mut sending, "").await.unwrap();
        assert_eq!(answers.status().await, 200);
        while let Some(answer) = answers.next().await {
            if answer["status"] == 429 {
                assert_eq!(answer["headers"]["retry-after"], "1");
                return Ok(());
            }
        }
        Err("none was refused".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_route_has_a_limit_of_its_own_which_changes_at_a_hangup_and_not_by_a_bad_file() {
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    // Only a hangup has it read again.
    file.set("reload_look_ms", "86400000");
    file.set("commands_per_s", "1000");
    file.set("logs_per_s", "2000");
    file.set("route_limits", "POST /v1/stock/{sku}/receive=1:2");
    let daybook = file.serve();
    daybook.is_ready().await;
    let send = async |path: &str, body: Value| {
        let answer = daybook.send(path, None, &body).await.unwrap();
        let header = |name| {
            let value = answer.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        (answer.status().as_u16(), header("ratelimit-policy"), header("retry-after"))
    };
    let receive = async || send("/v1/stock/A/receive", json!({"quantity": 1})).await;
    eventually("one too many", async || {
        let (status, policy, retry) = receive().await;
        assert_eq!(policy, "\"POST /v1/stock/{sku}/receive\";q=2;w=2");
        if status == 429 && retry == "1" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    // Another command, and a query.
    let (status, policy, _) = send("/v1/orders", json!({})).await;
    assert_ne!(status, 429);
    assert_eq!(policy, "\"commands\";q=1000;w=1");
    assert_eq!(daybook.get("/v1/stock").await.0, 200);
    let policy = async |path: &str| {
        let answer = daybook.http.get(format!("{}{path}", daybook.url)).send().await.unwrap();
        answer.headers()["ratelimit-policy"].to_str().unwrap().to_owned()
    };
    for log in ["/v1/log/orders", "/v1/log/orders/0", "/v1/log/orders/streams/order-none"] {
        assert_eq!(policy(log).await, "\"logs\";q=2000;w=1", "{log}");
    }

    let read_again = async |count: &str| {
        let before = daybook.metric(count).await.unwrap();
        hang_up(&daybook).await;
        counts_on(&daybook, count, before).await;
    };
    file.set("route_limits", "POST /v1/stock/{sku}/recieve=1:2");
    file.write();
    read_again(REFUSED).await;
    let refused = standing(&daybook).await["refused"]["why"].to_string();
    assert!(refused.contains("POST /v1/stock/{sku}/receive"), "{refused}");
    assert_eq!(receive().await.1, "\"POST /v1/stock/{sku}/receive\";q=2;w=2");
    file.set(
        "route_limits",
        "POST /v1/stock/{sku}/receive=1:9,GET /v1/stock=1:5,GET /v1/log/{service}=1:3",
    );
    file.write();
    read_again(TAKEN).await;
    assert_eq!(receive().await.1, "\"POST /v1/stock/{sku}/receive\";q=9;w=9");
    assert_eq!(policy("/v1/stock").await, "\"GET /v1/stock\";q=5;w=5");
    assert_eq!(policy("/v1/log/orders").await, "\"GET /v1/log/{service}\";q=3;w=3");
    assert_eq!(policy("/v1/log/orders/0").await, "\"logs\";q=2000;w=1");
    file.set("route_limits", "");
    file.write();
    read_again(TAKEN).await;
    assert_eq!(receive().await.1, "\"commands\";q=1000;w=1");
    daybook.stop().await;
}
