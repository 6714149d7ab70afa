//! The binary itself, from the outside: start, memory, and orders on their way to confirmed.

use crate::bench::Bench;
use crate::cpu::Cpu;
use crate::report::{Figure, Unit};
use anyhow::{Context, Result, bail};
use event_store::Database;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

pub const SKUS: usize = 200;

pub struct Daybook {
    child: Child,
    pub url: String,
    pub http: reqwest::Client,
}

impl Daybook {
    /// Starts the release build on a fresh data folder; returns when the first command is accepted.
    pub async fn start(data: &Path, more: &[&str]) -> Result<(Self, Duration)> {
        let binary = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/daybook");
        if !binary.exists() {
            bail!("{} is not built: cargo build --release -p daybook", binary.display());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let began = Instant::now();
        let child = Command::new(binary)
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{port}"), "--kafka-port", "0", "--data-dir"])
            .arg(data)
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let daybook = Daybook { child, url, http: reqwest::Client::new() };
        let first =
            json!({"sku": "FIRST", "name": "First", "price": {"amount": 1, "currency": "GBP"}});
        while daybook.post("/v1/products", &first).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if began.elapsed() > Duration::from_secs(120) {
                bail!("no command was accepted in 120 s");
            }
        }
        Ok((daybook, began.elapsed()))
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.http.post(format!("{}{path}", self.url)).json(body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Resident memory of the process alone, without the servers it brought along, in MiB.
    pub fn memory_mib(&self) -> Result<f64> {
        let pid = self.child.id().context("it has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib / 1024.0)
    }

    pub async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().context("it has ended")?.to_string();
        Command::new("kill").arg(pid).status().await?;
        tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await??;
        Ok(())
    }
}

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let data = bench.servers.folder("shop");
    let (daybook, start) = Daybook::start(&data, &[]).await?;
    let start = vec![start.as_secs_f64()];
    bench.section.add(Figure::new("start to the first command, new data", Unit::Seconds, start));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, watched) = (Cpu::now()?, bench.pace.pick(30, 2));
    tokio::time::sleep(Duration::from_secs(watched)).await;
    for (name, ms) in Cpu::now()?.since(&before, watched as f64) {
        if name == "daybook" {
            let busy = Figure::new("idle, of one core", Unit::Percent, vec![ms / 10.0]);
            bench.section.add(busy.at_most(1.0));
        }
    }
    let idle = vec![daybook.memory_mib()?];
    bench.section.add(Figure::new("memory, idle", Unit::Mib, idle).at_most(150.0));
    prepare(&daybook).await?;
    let mut placed = 0;
    for per_second in [50, 100] {
        let way = format!("{per_second} orders/s");
        placed += settle(bench, (&daybook, &data), (per_second, &way), placed).await?;
    }
    bench.section.add(Figure::new("memory, afterwards", Unit::Mib, vec![daybook.memory_mib()?]));
    daybook.stop().await?;
    let (daybook, again) = Daybook::start(&data, &[]).await?;
    let again = vec![again.as_secs_f64()];
    let again = Figure::new("start to the first command, data there", Unit::Seconds, again);
    bench.section.add(again.at_most(2.0));
    daybook.stop().await?;
    let (daybook, _) = Daybook::start(&data, &["--shortcut=false"]).await?;
    // The first orders of a new process would tell of its cold caches.
    placed += orders(&daybook, 50, bench.pace.pick(10, 1), placed).await?;
    let way = "100 orders/s, each step by way of Kafka";
    settle(bench, (&daybook, &data), (100, way), placed).await?;
    daybook.stop().await
}

/// Places orders in an open loop, and tells how long each took to be confirmed, and what it cost.
async fn settle(
    bench: &mut Bench<'_>,
    (daybook, data): (&Daybook, &Path),
    (per_second, way): (u32, &str),
    placed: u32,
) -> Result<u32> {
    let before = Cpu::now()?;
    let new = orders(daybook, per_second, bench.pace.pick(60, 3), placed).await?;
    let cost = Cpu::now()?.since(&before, f64::from(new));
    let (p50, p99) = confirmed(data, placed, new).await?;
    let name = |what: &str| format!("placed to confirmed, {way}, {what}");
    let (p50, p99) = (
        Figure::new(name("p50"), Unit::Ms, vec![p50]),
        Figure::new(name("p99"), Unit::Ms, vec![p99]),
    );
    let of_goal = per_second == 100;
    bench.section.add(if of_goal { p50.at_most(50.0) } else { p50 });
    bench.section.add(if of_goal { p99.at_most(250.0) } else { p99 });
    for (whose, ms) in cost {
        let name = name(&format!("processor time for each order, {whose}"));
        bench.section.add(Figure::new(name, Unit::Ms, vec![ms]));
    }
    Ok(new)
}

/// An order of so many lines, which differ from order to order.
pub fn order(i: usize, lines: usize) -> String {
    let line = |n: usize| format!(r#"{{"sku":"SKU{}","quantity":1}}"#, (i * 7 + n * 13) % SKUS);
    let lines: Vec<_> = (0..lines).map(line).collect();
    let lines = lines.join(",");
    format!(r#"{{"country":"GB","payment_method":"pm_card_visa","lines":[{lines}]}}"#)
}

/// The database that the binary brought along.
pub fn database(data: &Path) -> Result<Database> {
    let runtime =
        daybook::embedded::Runtime::find(data).context("no running Daybook is announced")?;
    let url = runtime.database_url.context("no database is announced")?;
    Ok(Database::parse(&url)?)
}

pub async fn prepare(daybook: &Daybook) -> Result<()> {
    for i in 0..SKUS {
        let price = json!({"amount": 250, "currency": "GBP"});
        daybook
            .post(
                "/v1/products",
                &json!({"sku": format!("SKU{i}"), "name": "Thing", "price": price}),
            )
            .await?;
        daybook.post(&format!("/v1/stock/SKU{i}/receive"), &json!({"quantity": 1_000_000})).await?;
    }
    Ok(())
}

/// Open loop: an order is sent when it is due, whatever became of those before.
async fn orders(daybook: &Daybook, per_second: u32, seconds: u32, before: u32) -> Result<u32> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let mut tasks = tokio::task::JoinSet::new();
    let count = per_second * seconds;
    for i in 0..count as usize {
        ticks.tick().await;
        let line =
            |n: usize| json!({"sku": format!("SKU{}", (i * 7 + n * 13) % SKUS), "quantity": 1 + n});
        let order =
            json!({"country": "GB", "payment_method": "pm_card_visa", "lines": [line(0), line(1)]});
        let (http, url) = (daybook.http.clone(), format!("{}/v1/orders", daybook.url));
        tasks.spawn(async move { http.post(url).json(&order).send().await?.error_for_status() });
    }
    while let Some(sent) = tasks.join_next().await {
        sent??;
    }
    let all = "/v1/orders?status=confirmed&limit=1000";
    let began = Instant::now();
    loop {
        let mut confirmed = 0;
        let mut next = String::new();
        loop {
            let page = daybook.get(&format!("{all}{next}")).await?;
            confirmed += page["items"].as_array().map_or(0, Vec::len);
            match page["next"].as_str() {
                Some(cursor) => next = format!("&after={cursor}"),
                None => break,
            }
        }
        if confirmed >= (before + count) as usize {
            return Ok(count);
        }
        if began.elapsed() > Duration::from_secs(60) {
            bail!("only {confirmed} of {count} orders were confirmed");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Placed to confirmed, of the newest orders, by the log's own clock.
async fn confirmed(data: &Path, before: u32, placed: u32) -> Result<(f64, f64)> {
    let client = database(data)?.connect("bench").await?;
    let row = client
        .query_one(
            "select count(*), percentile_cont(array[0.5, 0.99]) within group (order by \
               extract(epoch from c.recorded_at - p.recorded_at)::float8 * 1000) \
               from (select stream, recorded_at from orders.event where type = 'order.placed' \
                      order by recorded_at offset $1) p \
               join orders.event c using (stream) where c.type = 'order.confirmed'",
            &[&i64::from(before)],
        )
        .await?;
    let (count, quantiles): (i64, Vec<f64>) = (row.get(0), row.get(1));
    if count != i64::from(placed) {
        bail!("{count} of {placed} orders are confirmed in the log");
    }
    Ok((quantiles[0], quantiles[1]))
}
