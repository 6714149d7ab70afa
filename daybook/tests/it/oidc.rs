//! Logins at a real Keycloak (`make test-oidc`), configured as `docs/access.md` says.

mod keycloak;

use crate::access::shows;
use crate::shop::{eventually, order, sell};
use crate::support::{Daybook, World, binary, free_port};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keycloak::{Keycloak, Login};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

/// Longer than Daybook waits for an issuer, and no more than a caller would wait.
const ANSWERED: Duration = Duration::from_secs(20);

/// A shop that believes a Keycloak.
struct Shop {
    world: World,
    daybook: Daybook,
    keycloak: Keycloak,
    log: PathBuf,
    /// What must not be told to anybody.
    secrets: Mutex<Vec<String>>,
}

impl Shop {
    async fn start() -> Self {
        let world = World::new().await;
        let folder = world.folder.path();
        let keycloak = Keycloak::start(folder).await;
        let issuers = folder.join("issuers.toml");
        let issuer = format!(
            "[[issuer]]\nname = \"keycloak\"\nissuer = \"{}/realms/shop\"\naudience = \"daybook\"\n\
             roles_claim = \"realm_access.roles\"\n",
            keycloak.url
        );
        fs::write(&issuers, issuer).unwrap();
        let (port, log) = (free_port(), folder.join("log"));
        let output = fs::File::create(&log).unwrap();
        let mut command = binary();
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--log", "trace"])
            .args(["--kafka", "off", "--followers", "6", "--readers", "3", "--auth", "on"])
            .env("DAYBOOK_AUTH_SKEW_S", "1")
            .env("DAYBOOK_AUTH_REFETCH_S", "1")
            .env("DAYBOOK_AUTH_FETCH_S", "2")
            // Until a new key is known, whoever shows a token of it again and again seems to guess.
            .env("DAYBOOK_AUTH_FAILURES", "100000")
            .args(["--database-url", &world.database_url, "--provider-url", &world.provider.url])
            .arg("--auth-issuers-file")
            .arg(&issuers)
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true);
        let mut daybook = Daybook::of(command.spawn().unwrap(), port);
        daybook.is_ready().await;
        let hand = keycloak.token(&Login::person("hand")).await;
        daybook.http = shows(&hand);
        let secrets = Mutex::new(vec![hand, keycloak::SECRET.to_owned()]);
        let shop = Shop { world, daybook, keycloak, log, secrets };
        sell(&shop.world, &shop.daybook, "A1", 250, 100).await;
        shop
    }

    async fn token(&self, login: &Login) -> String {
        let token = self.keycloak.token(login).await;
        self.keep(&token);
        token
    }

    fn keep(&self, secret: &str) {
        self.secrets.lock().unwrap().push(secret.to_owned());
    }

    async fn status(&self, token: &str, path: &str) -> StatusCode {
        let asked = shows(token).get(format!("{}{path}", self.daybook.url)).timeout(ANSWERED);
        asked.send().await.expect("an answer in time").status()
    }

    async fn counted(&self, what: &str) -> u64 {
        let asked = self.daybook.http.get(format!("{}/metrics", self.daybook.url)).send();
        let text = asked.await.unwrap().text().await.unwrap();
        let count = |line: &str| line.strip_prefix(what)?.trim().parse().ok();
        text.lines().find_map(count).expect(what)
    }

    /// How many were refused for this reason.
    async fn refused(&self, why: &str) -> u64 {
        self.counted(&format!("daybook_auth_refused_total{{why=\"{why}\"}}")).await
    }

    /// It is, for this reason and no other.
    async fn refuses(&self, token: &str, why: &str) {
        let before = self.refused(why).await;
        assert_eq!(self.status(token, "/v1/products").await, StatusCode::UNAUTHORIZED, "{why}");
        assert_eq!(self.refused(why).await, before + 1, "{why}");
    }
}

/// The parts of a token, readable.
fn parts(token: &str) -> [Value; 2] {
    let part = |at| {
        let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
        serde_json::from_slice(&part).unwrap()
    };
    [part(0), part(1)]
}

/// The same signature under other words.
fn forged(token: &str, header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signature = token.rsplit('.').next().unwrap();
    format!("{}.{}.{signature}", encode(header), encode(claims))
}

#[tokio::test]
async fn logins_of_a_keycloak_are_believed_for_what_they_say_and_for_no_longer() {
    let mut shop = Shop::start().await;
    roles_are_what_people_have(&shop).await;
    a_customer_has_what_carries_his_reference(&shop).await;
    what_is_for_others_is_refused(&shop).await;
    what_has_expired_is_refused(&shop).await;
    let tokens = keys_are_replaced(&shop).await;
    it_goes_away(&mut shop, &tokens).await;
    let told = fs::read_to_string(&shop.log).unwrap();
    assert!(told.contains("the keys of an issuer are here"));
    for secret in shop.secrets.lock().unwrap().iter() {
        assert!(!told.contains(&**secret), "{secret}");
    }
    shop.daybook.stop().await;
}

async fn roles_are_what_people_have(shop: &Shop) {
    for (login, path, status) in [
        (Login::person("operator"), "/v1/sales?by=day", 200),
        (Login::person("operator"), "/metrics", 200),
        (Login::person("support"), "/v1/stock", 200),
        (Login::person("support"), "/v1/sales?by=day", 403),
        (Login::person("ann"), "/v1/orders", 200),
        (Login::person("ann"), "/v1/stock", 403),
        (Login::person("nobody"), "/v1/products", 403),
        (Login::worker(), "/v1/stock", 200),
        (Login::worker(), "/v1/checkouts", 403),
    ] {
        let token = shop.token(&login).await;
        assert_eq!(shop.status(&token, path).await, status, "{path} as {login:?}");
    }
}

async fn a_customer_has_what_carries_his_reference(shop: &Shop) {
    let ann = shop.token(&Login::person("ann")).await;
    let url = format!("{}/v1/orders", shop.daybook.url);
    let order = order(&["A1"], "pm_card_visa");
    let placed = shows(&ann).post(&url).json(&order).send().await.unwrap();
    assert_eq!(placed.status(), 201);
    let path = placed.headers()["location"].to_str().unwrap().to_owned();
    let history = format!("{path}/history");
    let is_told = |page: &Value| page["items"].as_array().is_some_and(|it| !it.is_empty());
    let history = shop.daybook.until("it is told", &history, is_told).await;
    let subject = parts(&ann)[1]["sub"].as_str().unwrap().to_owned();
    assert_eq!(history["items"][0]["payload"]["customer"], "17850");
    assert_eq!(history["items"][0]["actor"], format!("keycloak/{subject}"));
    assert_eq!(shop.status(&ann, &path).await, 200);
    let bob = shop.token(&Login::person("bob")).await;
    assert_eq!(shop.status(&bob, &path).await, 404);
    let mut for_ann = order.clone();
    for_ann["customer"] = json!("17850");
    let refused = shows(&bob).post(&url).json(&for_ann).send().await.unwrap();
    assert_eq!(refused.status(), 403);
}

async fn what_is_for_others_is_refused(shop: &Shop) {
    let other = Login { client: "elsewhere", ..Login::person("operator") };
    shop.refuses(&shop.token(&other).await, "wrong-audience").await;
    let other = Login { realm: "other", ..Login::person("operator") };
    shop.refuses(&shop.token(&other).await, "wrong-issuer").await;
    let all = shop.keycloak.tokens(&Login::person("operator")).await;
    for (name, why) in [("id_token", "wrong-audience"), ("refresh_token", "wrong-algorithm")] {
        let token = all[name].as_str().unwrap();
        shop.keep(token);
        shop.refuses(token, why).await;
    }
    let nobody = shop.token(&Login::person("nobody")).await;
    let [header, mut claims] = parts(&nobody);
    claims["realm_access"] = json!({"roles": ["operator"]});
    shop.refuses(&forged(&nobody, &header, &claims), "bad-signature").await;
    let unsigned = json!({"alg": "none", "kid": header["kid"]});
    shop.refuses(&forged(&nobody, &unsigned, &claims), "malformed").await;
}

async fn what_has_expired_is_refused(shop: &Shop) {
    let brief = Login { client: "brief", ..Login::person("operator") };
    let believed = eventually("it is believed before it expires", async || {
        let token = shop.token(&brief).await;
        let status = shop.status(&token, "/v1/products").await;
        if status == 200 { Ok(token) } else { Err(status.to_string()) }
    });
    let token = believed.await;
    let before = shop.refused("expired").await;
    eventually("it expires", async || {
        let status = shop.status(&token, "/v1/products").await;
        if status == 401 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    assert!(before < shop.refused("expired").await);
}

/// Gives tokens of the old key and of the new one that nobody has seen.
async fn keys_are_replaced(shop: &Shop) -> [String; 2] {
    let operator = Login::person("operator");
    let (seen, unseen) = (shop.token(&operator).await, shop.token(&operator).await);
    let unseen_until_it_is_away = shop.token(&operator).await;
    assert_eq!(shop.status(&seen, "/v1/products").await, 200);
    shop.keycloak.makes_a_new_key().await;
    let new = eventually("it signs with another key", async || {
        let token = shop.token(&operator).await;
        let is_new = parts(&token)[0]["kid"] != parts(&seen)[0]["kid"];
        if is_new { Ok(token) } else { Err("the old one".to_owned()) }
    })
    .await;
    eventually("the new key is known", async || {
        let status = shop.status(&new, "/v1/products").await;
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    for token in [&seen, &unseen] {
        assert_eq!(shop.status(token, "/v1/products").await, 200);
    }
    [unseen_until_it_is_away, shop.token(&operator).await]
}

async fn it_goes_away(shop: &mut Shop, tokens: &[String; 2]) {
    let [mut header, claims] = parts(&tokens[1]);
    let mut unknown = |id: &str| {
        header["kid"] = json!(id);
        forged(&tokens[1], &header, &claims)
    };
    shop.keycloak.signal("STOP");
    assert_eq!(shop.status(&unknown("frozen"), "/v1/products").await, 401);
    assert_eq!(shop.status(&tokens[0], "/v1/products").await, 200);
    shop.keycloak.signal("KILL");
    shop.keycloak.has_ended().await;
    let failed = "daybook_auth_jwks_fetched_total{outcome=\"failed\"}";
    let before = shop.counted(failed).await;
    eventually("it is asked again, in vain", async || {
        assert_eq!(shop.status(&unknown("gone"), "/v1/products").await, 401);
        let failed = shop.counted(failed).await;
        if before < failed { Ok(()) } else { Err(failed.to_string()) }
    })
    .await;
    for token in tokens {
        assert_eq!(shop.status(token, "/v1/products").await, 200);
    }
}
