//! The gateway as it is deployed, with its own file.

use crate::process::free_port;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/gateway");
const HERE: &str = "127.0.0.1";
/// All load comes from one address here, and is to be let in.
const WITHOUT_END: &str = "100000000";

pub struct Gateway {
    _child: Child,
    _lists: TempDir,
    pub url: String,
}

impl Gateway {
    /// In front of the services at these ports; returns when each of them answers through it.
    pub async fn start(ports: &BTreeMap<&'static str, u16>) -> Result<Self> {
        let lists = tempfile::tempdir()?;
        std::fs::copy(Path::new(FOLDER).join("services.map"), lists.path().join("services.map"))?;
        for list in ["operators.lst", "services.lst"] {
            std::fs::write(lists.path().join(list), format!("{HERE}\n"))?;
        }
        let (port, operations) = (free_port()?, free_port()?);
        let mut command = Command::new("/usr/sbin/haproxy");
        command.args(["-db", "-f"]).arg(Path::new(FOLDER).join("haproxy.cfg"));
        command.env("GATEWAY_LISTEN", format!("{HERE}:{port}"));
        command.env("GATEWAY_OPERATIONS", format!("{HERE}:{operations}"));
        command.env("GATEWAY_LISTS", lists.path());
        command.env("GATEWAY_REQUESTS_10S", WITHOUT_END).env("GATEWAY_CONNECTIONS", WITHOUT_END);
        for (service, port) in ports {
            command.env(service.to_uppercase(), format!("{HERE}:{port}"));
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().context("scripts/setup bench installs HAProxy")?;
        let gateway =
            Gateway { _child: child, _lists: lists, url: format!("http://{HERE}:{port}") };
        gateway.answers().await?;
        Ok(gateway)
    }

    async fn answers(&self) -> Result<()> {
        let (http, began) = (reqwest::Client::new(), Instant::now());
        for noun in ["products", "stock", "orders", "checkouts"] {
            let url = format!("{}/v1/{noun}?limit=1", self.url);
            let asked = async || http.get(&url).send().await?.error_for_status();
            while let Err(error) = asked().await {
                ensure!(began.elapsed() < Duration::from_secs(60), "the gateway: {error}");
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}
