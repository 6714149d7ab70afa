//! What everybody shows where everybody is asked: callers and services a token, and processes a certificate besides.

use crate::access::wanted;
use crate::authority::Authority;
use crate::shop::SERVICES;
use edge::access::{SigningKeys, Wanted};
use edge::tls::TlsFiles;
use edge::{Role, clock, tls};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, ClientBuilder};
use std::path::{Path, PathBuf};
use tokio::process::Command;

pub(crate) struct Guard {
    folder: PathBuf,
    authority: Authority,
}

impl Guard {
    /// A certificate for each service, for the gateway, and for whoever comes from outside of both.
    pub(super) fn new(folder: &Path) -> Self {
        let authority = Authority::new(folder, "authority");
        for name in SERVICES.into_iter().chain(["gateway", "caller"]) {
            let (certificate, key) = authority.signs_for(&[name, "127.0.0.1", "127.0.0.2"]);
            for (what, pem) in
                [("", format!("{certificate}{key}")), (".cert", certificate), (".key", key)]
            {
                std::fs::write(folder.join(format!("{name}{what}.pem")), pem).unwrap();
            }
        }
        Guard { folder: folder.to_owned(), authority }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub(crate) fn keys_file(&self) -> PathBuf {
        self.folder.join("token-keys.json")
    }

    /// What a process of a service is told. The first of them makes the key that all of them sign with.
    pub(super) fn tell(&self, command: &mut Command, service: &str) {
        command.env("DAYBOOK_AUTH", "on");
        // Where the gateway asks from, if there is one.
        command.env("DAYBOOK_TRUSTED_PROXIES", "127.0.0.1");
        command.env("DAYBOOK_AUTH_KEYS_FILE", self.keys_file());
        command.env("DAYBOOK_AUTH_API_KEYS_FILE", self.file("api-keys.json"));
        command.env("DAYBOOK_TLS_CERT", self.file(&format!("{service}.cert.pem")));
        command.env("DAYBOOK_TLS_KEY", self.file(&format!("{service}.key.pem")));
        command.env("DAYBOOK_TLS_CLIENT_CA", &self.authority.file);
        command.env("DAYBOOK_PEERS_CA", &self.authority.file);
    }

    /// What the gateway is told.
    pub(super) fn tells_gateway(&self) -> [(String, String); 3] {
        let (authority, own) =
            (self.authority.file.display().to_string(), self.file("gateway.pem"));
        [("GATEWAY_CERT", own.clone()), ("SHOP_CERT", own), ("SHOP_CA", authority)]
            .map(|(name, value)| (name.to_owned(), value))
    }

    /// Somebody with a certificate, of whom nothing else is known.
    pub(crate) fn nobody(&self) -> Client {
        self.certified().build().unwrap()
    }

    /// Somebody without one.
    pub(crate) fn stranger(&self) -> Client {
        self.client(None).build().unwrap()
    }

    /// Somebody with a certificate who shows this besides.
    pub(crate) fn shows(&self, token: &str) -> Client {
        let shown =
            HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
        self.certified().default_headers(shown).build().unwrap()
    }

    pub(crate) fn caller(&self, wanted: &Wanted) -> Client {
        let keys = SigningKeys::read(&self.keys_file()).unwrap();
        self.shows(&keys.token(wanted, clock::now()).unwrap())
    }

    /// Who may do all that the flows do.
    pub(crate) fn hand(&self) -> Client {
        self.caller(&wanted("hand", &[Role::Operator, Role::Warehouse, Role::Support], None))
    }

    fn certified(&self) -> ClientBuilder {
        let path = |what: &str| self.folder.join(format!("caller.{what}.pem"));
        let own = TlsFiles { certificate: path("cert"), key: path("key"), callers: None };
        self.client(Some(&own))
    }

    fn client(&self, own: Option<&TlsFiles>) -> ClientBuilder {
        let tls = tls::client(&self.authority.file, own).unwrap();
        Client::builder().tls_backend_preconfigured(tls)
    }
}
