//! The real program, started as a user would start it, on a database, topics and a provider of its own.

use crate::apart::{Shape, Street};
use daybook::embedded::Runtime;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Generous: a test waits for a condition, never for a time.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is unset: run `make test`, or eval \"$(scripts/test-servers env)\"")
    })
}

/// What a variable says, if it is set.
pub(crate) fn variable_or(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

pub(crate) fn http() -> Client {
    // Whoever is second finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

/// What several processes of one shop share.
pub(crate) struct World {
    /// Empty until it is known, where the servers are its own.
    pub(crate) database_url: String,
    pub(crate) owns_servers: bool,
    /// None: there is no Kafka.
    pub(crate) brokers: Option<String>,
    pub(crate) topic_prefix: String,
    pub(crate) folder: TempDir,
    pub(crate) accept_history: bool,
    /// What else `serve` is told.
    pub(crate) flags: Vec<String>,
    /// What it finds in its environment besides: what has no flag.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
    /// What it logs.
    pub(crate) log: &'static str,
    pub(crate) provider: Provider,
    /// If every service runs on its own.
    pub(crate) street: Option<Street>,
    /// The orders of flows that came before the one that is under way.
    pub(crate) earlier: Mutex<Vec<String>>,
}

impl World {
    /// A database of its own, topics of its own, and a sandbox provider in a process of its own.
    pub(crate) async fn new() -> Self {
        Self::on(&variable("DAYBOOK_TEST_DATABASE_URL")).await
    }

    /// The same on another server than all the others.
    pub(crate) async fn on(server: &str) -> Self {
        let mut world = Self::nowhere().await;
        let name = world.topic_prefix.trim_end_matches('.');
        let database = event_store::Database::parse(server).unwrap();
        let client = database.connect("tests").await.unwrap();
        client.batch_execute(&format!("create database {name}")).await.unwrap();
        world.database_url = server.trim_end_matches("postgres").to_owned() + name;
        world.brokers = Some(variable("DAYBOOK_TEST_KAFKA"));
        world
    }

    /// A Postgres and a Kafka of its own, which `serve` starts and keeps.
    pub(crate) async fn with_own_servers() -> Self {
        World { owns_servers: true, ..Self::nowhere().await }
    }

    async fn nowhere() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let since = UNIX_EPOCH.elapsed().unwrap().as_millis();
        let name =
            format!("it_{}_{}_{since}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let provider = Provider::start(&folder.path().join("provider.book"), free_port()).await;
        World {
            database_url: String::new(),
            owns_servers: false,
            brokers: None,
            topic_prefix: format!("{name}."),
            folder,
            accept_history: false,
            flags: Vec::new(),
            environment: Vec::new(),
            log: "warn",
            provider,
            street: None,
            earlier: Mutex::default(),
        }
    }

    /// The same in which every service runs in processes of its own, on a database of its own.
    pub(crate) async fn apart() -> Self {
        Self::shaped(Shape::Apart).await
    }

    pub(crate) async fn shaped(shape: Shape) -> Self {
        let mut world = Self::new().await;
        world.street = Some(Street::lay(&world, shape, &[]).await);
        world
    }

    /// Apart, some services each on a Postgres of its own.
    pub(crate) async fn apart_on(servers: &[(&str, String)]) -> Self {
        let mut world = Self::new().await;
        world.street = Some(Street::lay(&world, Shape::Apart, servers).await);
        world
    }

    pub(crate) fn earlier(&self) -> Vec<String> {
        self.earlier.lock().unwrap().clone()
    }

    pub(crate) fn begins_after(&self, orders: Vec<String>) {
        *self.earlier.lock().unwrap() = orders;
    }

    /// Where its own servers have their data, if they are its own.
    pub(crate) fn own_servers(&self) -> Option<PathBuf> {
        self.owns_servers.then(|| self.folder.path().join("own"))
    }

    /// Waits until its own servers, if they are its own, are up; they stay where they are then.
    pub(crate) async fn finds_its_servers(&mut self) {
        let Some(data) = self.own_servers() else { return };
        let finding = async {
            loop {
                let found = Runtime::find(&data);
                if let Some((Some(url), Some(brokers))) =
                    found.map(|it| (it.database_url, it.kafka_brokers))
                {
                    return (url, brokers);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = tokio::time::timeout(LIMIT, finding).await.expect("its servers are up");
        (self.database_url, self.brokers) = (found.0, Some(found.1));
    }

    /// The same of one without Kafka.
    pub(crate) async fn finds_its_postgres(&mut self) {
        let data = self.own_servers().expect("a world with servers of its own");
        let finding = async {
            loop {
                if let Some(url) = Runtime::find(&data).and_then(|it| it.database_url) {
                    return url;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = tokio::time::timeout(LIMIT, finding).await;
        self.database_url = found.expect("its Postgres is up");
    }

    pub(crate) fn without_kafka(mut self) -> Self {
        self.brokers = None;
        self
    }

    /// A process of the shop; returns when it is ready.
    pub(crate) async fn start(&self) -> Daybook {
        match &self.street {
            Some(street) => street.open(self).await,
            None => self.start_on(free_port()).await,
        }
    }

    /// The same on a port that an earlier process had.
    pub(crate) async fn start_on(&self, port: u16) -> Daybook {
        let daybook = self.spawn(binary(), port);
        daybook.is_ready().await;
        daybook
    }

    /// A process of this or another build of the program; it may not be ready yet, or never.
    pub(crate) fn spawn(&self, command: Command, port: u16) -> Daybook {
        self.spawn_at(command, ([127, 0, 0, 1], port).into())
    }

    /// The same at another address of this machine.
    pub(crate) fn spawn_at(&self, mut command: Command, at: SocketAddr) -> Daybook {
        command
            .arg("serve")
            .args(["--listen", &at.to_string(), "--log", self.log])
            .args(["--topic-prefix", &self.topic_prefix, "--provider-url", &self.provider.url])
            .args(["--followers", "6", "--readers", "3", "--data-dir"]);
        if let Some(data) = self.own_servers() {
            command.arg(data).args(["--kafka-port", "0"]);
        } else {
            command.arg(self.folder.path().join(format!("data-{at}")));
            if self.street.is_none() {
                command.args(["--database-url", &self.database_url]);
            }
            match &self.brokers {
                Some(brokers) => command.args(["--kafka-brokers", brokers]),
                None => command.args(["--kafka", "off"]),
            };
        }
        if self.accept_history {
            command.arg("--accept-history");
        }
        // A debug build among other tests is slow; that is no overload.
        command.env("DAYBOOK_CROWD_BURST_MS", "60000");
        // No test waits for a thousand events of a stream.
        command.env("DAYBOOK_SNAPSHOT_EVENTS", "3").args(&self.flags);
        command.envs(self.environment.iter().copied());
        let child = command.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        Daybook { url: format!("http://{at}"), ..Daybook::of(child, at.port()) }
    }

    /// Another command of the program, as `parked list`, on the same database.
    pub(crate) fn command(&self, name: &str) -> Command {
        self.command_of(binary(), name)
    }

    /// The same of another build of the program.
    pub(crate) fn command_of(&self, mut command: Command, name: &str) -> Command {
        command.args(name.split(' ')).args(["--database-url", &self.database_url]);
        command.arg("--data-dir").arg(self.folder.path().join("elsewhere"));
        command.kill_on_drop(true);
        command
    }

    /// What `daybook status` says of a process.
    pub(crate) async fn status(&self, daybook: &Daybook, arguments: &[&str]) -> String {
        let mut command = self.command("status");
        command.env("DAYBOOK_LISTEN", daybook.url.trim_start_matches("http://")).args(arguments);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A connection to the shop's database, to look at the log behind the program's back.
    pub(crate) async fn sql(&self) -> tokio_postgres::Client {
        self.try_sql().await.unwrap()
    }

    /// The same while the database may be down.
    pub(crate) async fn try_sql(&self) -> Result<tokio_postgres::Client, String> {
        let database = event_store::Database::parse(&self.database_url).unwrap();
        database.connect("tests").await.map_err(|error| format!("{error:?}"))
    }
}

pub(crate) struct Daybook {
    /// One, unless its parts run on their own.
    children: Vec<Child>,
    pub(crate) url: String,
    pub(crate) http: Client,
}

impl Daybook {
    /// A process that was started in another way.
    pub(crate) fn of(child: Child, port: u16) -> Self {
        Daybook { children: vec![child], url: format!("http://127.0.0.1:{port}"), http: http() }
    }

    /// Several processes behind one address.
    pub(crate) fn in_parts(parts: Vec<Daybook>, url: &str) -> Self {
        let children = parts.into_iter().flat_map(|part| part.children).collect();
        Daybook { children, url: url.to_owned(), http: http() }
    }

    /// How it ended, if it did.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.children[0].try_wait().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.children[0].id().expect("it runs")
    }

    pub(crate) async fn is_ready(&self) {
        self.until("it is ready", "/health/ready", |answer| answer["status"] == "ready").await;
    }

    pub(crate) async fn send(
        &self,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> reqwest::Result<Response> {
        let mut request = self.http.post(format!("{}{path}", self.url)).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.send().await
    }

    /// Sends a command that must be accepted.
    pub(crate) async fn command(&self, path: &str, body: &Value) -> Value {
        let answer = self.send(path, None, body).await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "POST {path} {body}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Asks until the answer is as it should be, and returns it.
    pub(crate) async fn until(
        &self,
        what: &str,
        path: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        let last = std::sync::Mutex::new(Value::Null);
        let asking = async {
            loop {
                if let Ok(answer) = self.http.get(format!("{}{path}", self.url)).send().await
                    && let Ok(answer) = answer.json::<Value>().await
                {
                    if holds(&answer) {
                        return answer;
                    }
                    *last.lock().unwrap() = answer;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let answer = tokio::time::timeout(LIMIT, asking).await;
        answer.unwrap_or_else(|_| panic!("never: {what}; last: {}", last.lock().unwrap()))
    }

    /// Every item of a list, page by page.
    pub(crate) async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let (status, page) = self.get(&format!("{path}{sign}limit=1000{after}")).await;
            assert!(status.is_success(), "{path}: {page}");
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(cursor) => after = format!("&after={cursor}"),
                None => return items,
            }
        }
    }

    /// Pulls the plug of one of its processes, and leaves the others.
    pub(crate) async fn kill_one(&mut self, nth: usize) {
        self.children.remove(nth).kill().await.unwrap();
    }

    /// Pulls the plug.
    pub(crate) async fn kill(mut self) {
        for child in &mut self.children {
            child.kill().await.unwrap();
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.terminate().await;
        self.ended().await;
    }

    /// Asks it to stop.
    pub(crate) async fn terminate(&self) {
        for child in &self.children {
            terminate(child).await;
        }
    }

    /// Waits until it has stopped as it was asked.
    pub(crate) async fn ended(mut self) {
        for child in &mut self.children {
            let ended = tokio::time::timeout(LIMIT, child.wait()).await;
            let status = ended.expect("it ends").unwrap();
            assert!(status.success(), "{status}");
        }
    }

    /// What it counts, by name and labels as Prometheus is told them.
    /// The sum over all labels.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        self.metric_of(name, &[]).await
    }

    /// The same over those that have these labels, each as `name="value"`.
    pub(crate) async fn metric_of(&self, name: &str, with: &[String]) -> Option<f64> {
        let text = self.http.get(format!("{}/metrics", self.url)).send().await.unwrap();
        let text = text.text().await.unwrap();
        let value = |line: &str| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            let is_it = labels.is_empty() || labels.starts_with('{');
            let is_it = is_it && with.iter().all(|label| labels.contains(label));
            is_it.then(|| value.parse::<f64>().unwrap())
        };
        let values: Vec<f64> = text.lines().filter_map(value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

/// The sandbox provider in a process of its own.
pub(crate) struct Provider {
    child: Child,
    pub(crate) url: String,
    port: u16,
}

impl Provider {
    pub(crate) async fn start(book: &Path, port: u16) -> Self {
        let mut command = binary();
        command.args(["sandbox-provider", "--listen", &format!("127.0.0.1:{port}"), "--book"]);
        command.arg(book);
        Self::told(command, port).await
    }

    /// The same, told in another way.
    pub(crate) async fn told(mut command: Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let provider = Provider { child, url: format!("http://127.0.0.1:{port}"), port };
        let answering = async {
            while http().get(format!("{}/sandbox/book", provider.url)).send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, answering).await.expect("the sandbox answers");
        provider
    }

    /// Its own book: what it was asked, by order.
    pub(crate) async fn book(&self) -> Value {
        http().get(format!("{}/sandbox/book", self.url)).send().await.unwrap().json().await.unwrap()
    }

    /// `{"mode": "up|down|slow|error|mute|refuse", "delay_ms": …}`
    pub(crate) async fn behave(&self, behaviour: &Value) {
        let to = format!("{}/sandbox/behaviour", self.url);
        let answer = http().post(to).json(behaviour).send().await.unwrap();
        assert!(answer.status().is_success(), "{behaviour}");
    }

    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again after a kill: on the same port, with what its book says.
    pub(crate) async fn restart(&mut self, book: &Path) {
        *self = Provider::start(book, self.port).await;
    }
}

pub(crate) fn binary() -> Command {
    program(Path::new(env!("CARGO_BIN_EXE_daybook")))
}

/// A build of the program.
pub(crate) fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    // What a developer has set must not reach the tests.
    for (name, _) in std::env::vars() {
        if name.starts_with("DAYBOOK_") || name == "DATABASE_URL" || name == "KAFKA_BROKERS" {
            command.env_remove(name);
        }
    }
    command
}

async fn terminate(child: &Child) {
    let pid = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").arg(pid).status().await.unwrap().success());
}

/// A port that was free just now. It lies below those that the kernel hands out for outgoing
/// connections, so that nobody sits on it while its server is down.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests of several binaries run at once, each with a stretch of its own.
    let first = std::process::id().wrapping_mul(977);
    let next = || first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
    let mut candidates = std::iter::repeat_with(|| 10_000 + u16::try_from(next()).unwrap());
    candidates.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
