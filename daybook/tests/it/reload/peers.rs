//! Whom services trust, and what they show each other, without a restart of either.

use crate::authority::{Authority, files};
use crate::on_file::{OnFile, TAKEN, counts_on};
use crate::shop::eventually;
use crate::support::{Daybook, World, http};
use edge::tls::{TlsFiles, client};
use reqwest::{Client, ClientBuilder};
use std::fs;
use std::path::Path;

/// What a process has asked the payments.
const UNANSWERED: &str = "daybook_peer_calls_total{target=\"payments\",outcome=\"unanswered\"}";
const DONE: &str = "daybook_peer_calls_total{target=\"payments\",outcome=\"done\"}";

/// The orders follow the log of the payments, over TLS; both ask everybody who he is.
fn pair(world: &World, certified: &TlsFiles) -> (OnFile, OnFile) {
    let mut payments = OnFile::of(world, "payments");
    payments.tls(certified);
    payments.set("role", "commands");
    payments.set("service", "payments");
    let mut orders = OnFile::of(world, "orders");
    orders.set("role", "queries");
    orders.set("service", "orders");
    orders.set("payments_url", &format!("https://127.0.0.1:{}", payments.port));
    let keys = world.folder.path().join("keys.json").display().to_string();
    for file in [&mut payments, &mut orders] {
        file.set("auth", "on");
        file.set("auth_keys_file", &keys);
    }
    (payments, orders)
}

/// Somebody who trusts these authorities.
fn trusting(authorities: &Path, own: Option<&TlsFiles>) -> ClientBuilder {
    drop(http());
    Client::builder().tls_backend_preconfigured(client(authorities, own).unwrap())
}

/// May see its metrics from now on.
async fn is_asked_by_an_operator(process: &mut Daybook, file: &OnFile, authorities: &Path) {
    let token = file.says("token --role operator").await;
    let shown = format!("Bearer {}", token.trim()).parse().unwrap();
    let headers = [(reqwest::header::AUTHORIZATION, shown)].into_iter().collect();
    process.http = trusting(authorities, None).default_headers(headers).build().unwrap();
}

#[tokio::test]
async fn other_authorities_of_services_are_trusted_without_a_restart_and_breakers_take_other_numbers()
 {
    let world = World::new().await.without_kafka();
    let folder = world.folder.path();
    let (ours, other) = (Authority::new(folder, "ours"), Authority::new(folder, "other"));
    let served = files(folder, "payments", None);
    ours.writes(&served);
    let (payments, mut orders) = pair(&world, &served);
    orders.set("peers_ca", &other.file.display().to_string());
    orders.set("peer_failures", "1000000");
    let mut payments_process = payments.serve();
    payments_process.http = trusting(&ours.file, None).build().unwrap();
    payments_process.is_ready().await;
    let mut process = orders.serve();
    process.is_ready().await;
    is_asked_by_an_operator(&mut process, &orders, &ours.file).await;

    counts_on(&process, UNANSWERED, 0.0).await;
    assert_eq!(process.metric(DONE).await, None, "it is of an authority that is not trusted");
    let open = "daybook_breaker_open{target=\"payments\"}";
    assert_eq!(process.metric(open).await, Some(0.0));
    orders.set("peer_failures", "1");
    orders.write();
    counts_on(&process, open, 0.5).await;
    orders.set("peers_ca", &ours.file.display().to_string());
    orders.write();
    counts_on(&process, DONE, 0.0).await;

    // A command asks the owner of a log elsewhere in the same way, and one call that fails does not end it.
    orders.says("rebuild orders").await;
    process.stop().await;
    payments_process.stop().await;
}

#[tokio::test]
async fn a_service_shows_another_its_renewed_certificate_and_is_let_in_by_renewed_authorities() {
    let world = World::new().await.without_kafka();
    let folder = world.folder.path();
    let [ours, other, new] = ["ours", "other", "new"].map(|name| Authority::new(folder, name));
    let all: String =
        [&ours, &other, &new].map(|it| fs::read_to_string(&it.file).unwrap()).concat();
    let (all_of_them, callers) = (folder.join("all.pem"), folder.join("callers.pem"));
    fs::write(&all_of_them, all).unwrap();
    fs::copy(&ours.file, &callers).unwrap();
    let (served, own) = (files(folder, "payments", None), files(folder, "orders", None));
    let certified = files(folder, "caller", None);
    ours.writes(&served);
    ours.writes(&certified);
    other.writes(&own);
    let (mut payments, mut orders) = pair(&world, &served);
    payments.set("tls_client_ca", &callers.display().to_string());
    orders.tls(&own);
    orders.set("peers_ca", &ours.file.display().to_string());
    orders.set("peer_failures", "1000000");
    let mut owner = payments.serve();
    owner.http = trusting(&ours.file, Some(&certified)).build().unwrap();
    owner.is_ready().await;
    let mut process = orders.serve();
    process.http = trusting(&all_of_them, None).build().unwrap();
    process.is_ready().await;
    is_asked_by_an_operator(&mut process, &orders, &all_of_them).await;

    counts_on(&process, UNANSWERED, 0.0).await;
    assert_eq!(process.metric(DONE).await, None, "its certificate is of another authority");
    ours.writes(&own);
    counts_on(&process, DONE, 0.0).await;

    fs::copy(&new.file, &callers).unwrap();
    let live = format!("{}/health/live", owner.url);
    eventually("who is of the former authority is not let in any more", async || {
        let caller = trusting(&ours.file, Some(&certified)).build().unwrap();
        let asked = caller.get(&live).send().await;
        asked.map_or(Ok(()), |answer| Err(answer.status().to_string()))
    })
    .await;
    let taken = process.metric(TAKEN).await.unwrap();
    new.writes(&own);
    counts_on(&process, TAKEN, taken).await;
    // One that was under way over the line from before may still be answered.
    let done = process.metric(DONE).await.unwrap();
    counts_on(&process, DONE, done + 1.0).await;
    process.stop().await;
    owner.stop().await;
}
