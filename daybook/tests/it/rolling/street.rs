//! Callers who never stop, on a street that can lead to another process.

use crate::shop::{Answer, eventually, order, post};
use crate::support::{Daybook, http};
use reqwest::Client;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

const CALLERS: usize = 4;

/// Goes on until it is closed. Whoever is refused or finds a partition standing still fails the test.
pub(super) struct Street {
    callers: JoinSet<()>,
    way: Arc<Way>,
}

struct Way {
    http: Client,
    /// Where commands go, then who else must be ready. Held while a caller is under way.
    urls: RwLock<Vec<String>>,
    is_open: AtomicBool,
    done: AtomicUsize,
}

impl Street {
    pub(super) async fn open(to: &Daybook) -> Self {
        let way = Arc::new(Way {
            http: http(),
            urls: RwLock::new(vec![to.url.clone()]),
            is_open: true.into(),
            done: AtomicUsize::new(0),
        });
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let way = way.clone();
            callers.spawn(async move {
                while way.is_open.load(Ordering::Relaxed) {
                    way.call().await;
                    way.done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Street { callers, way }
    }

    /// Waits until so many more calls are answered.
    pub(super) async fn has_done(&self, calls: usize) {
        let from = self.way.done.load(Ordering::Relaxed);
        eventually("callers are answered", async || {
            let done = self.way.done.load(Ordering::Relaxed) - from;
            // A caller who failed stops: then the others are no load.
            assert!(self.way.is_open.load(Ordering::Relaxed));
            (done >= calls).then_some(()).ok_or_else(|| format!("{done} of {calls}"))
        })
        .await;
    }

    /// From now on it must be ready too.
    pub(super) async fn joined_by(&self, daybook: &Daybook) {
        self.way.urls.write().await.push(daybook.url.clone());
    }

    /// Whoever is under way is answered, the old end closes, and then everybody calls at the new one.
    pub(super) async fn moves_to(&self, to: &Daybook, closing: impl Future<Output = ()>) {
        let mut urls = self.way.urls.write().await;
        closing.await;
        *urls = vec![to.url.clone()];
    }

    /// Returns how many orders were placed.
    pub(super) async fn close(mut self) -> usize {
        self.way.is_open.store(false, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
        self.way.done.load(Ordering::Relaxed)
    }
}

impl Way {
    /// Something is ordered and thought better of, and somebody looks.
    async fn call(&self) {
        let urls = self.urls.read().await;
        let placed = self.command(&urls[0], "orders", &order(&["85123A"], "pm_card_visa")).await;
        let order = format!("orders/{}", placed.order());
        let reason = json!({"reason": "customer-request"});
        self.command(&urls[0], &format!("{order}/cancel"), &reason).await;
        let mut questions = vec![format!("{}/v1/stock/85123A", urls[0])];
        questions.extend(urls.iter().map(|url| format!("{url}/health/ready")));
        for question in questions {
            let answer = self.http.get(&question).send().await.unwrap();
            let (status, answer) = (answer.status(), answer.text().await.unwrap());
            assert_eq!(status, 200, "{question}: {answer}");
        }
    }

    async fn command(&self, url: &str, path: &str, body: &Value) -> Answer {
        let answer = post(&self.http, &format!("{url}/v1/{path}"), None, body).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
        answer
    }
}
