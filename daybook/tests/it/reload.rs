//! What changes without a restart, in the real program: by a changed file or by SIGHUP, all of it or nothing.

mod peers;
mod refused;
mod withdrawn;

use crate::authority::{Authority, files};
use crate::batch;
use crate::on_file::{OnFile, REFUSED, TAKEN, counts_on, hang_up, standing};
use crate::shop::{eventually, order, sell};
use crate::support::{Daybook, World, http};
use edge::tls::client;
use reqwest::Client;
use serde_json::json;
use std::os::unix::fs::symlink;

/// A header of an answer to a query for somebody behind a proxy.
async fn header(daybook: &Daybook, name: &str, from: &str) -> String {
    let request = daybook.http.get(format!("{}/v1/stock", daybook.url));
    let mut request = request.header("x-forwarded-for", from);
    if name.starts_with("access-control-") {
        // Where nobody is asked who he is, a page of another place is sent away.
        request = request.header("origin", "https://shop.example");
    }
    let answer = request.send().await.unwrap();
    let value = answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    value.unwrap_or_default()
}

#[tokio::test]
async fn what_a_changed_file_says_takes_effect_and_a_request_under_way_goes_on() {
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    file.set("provider_failures", "1000000");
    let daybook = file.serve();
    daybook.is_ready().await;
    let (mut sending, mut answers) = batch::begin(&daybook.url).await;
    let line = |sku: &str| {
        let line = json!({"path": format!("/v1/stock/{sku}/receive"), "body": {"quantity": 1}});
        format!("{line}\n")
    };
    batch::send(&mut sending, &line("A")).await.unwrap();
    assert_eq!(answers.status().await, 200);
    assert_eq!(answers.next().await.unwrap()["status"], 200);

    assert!(!file.log().contains("/v1/stock"), "requests are not logged");
    file.set("log", "warn,request=info");
    file.set("queries_per_s", "1");
    file.set("queries_burst", "1000");
    file.set("cors_origins", "https://shop.example");
    file.write();
    eventually("requests are logged", async || {
        header(&daybook, "ratelimit", "127.1.0.1").await;
        if file.log().contains("/v1/stock") { Ok(()) } else { Err(file.log()) }
    })
    .await;
    let policy = header(&daybook, "ratelimit-policy", "127.1.0.1").await;
    assert_eq!(policy, "\"queries\";q=1000;w=1000");
    let origin = header(&daybook, "access-control-allow-origin", "127.1.0.1").await;
    assert_eq!(origin, "https://shop.example");

    // Nobody behind a proxy is told apart, until it is trusted: then each has a whole share.
    for _ in 0..50 {
        header(&daybook, "ratelimit", "127.1.0.1").await;
    }
    assert_ne!(header(&daybook, "ratelimit", "127.1.0.2").await, "\"queries\";r=999;t=1");
    file.set("trusted_proxies", "127.0.0.1");
    file.write();
    let mut host = 2;
    eventually("another caller has a whole share", async || {
        host += 1;
        let left = header(&daybook, "ratelimit", &format!("127.1.0.{host}")).await;
        if left == "\"queries\";r=999;t=1" { Ok(()) } else { Err(left) }
    })
    .await;

    let is_open =
        async || daybook.metric("daybook_breaker_open{target=\"payment-provider\"}").await.unwrap();
    sell(&world, &daybook, "B", 250, 5).await;
    world.provider.behave(&json!({"mode": "error"})).await;
    daybook.command("/v1/orders", &order(&["B"], "pm_card_visa")).await;
    counts_on(&daybook, "daybook_due_retries_total", 2.0).await;
    assert!(is_open().await < 0.5, "it may fail a million times");
    file.set("provider_failures", "1");
    file.write();
    eventually("once is enough now", async || {
        let open = is_open().await;
        if open > 0.5 { Ok(()) } else { Err(open.to_string()) }
    })
    .await;

    batch::send(&mut sending, &line("C")).await.unwrap();
    assert_eq!(answers.next().await.unwrap()["status"], 200);
    assert_eq!(daybook.metric(REFUSED).await, Some(0.0));
    daybook.stop().await;
}

#[tokio::test]
async fn a_hangup_is_heard_at_once_and_what_needs_a_restart_is_named() {
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    // Nobody looks at the file.
    file.set("reload_look_ms", "86400000");
    let daybook = file.serve();
    daybook.is_ready().await;
    let first = standing(&daybook).await;
    assert_eq!(first["refused"], json!(null));
    file.set("log", "info");
    file.set("lanes", "3");
    file.set("listen", "127.0.0.1:1");
    file.set("provider_key", "sk_live_s3cret");
    file.write();
    hang_up(&daybook).await;
    counts_on(&daybook, TAKEN, 0.0).await;
    let waiting = json!(["listen", "lanes", "provider_key"]);
    assert_eq!(standing(&daybook).await["waiting_for_restart"], waiting);
    let log = file.log();
    assert!(log.contains("need a restart") && log.contains("listen, lanes, provider_key"), "{log}");
    assert!(log.contains("changed=\"log\""), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
    assert!(daybook.metric("daybook_settings_read_timestamp_seconds").await > Some(1e9));
    assert_eq!(daybook.metric("daybook_settings_waiting").await, Some(3.0));

    // The keys that wait are named once.
    hang_up(&daybook).await;
    counts_on(&daybook, TAKEN, 1.0).await;
    assert_eq!(file.log().matches("need a restart").count(), 1);
    daybook.stop().await;
}

#[tokio::test]
async fn credentials_and_issuers_are_taken_when_their_files_change() {
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    file.set("auth", "on");
    let daybook = file.serve();
    daybook.is_ready().await;
    let ask = async |credential: &str| {
        let request = daybook.http.get(format!("{}/v1/stock", daybook.url));
        request.bearer_auth(credential).send().await.unwrap().status().as_u16()
    };
    let answers = async |credential: &str, expected: u16| {
        eventually(&format!("it is answered {expected}"), async || {
            let status = ask(credential).await;
            if status == expected { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    };
    let key = file.says("key create loader --role warehouse").await.trim().to_owned();
    answers(&key, 200).await;
    let token = file.says("token --role warehouse").await.trim().to_owned();
    assert_eq!(ask(&token).await, 200);
    file.says("token rotate").await;
    let token = file.says("token --role warehouse").await.trim().to_owned();
    answers(&token, 200).await;
    let listed: serde_json::Value =
        serde_json::from_str(&file.says("key list --json").await).unwrap();
    file.says(&format!("key revoke {}", listed["id"].as_str().unwrap())).await;
    answers(&key, 401).await;

    // One whose keys cannot be fetched is another thing than one that nobody knows.
    // {"alg":"EdDSA","kid":"1"} and {"iss":"http://127.0.0.1:1"}, signed by nobody.
    let theirs =
        "eyJhbGciOiJFZERTQSIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xOjEifQ.c2lnbmVk";
    assert_eq!(ask(theirs).await, 401);
    let issuers = file.path("shop.data").join("issuers.toml");
    let issuer =
        "[[issuer]]\nname = \"them\"\nissuer = \"http://127.0.0.1:1\"\naudience = \"us\"\n";
    std::fs::write(issuers, issuer).unwrap();
    answers(theirs, 503).await;
    daybook.stop().await;
}

/// Mounted as Kubernetes mounts a secret: links into `..data`, which is a link that is replaced.
#[tokio::test]
async fn a_mounted_certificate_is_taken_when_it_is_renewed_and_open_connections_stay() {
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    let mount = file.path("mount");
    std::fs::create_dir(&mount).unwrap();
    let folder = world.folder.path();
    let (old, new) = (Authority::new(folder, "old"), Authority::new(folder, "new"));
    for (version, authority) in [("..1", &old), ("..2", &new)] {
        std::fs::create_dir(mount.join(version)).unwrap();
        authority.writes(&files(&mount.join(version), "tls", None));
    }
    symlink("..1", mount.join("..data")).unwrap();
    for name in ["tls.cert.pem", "tls.key.pem"] {
        symlink(format!("..data/{name}"), mount.join(name)).unwrap();
    }
    file.tls(&files(&mount, "tls", None));
    let mut daybook = file.serve();
    let trusting = |authority: &Authority| {
        drop(http());
        let tls = client(&authority.file, None).unwrap();
        Client::builder().tls_backend_preconfigured(tls).build().unwrap()
    };
    daybook.http = trusting(&old);
    daybook.is_ready().await;

    symlink("..2", mount.join("..data_tmp")).unwrap();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    let live = format!("{}/health/live", daybook.url);
    eventually("the new certificate is shown", async || {
        let asked = trusting(&new).get(&live).send().await;
        asked.map(drop).map_err(|error| format!("{error:?}"))
    })
    .await;
    trusting(&old).get(&live).send().await.expect_err("a new connection is shown the new one");
    // The one that it has was not dropped: it could not make another.
    assert!(daybook.http.get(&live).send().await.unwrap().status().is_success());
    daybook.stop().await;
}
