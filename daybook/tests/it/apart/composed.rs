//! What the compose file tells the containers of its profile `split`, told to processes: there is no engine for
//! containers here. They are started by the same words in the same environment, on a server that was set up as theirs;
//! nothing is another but hosts, ports and folders.

use super::street::{show_logs, show_rows};
use crate::access::{shows, wanted};
use crate::containers;
use crate::gateway::{FOLDER, Gateway, NOBODY};
use crate::postgres_faults::server::{Place, Server, text};
use crate::shop::{SERVICES, audit, eventually, order, sell, settled};
use crate::support::{Daybook, Provider, World, binary, free_port};
use edge::access::SigningKeys;
use edge::{Role, clock};
use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::Command;

/// What stands for the hosts, ports and folders of the containers.
struct Here {
    folder: PathBuf,
    databases: u16,
    brokers: String,
    topic_prefix: String,
    /// Of each container of our image that listens.
    ports: BTreeMap<&'static str, u16>,
}

impl Here {
    fn new(world: &World, databases: u16) -> Self {
        let listening = SERVICES.into_iter().chain(["provider"]);
        let here = Here {
            folder: world.folder.path().to_owned(),
            databases,
            brokers: world.brokers.clone().expect("a Kafka"),
            topic_prefix: world.topic_prefix.clone(),
            ports: listening.map(|container| (container, free_port())).collect(),
        };
        for folder in here.ports.keys().chain(&["keys", "migrate"]) {
            fs::create_dir(here.folder.join(folder)).unwrap();
        }
        here
    }

    /// Words for a container, as they must be here.
    fn told(&self, container: &str, words: &str) -> String {
        // The Kafka has topics of others.
        if words == "split." {
            return self.topic_prefix.clone();
        }
        let folder = |name: &str| self.folder.join(name).display().to_string();
        let mut told = words
            .replace("databases:5432", &format!("127.0.0.1:{}", self.databases))
            .replace("kafka:29092", &self.brokers)
            .replace(&containers::address_of("split-gateway"), "127.0.0.1")
            .replace("/var/lib/daybook-keys", &folder("keys"))
            .replace("/var/lib/daybook", &folder(container));
        for (name, port) in &self.ports {
            for there in ["7400", "7410"] {
                told = told.replace(&format!("{name}:{there}"), &format!("127.0.0.1:{port}"));
                if *name == container {
                    // Where it listens, and where it is asked whether it is well.
                    told = told.replace(&format!("0.0.0.0:{there}"), &format!("0.0.0.0:{port}"));
                    told =
                        told.replace(&format!("127.0.0.1/{there}"), &format!("127.0.0.1/{port}"));
                }
            }
        }
        told
    }

    /// The program as a container starts it.
    fn start(&self, container: &str) -> Command {
        let (words, environment) = containers::started(container);
        let mut command = binary();
        command.env_clear().stdout(Stdio::null()).kill_on_drop(true);
        command.args(words.iter().map(|word| self.told(container, word)));
        command.envs(self.environment(container, environment));
        command
    }

    fn environment(
        &self,
        container: &str,
        environment: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
        let told = |(name, value): (String, String)| (name, self.told(container, &value));
        environment.into_iter().map(told).collect()
    }

    async fn is_well(&self, container: &str) {
        let check = containers::healthcheck_of(container);
        let check: Vec<_> = check.iter().map(|word| self.told(container, word)).collect();
        eventually("its own healthcheck says that it is well", async || {
            let output = Command::new(&check[0]).args(&check[1..]).output().await.unwrap();
            let said = || format!("{container}: {output:?}");
            output.status.success().then_some(()).ok_or_else(said)
        })
        .await;
    }
}

/// The server of the container `databases`, with what its image makes and with what it is given.
async fn databases(place: &Place) -> Server<'_> {
    let command = containers::command_of("databases");
    let settings = command.iter().map(|word| &**word).filter(|word| word.contains('='));
    let server = place.primary(&settings.collect::<Vec<_>>()).await;
    let image = "create role daybook superuser login password 'daybook'; create database daybook";
    server.execute(image).await;
    // Passwords are asked for, but of the tests.
    let access = "host all postgres all trust\nhost all all all scram-sha-256\n";
    fs::write(server.data.join("pg_hba.conf"), access).unwrap();
    server.execute("select pg_reload_conf()").await;
    let file = place.path("databases.sql");
    fs::copy(containers::root().join("deploy/split/databases.sql"), &file).unwrap();
    let url = format!("postgres://daybook:daybook@127.0.0.1:{}/daybook", server.port);
    let stops = ["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"];
    place.run("psql", &[&stops[..], &["--dbname", &url, "--file", text(&file)]].concat()).await;
    server
}

#[tokio::test]
async fn what_the_compose_file_tells_its_services_apart_settles_orders_and_who_guesses_waits_alone()
{
    let mut world = World::new().await;
    let place = Place::new();
    let server = databases(&place).await;
    let here = Here::new(&world, server.port);
    let laid = here.start("migrate").output().await.unwrap();
    assert!(laid.status.success(), "{}", String::from_utf8_lossy(&laid.stderr));
    let url = server.url();
    let url_of = |service| format!("{}/{service}", url.trim_end_matches("/postgres"));
    show_logs(&world, &SERVICES.map(|service| (service, url_of(service))).into()).await;
    world.provider = Provider::told(here.start("provider"), here.ports["provider"]).await;
    let mut told = here.environment("split-gateway", containers::environment_of("split-gateway"));
    // In its container it has a network of its own; here a port that is free.
    told.retain(|(name, _)| name != "GATEWAY_LISTEN");
    told.push(("GATEWAY_LISTS".to_owned(), FOLDER.to_owned()));
    let gateway = Gateway::open(NOBODY, &told);
    let services = SERVICES
        .map(|service| Daybook::of(here.start(service).spawn().unwrap(), here.ports[service]));
    join_all(services.iter().map(Daybook::is_ready)).await;
    join_all(here.ports.keys().map(|container| here.is_well(container))).await;
    gateway.finds_its_servers().await;
    show_rows(&world).await;

    let mut shop = Daybook::in_parts(services.into(), &gateway.url);
    let product = json!({"sku": "A"});
    let unknown = shop.send("/v1/products", None, &product).await.unwrap();
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
    let keys = SigningKeys::read(&here.folder.join("keys/token-keys.json")).unwrap();
    let hand = wanted("hand", &[Role::Operator, Role::Warehouse, Role::Support], None);
    shop.http = shows(&keys.token(&hand, clock::now()).unwrap());
    sell(&world, &shop, "A", 250, 10).await;
    for _ in 0..5 {
        shop.command("/v1/orders", &order(&["A"], "pm_card_visa")).await;
    }
    settled(&world, 5).await;
    audit(&world).await;
    who_guesses_waits_alone(&gateway, &keys).await;
    shop.stop().await;
}

/// Whose tokens are looked at for the first time, and come through the same gateway from another address.
async fn who_guesses_waits_alone(gateway: &Gateway, keys: &SigningKeys) {
    let receive = async |host: u8, token: &str| -> Response {
        let caller = Client::builder().local_address(IpAddr::from([127, 0, 0, host]));
        let caller = caller.build().unwrap().post(format!("{}/v1/stock/A/receive", gateway.url));
        caller.bearer_auth(token).json(&json!({"quantity": 1})).send().await.unwrap()
    };
    let mut guesses = 0;
    let refused = loop {
        let refused = receive(3, &format!("guess.{guesses}")).await;
        if refused.status() != StatusCode::UNAUTHORIZED {
            break refused;
        }
        guesses += 1;
        assert!(guesses < 1_000, "nobody holds him up");
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "urn:daybook:problem:too-many-failures");
    let login = |name| keys.token(&wanted(name, &[Role::Warehouse], None), clock::now()).unwrap();
    assert_eq!(receive(4, &login("neighbour")).await.status(), StatusCode::OK);
    assert_eq!(receive(3, &login("guesser")).await.status(), StatusCode::TOO_MANY_REQUESTS);
}
