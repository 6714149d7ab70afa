//! What the process that listens says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use anyhow::Result;
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::reach::Way;

const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(super) struct Asked {
    /// `ready`, or what is missing.
    pub(super) ready: Option<String>,
    pub(super) unanswered: Option<String>,
    pub(super) settings: Option<SettingsLine>,
    /// Why Kafka has not all of the logs, or brings nothing of them.
    pub(super) kafka_troubles: BTreeSet<String>,
    /// How far what runs is behind and since when it has stood still, by kind and name.
    pub(super) signals: BTreeMap<(String, String), (i64, f64)>,
    pub(super) breakers: Vec<BreakerLine>,
}

#[derive(Serialize)]
pub(super) struct BreakerLine {
    pub(super) target: String,
    pub(super) open: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SettingsLine {
    read_at: String,
    /// What stands in the files now, if it is not in force.
    refused: Option<Refused>,
    /// Keys that have changed, and need a restart.
    waiting_for_restart: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Refused {
    at: String,
    why: String,
}

impl Asked {
    /// Whoever cannot be asked is told of: the databases say much without him.
    pub(super) async fn of(way: Result<Way>, url: &str) -> Self {
        let asked = match way {
            Ok(way) => ask_all(&Way { url: url.to_owned(), ..way }).await,
            Err(error) => Err(format!("{error:#}")),
        };
        asked.unwrap_or_else(|why| Asked { unanswered: Some(why), ..Asked::default() })
    }
}

async fn ask_all(way: &Way) -> Result<Asked, String> {
    let http = match way.tls.clone() {
        Some(tls) => Client::builder().tls_backend_preconfigured(tls),
        None => Client::builder(),
    };
    let http = http.timeout(PATIENCE).build().map_err(|error| error.to_string())?;
    let (_, ready) = ask(&http, way, "/health/ready").await?;
    let ready: Value = serde_json::from_str(&ready).unwrap_or_default();
    let text = |name: &str| ready[name].as_str().map(str::to_owned);
    let mut asked = Asked {
        ready: text("detail").or_else(|| text("status")).or_else(|| Some("?".to_owned())),
        settings: serde_json::from_value(ready["settings"].clone()).ok(),
        kafka_troubles: kafka_troubles(&ready),
        ..Asked::default()
    };
    match ask(&http, way, "/metrics").await? {
        (status, metrics) if status.is_success() => {
            asked.signals = signals(&metrics);
            asked.breakers = breakers(&metrics);
        }
        (status, _) => {
            let why = "how it is, is shown to whoever may see its metrics (--token)";
            asked.unanswered = Some(format!("{why}: {status}"));
        }
    }
    Ok(asked)
}

async fn ask(http: &Client, way: &Way, path: &str) -> Result<(StatusCode, String), String> {
    let request = http.get(format!("{}{path}", way.url));
    let request = match &way.token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    // The innermost cause says most.
    let why = |error: reqwest::Error| {
        let mut cause: &dyn Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause.to_string()
    };
    let answer = request.send().await.map_err(why)?;
    Ok((answer.status(), answer.text().await.map_err(why)?))
}

impl SettingsLine {
    pub(super) fn print(&self) {
        println!("  settings of {}", self.read_at);
        if let Some(Refused { at, why }) = &self.refused {
            println!("  what was read at {at} is refused: {why}");
        }
        if !self.waiting_for_restart.is_empty() {
            println!("  a restart is needed for {}", self.waiting_for_restart.join(", "));
        }
    }
}

fn kafka_troubles(ready: &Value) -> BTreeSet<String> {
    let of = |kind: &str| ready["progress"][kind].as_array().cloned().unwrap_or_default();
    let told = of("relay_troubles").into_iter().chain(of("feed_troubles"));
    told.filter_map(|why| why.as_str().map(str::to_owned)).collect()
}

fn signals(metrics: &str) -> BTreeMap<(String, String), (i64, f64)> {
    let mut signals: BTreeMap<(String, String), (i64, f64)> = BTreeMap::new();
    for Sample { name, labels, value } in metrics.lines().filter_map(Sample::read) {
        let (Some(kind), Some(of)) = (label(labels, "kind"), label(labels, "name")) else {
            continue;
        };
        match name {
            "daybook_behind" => signals.entry((kind, of)).or_default().0 = value as i64,
            "daybook_still_seconds" => signals.entry((kind, of)).or_default().1 = value,
            _ => {}
        }
    }
    signals
}

/// Whom it calls, and whether he is left alone just now.
fn breakers(metrics: &str) -> Vec<BreakerLine> {
    let samples = metrics.lines().filter_map(Sample::read);
    let breakers = samples.filter(|it| it.name == "daybook_breaker_open");
    let breaker = |Sample { labels, value, .. }| {
        Some(BreakerLine { target: label(labels, "target")?, open: value > 0.0 })
    };
    breakers.filter_map(breaker).collect()
}

/// One line of what Prometheus is told.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_once('{')?;
        let (labels, value) = rest.split_once("} ")?;
        Some(Sample { name, labels, value: value.trim().parse().ok()? })
    }
}

fn label(labels: &str, name: &str) -> Option<String> {
    let value = labels.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
    Some(value.to_owned())
}
