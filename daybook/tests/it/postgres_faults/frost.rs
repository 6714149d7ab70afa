use super::server::Server;
use std::fs;
use std::process::Command;

/// Processes that are stopped; they go on when this is dropped, also where a test fails: nobody else could end
/// them.
pub(crate) struct Frost(Vec<u32>);

impl Frost {
    /// Stops processes where they are.
    pub(crate) fn on(pids: Vec<u32>) -> Self {
        send("-STOP", &pids);
        Frost(pids)
    }
}

/// Stops every process of a server where it is: connections are taken by the kernel, and nothing is said on
/// them.
pub(crate) fn freeze(server: &Server<'_>) -> Frost {
    let postmaster = server.process.id();
    // Who is stopped starts no more of them.
    let mut frost = Frost::on(vec![postmaster]);
    let children = children(postmaster);
    send("-STOP", &children);
    frost.0.extend(children);
    frost
}

impl Drop for Frost {
    fn drop(&mut self) {
        send("-CONT", &self.0);
    }
}

fn send(signal: &str, to: &[u32]) {
    let to = to.iter().map(u32::to_string);
    // One of them may just have ended, which is no failure.
    Command::new("kill").arg(signal).args(to).output().unwrap();
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
