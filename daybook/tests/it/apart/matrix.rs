//! What may befall the lines between processes, one fault after the other on one line after the other: those from the
//! checkouts to whoever they ask and follow, those to whoever is followed or asked for something to show, and that of
//! callers to the commands. There is no Kafka, so that logs come over the same lines. `--nocapture` shows how long
//! everything took.

#[path = "../../../../event-store/tests/it/proxy.rs"]
#[expect(dead_code, reason = "Postgres' own lines are for the tests of the log")]
mod proxy;

mod callers;
mod followers;
mod lines;
mod owners;

use followers::{PAID, PRICES};
use lines::{CHECKOUTS, Lines};
use owners::Asked;
use proxy::{Mode, Toward};
use std::fmt;
use std::time::Duration;

/// What befalls a line.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Each connection is closed at the first byte of an answer: what was asked is done, and nobody hears of it.
    Cut,
    /// Everything comes, a second late in either direction.
    Slow,
    /// Connections are taken and stay open, and nothing comes over them.
    BlackHole,
    /// The far end of the open connections is gone without a word. New ones pass.
    HalfOpen,
    /// A few bytes now and then.
    Dribble,
}

const FAULTS: [Fault; 5] =
    [Fault::Cut, Fault::Slow, Fault::BlackHole, Fault::HalfOpen, Fault::Dribble];

impl Fault {
    fn mode(self) -> Mode {
        match self {
            Fault::Cut => Mode::Sever(Toward::Client),
            Fault::Slow => Mode::Delay(Duration::from_secs(1)),
            Fault::BlackHole => Mode::BlackHole,
            Fault::HalfOpen => Mode::HalfOpen { closed: Toward::Server },
            Fault::Dribble => Mode::Throttle { bytes: 8, pause: Duration::from_millis(100) },
        }
    }

    /// Whether nothing comes to its end for as long as it lasts.
    fn is_total(self) -> bool {
        matches!(self, Fault::Cut | Fault::BlackHole | Fault::Dribble)
    }
}

/// What one fault did, for those who read it.
struct Told {
    line: &'static str,
    fault: Fault,
    /// Until the line was left alone, if it was.
    left_alone: Option<Duration>,
    /// From the end of the fault, or from its beginning if it holds nothing up, until every order was settled.
    settled: Duration,
    /// The longest that a caller waited for his answer.
    waited: Duration,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { line, fault, left_alone, settled, waited } = self;
        let left_alone =
            left_alone.map_or("–".to_owned(), |it| format!("{:.1} s", it.as_secs_f64()));
        let since = if fault.is_total() { "its end" } else { "its beginning" };
        let (settled, waited) = (settled.as_secs_f64(), waited.as_secs_f64());
        write!(
            f,
            "| {line} | {fault:?} | {left_alone} | {settled:.1} s after {since} | {waited:.2} s |"
        )
    }
}

#[tokio::test]
async fn whatever_befalls_the_lines_to_stock_and_payments_no_order_is_lost_or_doubled() {
    let services = ["inventory", "payments"];
    let mut lines = Lines::lay(&services.map(|service| (CHECKOUTS, service))).await;
    for service in services {
        for fault in FAULTS {
            lines.befall(service, fault).await;
        }
    }
    lines.are_right().await;
}

#[tokio::test]
async fn whatever_befalls_the_lines_to_the_orders_no_order_is_lost_or_doubled() {
    let mut lines = Lines::lay(&[(CHECKOUTS, "orders")]).await;
    for fault in FAULTS {
        lines.befall("orders", fault).await;
    }
    for fault in FAULTS {
        lines.befall_callers(fault).await;
    }
    lines.are_right().await;
}

#[tokio::test]
async fn whatever_befalls_the_lines_to_those_it_follows_an_order_is_placed_and_shown() {
    let mut lines = Lines::lay(&[PRICES, PAID]).await;
    for (fault, price) in FAULTS.into_iter().zip(250..) {
        lines.befall_prices(fault, (price, price + 1)).await;
    }
    for fault in FAULTS {
        lines.befall_payments_of_views(fault).await;
    }
    lines.are_right().await;
}

#[tokio::test]
async fn whatever_befalls_the_line_to_who_knows_whose_an_order_is_it_is_shown_to_nobody_else() {
    let asked = Asked::open().await;
    for (fault, nth) in FAULTS.into_iter().zip(0..) {
        asked.befall(fault, nth).await;
    }
}
