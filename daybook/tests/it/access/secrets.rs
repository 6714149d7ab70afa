//! What nobody is told; and what everybody should be.

use super::{shows, wanted};
use crate::on_file::{OnFile, counts_on, hang_up};
use crate::shop::{eventually, order, sell};
use crate::support::{Daybook, World, variable};
use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edge::access::{SigningKeys, api_keys};
use edge::{Role, clock};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

const DATABASE_PASSWORD: &str = "s3cret-of-postgres";
const PROVIDER_KEY: &str = "sk_live_s3cret";

/// Starts it with a login to Postgres and one to the provider; all that it writes is in one file.
fn serve(world: &World, file: &mut OnFile) -> Daybook {
    let key = file.path("provider-key");
    fs::write(&key, format!("{PROVIDER_KEY}\n")).unwrap();
    file.set("provider_key_file", &key.display().to_string());
    let login = format!(":{DATABASE_PASSWORD}@");
    file.set("database_url", &world.database_url.replace('@', &login));
    file.set("log", "trace");
    file.set("auth", "on");
    file.write();
    let log = File::create(file.path("shop.log")).unwrap();
    let mut serve = file.command("serve");
    let child = serve.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    Daybook::of(child, file.port)
}

/// The provider and then Postgres do not do what they are asked, until the log says so.
async fn is_refused_by_all(world: &World, daybook: &Daybook, file: &OnFile) {
    sell(world, daybook, "A1", 250, 100).await;
    world.provider.behave(&json!({"mode": "error"})).await;
    daybook.command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
    counts_on(daybook, "daybook_due_retries_total", 0.0).await;
    let server = event_store::Database::parse(&variable("DAYBOOK_TEST_DATABASE_URL")).unwrap();
    let server = server.connect("tests").await.unwrap();
    let (_, name) = world.database_url.rsplit_once('/').unwrap();
    let lets = async |who: bool| {
        let sql = format!("alter database {name} with allow_connections {who}");
        server.batch_execute(&sql).await.unwrap();
    };
    lets(false).await;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1";
    server.execute(end, &[&name]).await.unwrap();
    eventually("the log says that Postgres refuses", async || {
        let said = file.log().contains("is not currently accepting connections");
        said.then_some(()).ok_or_else(|| "it does not".to_owned())
    })
    .await;
    lets(true).await;
    daybook.is_ready().await;
}

#[tokio::test]
async fn no_secret_is_told_to_the_log_a_caller_or_a_metric() {
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    let mut daybook = serve(&world, &mut file);
    daybook.is_ready().await;
    let data = file.path("shop.data");
    let (keys_file, api_keys) = (data.join("token-keys.json"), data.join("api-keys.json"));
    let keys = SigningKeys::read(&keys_file).unwrap();
    let hands = [Role::Operator, Role::Support, Role::Warehouse];
    let token = keys.token(&wanted("ann", &hands, None), clock::now()).unwrap();
    let wanted = api_keys::WantedKey {
        name: "loader".to_owned(),
        roles: BTreeSet::from([Role::Warehouse]),
        scopes: BTreeSet::new(),
        customer: None,
    };
    let (_, key) = api_keys::create(&api_keys, wanted, clock::now()).unwrap();
    let mut heard = String::new();
    for credential in [&*token, &*key, "dbk_wrong-but-secret", "wrong.but.secret"] {
        let who = shows(credential);
        for path in ["/v1/stock", "/metrics", "/v1/orders/1", "/v1/log/orders/0", "/nowhere"] {
            let answer = who.get(format!("{}{path}", daybook.url)).send().await.unwrap();
            heard += &answer.text().await.unwrap();
        }
    }
    daybook.http = shows(&token);
    is_refused_by_all(&world, &daybook, &file).await;
    for path in ["/metrics", "/health/ready"] {
        let answer = daybook.http.get(format!("{}{path}", daybook.url)).send().await.unwrap();
        heard += &answer.text().await.unwrap();
    }

    // A file that is bad is refused, told of, and not shown.
    let private = fs::read_to_string(&keys_file).unwrap();
    fs::write(&keys_file, private.replace("\"keys\"", "\"keyz\"")).unwrap();
    hang_up(&daybook).await;
    eventually("the file is refused", async || {
        let said = file.log().contains("are refused as a whole");
        said.then_some(()).ok_or_else(|| "it is not".to_owned())
    })
    .await;
    assert_eq!(daybook.get("/v1/orders").await.0, 200);

    heard += &file.says(&format!("config --token {token}")).await;
    heard += &file.log();
    assert!(heard.contains("daybook_auth_refused_total") && heard.contains("api_keys_file"));
    let private: Value = serde_json::from_str(&private).unwrap();
    let private = private["keys"][0]["private"].as_str().unwrap();
    let secrets = [&*token, &*key, &key[4..], private, DATABASE_PASSWORD, PROVIDER_KEY];
    for secret in secrets.into_iter().chain(["wrong-but-secret", "wrong.but.secret"]) {
        assert!(!heard.contains(secret), "{secret}");
    }
    daybook.stop().await;
}

#[tokio::test]
async fn what_a_service_shows_another_is_of_use_to_no_third_and_in_no_log() {
    let seen = Arc::<Mutex<BTreeSet<String>>>::default();
    let sees = seen.clone();
    // Stands where the payments should be, and believes nobody.
    let taps = Router::new().fallback(move |headers: HeaderMap| {
        let shown = headers.get("authorization").map(|it| it.to_str().unwrap().to_owned());
        sees.lock().unwrap().extend(shown);
        std::future::ready(StatusCode::UNAUTHORIZED)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, taps).await.unwrap() });

    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "orders");
    let all = [("role", "queries"), ("service", "orders"), ("payments_url", &*url)];
    for (key, value) in all.into_iter().chain([("auth", "on"), ("log", "trace")]) {
        file.set(key, value);
    }
    let mut daybook = file.serve();
    eventually("the payments are asked", async || {
        let asked = !seen.lock().unwrap().is_empty();
        asked.then_some(()).ok_or_else(|| "nobody asks".to_owned())
    })
    .await;
    daybook.is_ready().await;
    let token = file.says("token --role operator").await;
    daybook.http = shows(token.trim());
    counts_on(&daybook, "daybook_peer_calls_total", 0.0).await;
    let metrics = daybook.http.get(format!("{}/metrics", daybook.url)).send().await.unwrap();
    let told = file.log() + &metrics.text().await.unwrap();
    assert!(told.contains("daybook_peer_calls_total{target=\"payments\""), "it is told of");
    for shown in seen.lock().unwrap().iter() {
        let token = shown.strip_prefix("Bearer ").unwrap();
        let claims = token.split('.').nth(1).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(
            (&claims["sub"], &claims["aud"]),
            (&json!("orders"), &json!("daybook/payments"))
        );
        let lives = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert!(lives <= 300, "{claims}");
        assert!(!told.contains(token), "{claims}");
        let signature = token.rsplit('.').next().unwrap();
        assert!(!told.contains(signature), "{claims}");
    }
    daybook.stop().await;
}

#[tokio::test]
async fn who_is_refused_is_in_the_log_and_why() {
    let world = World::new().await.without_kafka();
    let mut file = OnFile::of(&world, "shop");
    file.set("auth", "on");
    file.set("log", "warn,request=info");
    let daybook = file.serve();
    daybook.is_ready().await;
    let operator = file.says("token --role operator").await;
    let customer = file.says("token --role customer --customer 17850").await;
    let guessed = "/v1/orders/0199a000-0000-7000-8000-000000000000";
    for (nth, (credential, path, status, why)) in [
        (None, "/v1/stock", 401, "no-token"),
        (Some("dbk_nothing"), "/v1/stock", 401, "unknown-api-key"),
        (Some("no.token.atall"), "/v1/stock", 401, "malformed"),
        (Some(customer.trim()), "/v1/stock", 403, "forbidden"),
        (Some(operator.trim()), "/v1/log/nothing/0", 403, "forbidden"),
        (Some(customer.trim()), guessed, 404, "not-his"),
    ]
    .into_iter()
    .enumerate()
    {
        let correlation = format!("refused-{nth}");
        let request = daybook.http.get(format!("{}{path}", daybook.url));
        let request = request.header("x-correlation-id", &correlation);
        let request = match credential {
            Some(credential) => request.bearer_auth(credential),
            None => request,
        };
        assert_eq!(request.send().await.unwrap().status(), status, "{path}: {why}");
        eventually("it is in the log", async || {
            let (log, says) = (file.log(), format!("status={status} "));
            let (cause, asked) = (format!("cause=\"{why}\""), format!("\"{correlation}\""));
            let is_told =
                |line: &str| [&says, &cause, &asked].iter().all(|it| line.contains(it.as_str()));
            if log.lines().any(is_told) { Ok(()) } else { Err(log) }
        })
        .await;
    }
    daybook.stop().await;
}

#[tokio::test]
async fn a_start_says_loudly_that_nobody_is_asked_who_he_is() {
    let world = World::new().await.without_kafka();
    for (auth, says) in [
        ("off", "Access    OFF: whoever reaches 127.0.0.1:PORT may do everything, without a login"),
        (
            "auto",
            "Access    OFF: whoever reaches 127.0.0.1:PORT may do everything, without a login",
        ),
        ("on", "Access    on: a token or an API key is asked for"),
    ] {
        let mut file = OnFile::of(&world, auth);
        file.set("auth", auth);
        file.write();
        let said = file.path(&format!("{auth}.said"));
        let mut serve = file.command("serve");
        let child = serve.stdout(File::create(&said).unwrap()).spawn().unwrap();
        let daybook = Daybook::of(child, file.port);
        daybook.is_ready().await;
        let said = fs::read_to_string(said).unwrap();
        assert!(said.contains(&says.replace("PORT", &file.port.to_string())), "{auth}: {said}");
        daybook.stop().await;
    }
}
