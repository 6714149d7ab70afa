//! The embedded Apache Kafka: one node that is broker and controller (KRaft), from jars fetched by
//! Maven.

mod java;
mod properties;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::process::Command;

pub use java::{Java, NoKafka};

use super::error::{EmbeddedError, file};
use super::launch::Launch;
use super::port;
use super::process::Process;
use super::secret;
use properties::Ports;

const PATIENCE: Duration = Duration::from_secs(60);
const FAREWELL: &[(Signal, Duration)] = &[(Signal::TERM, Duration::from_secs(10))];

/// The same words that `scripts/test-servers` waits for, and the same file that lets them through.
const STARTED: &str = "Kafka Server started";
const LOGGING: &str = include_str!("../../../deploy/kafka/log4j2.properties");

#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Data live in `kafka/` here.
    pub data_dir: PathBuf,
    /// 0 is the port of the last time if it is free, else any free one.
    pub port: u16,
    pub java: Java,
    /// Ends the server when the [`Kafka`] is dropped: for tests.
    pub leashed: bool,
}

impl KafkaSettings {
    fn home(&self) -> PathBuf {
        self.data_dir.join("kafka")
    }

    /// Fails if the port cannot be had; a Kafka of ours that runs on it is no obstacle.
    pub(super) fn check_port(&self) -> Result<(), EmbeddedError> {
        let ours = Ports::noted(&self.home()).is_some_and(|ports| ports.broker == self.port)
            && Process::recorded(&self.home().join("process"), None).is_some();
        if ours { Ok(()) } else { port::choose("Kafka", self.port, None).map(|_| ()) }
    }
}

/// A running Kafka.
#[derive(Debug)]
pub struct Kafka {
    port: u16,
    process: Process,
}

impl Kafka {
    /// Starts it, or adopts the one that runs. Returns when it takes requests.
    pub async fn start(settings: &KafkaSettings) -> Result<Self, EmbeddedError> {
        let node = Node::prepare(settings)?;
        let noted = Ports::noted(&node.home);
        if let Some((process, same)) = node.launch().leftover() {
            let found = noted.filter(|ports| settings.port == 0 || settings.port == ports.broker);
            let found = found.filter(|ports| same && node.is_configured(*ports));
            if let Some(ports) = found
                && node.wait_until_ready(&process, ports).await.is_ok()
            {
                tracing::info!(pid = process.pid(), port = ports.broker, "adopted a running Kafka");
                return Ok(Self { port: ports.broker, process });
            }
            process.end(FAREWELL).await;
        }
        let ports = Ports::choose(settings.port, noted)?;
        node.configure(ports)?;
        node.format().await?;
        let process = node.launch().start()?;
        node.wait_until_ready(&process, ports).await?;
        Ok(Self { port: ports.broker, process })
    }

    /// Ends the one that runs on this folder, if one does, however far its start has come.
    pub async fn end_leftover(settings: &KafkaSettings) {
        if let Some(process) = Process::recorded(&settings.home().join("process"), None) {
            process.end(FAREWELL).await;
        }
    }

    /// Deletes everything that a stopped Kafka knew. Daybook must not notice: the log is the truth.
    pub fn wipe(settings: &KafkaSettings) -> Result<(), EmbeddedError> {
        let data = settings.home().join("data");
        if data.exists() { fs::remove_dir_all(&data).map_err(file("remove", data)) } else { Ok(()) }
    }

    /// `127.0.0.1:9092`
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it in order, within ten seconds.
    pub async fn stop(self) {
        self.process.end(FAREWELL).await;
    }

    /// Ends it as a crash would.
    pub async fn kill(self) {
        self.process.kill().await;
    }
}

/// A node's place on disk and what starts it.
struct Node {
    settings: KafkaSettings,
    home: PathBuf,
}

impl Node {
    fn prepare(settings: &KafkaSettings) -> Result<Self, EmbeddedError> {
        let home = settings.home();
        fs::create_dir_all(&home).map_err(file("create", &home))?;
        let home = home.canonicalize().map_err(file("find", &home))?;
        Ok(Self { settings: settings.clone(), home })
    }

    fn properties(&self) -> PathBuf {
        self.home.join("server.properties")
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn is_configured(&self, ports: Ports) -> bool {
        fs::read_to_string(self.properties())
            .is_ok_and(|text| text == ports.properties(&self.data()))
    }

    fn configure(&self, ports: Ports) -> Result<(), EmbeddedError> {
        let logging = self.home.join("log4j2.properties");
        fs::write(&logging, LOGGING).map_err(file("write", &logging))?;
        let (path, text) = (self.properties(), ports.properties(&self.data()));
        fs::write(&path, text).map_err(file("write", &path))?;
        ports.note(&self.home)
    }

    /// Gives the storage its identity, once.
    async fn format(&self) -> Result<(), EmbeddedError> {
        if self.data().join("meta.properties").exists() {
            return Ok(());
        }
        let mut command = Command::new(&self.settings.java.program);
        command.args(self.java()).arg("kafka.tools.StorageTool");
        command.args(["format", "-t", &secret::cluster_id()?, "-c"]).arg(self.properties());
        command.current_dir(&self.home).stdin(Stdio::null()).kill_on_drop(true);
        let program = self.settings.java.program.clone();
        let output = command.output().await;
        let output = output.map_err(|source| EmbeddedError::Launch { program, source })?;
        if output.status.success() {
            return Ok(());
        }
        let output = [output.stdout, output.stderr].concat();
        let output = String::from_utf8_lossy(&output).into_owned();
        Err(EmbeddedError::Failed { what: "formatting Kafka's storage", output })
    }

    /// A small heap and the plain collector: one shop's copy of its log needs no more. Only options
    /// that every Java since 17 knows, for an unknown one ends it at once.
    fn java(&self) -> Vec<OsString> {
        let logging = self.home.join("log4j2.properties");
        let mut option = OsString::from("-Dlog4j2.configurationFile=");
        option.push(&logging);
        let fixed = ["-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        let class_path = self.settings.java.jars.join("*");
        fixed
            .into_iter()
            .map(OsString::from)
            .chain([option, "-cp".into(), class_path.into()])
            .collect()
    }

    fn launch(&self) -> Launch {
        let mut arguments = self.java();
        arguments.extend(["kafka.Kafka".into(), self.properties().into()]);
        Launch {
            server: "Kafka",
            program: self.settings.java.program.clone(),
            arguments,
            home: self.home.clone(),
            user: None,
            leash: self.settings.leashed.then_some(Signal::KILL),
        }
    }

    async fn wait_until_ready(&self, process: &Process, ports: Ports) -> Result<(), EmbeddedError> {
        let launch = self.launch();
        let log = launch.log();
        let accepts = async || TcpStream::connect(("127.0.0.1", ports.broker)).await.is_ok();
        let ready = || async { says_started(&log) && accepts().await };
        launch.wait_until_ready(process, PATIENCE, ready).await
    }
}

fn says_started(log: &Path) -> bool {
    fs::read(log).is_ok_and(|text| String::from_utf8_lossy(&text).contains(STARTED))
}
