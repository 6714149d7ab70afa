//! `make bench`: the figures, from one run, with the machine described.

mod append;
mod figures;
mod servers;

use anyhow::{Result, bail};

#[tokio::main]
async fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    const NAMES: [&str; 1] = ["append"];
    if let Some(unknown) = asked.iter().find(|a| !NAMES.contains(&a.as_str())) {
        bail!("there is no bench `{unknown}`; there are {}", NAMES.join(", "));
    }
    println!("{}", figures::machine());
    let folder = tempfile::tempdir()?;
    let servers = servers::Servers::start(folder.path(), false).await?;
    if wants("append") {
        append::run(&servers, 5).await?;
    }
    servers.stop().await;
    Ok(())
}
