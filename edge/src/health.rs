//! Whether the process lives, whether it can do its work, and what it has done.

use crate::{Identity, Permission, Problem, Routes, Scope, access, metrics};
use axum::{Json, extract::State};
use http::{Extensions, header};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The components that this process needs to be ready. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    components: Mutex<BTreeMap<String, Option<String>>>,
    reports: Mutex<BTreeMap<&'static str, Value>>,
}

/// One of them, held by whoever knows how it is.
#[derive(Clone, Debug)]
pub struct Component {
    health: Health,
    name: String,
}

impl Health {
    /// A new component, which is missing until it says otherwise.
    pub fn component(&self, name: impl Into<String>) -> Component {
        let component = Component { health: self.clone(), name: name.into() };
        component.missing("starting");
        component
    }

    /// The components that are missing, each with the reason.
    pub fn missing(&self) -> BTreeMap<String, String> {
        let components = self.components();
        let missing = components.iter().filter_map(|(name, reason)| Some((name, reason.as_ref()?)));
        missing.map(|(name, reason)| (name.clone(), reason.clone())).collect()
    }

    /// What is shown beside: how things are that need not be well for this process to be ready.
    pub fn report(&self, of: &'static str, report: Value) {
        self.0.reports.lock().unwrap_or_else(PoisonError::into_inner).insert(of, report);
    }

    fn components(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        // One insert at a time: nothing is half done in a map whose holder panicked.
        self.0.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Component {
    pub fn ready(&self) {
        self.health.components().insert(self.name.clone(), None);
    }

    /// The reason is shown to whoever asks: no secrets in it.
    pub fn missing(&self, reason: impl Into<String>) {
        self.health.components().insert(self.name.clone(), Some(reason.into()));
    }
}

/// How the process is. Whoever restarts it must be able to ask without a token.
pub fn routes() -> Routes<Health> {
    metrics::install();
    Routes::new()
        .get("/health/live", Permission::Open, live)
        .get("/health/ready", Permission::Open, ready)
        .get("/metrics", Permission::Scope(Scope::METRICS_READ), metrics_text)
}

async fn live() -> Json<Value> {
    Json(serde_json::json!({"status": "live"}))
}

async fn ready(
    State(health): State<Health>,
    extensions: Extensions,
) -> Result<Json<Value>, Problem> {
    let missing = health.missing();
    // Whoever restarts the process is told whether, and whoever may see the metrics is told what.
    let identity = extensions.get::<Arc<Identity>>();
    let is_told = extensions.get::<access::Unknown>().is_none()
        && identity.is_none_or(|identity| identity.may(Scope::METRICS_READ));
    if missing.is_empty() {
        let mut ready = serde_json::json!({"status": "ready"});
        if !is_told {
            return Ok(Json(ready));
        }
        let reports = health.0.reports.lock().unwrap_or_else(PoisonError::into_inner);
        for (of, report) in &*reports {
            ready[of] = report.clone();
        }
        return Ok(Json(ready));
    }
    let named: Vec<_> = missing.iter().map(|(name, reason)| format!("{name} ({reason})")).collect();
    let detail = format!("Missing: {}.", named.join(", "));
    let problem = Problem::unavailable("not-ready", 1).caused_by(&detail);
    Err(if is_told { problem.detail(detail) } else { problem })
}

async fn metrics_text() -> ([(header::HeaderName, &'static str); 1], String) {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], metrics::text())
}
