//! The release build in a process of its own, as a user starts it.

use crate::door::Door;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// Until it is up, at most.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Daybook {
    child: Child,
    command: Command,
    pub url: String,
    pub http: reqwest::Client,
}

/// The program, to be told what to do.
pub fn program() -> Result<Command> {
    let binary = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/daybook");
    if !binary.exists() {
        bail!("{} is not built: cargo build --release -p daybook", binary.display());
    }
    Ok(Command::new(binary))
}

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Daybook {
    /// Starts it on a fresh data folder with servers of its own; returns when the first command is accepted.
    pub async fn start(data: &Path, more: &[&str]) -> Result<(Self, Duration)> {
        let began = Instant::now();
        let mut command = program()?;
        command.args(["serve", "--kafka-port", "0"]).args(more);
        let daybook = Self::spawn(command, data, free_port()?)?;
        let took = daybook.first_command(began).await?;
        Ok((daybook, took))
    }

    /// A process that may not be up yet.
    pub fn spawn(mut command: Command, data: &Path, port: u16) -> Result<Self> {
        command.arg("--data-dir").arg(data).args(["--listen", &format!("127.0.0.1:{port}")]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let (child, http) = (command.spawn()?, reqwest::Client::new());
        Ok(Daybook { child, command, url: format!("http://127.0.0.1:{port}"), http })
    }

    /// Ends it without a word.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The same once more, after it has ended.
    pub async fn again(&mut self) -> Result<()> {
        self.child = self.command.spawn()?;
        self.ready().await
    }

    /// Returns when a command is accepted, and says how long that took.
    pub async fn first_command(&self, began: Instant) -> Result<Duration> {
        let first =
            json!({"sku": "FIRST", "name": "First", "price": {"amount": 1, "currency": "GBP"}});
        while self.post("/v1/products", &first).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            ensure!(began.elapsed() < PATIENCE, "no command was accepted in {PATIENCE:?}");
        }
        Ok(began.elapsed())
    }

    /// Returns when it says that it is ready.
    pub async fn ready(&self) -> Result<()> {
        let began = Instant::now();
        while self.get("/health/ready").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            ensure!(began.elapsed() < PATIENCE, "{} was not ready in {PATIENCE:?}", self.url);
        }
        Ok(())
    }

    pub fn door(&self) -> Door {
        Door::of(self.http.clone(), |_| self.url.clone())
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.door().post(path, body).await
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.door().get(path).await
    }

    pub fn pid(&self) -> Result<String> {
        Ok(self.child.id().context("it has ended")?.to_string())
    }

    /// Resident memory of the process alone, without the servers it brought along, in MiB.
    pub fn memory_mib(&self) -> Result<f64> {
        let pid = self.pid()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib / 1024.0)
    }

    pub async fn stop(mut self) -> Result<()> {
        Command::new("kill").arg(self.pid()?).status().await?;
        tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await??;
        Ok(())
    }
}
