//! What the compose file tells the containers of its profile `split`, told to processes: there is no engine for
//! containers here.

use super::Street;
use crate::access::{shows, wanted};
use crate::containers;
use crate::gateway::{FOLDER, Gateway, NOBODY};
use crate::shop::{SERVICES, audit, order, sell, settled};
use crate::support::{Daybook, World, binary, free_port};
use edge::access::SigningKeys;
use edge::{Role, clock};
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use std::path::PathBuf;

/// What stands for the names and folders of the containers.
struct Here<'a> {
    street: &'a Street,
    ports: [u16; SERVICES.len()],
    keys: PathBuf,
}

impl Here<'_> {
    fn environment_of(&self, container: &str) -> Vec<(String, String)> {
        let mut environment = containers::environment_of(container);
        for (_, value) in &mut environment {
            for (service, port) in SERVICES.iter().zip(self.ports) {
                let (database, place) =
                    (format!("databases:5432/{service}"), self.street.place_of(service));
                let told = value.replace(&database, place);
                *value = told.replace(&format!("{service}:7400"), &format!("127.0.0.1:{port}"));
            }
            *value = value.replace("/var/lib/daybook-keys", &self.keys.display().to_string());
        }
        environment
    }

    fn spawn(&self, world: &World, service: &str, port: u16) -> Daybook {
        let mut command = binary();
        command.envs(self.environment_of(service));
        world.spawn(command, port)
    }
}

#[tokio::test]
async fn what_the_compose_file_tells_its_services_apart_settles_orders() {
    let world = World::apart().await;
    let street = world.street.as_ref().unwrap();
    let ports = SERVICES.map(|_| free_port());
    let here = Here { street, ports, keys: world.folder.path().join("keys") };
    let mut told = here.environment_of("split-gateway");
    told.push(("GATEWAY_LISTS".to_owned(), FOLDER.to_owned()));
    let gateway = Gateway::open(NOBODY, &told);
    let services = SERVICES.iter().zip(ports);
    let services: Vec<_> =
        services.map(|(service, port)| here.spawn(&world, service, port)).collect();
    join_all(services.iter().map(Daybook::is_ready)).await;
    gateway.finds_its_servers().await;
    street.show_rows(&world).await;

    let mut shop = Daybook::in_parts(services, &gateway.url);
    let product = json!({"sku": "A"});
    let unknown = shop.send("/v1/products", None, &product).await.unwrap();
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
    let keys = SigningKeys::read(&here.keys.join("token-keys.json")).unwrap();
    let hand = wanted("hand", &[Role::Operator, Role::Warehouse, Role::Support], None);
    shop.http = shows(&keys.token(&hand, clock::now()).unwrap());
    sell(&world, &shop, "A", 250, 10).await;
    for _ in 0..5 {
        shop.command("/v1/orders", &order(&["A"], "pm_card_visa")).await;
    }
    settled(&world, 5).await;
    audit(&world).await;
    shop.stop().await;
}
