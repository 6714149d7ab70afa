//! Where callers find a shop: at one address, or each service at its own.

use anyhow::{Result, bail};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use std::collections::BTreeMap;

pub const SERVICES: [&str; 5] = ["catalogue", "orders", "inventory", "payments", "checkout"];

#[derive(Clone)]
pub struct Door {
    http: Client,
    urls: BTreeMap<&'static str, String>,
}

impl Door {
    pub fn of(http: Client, url: impl Fn(&'static str) -> String) -> Self {
        Door { http, urls: SERVICES.map(|service| (service, url(service))).into() }
    }

    /// Where the path is answered.
    pub fn url(&self, path: &str) -> String {
        let noun = path.trim_start_matches("/v1/").split(['/', '?']).next().unwrap_or_default();
        let service = match noun {
            "products" => "catalogue",
            "stock" => "inventory",
            "payments" => "payments",
            "checkouts" => "checkout",
            _ => "orders",
        };
        self.urls[service].clone()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let to = format!("{}{path}", self.url(path));
        answered(path, self.http.post(to).json(body)).await
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let from = format!("{}{path}", self.url(path));
        answered(path, self.http.get(from)).await
    }
}

async fn answered(path: &str, request: RequestBuilder) -> Result<Value> {
    let answer = request.send().await?;
    if !answer.status().is_success() {
        bail!("{path}: {} {}", answer.status(), answer.text().await?);
    }
    Ok(answer.json().await?)
}
