//! The same program in one process, or in one for each service, with or without the gateway in front.

mod gateway;

use crate::door::{Door, SERVICES};
use crate::process::{Daybook, free_port, program};
use crate::servers::{Login, Servers};
use anyhow::{Context, Result, ensure};
use event_store::Database;
use gateway::Gateway;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::process::Command;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    One,
    Split,
    /// Split, and callers come through the gateway; services ask each other without it.
    Gateway,
}

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Shape::One => "one process",
            Shape::Split => "split",
            Shape::Gateway => "split, behind HAProxy",
        }
    }
}

/// Its databases, and what it goes by.
pub struct Shop {
    pub shape: Shape,
    /// The database with the log of the orders.
    pub orders: Database,
    /// By the name of the service.
    urls: BTreeMap<&'static str, String>,
    folder: PathBuf,
    brokers: String,
    topic_prefix: String,
    turns: usize,
}

/// Its processes.
pub struct Running {
    pub door: Door,
    processes: Vec<(Vec<&'static str>, Daybook)>,
    gateway: Option<Gateway>,
}

impl Shop {
    /// Lays its databases. `whose` is the bench it is for, so that nothing of two of them meets.
    pub async fn lay(servers: &Servers, whose: &str, shape: Shape) -> Result<Self> {
        let word = match shape {
            Shape::One => "one",
            Shape::Split => "split",
            Shape::Gateway => "gateway",
        };
        let mut databases = BTreeMap::new();
        if shape == Shape::One {
            let all = servers.database(&format!("{whose}_{word}")).await?;
            databases.extend(SERVICES.map(|service| (service, all.clone())));
        } else {
            for service in SERVICES {
                let own = servers.database(&format!("{whose}_{word}_{service}")).await?;
                databases.insert(service, own);
            }
        }
        let orders = databases["orders"].clone();
        let urls = databases.iter().map(|(service, it)| Ok((*service, Login::to(it)?.url())));
        let contestant = Shop {
            shape,
            orders,
            urls: urls.collect::<Result<_>>()?,
            folder: servers.folder(&format!("{whose}-{word}")),
            brokers: servers.kafka().await?.brokers(),
            topic_prefix: format!("{whose}-{word}."),
            turns: 0,
        };
        contestant.migrate().await?;
        Ok(contestant)
    }

    async fn migrate(&self) -> Result<()> {
        let mut command = program()?;
        command.arg("migrate").arg("--data-dir").arg(self.folder.join("migrate"));
        for (service, url) in &self.urls {
            command.args([&format!("--{service}-database-url"), url]);
        }
        let laid = command.output().await?;
        ensure!(laid.status.success(), "{}", String::from_utf8_lossy(&laid.stderr));
        Ok(())
    }

    /// Whether this is its first turn.
    pub fn is_new(&self) -> bool {
        self.turns == 1
    }

    /// Returns when all of it is ready.
    pub async fn start(&mut self) -> Result<Running> {
        self.turns += 1;
        let parts = match self.shape {
            Shape::One => vec![&SERVICES[..]],
            Shape::Split | Shape::Gateway => SERVICES.chunks(1).collect(),
        };
        let mut ports = BTreeMap::new();
        for part in &parts {
            let port = free_port()?;
            ports.extend(part.iter().map(|service| (*service, port)));
        }
        let at = |service: &str| format!("http://127.0.0.1:{}", ports[service]);
        let mut processes = Vec::new();
        for part in parts {
            let mut command = self.serve()?;
            for service in SERVICES {
                let name = service.to_uppercase();
                if part.contains(&service) {
                    command.env(format!("DAYBOOK_{name}_DATABASE_URL"), &self.urls[service]);
                } else {
                    command.env(format!("DAYBOOK_{name}_URL"), at(service));
                }
            }
            command.args(["--service", &part.join(",")]);
            let data = self.folder.join(part.join("-"));
            processes.push((part.to_vec(), Daybook::spawn(command, &data, ports[part[0]])?));
        }
        for (_, process) in &processes {
            process.ready().await?;
        }
        let http = reqwest::Client::new();
        if self.shape != Shape::Gateway {
            return Ok(Running { door: Door::of(http, at), processes, gateway: None });
        }
        let gateway = Gateway::start(&ports).await?;
        let door = Door::of(http, |_| gateway.url.clone());
        Ok(Running { door, processes, gateway: Some(gateway) })
    }

    fn serve(&self) -> Result<Command> {
        let mut command = program()?;
        command.args(["serve", "--kafka-brokers", &self.brokers]);
        command.args(["--topic-prefix", &self.topic_prefix]);
        Ok(command)
    }
}

impl Running {
    pub fn memory_mib(&self) -> Result<f64> {
        self.processes.iter().map(|(_, process)| process.memory_mib()).sum()
    }

    /// The process of a service.
    pub fn process(&mut self, service: &str) -> Result<&mut Daybook> {
        let mut serving = self.processes.iter_mut().filter(|(part, _)| part.contains(&service));
        Ok(&mut serving.next().context("no such service")?.1)
    }

    /// Stops the process of a service where it is: its connections are taken, and nothing comes of them.
    pub fn freeze(&mut self, service: &str) -> Result<Frost> {
        let pid = self.process(service)?.pid()?;
        let stopped = std::process::Command::new("kill").args(["-STOP", &pid]).status()?;
        ensure!(stopped.success(), "{service} was not stopped");
        Ok(Frost(pid))
    }

    pub async fn stop(self) -> Result<()> {
        drop(self.gateway);
        for (_, process) in self.processes {
            process.stop().await?;
        }
        Ok(())
    }
}

/// A process that stands still until this is dropped.
pub struct Frost(String);

impl Drop for Frost {
    fn drop(&mut self) {
        // One that has ended needs no thaw.
        let _ = std::process::Command::new("kill").args(["-CONT", &self.0]).status();
    }
}
