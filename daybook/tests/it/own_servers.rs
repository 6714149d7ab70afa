//! `serve` as a new user starts it: with a Postgres and a Kafka of its own in a data folder.

use crate::shop::{eventually, order, pence};
use crate::support::{LIMIT, binary, http};
use daybook::embedded::Runtime;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn killed_and_started_again_it_adopts_its_servers_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::start(folder.path()).await;
    shop.command("/v1/products", &json!({"sku": "85123A", "name": "Heart", "price": pence(255)}))
        .await;
    shop.command("/v1/stock/85123A/receive", &json!({"quantity": 1_000})).await;
    let kafka_is_up = || Runtime::find(folder.path()).filter(|it| it.kafka_brokers.is_some());
    eventually("Kafka is up", async || kafka_is_up().ok_or_else(String::new)).await;
    let mut acknowledged = Vec::new();
    for _ in 0..40 {
        acknowledged.push(shop.place().await);
    }
    let servers = servers(folder.path());
    shop.child.kill().await.unwrap();
    assert!(servers.iter().all(is_running), "they outlive it");

    shop = Shop::start(folder.path()).await;
    assert_eq!(self::servers(folder.path()), servers, "they are adopted, not started again");
    eventually("it says that it is ready", async || {
        let said = said(folder.path());
        if said.ends_with("\nready\n") { Ok(()) } else { Err(said) }
    })
    .await;
    acknowledged.push(shop.place().await);
    for order in &acknowledged {
        let path = format!("/v1/orders/{order}");
        shop.until("it is confirmed", &path, |order| order["status"] == "confirmed").await;
    }
    let took = shop.stop().await;
    assert!(took < WITHIN, "it took {took:?}");
    let farewell = said(folder.path());
    assert!(farewell.ends_with("way …\nstopped\n"), "{farewell}");
    assert!(!servers.iter().any(is_running), "it takes its servers along");
}

/// The records of the embedded servers: pid and start time, so no other process can be meant.
fn servers(folder: &Path) -> [(String, String); 2] {
    ["postgres", "kafka"].map(|server| {
        let record = std::fs::read_to_string(home(folder, server).join("process")).unwrap();
        let began = record.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().to_owned();
        (record.split(' ').next().unwrap().to_owned(), began)
    })
}

/// As root, Postgres may live elsewhere: it must not run in a folder that its user cannot enter.
fn home(folder: &Path, server: &str) -> PathBuf {
    folder.canonicalize().unwrap().join(server)
}

fn is_running((pid, began): &(String, String)) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some(rest) = stat.rsplit(") ").next() else { return false };
    let mut fields = rest.split(' ');
    fields.next().is_some_and(|state| !state.is_empty() && state != "Z")
        && fields.nth(18) == Some(began)
}

/// What `serve` told whoever started it.
fn said(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("said")).unwrap()
}

struct Shop {
    child: Child,
    url: String,
}

impl Shop {
    async fn start(folder: &Path) -> Self {
        let mut command: Command = binary();
        command.args(["serve", "--listen", "127.0.0.1:0", "--kafka-port", "0", "--log", "warn"]);
        let said = std::fs::File::create(folder.join("said")).unwrap();
        command.arg("--data-dir").arg(folder).stdout(said).kill_on_drop(true);
        let child = command.spawn().unwrap();
        let pid = child.id();
        let url = eventually("it says where it listens", async || {
            let runtime = Runtime::find(folder).filter(|it| Some(it.pid) == pid);
            runtime.and_then(|it| it.url).ok_or_else(String::new)
        })
        .await;
        let shop = Shop { child, url };
        shop.until("it is ready", "/health/ready", |answer| answer["status"] == "ready").await;
        shop
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        let answer = http().post(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Places an order, as soon as the product's price is known.
    async fn place(&self) -> String {
        let body = order(&["85123A"], "pm_card_visa");
        let answer = eventually("orders know the price", async || {
            let url = format!("{}/v1/orders", self.url);
            let answer = http().post(url).json(&body).send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            if status == 201 { Ok(text) } else { Err(text) }
        })
        .await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["stream"].as_str().unwrap().trim_start_matches("order-").to_owned()
    }

    async fn until(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) {
        eventually(what, async || {
            let answer = http().get(format!("{}{path}", self.url)).send().await;
            let answer: Value = answer.map_err(|e| e.to_string())?.json().await.unwrap();
            if holds(&answer) { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    }

    async fn stop(mut self) -> Duration {
        let began = Instant::now();
        let pid = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").arg(pid).status().await.unwrap().success());
        let ended = tokio::time::timeout(LIMIT, self.child.wait()).await;
        assert!(ended.expect("it ends").unwrap().success());
        began.elapsed()
    }
}
