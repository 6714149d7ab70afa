//! Customers and shop hands who send each command until they know what came of it.

use crate::shop::{Answer, eventually, order, post};
use crate::support::{Daybook, LIMIT, http};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub(crate) const SKUS: [&str; 4] = ["85123A", "22423", "47566", "SCARCE"];
const CUSTOMERS: u64 = 3;

/// The same numbers for the same seed: xorshift64* (Marsaglia, 2003; Vigna, 2016).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// A command that was acknowledged.
struct Acknowledged {
    path: String,
    body: Value,
    answer: Value,
}

/// How often a problem was all that came of a try, and how long it took at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refused {
    pub(crate) times: u64,
    longest: Duration,
}

/// Longer than any request may take: who serves must answer first.
const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) struct Customers {
    shop: Arc<Shop>,
    tasks: Mutex<JoinSet<()>>,
}

struct Shop {
    http: reqwest::Client,
    url: String,
    seed: u64,
    open: AtomicBool,
    /// By key.
    acknowledged: Mutex<BTreeMap<String, Acknowledged>>,
    /// Tries that were cut off.
    unanswered: AtomicU64,
    refused: Mutex<BTreeMap<String, Refused>>,
    orders: Mutex<Vec<String>>,
}

impl Customers {
    pub(crate) fn open(seed: u64, port: u16) -> Self {
        let shop = Arc::new(Shop {
            http: http(),
            url: format!("http://127.0.0.1:{port}"),
            seed,
            open: AtomicBool::new(true),
            acknowledged: Mutex::default(),
            unanswered: AtomicU64::new(0),
            refused: Mutex::default(),
            orders: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for number in 0..CUSTOMERS {
            tasks.spawn(shop.clone().lives(number));
        }
        Customers { shop, tasks: Mutex::new(tasks) }
    }

    /// Acknowledged commands, and tries that were cut off.
    pub(crate) fn counts(&self) -> (usize, u64) {
        let unanswered = self.shop.unanswered.load(Ordering::Relaxed);
        (self.shop.acknowledged.lock().unwrap().len(), unanswered)
    }

    /// The tries that were answered with 503, by what was said.
    pub(crate) fn refused(&self) -> BTreeMap<String, Refused> {
        self.shop.refused.lock().unwrap().clone()
    }

    /// Says what came of all that was tried.
    #[expect(clippy::print_stdout, reason = "a table for whoever runs it for long")]
    pub(crate) fn tell(&self) {
        let (acknowledged, cut_off) = self.counts();
        println!("{:32} {:>6}", "seed", self.shop.seed);
        println!("{:32} {acknowledged:>6}", "commands acknowledged");
        println!("{:32} {cut_off:>6}", "tries cut off");
        for (problem, Refused { times, longest }) in self.refused() {
            let longest_s = longest.as_secs_f64();
            println!("{:32} {times:>6}, the longest after {longest_s:.1} s", problem);
        }
    }

    /// Until some more commands are acknowledged.
    pub(crate) async fn go_on(&self) {
        let (before, _) = self.counts();
        let more = || self.counts().0.saturating_sub(before);
        let some = async || if more() >= 5 { Ok(()) } else { Err(format!("{} more", more())) };
        eventually("commands are acknowledged", some).await;
    }

    /// Each ends what he is at.
    pub(crate) async fn leave(&self) {
        self.shop.open.store(false, Ordering::Relaxed);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }

    /// Every order that is confirmed is shipped.
    pub(crate) async fn are_served(&self, daybook: &Daybook) {
        let orders = self.shop.orders.lock().unwrap().clone();
        for order in orders {
            let path = format!("/v1/orders/{order}");
            let settled = |it: &Value| {
                ["confirmed", "cancelled", "shipped", "closed"].iter().any(|s| it["status"] == *s)
            };
            let order = daybook.until("it is settled", &path, settled).await;
            if order["status"] == "confirmed" {
                self.shop.send(&format!("{path}/ship"), &format!("ship-{path}"), json!({})).await;
            }
        }
    }

    /// Sent once more, each command gets the answer that it was acknowledged with.
    pub(crate) async fn were_told_the_truth(&self, daybook: &Daybook) {
        let acknowledged = std::mem::take(&mut *self.shop.acknowledged.lock().unwrap());
        assert!(!acknowledged.is_empty());
        for (key, first) in acknowledged {
            if first.answer["events"].as_array().is_none_or(Vec::is_empty) {
                // What appended nothing has no receipt, and is decided afresh.
                continue;
            }
            let url = format!("{}{}", daybook.url, first.path);
            let again = post(&daybook.http, &url, Some(&key), &first.body).await;
            assert_eq!(again.body, first.answer, "{key}: POST {} {}", first.path, first.body);
        }
    }
}

impl Shop {
    async fn lives(self: Arc<Self>, number: u64) {
        let mut dice = Dice::new(self.seed ^ (number + 1));
        let mut turn = 0;
        while self.open.load(Ordering::Relaxed) {
            turn += 1;
            let key = format!("{}-{number}-{turn}", self.seed);
            let sku = SKUS[usize::try_from(dice.below(4)).unwrap()];
            match dice.below(10) {
                0 => {
                    let some = json!({"quantity": 1 + dice.below(20)});
                    self.send(&format!("/v1/stock/{sku}/receive"), &key, some).await;
                }
                1 => {
                    let lost = json!({"change": -1, "reason": "written-off"});
                    self.send(&format!("/v1/stock/{sku}/adjust"), &key, lost).await;
                }
                _ => self.orders(&mut dice, &key).await,
            }
        }
    }

    /// An order, and sometimes a change of mind, or the parcel at once.
    async fn orders(&self, dice: &mut Dice, key: &str) {
        let methods = ["pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_sandbox_lost"];
        let mut skus = SKUS.to_vec();
        skus.rotate_left(usize::try_from(dice.below(4)).unwrap());
        skus.truncate(1 + usize::try_from(dice.below(3)).unwrap());
        let order = order(&skus, methods[usize::try_from(dice.below(4)).unwrap()]);
        let placed = self.send("/v1/orders", key, order).await;
        let id = placed.order();
        self.orders.lock().unwrap().push(id.clone());
        match dice.below(4) {
            0 => {
                let path = format!("/v1/orders/{id}/cancel");
                let mind = json!({"reason": "customer-request"});
                self.send(&path, &format!("{key}-cancel"), mind).await;
            }
            1 => {
                self.send(&format!("/v1/orders/{id}/ship"), &format!("{key}-ship"), json!({}))
                    .await;
            }
            _ => {}
        }
    }

    /// Sends a command until it is known what came of it. A rejection is known too; nothing else is said but
    /// that the shop cannot answer just now.
    async fn send(&self, path: &str, key: &str, body: Value) -> Answer {
        let url = format!("{}{path}", self.url);
        let deadline = Instant::now() + LIMIT;
        let answer = loop {
            let began = Instant::now();
            let request = self.http.post(&url).header("idempotency-key", key).json(&body);
            let why = match request.timeout(PATIENCE).send().await {
                Ok(answer) if answer.status() == 503 => {
                    assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
                    self.was_refused(answer, began).await
                }
                Ok(answer) => match Answer::of(answer).await {
                    Ok(answer) => break answer,
                    Err(why) => self.was_cut_off(why),
                },
                Err(error) => self.was_cut_off(format!("{error:?}")),
            };
            assert!(Instant::now() < deadline, "POST {path} is never answered: {why}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let known = [200, 201, 409].contains(&answer.status.as_u16());
        assert!(known, "POST {path} {body}: {} {}", answer.status, answer.body);
        if answer.status.is_success() {
            let (path, answer) = (path.to_owned(), answer.body.clone());
            let acknowledged = Acknowledged { path, body, answer };
            self.acknowledged.lock().unwrap().insert(key.to_owned(), acknowledged);
        }
        answer
    }

    fn was_cut_off(&self, why: String) -> String {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        why
    }

    async fn was_refused(&self, answer: reqwest::Response, began: Instant) -> String {
        let Ok(answer) = Answer::of(answer).await else { return self.was_cut_off("half".into()) };
        let problem = answer.problem().to_owned();
        let mut refused = self.refused.lock().unwrap();
        let refused = refused.entry(problem.clone()).or_default();
        refused.times += 1;
        refused.longest = refused.longest.max(began.elapsed());
        problem
    }
}
