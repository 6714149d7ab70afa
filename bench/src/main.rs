//! `make bench`: the figures, from one run, with the machine described.

mod append;
mod cold;
mod figures;
mod rebuild;
mod overload;
mod relay;
mod servers;
mod shop;

use anyhow::{Result, bail};

const NAMES: [&str; 6] = ["append", "cold", "relay", "rebuild", "shop", "overload"];

#[tokio::main]
async fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    if let Some(unknown) = asked.iter().find(|a| !NAMES.contains(&a.as_str())) {
        bail!("there is no bench `{unknown}`; there are {}", NAMES.join(", "));
    }
    // A second call is the only one that fails.
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!("{}\n", figures::machine());
    let folder = tempfile::tempdir()?;
    let alone = ["append", "cold", "relay", "rebuild"].into_iter().any(wants);
    if alone {
        let servers = servers::Servers::start(folder.path(), wants("relay")).await?;
        if wants("append") {
            append::run(&servers, 5).await?;
        }
        if wants("cold") {
            cold::run(&servers, 1_000_000, 50).await?;
        }
        if wants("relay") {
            relay::run(&servers).await?;
        }
        if wants("rebuild") {
            rebuild::run(&servers).await?;
        }
        servers.stop().await;
    }
    if wants("shop") {
        shop::run(&folder.path().join("shop"), 50, 60).await?;
    }
    if wants("overload") {
        let minutes = std::env::var("MINUTES").map_or(Ok(1.0), |minutes| minutes.parse())?;
        overload::run(&folder.path().join("overload"), minutes).await?;
    }
    Ok(())
}
