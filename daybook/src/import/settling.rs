//! Learns what became of the orders that were placed, and ships those that are confirmed.
//!
//! The list of confirmed orders answers for many orders at once, so it is asked at every turn; only what
//! it does not name for a while (cancelled, or shipped by an earlier run) is looked up by itself.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tokio::{
    sync::{SemaphorePermit, mpsc::UnboundedReceiver},
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    client::Stop,
    plan::Order,
    sending::{Sending, Shipment},
};

/// The pause between two turns: the first while orders settle, longer and longer while none does.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// When an order that the list does not name is first looked up by itself.
const FIRST_LOOK: Duration = Duration::from_millis(500);
const LONGEST_LOOK: Duration = Duration::from_secs(8);
/// Look-ups of single orders in one turn, and how many of them at once.
const LOOKS_PER_TURN: usize = 64;
const LOOKS_AT_ONCE: usize = 4;
/// Pages of confirmed orders in one turn: most of them may be nobody's but the shop's own.
const PAGES_PER_TURN: usize = 5;
const PAGE: usize = 500;

/// An order that was placed and is neither shipped nor cancelled. While it waits it holds one of the
/// permits for open orders.
pub(super) struct Awaited<'a> {
    id: Uuid,
    order: &'a Order,
    look_at: Instant,
    look_after: Duration,
    _permit: SemaphorePermit<'a>,
}

impl<'a> Awaited<'a> {
    pub(super) fn new(id: Uuid, order: &'a Order, permit: SemaphorePermit<'a>) -> Self {
        let look_at = Instant::now() + FIRST_LOOK;
        Self { id, order, look_at, look_after: FIRST_LOOK, _permit: permit }
    }

    fn look_later(&mut self) {
        self.look_after = (self.look_after * 2).min(LONGEST_LOOK);
        self.look_at = Instant::now() + self.look_after;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Placed,
    Confirmed,
    Shipped,
    Closed,
    Cancelled,
}

/// What this needs to know of an order.
#[derive(Debug, Deserialize)]
struct Seen {
    order: Uuid,
    status: Status,
    cancel_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Seen>,
    next: Option<String>,
}

pub(super) struct Settling<'a> {
    sending: &'a Sending<'a>,
    placed: UnboundedReceiver<Awaited<'a>>,
    waiting: HashMap<Uuid, Awaited<'a>>,
}

impl<'a> Settling<'a> {
    pub(super) fn new(sending: &'a Sending<'a>, placed: UnboundedReceiver<Awaited<'a>>) -> Self {
        Self { sending, placed, waiting: HashMap::new() }
    }

    /// Goes on until every order that is placed is shipped or cancelled.
    pub(super) async fn run(mut self) -> Result<(), Stop> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            if self.waiting.is_empty() {
                let Some(awaited) = self.placed.recv().await else { return Ok(()) };
                self.waiting.insert(awaited.id, awaited);
            }
            sleep(pause).await;
            while let Ok(awaited) = self.placed.try_recv() {
                self.waiting.insert(awaited.id, awaited);
            }
            let settled = self.turn().await?;
            pause = if settled > 0 { SHORTEST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            let left = format!("{} orders wait for their checkout", self.waiting.len());
            self.sending.client.still_moving(&left)?;
        }
    }

    /// Asks once for everything that waits; the number of orders that came to their end.
    async fn turn(&mut self) -> Result<usize, Stop> {
        let mut seen = self.confirmed().await?;
        seen.extend(self.look().await?);
        let mut to_ship = Vec::new();
        let mut settled = 0;
        for Seen { order, status, cancel_reason } in seen {
            let Some(mut awaited) = self.waiting.remove(&order) else { continue };
            match status {
                Status::Placed => {
                    awaited.look_later();
                    self.waiting.insert(order, awaited);
                    continue;
                }
                Status::Confirmed => to_ship.push(awaited),
                // By an earlier run.
                Status::Shipped | Status::Closed => {
                    self.sending.progress.spared();
                    self.shipped();
                }
                Status::Cancelled => self.cancelled(&awaited, cancel_reason),
            }
            settled += 1;
        }
        self.ship(to_ship).await?;
        Ok(settled)
    }

    /// The confirmed orders of the days that are waited for.
    async fn confirmed(&self) -> Result<Vec<Seen>, Stop> {
        let dates = || self.waiting.values().map(|awaited| awaited.order.occurred_at);
        let (Some(first), Some(last)) = (dates().min(), dates().max()) else {
            return Ok(Vec::new());
        };
        let text = |date: DateTime<Utc>| date.to_rfc3339_opts(SecondsFormat::Secs, true);
        // Whether the last instant counts is the list's affair; a second more is no harm.
        let (from, to) = (text(first), text(last + chrono::TimeDelta::seconds(1)));
        let query =
            format!("/v1/orders?status=confirmed&placed_from={from}&placed_to={to}&limit={PAGE}");
        let (mut seen, mut after) = (Vec::new(), String::new());
        for _ in 0..PAGES_PER_TURN {
            let Some(page) = self.ask::<Page>(&format!("{query}{after}")).await? else { break };
            seen.extend(page.items);
            let Some(next) = page.next else { break };
            after = format!("&after={next}");
        }
        Ok(seen)
    }

    /// Looks up the orders that are due for it, longest due first.
    async fn look(&mut self) -> Result<Vec<Seen>, Stop> {
        let now = Instant::now();
        let mut due: Vec<_> =
            self.waiting.values_mut().filter(|awaited| awaited.look_at <= now).collect();
        due.sort_by_key(|awaited| awaited.look_at);
        due.truncate(LOOKS_PER_TURN);
        // One that the read model does not know yet (404) is looked up later like the others.
        let ids: Vec<_> =
            due.into_iter().map(|awaited| (awaited.look_later(), awaited.id).1).collect();
        let this = &*self;
        let looks = stream::iter(ids)
            .map(|id| async move { this.ask::<Seen>(&format!("/v1/orders/{id}")).await });
        let seen: Vec<_> = looks.buffer_unordered(LOOKS_AT_ONCE).try_collect().await?;
        Ok(seen.into_iter().flatten().collect())
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Stop> {
        let client = self.sending.client;
        let Some(body) = client.query(path).await? else { return Ok(None) };
        let parsed = serde_json::from_value(body);
        parsed.map(Some).map_err(|error| client.not_daybook(format!("{path}: {error}")))
    }

    async fn ship(&mut self, to_ship: Vec<Awaited<'a>>) -> Result<(), Stop> {
        let sending = self.sending;
        let shipments = stream::iter(to_ship).map(|awaited| async move {
            let shipment = sending.ship(awaited.id, awaited.order).await?;
            Ok::<_, Stop>((awaited, shipment))
        });
        let mut shipments = shipments.buffer_unordered(LOOKS_PER_TURN);
        while let Some((awaited, shipment)) = shipments.try_next().await? {
            match shipment {
                Shipment::Done => self.shipped(),
                Shipment::Refused => self.settled(),
                // The next look says what it has become.
                Shipment::NotNow => {
                    self.waiting.insert(awaited.id, awaited);
                }
            }
        }
        Ok(())
    }

    fn cancelled(&self, awaited: &Awaited<'_>, reason: Option<String>) {
        let reason = reason.unwrap_or_else(|| "cancelled".to_owned());
        self.sending.reject(awaited.order, &reason);
        self.sending.count(|tally| tally.cancelled += 1);
        self.sending.progress.spared();
        self.settled();
    }

    fn shipped(&self) {
        self.sending.count(|tally| {
            tally.confirmed += 1;
            tally.shipped += 1;
        });
        self.settled();
    }

    fn settled(&self) {
        self.sending.client.moved();
        self.sending.progress.settled();
    }
}
