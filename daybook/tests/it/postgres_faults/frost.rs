use super::server::Server;
use std::fs;
use tokio::process::Command;

/// Stops every process of a server where it is: connections are taken by the kernel, and nothing is said on
/// them.
pub(super) async fn freeze(server: &Server<'_>) {
    let postmaster = server.process.id();
    // Who is stopped starts no more of them.
    send("-STOP", &[postmaster]).await;
    send("-STOP", &children(postmaster)).await;
}

pub(super) async fn thaw(server: &Server<'_>) {
    let postmaster = server.process.id();
    send("-CONT", &children(postmaster)).await;
    send("-CONT", &[postmaster]).await;
}

async fn send(signal: &str, to: &[u32]) {
    let to = to.iter().map(u32::to_string);
    // One of them may just have ended, which is no failure.
    Command::new("kill").arg(signal).args(to).output().await.unwrap();
}

/// The processes that a process has started and that still run.
fn children(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name before it may hold anything, a bracket too.
        let of = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        of == Some(&*parent.to_string())
    };
    pids.filter(is_child).collect()
}
