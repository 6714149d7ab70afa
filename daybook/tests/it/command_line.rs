//! Commands towards a Daybook that speaks TLS, asks for certificates and asks who comes: with its own settings.

use crate::authority::{Authority, files};
use crate::on_file::OnFile;
use crate::retail_totals::FILE;
use crate::support::World;
use edge::tls::client_of;
use reqwest::Client;
use serde_json::Value;

#[tokio::test]
async fn every_command_works_with_the_settings_of_a_guarded_daybook_behind_tls() {
    let world = World::new().await.without_kafka();
    let folder = world.folder.path();
    let ours = Authority::new(folder, "ours");
    let served = files(folder, "server", Some(&ours));
    // Under another name than it is asked by here.
    ours.writes_for("shop.example", &served);
    let mut file = OnFile::of(&world, "shop");
    file.tls(&served);
    file.set("auth", "on");
    file.set("accept_history", "true");
    let mut daybook = file.serve();
    let tls = client_of(&served.certificate, None, Some(&served)).unwrap();
    daybook.http = Client::builder().tls_backend_preconfigured(tls).build().unwrap();
    daybook.is_ready().await;

    let history = std::fs::read_to_string(FILE).unwrap();
    let few: Vec<_> = history.lines().take(60).collect();
    let csv = folder.join("history.csv");
    std::fs::write(&csv, few.join("\n")).unwrap();
    let imported = file.says(&format!("import {}", csv.display())).await;
    assert!(imported.contains(&daybook.url), "{imported}");

    let status: Value = serde_json::from_str(&file.says("status --json").await).unwrap();
    assert_eq!(status["url"], daybook.url);
    assert_eq!(status["ready"], "ready", "{status}");
    assert_eq!(status.get("unanswered"), None, "{status}");
    assert!(status["settings"]["read_at"].is_string(), "{status}");
    assert!(!status["dues"].as_array().unwrap().is_empty(), "its metrics are shown: {status}");

    let placed = file.says("log orders --limit 1").await;
    let placed: Value = serde_json::from_str(placed.lines().next().unwrap()).unwrap();
    let order = placed["stream"].as_str().unwrap().trim_start_matches("order-").to_owned();
    let told = file.says(&format!("explain order {order}")).await;
    assert!(told.contains("order.placed"), "{told}");
    for command in [
        "rebuild orders",
        "verify orders",
        "generations list",
        "parked list",
        "dues list",
        "checkout list",
        "key list",
        "token --role support",
        "migrate",
    ] {
        file.says(command).await;
    }

    // Whoever is told another certificate is not deceived, and says why.
    let other = files(folder, "other", None);
    ours.writes_for("shop.example", &other);
    file.tls(&other);
    let status = file.command_with_own_file("other", "status").output().await.unwrap();
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(said.contains("does not answer") && said.contains("not known here"), "{said}");
    daybook.stop().await;
}
