//! Who may do what, asked of the real program: every route by everybody, and what is another's.

mod door;
pub(crate) mod others;
mod secrets;

use crate::shop::{eventually, order, sell};
use crate::support::{Daybook, LIMIT, World, binary, http};
use daybook::table::Table;
use edge::access::{SigningKeys, Wanted};
use edge::{Permission, Role, Row, Scope, clock};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// A shop that asks who its callers are, and the keys by which they say so.
pub(crate) struct Guarded {
    pub(crate) world: World,
    pub(crate) daybook: Daybook,
    pub(crate) keys: SigningKeys,
}

impl Guarded {
    async fn new() -> Self {
        Self::told(&[]).await
    }

    /// The same with other settings.
    pub(crate) async fn told(settings: &[(&'static str, &'static str)]) -> Self {
        let mut world = World::new().await.without_kafka();
        let files = [("--auth-keys-file", "keys"), ("--auth-api-keys-file", "api-keys")];
        world.flags = ["--auth", "on"].map(str::to_owned).into();
        world.environment.extend(settings);
        for (flag, name) in files {
            let file = world.folder.path().join(name);
            world.flags.extend([flag.to_owned(), file.display().to_string()]);
        }
        let mut daybook = world.start().await;
        let keys = SigningKeys::read(&world.folder.path().join("keys")).unwrap();
        let hands = [Role::Operator, Role::Warehouse, Role::Support];
        daybook.http = shows(&keys.token(&wanted("hand", &hands, None), clock::now()).unwrap());
        sell(&world, &daybook, "A1", 250, 100).await;
        Guarded { world, daybook, keys }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.world.folder.path().join(name)
    }

    fn caller(&self, subject: &str, roles: &[Role], customer: Option<&str>) -> Client {
        shows(&self.keys.token(&wanted(subject, roles, customer), clock::now()).unwrap())
    }

    fn service(&self, to: &str) -> Client {
        let audience = format!("daybook/{to}");
        let wanted = Wanted { audience, ..wanted("checkout", &[Role::Service], None) };
        shows(&self.keys.token(&wanted, clock::now()).unwrap())
    }

    fn ask(&self, who: &Client, method: &Method, path: &str) -> RequestBuilder {
        let request = who.request(method.clone(), format!("{}{path}", self.daybook.url));
        if *method == Method::POST { request.json(&json!({})) } else { request }
    }
}

pub(crate) fn wanted(subject: &str, roles: &[Role], customer: Option<&str>) -> Wanted {
    Wanted {
        subject: subject.to_owned(),
        roles: roles.iter().copied().collect(),
        scopes: BTreeSet::new(),
        customer: customer.map(str::to_owned),
        acting: None,
        issuer: "daybook".to_owned(),
        audience: "daybook".to_owned(),
        lives: Duration::from_secs(3600),
    }
}

/// A client that shows a credential with each request.
pub(crate) fn shows(credential: &str) -> Client {
    drop(http());
    let value = format!("Bearer {credential}").parse().unwrap();
    let headers = header::HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
    Client::builder().default_headers(headers).build().unwrap()
}

/// Every route that there is.
fn rows() -> Vec<Row> {
    Table::new(true).rows()
}

fn path(row: &Row, id: &str) -> String {
    let path = row.path.replace("{id}", id).replace("{sku}", "NOTHING");
    let path = path.replace("{stream}", "order-none").replace("{slug}", "forbidden");
    path.replace("{service}", "orders").replace("{partition}", "0")
}

/// What the table says of somebody: 401, 403, 404 for what is not his, or nothing.
fn verdict(permission: Permission, role: Option<Role>) -> Option<StatusCode> {
    let may = |scope: Scope| role.is_some_and(|role| role.scopes().contains(&scope));
    let (whole, own) = match permission {
        Permission::Open => return None,
        Permission::Known => (role.is_some(), None),
        Permission::Scope(scope) => (may(scope), None),
        Permission::Own(scope, own) => (may(scope), may(own).then_some(StatusCode::NOT_FOUND)),
        Permission::Narrowed(scope, own) => (may(scope) || may(own), None),
        Permission::Part { .. } => (may(Scope::LOG_READ_ORDERS), None),
    };
    match (whole, own, role) {
        (_, _, None) => Some(StatusCode::UNAUTHORIZED),
        (true, _, _) => None,
        (false, own, Some(_)) => Some(own.unwrap_or(StatusCode::FORBIDDEN)),
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_its_row_names_and_nobody_else() {
    let shop = Guarded::new().await;
    let guessed = "0199a000-0000-7000-8000-000000000000";
    let nobody = http();
    for role in Role::ALL.map(Some).into_iter().chain([None]) {
        let customer = (role == Some(Role::Customer)).then_some("17850");
        let who = match role {
            // What a service shows is for one other service.
            Some(Role::Service) => shop.service("orders"),
            Some(role) => shop.caller("ann", &[role], customer),
            None => nobody.clone(),
        };
        for row in rows() {
            let path = path(&row, guessed);
            let answer = shop.ask(&who, &row.method, &path).send().await.unwrap();
            let (status, expected) = (answer.status(), verdict(row.permission, role));
            let what = format!("{} {path} as {role:?}: {status}", row.method);
            assert!(!status.is_server_error(), "{what}");
            match expected {
                Some(expected) => assert_eq!(status, expected, "{what}"),
                None => assert!(status != 401 && status != 403, "{what}"),
            }
            if status == 401 || status == 403 {
                assert!(answer.headers().contains_key("www-authenticate"), "{what}");
                assert_eq!(answer.headers()["content-type"], "application/problem+json");
            }
        }
    }
    let at_all = shop.caller("checkout", &[Role::Service], None);
    let asking = shop.ask(&at_all, &Method::POST, "/internal/commands").send().await.unwrap();
    assert_eq!(asking.status(), StatusCode::FORBIDDEN, "good at every service");
    let metrics = shop.ask(&shop.daybook.http, &Method::GET, "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for why in ["no-token", "forbidden", "not-his"] {
        let line = format!("daybook_auth_refused_total{{why=\"{why}\"}} ");
        let count = metrics.lines().find_map(|it| it.strip_prefix(&*line)?.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 0), "{why}");
    }
}

/// The route table is what is routed: a role for each scope, a route for each scope.
#[test]
fn there_is_no_scope_without_a_route_or_a_role() {
    let mut routed = BTreeSet::from([Scope::COMMANDS_SEND]);
    for row in rows() {
        match row.permission {
            Permission::Open | Permission::Known => {}
            Permission::Scope(scope) => routed.extend([scope]),
            Permission::Own(scope, own) | Permission::Narrowed(scope, own) => {
                routed.extend([scope, own]);
            }
            Permission::Part { of, .. } => {
                let within = |scope: &&Scope| scope.as_str().starts_with(of);
                routed.extend(Scope::ALL.iter().filter(within));
            }
        }
    }
    let all: BTreeSet<_> = Scope::ALL.iter().copied().collect();
    assert_eq!(routed, all);
    let of_roles: BTreeSet<_> = Role::ALL.iter().flat_map(|it| it.scopes()).copied().collect();
    assert_eq!(of_roles, all);
    let document = include_str!("../../../docs/access.md");
    for name in all.iter().map(ToString::to_string).chain(Role::ALL.map(|it| it.to_string())) {
        assert!(document.contains(&format!("`{name}`")), "docs/access.md lacks `{name}`");
    }
}

/// A problem without what names this very request.
async fn told(answer: reqwest::Response) -> (StatusCode, Value) {
    let status = answer.status();
    let mut problem: Value = answer.json().await.unwrap();
    for name in ["instance", "correlation"] {
        problem.as_object_mut().unwrap().remove(name);
    }
    (status, problem)
}

async fn placed(shop: &Guarded, who: &Client, body: &Value) -> reqwest::Response {
    let url = format!("{}/v1/orders", shop.daybook.url);
    who.post(url).header("idempotency-key", "the-same").json(body).send().await.unwrap()
}

#[tokio::test]
async fn a_customer_neither_sees_nor_changes_what_is_anothers() {
    let shop = Guarded::new().await;
    let ann = shop.caller("ann", &[Role::Customer], Some("17850"));
    let bob = shop.caller("bob", &[Role::Customer], Some("13047"));
    let body = order(&["A1"], "pm_card_visa");
    let mut orders = Vec::new();
    for who in [&ann, &bob] {
        let answer = placed(&shop, who, &body).await;
        assert_eq!(answer.status(), 201);
        let location = answer.headers()["location"].to_str().unwrap();
        orders.push(location.strip_prefix("/v1/orders/").unwrap().to_owned());
    }
    assert_ne!(orders[0], orders[1], "the same key of two callers is two keys");
    let confirmed = |page: &Value| page["items"].as_array().is_some_and(|orders| orders.len() == 2);
    shop.daybook.until("both are confirmed", "/v1/orders?status=confirmed", confirmed).await;
    let (anns, bobs) = (&orders[0], &orders[1]);
    let path_of_history = format!("/v1/orders/{anns}/history");
    let told_of_both = |page: &Value| page["items"].as_array().is_some_and(|it| it.len() == 2);
    let before = shop.daybook.until("its history is told", &path_of_history, told_of_both).await;
    assert_eq!(before["items"][0]["actor"], "ann");
    assert_eq!(before["items"][0]["payload"]["customer"], "17850");

    let guessed = "0199a000-0000-7000-8000-000000000000";
    for row in rows().iter().filter(|row| row.path.contains("{id}")) {
        for (name, value) in
            [("accept", "text/event-stream"), ("prefer", "wait=1"), ("if-match", "\"7\"")]
        {
            let ask = |id: &str| {
                let request = shop.ask(&bob, &row.method, &path(row, id)).header(name, value);
                async { told(request.send().await.unwrap()).await }
            };
            let others = ask(anns).await;
            let what = format!("{} {} {name}: {others:?}", row.method, row.path);
            assert!([StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&others.0), "{what}");
            assert_eq!(others, ask(guessed).await, "{what}");
        }
        if row.method == Method::GET {
            // Each read model is posted in its own time.
            eventually("he sees what is his own", async || {
                let own = shop.ask(&bob, &row.method, &path(row, bobs)).send().await.unwrap();
                if own.status() == 200 { Ok(()) } else { Err(row.path.to_owned()) }
            })
            .await;
        }
    }
    let list = |query: &'static str| {
        let request = shop.ask(&bob, &Method::GET, &format!("/v1/orders{query}"));
        async { request.send().await.unwrap().json::<Value>().await.unwrap()["items"].clone() }
    };
    let own = list("").await;
    assert_eq!(own.as_array().unwrap().len(), 1);
    assert_eq!(own[0]["order"], **bobs);
    assert_eq!(list("?customer=17850").await, json!([]));
    assert_eq!(list("?customer=13047").await, own);

    let mut for_ann = body.clone();
    for_ann["customer"] = json!("17850");
    let url = format!("{}/v1/orders", shop.daybook.url);
    let refused = bob.post(&url).json(&for_ann).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    // Nor does he say what an order costs.
    let money = json!({"amount": 1, "currency": "GBP"});
    for name in ["discount", "shipping", "tax_rate"] {
        let mut cheap = body.clone();
        match name {
            "tax_rate" => cheap["lines"][0][name] = json!(0),
            _ => cheap[name] = money.clone(),
        }
        let (status, problem) = told(bob.post(&url).json(&cheap).send().await.unwrap()).await;
        let kind = "urn:daybook:problem:not-yours-to-say";
        assert_eq!((status.as_u16(), &problem["type"]), (403, &json!(kind)), "{name}: {problem}");
    }
    let (_, after) = shop.daybook.get(&path_of_history).await;
    assert_eq!(before, after);
    assert_eq!(shop.daybook.all("/v1/orders").await.len(), 2);

    let cancel = format!("{url}/{bobs}/cancel");
    let cancel = bob.post(cancel).json(&json!({"reason": "customer-request"}));
    assert_eq!(cancel.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn whoever_may_set_prices_is_not_a_customer() {
    let Guarded { mut world, daybook, keys } = Guarded::new().await;
    daybook.stop().await;
    world.accept_history = true;
    let mut daybook = world.start().await;
    let ann = wanted("ann", &[Role::Customer], Some("17850"));
    daybook.http = shows(&keys.token(&ann, clock::now()).unwrap());
    let mut body = order(&["A1"], "pm_card_visa");
    body["lines"][0]["unit_price"] = json!({"amount": 1, "currency": "GBP"});
    let cheap = daybook.send("/v1/orders", None, &body).await.unwrap();
    assert_eq!(cheap.status(), 409);
    let mut body = order(&["A1"], "pm_card_visa");
    body["occurred_at"] = json!("2011-01-01T00:00:00Z");
    let early = daybook.send("/v1/orders", None, &body).await.unwrap();
    assert_eq!(early.status(), 403);
}

#[test]
fn without_a_login_nobody_but_this_machine_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_daybook"));
    command.current_dir(folder.path()).env_clear();
    let output = command.args(["serve", "--listen", "0.0.0.0:0", "--auth", "off"]).output();
    let output = output.unwrap();
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("loopback alone") && complaint.contains("0.0.0.0"), "{complaint}");
    assert!(!folder.path().join(".daybook").exists(), "nothing was started");
}

#[tokio::test]
async fn commands_of_the_command_line_make_tokens_and_keys_and_show_them() {
    let shop = Guarded::new().await;
    let files = ["--auth-keys-file", "--auth-api-keys-file"].into_iter();
    let files = files.zip([shop.file("keys"), shop.file("api-keys")]);
    let run = async |line: &str| {
        let mut command = binary();
        command.args(line.split(' ')).current_dir(shop.world.folder.path());
        for (flag, file) in files.clone() {
            command.arg(flag).arg(file);
        }
        let output = command.output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        (output.status.success(), said, String::from_utf8(output.stderr).unwrap())
    };
    let status_of = async |credential: &str, path: &str| {
        shop.ask(&shows(credential), &Method::GET, path).send().await.unwrap().status()
    };
    let (done, token, _) = run("token --role accountant --lives 60").await;
    assert!(done);
    assert_eq!(status_of(&token, "/v1/sales?by=day").await, 200);
    assert_eq!(status_of(&token, "/v1/stock").await, 403);
    for senseless in ["token", "token --role customer", "token --role boss", "key create x"] {
        assert!(!run(senseless).await.0, "{senseless}");
    }

    let (done, key, said) = run("key create prometheus --scope metrics:read").await;
    assert!(done && key.starts_with("dbk_") && !said.contains(&key), "{said}");
    let until = async |expected: StatusCode| {
        let asking = async {
            while status_of(&key, "/metrics").await != expected {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LIMIT, asking).await.expect("in time");
    };
    until(StatusCode::OK).await;
    let (_, listed, _) = run("key list --json").await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["name"], "prometheus");
    assert!(!listed.to_string().contains("sha256"));
    assert!(run(&format!("key revoke {}", listed["id"].as_str().unwrap())).await.0);
    until(StatusCode::UNAUTHORIZED).await;

    let (done, new, _) = run("token rotate").await;
    assert!(done && new != shop.keys.id().unwrap());
    assert_eq!(status_of(&token, "/v1/sales?by=day").await, 200);
}
