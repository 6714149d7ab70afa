//! An Apache Kafka with a door for each way to be let in.

use crate::authority::Authority;
use crate::shop::eventually;
use crate::support::{LIMIT, free_port};
use daybook::embedded::Java;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

pub(super) const USER: &str = "shop";
pub(super) const PASSWORD: &str = "s3cret-of-the-shop";

/// Asks for a certificate.
pub(super) const MUTUAL: Door = Door { name: "MUTUAL", protocol: "SSL", host: "127.0.0.1" };
/// Asks for a name and a password.
pub(super) const LOGIN: Door = Door { name: "LOGIN", protocol: "SASL_SSL", host: "localhost" };
/// The same in clear.
pub(super) const CLEAR: Door =
    Door { name: "CLEAR", protocol: "SASL_PLAINTEXT", host: "127.0.0.1" };
/// Asks for nothing, and has the certificate of another host.
pub(super) const STRANGER: Door = Door { name: "STRANGER", protocol: "SSL", host: "127.0.0.1" };
/// For the broker itself.
const INSIDE: Door = Door { name: "INSIDE", protocol: "PLAINTEXT", host: "127.0.0.1" };
const CONTROLLER: Door = Door { name: "CONTROLLER", protocol: "PLAINTEXT", host: "127.0.0.1" };

const DOORS: [Door; 6] = [MUTUAL, LOGIN, CLEAR, STRANGER, INSIDE, CONTROLLER];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Door {
    name: &'static str,
    protocol: &'static str,
    /// Under which it is found.
    host: &'static str,
}

pub(super) struct Broker {
    /// Held, not read: it ends with this.
    _process: Child,
    ports: [u16; DOORS.len()],
}

impl Broker {
    pub(super) async fn start(folder: &Path, authority: &Authority) -> Self {
        let java = Java::find(None).expect("Java and Kafka's jars; run `make setup`");
        let ports = DOORS.map(|_| free_port());
        let properties = folder.join("server.properties");
        std::fs::write(&properties, self::properties(folder, authority, &ports)).unwrap();
        let scram = |mechanism: &str| {
            ["--add-scram".to_owned(), format!("{mechanism}=[name={USER},password={PASSWORD}]")]
        };
        let mut format = command(&java);
        format.args(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c"]);
        format.arg(&properties).args(scram("SCRAM-SHA-256")).args(scram("SCRAM-SHA-512"));
        let formatted =
            tokio::time::timeout(LIMIT, format.output()).await.expect("it ends").unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stdout));

        let log = folder.join("kafka.log");
        let mut kafka = command(&java);
        kafka.arg("kafka.Kafka").arg(&properties).stdout(File::create(&log).unwrap());
        let mut process = kafka.spawn().unwrap();
        eventually("Kafka is up", async || {
            let said = std::fs::read_to_string(&log).unwrap();
            assert!(process.try_wait().unwrap().is_none(), "it ended: {said}");
            said.contains("Kafka Server started").then_some(()).ok_or(said)
        })
        .await;
        Broker { _process: process, ports }
    }

    pub(super) fn address(&self, door: Door) -> String {
        address(door, &self.ports)
    }
}

fn address(door: Door, ports: &[u16]) -> String {
    let port = DOORS.iter().position(|it| *it == door).map(|at| ports[at]).unwrap();
    format!("{}:{port}", door.host)
}

fn command(java: &Java) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(&java.program);
    command.args(["-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    let logging = root.join("deploy/kafka/log4j2.properties");
    command.arg(format!("-Dlog4j2.configurationFile={}", logging.display()));
    command.arg("-cp").arg(java.jars.join("*"));
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

fn properties(folder: &Path, authority: &Authority, ports: &[u16]) -> String {
    let list = |of: &dyn Fn(&Door) -> String| DOORS.iter().map(of).collect::<Vec<_>>().join(",");
    let listener = |door: &Door| format!("{}://{}", door.name, address(*door, ports));
    let advertised: Vec<_> = DOORS.iter().filter(|it| **it != CONTROLLER).map(listener).collect();
    let store = |name: &str, hosts: &[&str]| -> PathBuf {
        let path = folder.join(format!("{name}.store.pem"));
        let (certificate, key) = authority.signs_for(hosts);
        std::fs::write(&path, key + &certificate).unwrap();
        path
    };
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let plain = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"
    );
    let logins = |door: Door| {
        let listener = format!("listener.name.{}", door.name.to_lowercase());
        format!(
            "{listener}.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN\n\
             {listener}.scram-sha-512.sasl.jaas.config={scram}\n\
             {listener}.scram-sha-256.sasl.jaas.config={scram}\n\
             {listener}.plain.sasl.jaas.config={plain}\n"
        )
    };
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners={listeners}\n\
         advertised.listeners={advertised}\n\
         listener.security.protocol.map={protocols}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=INSIDE\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=8\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         log.cleaner.dedupe.buffer.size=4194304\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={own}\n\
         ssl.truststore.type=PEM\n\
         ssl.truststore.location={trusted}\n\
         listener.name.mutual.ssl.client.auth=required\n\
         listener.name.stranger.ssl.keystore.type=PEM\n\
         listener.name.stranger.ssl.keystore.location={stranger}\n\
         {login}{clear}",
        controller = address(CONTROLLER, ports),
        listeners = list(&listener),
        advertised = advertised.join(","),
        protocols = list(&|door| format!("{}:{}", door.name, door.protocol)),
        data = folder.join("data").display(),
        own = store("own", &["127.0.0.1", "localhost"]).display(),
        trusted = authority.file.display(),
        stranger = store("stranger", &["kafka.example"]).display(),
        login = logins(LOGIN),
        clear = logins(CLEAR),
    )
}
