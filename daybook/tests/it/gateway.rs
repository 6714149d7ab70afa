//! The real gateway, with the file that containers use, in front of the real program.

mod forged;
mod lists;
mod upstream;

use crate::batch;
use crate::shop::{eventually, order, post, sell, settled};
use crate::support::{Daybook, LIMIT, World, free_port, http};
use reqwest::Client;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/gateway");

/// A gateway on this machine, as its clients are: the lists say who is welcome.
pub(crate) struct Gateway {
    /// The last of them takes who comes; those before it finish what they have begun.
    children: Vec<Child>,
    lists: TempDir,
    told: Vec<(String, String)>,
    pub(crate) url: String,
    operations: String,
}

pub(crate) const NOBODY: &str = "192.0.2.1\n";
pub(crate) const EVERYBODY: &str = "127.0.0.0/8\n";

/// In front of one process.
async fn gateway(daybook: &Daybook, welcome: &str, settings: &[(&str, &str)]) -> Gateway {
    let shop = daybook.url.trim_start_matches("http://");
    found(welcome, &[settings, &[("SHOP", shop)]].concat()).await
}

/// It has found its servers.
async fn found(welcome: &str, settings: &[(&str, &str)]) -> Gateway {
    let told = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let gateway = Gateway::open(welcome, &told.collect::<Vec<_>>());
    gateway.finds_its_servers().await;
    gateway
}

impl Gateway {
    /// It may have found nobody yet.
    pub(crate) fn open(welcome: &str, told: &[(String, String)]) -> Self {
        let lists = tempfile::tempdir().unwrap();
        fs::copy(Path::new(FOLDER).join("services.map"), lists.path().join("services.map"))
            .unwrap();
        let (listen, operations) =
            (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let own = [
            ("GATEWAY_LISTEN", &*listen),
            ("GATEWAY_LISTS", lists.path().to_str().unwrap()),
            ("GATEWAY_OPERATIONS", &operations),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let speaks_tls = told.iter().any(|(name, _)| name == "GATEWAY_CERT");
        let scheme = if speaks_tls { "https" } else { "http" };
        let mut gateway = Gateway {
            children: Vec::new(),
            told: own.iter().chain(told).cloned().collect(),
            url: format!("{scheme}://{listen}"),
            operations: format!("http://{operations}/metrics"),
            lists,
        };
        gateway.welcomes(welcome);
        gateway.spawn(&[]);
        gateway
    }

    fn spawn(&mut self, arguments: &[&str]) {
        let mut command = Command::new("/usr/sbin/haproxy");
        command.args(["-db", "-f"]).arg(Path::new(FOLDER).join("haproxy.cfg")).args(arguments);
        command.envs(self.told.iter().cloned());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
        self.children.push(child.expect("scripts/setup run installs HAProxy"));
    }

    /// Writes both lists anew. It reads them when it reloads.
    fn welcomes(&self, whom: &str) {
        for list in ["operators.lst", "services.lst"] {
            fs::write(self.lists.path().join(list), whom).unwrap();
        }
    }

    /// Another process takes its place, and it ends when it has finished what is under way.
    fn reload(&mut self) {
        let last = self.children.last().and_then(Child::id).expect("it runs").to_string();
        self.spawn(&["-sf", &last]);
    }

    /// Each service's commands and queries, both addresses of each. It shows which have answered that they are ready.
    pub(crate) async fn finds_its_servers(&self) {
        let http = http();
        eventually("the gateway finds its servers", async || {
            let shown = http.get(&self.operations).send().await.map_err(|it| it.to_string())?;
            let up = self.up(&shown.text().await.unwrap());
            (up == 20).then_some(()).ok_or(format!("{up} of 20"))
        })
        .await;
    }

    fn up(&self, shown: &str) -> usize {
        let checked = "haproxy_server_check_status{";
        let good = |line: &&str| line.contains("state=\"L7OK\"") && line.ends_with(" 1");
        shown.lines().filter(|line| line.starts_with(checked)).filter(good).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flows_of_the_shop_pass_through_the_gateway() {
    let world = World::new().await;
    let daybook = world.start().await;
    let gateway = gateway(&daybook, EVERYBODY, &[]).await;
    sell(&world, &daybook, "A", 250, 10).await;
    let (http, orders) = (&daybook.http, format!("{}/v1/orders", gateway.url));

    let body = order(&["A"], "pm_card_visa");
    let placed = post(http, &orders, Some("g-1"), &body).await;
    assert_eq!(post(http, &orders, Some("g-1"), &body).await, placed);
    let path = format!("/v1/orders/{}", placed.order());
    let events = http.get(format!("{}{path}/history", gateway.url));
    let mut events = events.header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    // The last of them comes while the first were read long ago: nothing in between holds them back.
    let mut seen = String::new();
    for awaited in ["order.placed", "order.confirmed", "order.shipped"] {
        while !seen.contains(awaited) {
            let chunk = tokio::time::timeout(LIMIT, events.chunk()).await.expect(awaited);
            seen += std::str::from_utf8(&chunk.unwrap().expect("it goes on")).unwrap();
        }
        if awaited == "order.confirmed" {
            let shipped =
                post(http, &format!("{}{path}/ship", gateway.url), None, &json!({})).await;
            assert_eq!(shipped.status, 200, "{}", shipped.body);
        }
    }
    settled(&world, 1).await;

    let (mut sending, mut answers) = batch::begin(&gateway.url).await;
    for quantity in [1, 0, 2] {
        let line = json!({"path": "/v1/stock/A/receive", "body": {"quantity": quantity}});
        batch::send(&mut sending, &format!("{line}\n")).await.unwrap();
        if quantity == 1 {
            // Before the second one is sent.
            assert_eq!(answers.status().await, 200);
            assert_eq!(answers.next().await.unwrap()["status"], 200);
        }
    }
    batch::send(&mut sending, "").await.unwrap();
    assert_eq!(answers.next().await.unwrap()["status"], 422);
    assert_eq!(answers.next().await.unwrap()["status"], 200);
    assert_eq!(answers.next().await, None);
}

/// The value of a metric of the gateway's, summed over what is not named.
fn sum(shown: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = shown.lines().filter(|line| line.starts_with(name));
    let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn the_gateway_says_for_whom_it_asks_and_sends_a_stream_to_one_server() {
    let world = World::new().await;
    let daybook = world.start().await;
    let gateway = gateway(&daybook, NOBODY, &[]).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let receive = async |sku: &str| {
        let url = format!("{}/v1/stock/{sku}/receive", gateway.url);
        let request = daybook.http.post(url).json(&json!({"quantity": 1}));
        let answer = request.header("traceparent", trace).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.headers()["x-correlation-id"].to_str().unwrap().to_owned()
    };
    let mut correlations = Vec::new();
    for _ in 0..8 {
        correlations.push(receive("S1").await);
    }
    let shown = daybook.http.get(&gateway.operations).send().await.unwrap().text().await.unwrap();
    let answers = |server| {
        let labels = ["proxy=\"inventory_commands\"", server, "code=\"2xx\""];
        sum(&shown, "haproxy_server_http_responses_total{", &labels)
    };
    let mut both = [answers("server=\"inventory1\""), answers("server=\"inventory2\"")];
    both.sort_by(f64::total_cmp);
    assert_eq!(both, [0.0, 8.0], "one stream went to two servers");

    // The same id in the answer and in the event, and the trace that it belongs to.
    let client = world.sql().await;
    let sql = "select metadata ->> 'correlation', metadata ->> 'traceparent' from inventory.event order by version";
    for (row, correlation) in client.query(sql, &[]).await.unwrap().iter().zip(&correlations) {
        assert_eq!(row.get::<_, &str>(0), correlation);
        assert_eq!(row.get::<_, Option<&str>>(1), Some(trace));
    }

    // Nobody from here may ask for what operators and services ask for.
    for path in [
        "/internal/commands",
        "/metrics",
        "/v1/log/orders/0",
        "/v1/parked",
        "/health/ready",
        "/at/inventory/v1/stock",
    ] {
        let refused = daybook.http.get(format!("{}{path}", gateway.url)).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{path}");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "urn:daybook:problem:forbidden");
    }
    let here = daybook.http.get(format!("{}/metrics", daybook.url)).send().await.unwrap();
    assert_eq!(here.status(), 200);
    // It sees no lines, and none of them leads there either.
    let (mut sending, mut answers) = batch::begin(&gateway.url).await;
    for path in ["/v1/parked/retry", "/v1/parked/discard"] {
        batch::send(&mut sending, &format!("{}\n", json!({"path": path}))).await.unwrap();
    }
    batch::send(&mut sending, "").await.unwrap();
    assert_eq!(answers.status().await, 200);
    for _ in 0..2 {
        assert_eq!(answers.next().await.unwrap()["status"], 404);
    }
}

#[tokio::test]
async fn one_client_gets_so_much_of_the_gateway_and_no_more() {
    let world = World::new().await;
    let daybook = world.start().await;
    let gateway = gateway(&daybook, EVERYBODY, &[("GATEWAY_REQUESTS_10S", "20")]).await;
    let ask = async || {
        let answer = daybook.http.get(format!("{}/v1/stock", gateway.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().clone(), answer.json::<Value>().await.unwrap())
    };
    let mut refused = None;
    for nth in 1..=100 {
        let (status, headers, problem) = ask().await;
        if status != 200 {
            assert!(nth > 20, "the {nth}th is refused");
            refused = Some((status, headers["retry-after"].clone(), problem));
            break;
        }
    }
    let (status, retry, problem) = refused.expect("one of the next is refused");
    assert_eq!((status, retry.to_str().unwrap()), (429, "10"));
    assert_eq!(problem["type"], "urn:daybook:problem:too-many-requests");
}

#[tokio::test]
async fn the_gateway_speaks_tls_and_demands_a_certificate_where_it_is_told_to() {
    let world = World::new().await;
    let daybook = world.start().await;
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str| folder.path().join(name);
    let openssl = async |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(folder.path()).args(arguments).stderr(Stdio::null());
        assert!(command.status().await.unwrap().success(), "{arguments:?}");
    };
    for name in ["gateway", "client"] {
        let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
                       -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
        let mut arguments: Vec<_> = request.split_whitespace().collect();
        let (key, cert) = (format!("{name}.key"), format!("{name}.crt"));
        arguments.extend(["-keyout", &key, "-out", &cert]);
        openssl(&arguments).await;
        let both =
            fs::read_to_string(made(&cert)).unwrap() + &fs::read_to_string(made(&key)).unwrap();
        fs::write(made(&format!("{name}.pem")), both).unwrap();
    }
    let (cert, authority) = (made("gateway.pem"), made("client.crt"));
    let settings = [
        ("GATEWAY_CERT", cert.to_str().unwrap()),
        ("GATEWAY_CLIENT_CA", authority.to_str().unwrap()),
    ];
    let gateway = gateway(&daybook, EVERYBODY, &settings).await;
    let url = format!("{}/v1/stock", gateway.url);
    let trusting = || {
        let pem = fs::read(made("gateway.crt")).unwrap();
        Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
    };
    assert!(trusting().build().unwrap().get(&url).send().await.is_err(), "without a certificate");
    let identity = reqwest::Identity::from_pem(&fs::read(made("client.pem")).unwrap()).unwrap();
    let answer = trusting().identity(identity).build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
}
