//! Who follows the log of a service elsewhere and asks it for nothing that an order waits for.

use super::lines::{Line, Lines};
use super::{Fault, Told};
use crate::apart::street::PARTS;
use crate::shop::{Answer, eventually, order, pence, post, priced};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The price list of the orders.
pub(super) const PRICES: Line = (PARTS[1], "catalogue");
/// What the view of an order says of its payment.
pub(super) const PAID: Line = (PARTS[2], "payments");

/// `peer_deadline_ms`, and then some for a slow machine.
const DEADLINE: Duration = Duration::from_secs(10 + 5);

impl Lines {
    /// The price changes meanwhile. Orders are placed at the one that was known last, until the new one has come.
    pub(super) async fn befall_prices(&mut self, fault: Fault, (old, new): (i64, i64)) {
        let amid = self.begins(PRICES, fault).await;
        self.whole.command("/v1/products/A/reprice", &json!({"price": pence(new)})).await;
        let waited = self.place().await;
        self.settled().await;
        if fault.is_total() {
            priced(&self.world, "A", old).await;
        }
        let since = self.ends(amid).await;
        priced(&self.world, "A", new).await;
        let (line, settled) = ("orders → log of the catalogue", since.elapsed());
        eprintln!("{}", Told { line, fault, left_alone: None, settled, waited });
    }

    /// An order is confirmed and shown meanwhile, and what is known of its payment follows. Its story is told without;
    /// as it was it is shown once its payment can be asked for.
    pub(super) async fn befall_payments_of_views(&mut self, fault: Fault) {
        let amid = self.begins(PAID, fault).await;
        let mut waited = self.place().await;
        let url = format!("{}/v1/orders", self.whole.url);
        let body = order(&["A"], "pm_card_visa");
        let path =
            format!("/v1/orders/{}", post(&self.whole.http, &url, None, &body).await.order());
        self.placed += 1;
        self.settled().await;
        let confirmed = |order: &Value| order["status"] == "confirmed";
        let shown = self.whole.until("it is shown as confirmed", &path, confirmed).await;
        let (then, asked) = self.as_of(&path).await;
        waited = waited.max(asked);
        let (_, story) = self.whole.get(&format!("{path}/timeline")).await;
        let is_of_payments = |it: &Value| it["service"] == "payments" && it["what"] == "events";
        let lacks_payments = story["absent"].as_array().unwrap().iter().any(is_of_payments);
        if fault.is_total() {
            assert_eq!(shown["payment_status"], "none", "{shown}");
            assert_eq!((then.status.as_u16(), then.problem()), (503, "unavailable"), "{then:?}");
            assert!(lacks_payments, "{story}");
        } else if fault == Fault::Slow {
            assert_eq!(then.status, 200, "{then:?}");
            assert!(!lacks_payments, "{story}");
        }
        let since = self.ends(amid).await;
        let paid = |order: &Value| order["payment_status"] == "authorised";
        self.whole.until("its payment is shown", &path, paid).await;
        let settled = since.elapsed();
        eventually("it is shown as it was", async || {
            let (then, _) = self.as_of(&path).await;
            (then.status == 200).then_some(()).ok_or(format!("{then:?}"))
        })
        .await;
        let line = "views of the orders → log of the payments";
        eprintln!("{}", Told { line, fault, left_alone: None, settled, waited });
    }

    /// An order as it was when it was placed, and how long the answer took.
    async fn as_of(&self, path: &str) -> (Answer, Duration) {
        let began = Instant::now();
        let asking = self.whole.http.get(format!("{}{path}?as_of=1", self.whole.url));
        let answer = Answer::of(asking.send().await.unwrap()).await.unwrap();
        let waited = began.elapsed();
        assert!(waited < DEADLINE, "{waited:?}: {answer:?}");
        (answer, waited)
    }
}
