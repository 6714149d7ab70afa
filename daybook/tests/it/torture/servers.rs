//! The Postgres and the Kafka that a shop has of its own, and how they crash.

use crate::shop::eventually;
use crate::support::World;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Postgres,
    Kafka,
}

/// They outlive the processes of the shop, but not the test.
pub(super) struct Servers {
    data: PathBuf,
}

impl Servers {
    pub(super) fn of(world: &World) -> Self {
        Servers { data: world.own_servers().expect("a world with servers of its own") }
    }

    /// The process that was started last, by its pid and when it began, so that no other can be meant.
    fn recorded(&self, server: Server) -> Option<(String, String)> {
        let folder = match server {
            Server::Postgres => "postgres",
            Server::Kafka => "kafka",
        };
        let record = fs::read_to_string(self.data.join(folder).join("process")).ok()?;
        named(&record)
    }

    fn running(&self, server: Server) -> Option<(String, String)> {
        let recorded = self.recorded(server)?;
        let now = fs::read_to_string(format!("/proc/{}/stat", recorded.0)).ok()?;
        let ended = state(&now).is_none_or(|state| state == "Z");
        (!ended && named(&now)? == recorded).then_some(recorded)
    }

    /// Ends it with all that it has started, as if its machine had gone. It was running.
    pub(super) async fn kill(&self, server: Server) {
        let look = async || self.running(server).ok_or_else(|| "it does not run".to_owned());
        let (pid, _) = eventually("the server runs", look).await;
        kill(&pid);
    }

    /// Until another process has taken its place. Nothing waits for Kafka, so neither does this.
    pub(super) async fn is_back(&self, world: &World, server: Server) {
        eventually(&format!("{server:?} is back"), async || {
            self.running(server).ok_or("it does not run")?;
            match server {
                Server::Postgres => world.try_sql().await.map(drop),
                Server::Kafka => Ok(()),
            }
        })
        .await;
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in [Server::Postgres, Server::Kafka] {
            if let Some((pid, _)) = self.running(server) {
                kill(&pid);
            }
        }
    }
}

/// The pid and the start of a line of `/proc/…/stat`.
fn named(stat: &str) -> Option<(String, String)> {
    let (pid, rest) = (stat.split(' ').next()?, stat.rsplit(") ").next()?);
    Some((pid.to_owned(), rest.split(' ').nth(19)?.to_owned()))
}

fn state(stat: &str) -> Option<&str> {
    stat.rsplit(") ").next()?.split(' ').next()
}

/// A process and its children. Stopped first, so that it starts no more of them meanwhile.
fn kill(pid: &str) {
    let send = |signal: &str, pids: &[String]| {
        // One that ended by itself meanwhile is as good.
        let _ = Command::new("kill").arg(signal).args(pids).output().unwrap();
    };
    let own = [pid.to_owned()];
    send("-STOP", &own);
    let children = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?;
        (parent == pid).then(|| stat.split(' ').next().unwrap().to_owned())
    });
    let all: Vec<String> = own.iter().cloned().chain(children).collect();
    send("-KILL", &all);
}
