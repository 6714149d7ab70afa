use super::proxy::{Mode, Proxy};
use super::{Fault, Told};
use crate::apart::load::listed_as_due;
use crate::apart::street::{PARTS, Part};
use crate::shop::{audit, eventually, order, outcomes, sell, settled};
use crate::support::{Daybook, World, free_port};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Orders that are placed while a fault lasts: more than a breaker takes.
const ORDERS: usize = 12;

/// A shop of which some lines can be disturbed.
pub(super) struct Lines {
    pub(super) world: World,
    parts: Vec<Daybook>,
    pub(super) whole: Daybook,
    /// Before the commands and the log of a service, for the checkouts.
    before: BTreeMap<&'static str, Proxy>,
    /// Before the commands of the orders, for some callers.
    pub(super) callers: Proxy,
    pub(super) placed: usize,
}

fn shows_its_log((service, roles): Part, of: &str) -> bool {
    service == of && roles.split(',').any(|role| role == "commands")
}

impl Lines {
    /// The checkouts come to these services by way of a proxy.
    pub(super) async fn lay(services: &[&'static str]) -> Self {
        let world = World::apart().await.without_kafka();
        let street = world.street.as_ref().unwrap();
        let ports = PARTS.map(|_| free_port());
        let port_of = |service: &str| {
            let at = PARTS.iter().position(|part| shows_its_log(*part, service));
            ports[at.unwrap()]
        };
        let mut before = BTreeMap::new();
        for service in services {
            before.insert(*service, Proxy::before_port(port_of(service)).await);
        }
        let callers = Proxy::before_port(port_of("orders")).await;
        let by_way: Vec<_> = before.iter().map(|(service, it)| (*service, url(it))).collect();
        let parts = PARTS.iter().zip(ports).map(|(part, port)| {
            let elsewhere = if part.0 == "checkout" { &by_way[..] } else { &[] };
            street.spawn_besides(&world, *part, port, elsewhere)
        });
        let parts: Vec<Daybook> = parts.collect();
        join_all(parts.iter().map(Daybook::is_ready)).await;
        street.show_rows(&world).await;
        let whole = Daybook::in_parts(Vec::new(), &street.front.url);
        sell(&world, &whole, "A", 250, 1_000_000).await;
        let mut lines = Lines { world, parts, whole, before, callers, placed: 0 };
        // So that every line is open.
        lines.place().await;
        lines.settled().await;
        lines
    }

    pub(super) async fn befall(&mut self, service: &'static str, fault: Fault) {
        let before = self.unanswered(service).await;
        let began = Instant::now();
        self.before[service].set(fault.mode());
        let waited = self.place().await;
        let mut left_alone = None;
        if fault.is_total() {
            if service != "orders" {
                eventually("the checkouts leave it alone", async || self.is_left_alone(true).await)
                    .await;
                left_alone = Some(began.elapsed());
            }
            listed_as_due(&self.world, service).await;
        } else {
            self.settled().await;
        }
        if fault != Fault::Slow {
            eventually("it is felt", async || {
                let now = self.unanswered(service).await;
                (now > before).then_some(()).ok_or(format!("{before} to {now} without an answer"))
            })
            .await;
        }
        let since = if fault.is_total() { Instant::now() } else { began };
        self.before[service].set(Mode::Pass);
        self.settled().await;
        let settled = since.elapsed();
        eventually("it is asked again", async || self.is_left_alone(false).await).await;
        let line = match service {
            "inventory" => "checkouts → commands of the stock",
            "payments" => "checkouts → commands of the payments",
            _ => "checkouts → log of the orders",
        };
        eprintln!("{}", Told { line, fault, left_alone, settled, waited });
    }

    /// Places orders at once, past every proxy; returns the longest wait for an answer.
    pub(super) async fn place(&mut self) -> Duration {
        let placing = (0..ORDERS).map(async |_| {
            let began = Instant::now();
            self.whole.command("/v1/orders", &order(&["A"], "pm_card_visa")).await;
            began.elapsed()
        });
        let waited = join_all(placing).await.into_iter().max().unwrap_or_default();
        self.placed += ORDERS;
        waited
    }

    pub(super) async fn settled(&self) {
        settled(&self.world, self.placed).await;
    }

    fn checkouts(&self) -> &Daybook {
        self.parts.last().expect("the checkouts")
    }

    async fn is_left_alone(&self, alone: bool) -> Result<(), String> {
        let open = self.checkouts().metric("daybook_breaker_open").await;
        let is = open.is_some_and(|open| open > 0.0);
        (is == alone).then_some(()).ok_or(format!("{open:?}"))
    }

    /// How many questions of the checkouts to a service had no answer until now.
    async fn unanswered(&self, service: &str) -> f64 {
        let labels = [format!("target=\"{service}\""), "outcome=\"unanswered\"".to_owned()];
        self.checkouts().metric_of("daybook_peer_calls_total", &labels).await.unwrap_or_default()
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
