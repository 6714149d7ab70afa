//! What one caller may ask for, through the real program, and changed without a restart.

use crate::batch;
use crate::shop::eventually;
use crate::support::{World, binary, free_port};
use serde_json::json;
use tokio::process::Command;

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

    let hang_up = async || {
        let pid = daybook.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().await.unwrap().success());
    };
    let heard = async |outcome: &str, times: f64| {
        let metric = format!("daybook_reloads_total{{outcome=\"{outcome}\"}}");
        eventually("the settings are read again", async || {
            let read = daybook.metric(&metric).await;
            if read == Some(times) { Ok(()) } else { Err(format!("{metric} {read:?}")) }
        })
        .await;
    };
    write("commands_per_s = 2\nno_such_key = 1\n");
    hang_up().await;
    heard("refused", 1.0).await;
    assert_eq!(receive().await.1, "\"commands\";q=5;w=5");
    write("commands_per_s = 1\ncommands_burst = 7\n");
    hang_up().await;
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
