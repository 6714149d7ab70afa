//! Files that cannot be taken.

use super::*;
use crate::on_file::replace;
use rcgen::KeyPair;
use std::time::Duration;

#[tokio::test]
async fn a_bad_file_is_refused_as_a_whole_said_once_and_tells_no_secret() {
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    let authority = Authority::new(world.folder.path(), "ours");
    let served = files(world.folder.path(), "server", None);
    authority.writes(&served);
    file.tls(&served);
    file.set("auth", "on");
    file.set("queries_per_s", "5");
    let mut daybook = file.serve();
    let tls = || client(&authority.file, None).unwrap();
    daybook.http = Client::builder().tls_backend_preconfigured(tls()).build().unwrap();
    daybook.is_ready().await;
    let token = file.says("token --role operator").await;
    let shown = format!("Bearer {}", token.trim()).parse().unwrap();
    let headers = [(reqwest::header::AUTHORIZATION, shown)].into_iter().collect();
    let http = Client::builder().tls_backend_preconfigured(tls()).default_headers(headers);
    daybook.http = http.build().unwrap();

    let (settings, api_keys) = (file.settings(), file.path("shop.data").join("api-keys.json"));
    let with = |line: &str| file.text().replace("queries_per_s = 5", "queries_per_s = 7") + line;
    let key = std::fs::read_to_string(&served.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let cases = [
        ("is no TOML", &settings, with("provider_key = \"sk_live_s3cret\n")),
        ("no key `no_such_key`", &settings, with("no_such_key = 1\n")),
        ("`peer_failures` is \"0\"", &settings, with("peer_failures = 0\n")),
        ("`lanes` is \"65\"", &settings, with("lanes = 65\n")),
        ("`log` is \"daybook=loud\"", &settings, with("").replace("warn", "daybook=loud")),
        ("does not go with its key", &served.key, KeyPair::generate().unwrap().serialize_pem()),
        ("it is no PEM", &served.key, key.replace('\n', "")),
        ("does not hold what it should", &api_keys, "{\"keys\": \"dbk_s3cret\"}".to_owned()),
    ];
    let all = cases.len();
    for (number, (why, path, bad)) in cases.into_iter().enumerate() {
        let (taken, before) = (daybook.metric(TAKEN).await.unwrap(), number as f64);
        let good = std::fs::read_to_string(path).ok();
        replace(path, &bad);
        counts_on(&daybook, REFUSED, before).await;
        // Several looks: what was said is not said again.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let refused = standing(&daybook).await["refused"].clone();
        assert!(refused["why"].as_str().unwrap().contains(why), "{why}: {refused}");
        let policy = header(&daybook, "ratelimit-policy", "127.0.0.1").await;
        assert_eq!(policy, "\"queries\";q=5;w=1", "{why}");
        assert_eq!(daybook.metric(TAKEN).await, Some(taken), "{why}");

        match good {
            Some(good) => replace(path, &good),
            None => std::fs::remove_file(path).unwrap(),
        }
        counts_on(&daybook, TAKEN, taken).await;
        assert_eq!(standing(&daybook).await["refused"], json!(null));
        assert_eq!(daybook.metric(REFUSED).await, Some(before + 1.0), "{why} is said once");
    }
    let log = file.log();
    assert_eq!(log.matches("are refused as a whole").count(), all, "{log}");
    for hidden in ["s3cret", secret] {
        assert!(!log.contains(hidden), "{log}");
    }
    // A hangup is answered, though nothing has changed since.
    file.write_with("no_such_key = 1\n");
    counts_on(&daybook, REFUSED, all as f64).await;
    hang_up(&daybook).await;
    counts_on(&daybook, REFUSED, all as f64 + 1.0).await;
    assert!(daybook.metric("daybook_settings_refused_timestamp_seconds").await > Some(1e9));
    file.write();
    counts_on(&daybook, TAKEN, all as f64).await;
    // Commands read the same file, so here another one is bad.
    replace(&served.key, "no key");
    counts_on(&daybook, REFUSED, all as f64 + 2.0).await;
    let said = file.says("status").await;
    assert!(said.contains("is refused: cannot read"), "{said}");
    daybook.stop().await;
}

#[tokio::test]
async fn a_bad_file_for_kafka_holds_up_all_else_until_it_is_mended() {
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    let authority = Authority::new(world.folder.path(), "ours");
    let (own, password) = (files(world.folder.path(), "kafka", None), file.path("password"));
    authority.writes(&own);
    replace(&password, "s3cret");
    for (key, path) in [
        ("kafka_ca", &authority.file),
        ("kafka_cert", &own.certificate),
        ("kafka_key", &own.key),
        ("kafka_password_file", &password),
    ] {
        file.set(key, &path.display().to_string());
    }
    file.set("kafka_user", "shop");
    // Nobody is there.
    file.set("kafka_brokers", "127.0.0.1:9");
    let daybook = file.serve();
    daybook.is_ready().await;

    let other = KeyPair::generate().unwrap().serialize_pem();
    let unusable = "kafka_ca, kafka_cert or kafka_key";
    for (queries, why, path, bad) in [
        ("101", unusable, &authority.file, "no certificate"),
        ("102", unusable, &own.key, &*other),
        ("103", "kafka_password_file: there is nothing in ", &password, "\n"),
    ] {
        let (taken, refused) =
            (daybook.metric(TAKEN).await, daybook.metric(REFUSED).await.unwrap());
        let good = std::fs::read_to_string(path).unwrap();
        replace(path, bad);
        counts_on(&daybook, REFUSED, refused).await;
        file.set("queries_per_s", queries);
        file.write();
        counts_on(&daybook, REFUSED, refused + 1.0).await;
        let said = standing(&daybook).await["refused"]["why"].to_string();
        assert!(said.contains(why), "{said}");
        assert_eq!(daybook.metric(TAKEN).await, taken, "{why}");

        replace(path, &good);
        counts_on(&daybook, TAKEN, taken.unwrap()).await;
        let policy = header(&daybook, "ratelimit-policy", "127.0.0.1").await;
        assert!(policy.contains(&format!("q={queries};")), "{policy}");
    }
    let log = file.log();
    for hidden in ["s3cret", other.lines().nth(1).unwrap()] {
        assert!(!log.contains(hidden), "{log}");
    }
    daybook.stop().await;
}
