//! What is said on the way can be read by nobody else: towards callers, and towards Postgres.

use crate::authority::{Authority, files};
use crate::shop::{eventually, order, pence};
use crate::support::{Daybook, World, binary, free_port};
use daybook::embedded::{Postgres, PostgresSettings};
use edge::tls::{TlsFiles, client};
use event_store::Database;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// A Postgres that speaks TLS and lets nobody in who does not.
async fn postgres(folder: &Path, authority: &Authority) -> Postgres {
    let settings =
        PostgresSettings { durable: false, leashed: true, ..PostgresSettings::new(folder) };
    let postgres = Postgres::start(&settings).await.unwrap();
    let client = Database::from(postgres.config()).connect("tests").await.unwrap();
    let (certificate, key) = authority.signs_for(&["127.0.0.1"]);
    // By its own user, in its own folder: it trusts no key that others can read.
    for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
        let lines = format!("select unnest(string_to_array('{}', e'\\n'))", pem.trim_end());
        let write = format!("copy ({lines}) to program 'umask 077; cat > {name}'");
        client.batch_execute(&write).await.unwrap();
    }
    let rules = "copy (select 'hostssl all all all scram-sha-256') to program 'cat > pg_hba.conf'";
    client.batch_execute(rules).await.unwrap();
    client.batch_execute("alter system set ssl = on").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
    postgres
}

#[tokio::test]
async fn postgres_is_spoken_to_over_tls_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) =
        (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
    let postgres = postgres(folder.path(), &ours).await;
    let clear = Database::from(postgres.config());
    let trusting = |authority: &Authority| Database {
        tls: Some(Arc::new(client(&authority.file, None).unwrap())),
        ..clear.clone()
    };
    eventually("it speaks TLS", async || {
        trusting(&ours).connect("tests").await.map_err(|error| format!("{error:?}"))
    })
    .await;
    clear.connect("tests").await.expect_err("it is not spoken to in clear");
    trusting(&other).connect("tests").await.expect_err("its certificate is of another authority");
    // The same server, called by a name that its certificate has not.
    let by_name = postgres.url().replace("@127.0.0.1:", "@localhost:") + "?hostaddr=127.0.0.1";
    let by_name = Database { tls: trusting(&ours).tls, ..Database::parse(&by_name).unwrap() };
    let refused = by_name.connect("tests").await.expect_err("its certificate is of another host");
    assert!(format!("{refused:?}").contains("NotValidForName"), "{refused:?}");

    let mut world = World::new().await;
    world.database_url = postgres.url();
    world.flags = vec!["--database-ca".to_owned(), ours.file.display().to_string()];
    let daybook = world.start().await;
    daybook.command("/v1/products", &json!({"sku": "A1", "name": "A", "price": pence(250)})).await;
    daybook.command("/v1/stock/A1/receive", &json!({"quantity": 3})).await;
    daybook.command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
    daybook
        .until("it is confirmed", "/v1/orders?status=confirmed", |page| {
            page["items"].as_array().is_some_and(|orders| orders.len() == 1)
        })
        .await;
    let sql = trusting(&ours).connect("tests").await.unwrap();
    let sessions = "select count(*) filter (where ssl), count(*) filter (where not ssl) \
                      from pg_stat_ssl join pg_stat_activity using (pid) \
                     where application_name like 'daybook%'";
    let row = sql.query_one(sessions, &[]).await.unwrap();
    let (secret, clear): (i64, i64) = (row.get(0), row.get(1));
    assert!(secret > 0 && clear == 0, "{secret} sessions over TLS, {clear} in clear");
    daybook.stop().await;
    postgres.stop().await;
}

#[tokio::test]
async fn callers_speak_tls_and_show_who_they_are_and_a_renewed_certificate_needs_no_restart() {
    let mut world = World::new().await.without_kafka();
    let folder = world.folder.path().to_owned();
    let (ours, new) = (Authority::new(&folder, "ours"), Authority::new(&folder, "new"));
    let (server, caller) = (files(&folder, "server", None), files(&folder, "caller", None));
    ours.writes(&server);
    ours.writes(&caller);
    let flag = |name: &str, path: &Path| [format!("--{name}"), path.display().to_string()];
    world.flags = [
        flag("tls-cert", &server.certificate),
        flag("tls-key", &server.key),
        flag("tls-client-ca", &ours.file),
    ]
    .concat();
    let http = |trusted: &Authority, own: Option<&TlsFiles>| {
        let tls = client(&trusted.file, own).unwrap();
        reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
    };
    let port = free_port();
    let mut daybook: Daybook = world.spawn(binary(), port);
    daybook.url = format!("https://127.0.0.1:{port}");
    daybook.http = http(&ours, Some(&caller));
    daybook.is_ready().await;
    daybook.command("/v1/products", &json!({"sku": "A1", "name": "A", "price": pence(250)})).await;

    let live = format!("{}/health/live", daybook.url);
    http(&ours, None).get(&live).send().await.expect_err("he shows no certificate");
    let clear = live.replace("https", "http");
    reqwest::get(&clear).await.expect_err("nobody is spoken to in clear");

    new.writes(&server);
    eventually("the new certificate is shown", async || {
        let asked = http(&new, Some(&caller)).get(&live).send().await;
        asked.map(drop).map_err(|error| format!("{error:?}"))
    })
    .await;
    daybook.stop().await;
}
