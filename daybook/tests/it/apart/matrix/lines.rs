use super::proxy::{Mode, Proxy};
use super::{Fault, Told};
use crate::apart::load::{HELD, hold_payments, let_payments_go, listed_as_due, payments_are_held};
use crate::apart::street::{PARTS, Part, port_of};
use crate::shop::{audit, eventually, order, outcomes, sell, settled};
use crate::support::{Daybook, World, free_port};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Who asks a service.
pub(super) type Line = (Part, &'static str);

pub(super) const CHECKOUTS: Part = PARTS[6];

/// A shop of which some lines can be disturbed.
pub(super) struct Lines {
    pub(super) world: World,
    parts: BTreeMap<Part, Daybook>,
    pub(super) whole: Daybook,
    /// Before the commands and the log of a service, each for one who asks.
    before: BTreeMap<Line, Proxy>,
    /// Before the commands of the orders, for some callers.
    pub(super) callers: Proxy,
    pub(super) placed: usize,
}

/// A fault that lasts.
pub(super) struct Amid {
    line: Line,
    fault: Fault,
    pub(super) began: Instant,
    /// Questions without an answer until then.
    unanswered: f64,
}

impl Lines {
    /// Each of these lines goes by way of a proxy.
    pub(super) async fn lay(lines: &[Line]) -> Self {
        let world = World::apart().await.without_kafka();
        let street = world.street.as_ref().unwrap();
        let ports = PARTS.map(|_| free_port());
        let mut before = BTreeMap::new();
        for line in lines {
            before.insert(*line, Proxy::before_port(port_of(line.1, &ports)).await);
        }
        let callers = Proxy::before_port(port_of("orders", &ports)).await;
        let ways: Vec<_> =
            before.iter().map(|((asks, asked), it)| (*asks, *asked, url(it))).collect();
        let parts = street.start_by_ways(&world, &ports, &ways).await;
        let parts = PARTS.into_iter().zip(parts).collect();
        let whole = Daybook::in_parts(Vec::new(), &street.front.url);
        sell(&world, &whole, "A", 250, 1_000_000).await;
        let mut lines = Lines { world, parts, whole, before, callers, placed: 0 };
        // So that every line is open.
        lines.place().await;
        lines.settled().await;
        lines
    }

    /// A fault of the line from the checkouts to a service.
    pub(super) async fn befall(&mut self, service: &'static str, fault: Fault) {
        // Some orders are as good as paid when it begins, and some are placed while it lasts.
        hold_payments(&self.world).await;
        self.place().await;
        payments_are_held(&self.world).await;
        let amid = self.begins((CHECKOUTS, service), fault).await;
        let began = amid.began;
        let_payments_go(&self.world).await;
        let waited = self.place().await;
        let mut left_alone = None;
        if fault.is_total() {
            eventually("the checkouts leave it alone", async || self.is_left_alone(true).await)
                .await;
            left_alone = Some(began.elapsed());
            listed_as_due(&self.world, service).await;
        } else {
            self.settled().await;
        }
        let since = self.ends(amid).await;
        self.settled().await;
        let settled = since.elapsed();
        eventually("it is asked again", async || self.is_left_alone(false).await).await;
        let line = match service {
            "inventory" => "checkouts → commands and log of the stock",
            "payments" => "checkouts → commands and log of the payments",
            _ => "checkouts → commands and log of the orders",
        };
        eprintln!("{}", Told { line, fault, left_alone, settled, waited });
    }

    pub(super) async fn begins(&self, line: Line, fault: Fault) -> Amid {
        let unanswered = self.unanswered(line).await;
        self.before[&line].set(fault.mode());
        Amid { line, fault, began: Instant::now(), unanswered }
    }

    /// Waits until the fault is felt, and ends it; returns what is measured from.
    pub(super) async fn ends(&self, Amid { line, fault, began, unanswered }: Amid) -> Instant {
        if fault != Fault::Slow {
            eventually("it is felt", async || {
                let now = self.unanswered(line).await;
                let told = format!("{unanswered} to {now} without an answer");
                (now > unanswered).then_some(()).ok_or(told)
            })
            .await;
        }
        let since = if fault.is_total() { Instant::now() } else { began };
        self.before[&line].set(Mode::Pass);
        since
    }

    /// Places orders at once, past every proxy; returns the longest wait for an answer.
    pub(super) async fn place(&mut self) -> Duration {
        let placing = (0..HELD).map(async |_| {
            let began = Instant::now();
            self.whole.command("/v1/orders", &order(&["A"], "pm_card_visa")).await;
            began.elapsed()
        });
        let waited = join_all(placing).await.into_iter().max().unwrap_or_default();
        self.placed += HELD;
        waited
    }

    pub(super) async fn settled(&self) {
        settled(&self.world, self.placed).await;
    }

    async fn is_left_alone(&self, alone: bool) -> Result<(), String> {
        let open = self.parts[&CHECKOUTS].metric("daybook_breaker_open").await;
        let is = open.is_some_and(|open| open > 0.0);
        (is == alone).then_some(()).ok_or(format!("{open:?}"))
    }

    /// How many questions had no answer until now.
    async fn unanswered(&self, (asks, asked): Line) -> f64 {
        let labels = [format!("target=\"{asked}\""), "outcome=\"unanswered\"".to_owned()];
        let calls = self.parts[&asks].metric_of("daybook_peer_calls_total", &labels).await;
        calls.unwrap_or_default()
    }

    /// Every order is confirmed, once, and covered.
    pub(super) async fn are_right(&self) {
        self.settled().await;
        audit(&self.world).await;
        let expected = i64::try_from(self.placed).unwrap();
        let confirmed = BTreeMap::from([("confirmed".to_owned(), expected)]);
        assert_eq!(outcomes(&self.world).await, confirmed);
    }
}

pub(super) fn url(proxy: &Proxy) -> String {
    format!("http://127.0.0.1:{}", proxy.port)
}
