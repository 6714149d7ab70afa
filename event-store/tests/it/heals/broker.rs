//! A Kafka of the test's own, behind a proxy: it can be killed, wiped, and kept from answering.

use crate::kafka::own;
use crate::proxy::Proxy;
use crate::server::{free_port, is_free};
use crate::support::{eventually, id};
use event_store::event_id;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub(super) struct Broker {
    folder: TempDir,
    port: u16,
    controller: u16,
    /// What clients are told to connect to.
    pub(super) proxy: Proxy,
    process: Option<Child>,
}

impl Broker {
    pub(super) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("daybook-broker-").tempdir().unwrap();
        let (port, controller) = (free_port(), free_port());
        let proxy = Proxy::before_port(port).await;
        let mut broker = Broker { folder, port, controller, proxy, process: None };
        broker.start_again().await;
        broker
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.proxy.port)
    }

    /// The cluster that its data belong to.
    pub(super) fn cluster(&self) -> String {
        let noted = fs::read_to_string(self.data().join("meta.properties")).unwrap();
        let id = noted.lines().find_map(|line| line.strip_prefix("cluster.id="));
        id.unwrap().to_owned()
    }

    /// As if the machine had gone.
    pub(super) async fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
        let ports = [self.port, self.controller];
        eventually("its ports are free", async || ports.into_iter().all(is_free)).await;
    }

    /// Deletes everything that it knew, its cluster's id too.
    pub(super) fn wipe(&self) {
        assert!(self.process.is_none(), "it runs");
        fs::remove_dir_all(self.data()).unwrap();
    }

    /// Starts it with what it has; one that has nothing begins a cluster.
    pub(super) async fn start_again(&mut self) {
        let (properties, told) = (self.path("server.properties"), self.path("told"));
        fs::write(&properties, self.properties()).unwrap();
        if !self.data().exists() {
            let mut format = self.java("kafka.tools.StorageTool");
            format.args(["format", "-t", &cluster_id(), "-c"]).arg(&properties);
            let formatted = tokio::process::Command::from(format).output().await.unwrap();
            assert!(formatted.status.success(), "{formatted:?}");
        }
        let mut kafka = self.java("kafka.Kafka");
        let file = fs::File::create(&told).unwrap();
        kafka.arg(&properties).stdin(Stdio::null()).stderr(Stdio::null()).stdout(file);
        let mut process = kafka.spawn().unwrap();
        eventually("the broker is up", async || {
            let said = fs::read_to_string(&told).unwrap();
            assert!(process.try_wait().unwrap().is_none(), "it ended at once: {said}");
            said.contains("Kafka Server started")
        })
        .await;
        self.process = Some(process);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn java(&self, class: &str) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let logging = root.join("deploy/kafka/log4j2.properties");
        // Whoever started it may be killed: then it ends too.
        let mut java = Command::new("setpriv");
        java.args(["--pdeathsig", "KILL", "java", "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC"]);
        java.arg("-XX:TieredStopAtLevel=1");
        java.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
        java.arg("-cp").arg(root.join(".tools/kafka/libs/*")).arg(class);
        java.current_dir(self.folder.path());
        java
    }

    fn properties(&self) -> String {
        let Broker { port, controller, proxy, .. } = self;
        format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{}\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\n\
             log.dirs={}\n\
             auto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=1\n\
             group.initial.rebalance.delay.ms=0\n\
             log.cleaner.dedupe.buffer.size=4194304\n\
             broker.session.timeout.ms=3000\n\
             broker.heartbeat.interval.ms=500\n",
            proxy.port,
            self.data().display()
        )
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Any sixteen bytes in base64, which hexadecimal digits are too.
fn cluster_id() -> String {
    let own = event_id(&own("cluster"), id(0), 0).simple().to_string();
    format!("{}A", &own[..21])
}
