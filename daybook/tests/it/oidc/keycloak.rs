//! A Keycloak in development mode on a port of its own, with nothing on the disk.

use crate::support::{free_port, http};
use reqwest::Client;
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Of everybody here.
pub(super) const SECRET: &str = "nobody-elses-secret";
/// It is a large program, and this machine may have others to run.
const STARTS: Duration = Duration::from_secs(300);

/// The script that starts it stays before it: the two are a group of processes.
pub(super) struct Keycloak {
    child: Child,
    pub(super) url: String,
    http: Client,
}

/// Who logs in, and where.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) realm: &'static str,
    pub(super) client: &'static str,
    /// None: the client itself.
    pub(super) person: Option<&'static str>,
}

impl Login {
    pub(super) fn person(name: &'static str) -> Self {
        Login { realm: "shop", client: "shop-web", person: Some(name) }
    }

    pub(super) fn worker() -> Self {
        Login { realm: "shop", client: "shop-worker", person: None }
    }
}

impl Keycloak {
    /// With the realm that is shown in `deploy/keycloak`, people in it, and another realm of the same kind.
    pub(super) async fn start(folder: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (port, log) = (free_port(), File::create(folder.join("keycloak.log")).unwrap());
        let mut command = Command::new(root.join(".tools/keycloak/bin/kc.sh"));
        command
            .args(["start-dev", "--db=dev-mem", "--http-host=127.0.0.1"])
            .arg(format!("--http-port={port}"))
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin")
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", SECRET)
            .env("JAVA_OPTS_KC_HEAP", "-Xms64m -Xmx512m")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .process_group(0);
        let child = command.spawn().expect("what `scripts/setup oidc` installs");
        let url = format!("http://127.0.0.1:{port}");
        let mut keycloak = Keycloak { child, url, http: http() };
        keycloak.answers().await;
        let shown = std::fs::read_to_string(root.join("deploy/keycloak/realm.json")).unwrap();
        for name in ["shop", "other"] {
            let realm = peopled(serde_json::from_str(&shown).unwrap(), name);
            keycloak.administers("", &realm).await;
        }
        keycloak
    }

    async fn answers(&mut self) {
        let starting = async {
            loop {
                let answer = self.http.get(format!("{}/realms/master", self.url)).send().await;
                if answer.is_ok_and(|it| it.status() == 200) {
                    return;
                }
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none(), "Keycloak ended at once: {ended:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(STARTS, starting).await.expect("Keycloak starts");
    }

    /// `POST`s to what only administrators may.
    async fn administers(&self, path: &str, body: &Value) {
        let admin = Login { realm: "master", client: "admin-cli", person: Some("admin") };
        let request = self.http.post(format!("{}/admin/realms{path}", self.url)).json(body);
        let answer = request.bearer_auth(self.token(&admin).await).send().await.unwrap();
        let (status, said) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {said}");
    }

    /// It signs with this one from then on; what the one before has signed can still be verified.
    pub(super) async fn makes_a_new_key(&self) {
        let key = json!({
            "name": "newer", "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {
                "priority": ["200"], "enabled": ["true"], "active": ["true"],
                "algorithm": ["RS256"], "keySize": ["2048"],
            },
        });
        self.administers("/shop/components", &key).await;
    }

    /// An access token.
    pub(super) async fn token(&self, login: &Login) -> String {
        self.tokens(login).await["access_token"].as_str().unwrap().to_owned()
    }

    /// All that a login gives.
    pub(super) async fn tokens(&self, login: &Login) -> Value {
        let url = format!("{}/realms/{}/protocol/openid-connect/token", self.url, login.realm);
        let mut form = vec![("client_id", login.client), ("scope", "openid")];
        form.extend(match login.person {
            Some(name) => {
                vec![("grant_type", "password"), ("username", name), ("password", SECRET)]
            }
            None => vec![("grant_type", "client_credentials"), ("client_secret", SECRET)],
        });
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        let (status, told) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert_eq!(status, 200, "{login:?}: {told}");
        told
    }

    pub(super) fn signal(&self, signal: &str) {
        let Some(pid) = self.child.id() else { return };
        let group = format!("-{pid}");
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args(["-s", signal, "--", &group]).status().unwrap().success());
    }

    pub(super) async fn has_ended(&mut self) {
        self.child.wait().await.unwrap();
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

/// The realm as it is shown, with people who log in by their password, and two clients more: one whose tokens are for
/// somebody else, and one whose tokens are soon over.
fn peopled(mut realm: Value, name: &str) -> Value {
    realm["realm"] = json!(name);
    realm["accessTokenLifespan"] = json!(3_600);
    let clients = realm["clients"].as_array_mut().unwrap();
    clients[0]["directAccessGrantsEnabled"] = json!(true);
    clients[1]["secret"] = json!(SECRET);
    let mut brief = clients[0].clone();
    brief["clientId"] = json!("brief");
    brief["attributes"] = json!({"access.token.lifespan": "3"});
    let mut elsewhere = clients[0].clone();
    elsewhere["clientId"] = json!("elsewhere");
    elsewhere["protocolMappers"][0]["config"]["included.custom.audience"] = json!("elsewhere");
    clients.extend([brief, elsewhere]);
    let person = |name: &str, roles: &[&str], customer: Option<&str>| {
        json!({
            "username": name, "enabled": true, "realmRoles": roles,
            "credentials": [{"type": "password", "value": SECRET, "temporary": false}],
            "attributes": customer.map_or_else(|| json!({}), |it| json!({"customer": [it]})),
        })
    };
    realm["users"].as_array_mut().unwrap().extend([
        person("hand", &["operator", "warehouse", "support"], None),
        person("operator", &["operator"], None),
        person("support", &["support"], None),
        person("ann", &["customer"], Some("17850")),
        person("bob", &["customer"], Some("13047")),
        person("nobody", &[], None),
    ]);
    realm
}
