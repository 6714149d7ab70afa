//! Callers without a gateway, who come back with the same key until they have an answer.

use super::lines::{Lines, url};
use super::proxy::Mode;
use super::{Fault, Told};
use crate::shop::{eventually, order};
use crate::support::{LIMIT, http};
use futures_util::future::join_all;
use reqwest::Client;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const CALLERS: usize = 4;
/// After so long without an answer a caller tries again.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);

impl Lines {
    /// A fault of the line of some callers; others, who come another way, do not notice it.
    pub(super) async fn befall_callers(&mut self, fault: Fault) {
        let proxy = &self.callers;
        let to = format!("{}/v1/orders", url(proxy));
        // Each has a connection that is open when it happens.
        let callers: Vec<Client> = (0..CALLERS).map(|_| http()).collect();
        let key = |nth: usize, word: &str| format!("{fault:?}-{nth}-{word}");
        let all = async |word: &str| {
            let placing = callers.iter().enumerate();
            join_all(placing.map(async |(nth, it)| places(it, &to, &key(nth, word)).await)).await
        };
        all("before").await;
        let began = Instant::now();
        proxy.set(fault.mode());
        let taken = proxy.taken();
        let others = async |lines: &mut Lines| {
            lines.place().await;
            let proxy = &lines.callers;
            if fault != Fault::Slow {
                eventually("a caller comes back", async || {
                    (proxy.taken() > taken).then_some(()).ok_or("nobody does".to_owned())
                })
                .await;
            }
            if !fault.is_total() {
                return began;
            }
            proxy.set(Mode::Pass);
            Instant::now()
        };
        let (waited, since) = tokio::join!(all("amid"), others(self));
        self.placed += 2 * CALLERS;
        self.callers.set(Mode::Pass);
        self.settled().await;
        let settled = since.elapsed();
        let waited = waited.into_iter().max().unwrap_or_default();
        let line = "callers → commands of the orders";
        eprintln!("{}", Told { line, fault, left_alone: None, settled, waited });
    }
}

/// Places one order, however often it takes; returns how long.
async fn places(caller: &Client, to: &str, key: &str) -> Duration {
    let began = Instant::now();
    let placing = async {
        loop {
            let body = order(&["A"], "pm_card_visa");
            let sending = caller.post(to).header("idempotency-key", key).json(&body);
            match sending.timeout(PATIENCE).send().await {
                Ok(answer) if answer.status() == 201 => return,
                Ok(_) | Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    };
    timeout(LIMIT, placing).await.unwrap_or_else(|_| panic!("never answered: {key}"));
    began.elapsed()
}
