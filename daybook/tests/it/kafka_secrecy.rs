//! What Kafka is told can be read by nobody on the way, is told to no other, and by nobody whom it does not know.

mod broker;

use crate::authority::{Authority, files};
use crate::on_file::{REFUSED, counts_on, standing};
use crate::shop::{SERVICES, eventually, order, sell, settled};
use crate::support::{Daybook, World, binary, free_port};
use crate::without_kafka::fed_by_kafka;
use broker::{Broker, CLEAR, Door, LOGIN, MUTUAL, PASSWORD, STRANGER, USER};
use edge::tls::TlsFiles;
use serde_json::{Value, json};
use std::fmt::Display;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Who may come in, and by what he is known.
struct Ring {
    broker: Broker,
    ours: Authority,
    own: TlsFiles,
    folder: PathBuf,
}

impl Ring {
    async fn around(world: &World) -> Self {
        let folder = world.folder.path().join("ring");
        fs::create_dir(&folder).unwrap();
        let ours = Authority::new(&folder, "ours");
        let own = files(&folder, "daybook", None);
        ours.writes(&own);
        let broker = Broker::start(&folder, &ours).await;
        Ring { broker, ours, own, folder }
    }

    fn file(&self, name: &str, holds: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, holds).unwrap();
        path
    }

    fn trust(&self) -> Vec<String> {
        flag("kafka-ca", self.ours.file.display())
    }

    fn certificate(&self) -> Vec<String> {
        let (certificate, key) = (self.own.certificate.display(), self.own.key.display());
        [flag("kafka-cert", certificate), flag("kafka-key", key)].concat()
    }

    fn login(&self, mechanism: &str) -> Vec<String> {
        let password = self.file("password", &format!("{PASSWORD}\n"));
        let file = flag("kafka-password-file", password.display());
        [flag("kafka-user", USER), file, flag("kafka-mechanism", mechanism)].concat()
    }
}

fn flag(name: &str, value: impl Display) -> Vec<String> {
    vec![format!("--{name}"), value.to_string()]
}

/// Waits until `daybook verify` finds every log in Kafka, at this door.
async fn equals_at(world: &World, ring: &Ring, door: Door, flags: &[String]) {
    eventually("the copy is whole", async || {
        let mut command = world.command("verify");
        command.args(["--kafka", "--json", "--topic-prefix", &world.topic_prefix]);
        let output = command.args(flag("kafka-brokers", ring.broker.address(door))).args(flags);
        let output = output.output().await.unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let checked = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let copies: Vec<_> = checked.filter(|line| line["of"] == "copy").collect();
        let all_have = copies.iter().all(|it| it["checked"]["read"].as_u64() > Some(0));
        let whole = output.status.success() && copies.len() == SERVICES.len() && all_have;
        whole.then_some(()).ok_or(said)
    })
    .await;
}

#[tokio::test]
async fn an_order_reaches_kafka_and_comes_back_over_tls_by_certificate_and_by_password() {
    let mut world = World::new().await;
    let ring = Ring::around(&world).await;
    world.brokers = Some(ring.broker.address(MUTUAL));
    let act = flag("role", "commands,relay,sagas");
    world.flags = [act, ring.trust(), ring.certificate()].concat();
    let acting = world.start().await;
    sell(&world, &acting, "A1", 250, 50).await;

    world.brokers = Some(ring.broker.address(LOGIN));
    world.flags = [flag("role", "queries"), ring.trust(), ring.login("SCRAM-SHA-512")].concat();
    let (mut command, port) = (binary(), free_port());
    // What Kafka does not bring would be missed.
    command.env("DAYBOOK_FOLLOW_KAFKA_WAIT_MS", "60000");
    let showing = world.spawn(command, port);
    showing.is_ready().await;
    fed_by_kafka(&acting, true).await;
    fed_by_kafka(&showing, true).await;
    let read = async || showing.metric("daybook_follower_log_reads_total").await;
    eventually("an order comes by Kafka alone", async || {
        let before = read().await;
        let placed = acting.command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
        let id = placed["stream"].as_str().unwrap().trim_start_matches("order-").to_owned();
        let path = format!("/v1/orders/{id}");
        showing.until("it is confirmed", &path, |order| order["status"] == "confirmed").await;
        let after = read().await;
        (before == after).then_some(()).ok_or(format!("the log was read: {before:?}, {after:?}"))
    })
    .await;

    let trusting = |flags: Vec<String>| [ring.trust(), flags].concat();
    equals_at(&world, &ring, MUTUAL, &trusting(ring.certificate())).await;
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] {
        equals_at(&world, &ring, LOGIN, &trusting(ring.login(mechanism))).await;
        // On loopback nobody is on the way.
        equals_at(&world, &ring, CLEAR, &ring.login(mechanism)).await;
    }
    showing.stop().await;
    acting.stop().await;
}

/// How a process is told of Kafka, and what must come of it.
struct Case {
    door: Door,
    flags: Vec<String>,
    /// What it says.
    says: &'static str,
    /// The file that is wrong, and what it should hold.
    mend: Option<(PathBuf, String)>,
}

#[tokio::test]
async fn a_kafka_that_is_another_or_knows_us_not_is_told_of_once_and_used_when_it_is_mended() {
    let mut world = World::new().await;
    let ring = Ring::around(&world).await;
    let other = Authority::new(&ring.folder, "other");
    let trusted = ring.file("trusted.pem", &fs::read_to_string(&other.file).unwrap());
    let password = ring.file("wrong", "wr0ng-s3cret");
    let login = [flag("kafka-user", USER), flag("kafka-password-file", password.display())];
    let name = "not of the name by which they are called";
    let cases = [
        Case {
            door: MUTUAL,
            flags: [flag("kafka-ca", trusted.display()), ring.certificate()].concat(),
            says: "certificate is not of an authority that is trusted here",
            mend: Some((trusted, fs::read_to_string(&ring.ours.file).unwrap())),
        },
        Case {
            door: LOGIN,
            flags: [ring.trust(), login.concat()].concat(),
            says: "invalid credentials with SASL mechanism SCRAM-SHA-512",
            mend: Some((password, PASSWORD.to_owned())),
        },
        Case { door: STRANGER, flags: ring.trust(), says: name, mend: None },
        Case { door: MUTUAL, flags: ring.trust(), says: "SSL alert number", mend: None },
    ];
    world.log = "info,librdkafka=trace,rdkafka=trace,event_store=trace,daybook=trace";
    for (placed, case) in (1..).zip(cases) {
        world.brokers = Some(ring.broker.address(case.door));
        world.flags = case.flags.clone();
        let log = ring.folder.join(format!("{placed}.log"));
        let (mut command, port) = (binary(), free_port());
        command.env("DAYBOOK_KAFKA_RETRY_REFUSED_S", "1").stderr(File::create(&log).unwrap());
        let daybook = world.spawn(command, port);
        daybook.is_ready().await;
        if placed == 1 {
            sell(&world, &daybook, "A1", 250, 50).await;
        }
        daybook.command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
        settled(&world, placed).await;
        is_told_of_once(&world, &daybook, &log, case.says).await;
        nothing_secret_in(&world, &daybook, &log).await;
        if let Some((file, holds)) = case.mend {
            fs::write(&file, holds).unwrap();
            equals_at(&world, &ring, case.door, &case.flags).await;
            let well = |ready: &Value| ready["progress"]["relay_troubles"] == Value::Array(vec![]);
            daybook.until("nothing troubles it", "/health/ready", well).await;
            goes_on_when_it_is_spoilt(&daybook, &file).await;
        }
        daybook.stop().await;
    }
}

/// With what the file held before, and says that it is another now.
async fn goes_on_when_it_is_spoilt(daybook: &Daybook, file: &Path) {
    fs::write(file, "\n").unwrap();
    counts_on(daybook, REFUSED, 0.0).await;
    let why = standing(daybook).await["refused"]["why"].to_string();
    assert!(why.contains("kafka_"), "{why}");
    let copied = "daybook_relay_events_total{service=\"inventory\"}";
    let before = daybook.metric(copied).await.unwrap();
    daybook.command("/v1/stock/A1/receive", &json!({"quantity": 1})).await;
    counts_on(daybook, copied, before).await;
}

/// By those who ask, and in the log, though it is tried again and again.
async fn is_told_of_once(world: &World, daybook: &Daybook, log: &Path, says: &str) {
    let troubles = |ready: &Value, kind: &str| {
        let told = ready["progress"][kind].as_array().cloned().unwrap_or_default();
        !told.is_empty() && told.iter().all(|why| why.as_str().unwrap().contains(says))
    };
    let told = |ready: &Value| {
        ready["status"] == "ready"
            && troubles(ready, "relay_troubles")
            && troubles(ready, "feed_troubles")
    };
    daybook.until("it says why it does without Kafka", "/health/ready", told).await;
    eventually("it has tried again", async || {
        let shown = metrics(daybook).await;
        let often = |who: &str| {
            let name = format!("daybook_kafka_failures_total{{who=\"{who}\"}} ");
            let counted = shown.lines().find_map(|line| line.strip_prefix(&name));
            counted.is_some_and(|count| count.parse::<f64>().unwrap() >= 2.0)
        };
        (often("relay/orders") && often("consumer")).then_some(()).ok_or(shown.clone())
    })
    .await;
    let said = fs::read_to_string(log).unwrap();
    let once = |what: &str| {
        let lines: Vec<_> = said.lines().filter(|line| line.contains(what)).collect();
        let told = lines.iter().filter(|line| line.contains(says)).count();
        assert_eq!(told, 1, "{lines:#?}");
    };
    once("order-events\" why");
    once("the followers read the log instead of kafka");
    let status = world.status(daybook, &[]).await;
    assert!(status.contains("\nKafka: ") && status.contains(says), "{status}");
}

async fn nothing_secret_in(world: &World, daybook: &Daybook, log: &Path) {
    let mut config = world.command("config");
    config.args(&world.flags).args(["--kafka-brokers", "kafka:9093"]);
    if !world.flags.iter().any(|flag| flag == "--kafka-user") {
        config.args(["--kafka-user", USER]).env("DAYBOOK_KAFKA_PASSWORD", PASSWORD);
    }
    let config = config.output().await.unwrap();
    assert!(config.status.success(), "{}", String::from_utf8_lossy(&config.stderr));
    let (_, ready) = daybook.get("/health/ready").await;
    for told in [
        fs::read_to_string(log).unwrap(),
        String::from_utf8(config.stdout).unwrap(),
        ready.to_string(),
        metrics(daybook).await,
        world.status(daybook, &[]).await,
    ] {
        for secret in [PASSWORD, "wr0ng-s3cret", "PRIVATE KEY"] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
    }
}

async fn metrics(daybook: &Daybook) -> String {
    let asked = daybook.http.get(format!("{}/metrics", daybook.url)).send().await;
    asked.unwrap().text().await.unwrap()
}
