//! The plan as commands: products, receipts, adjustments, then the orders in their order.

use std::{
    iter,
    sync::{Mutex, PoisonError},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use super::{
    client::{CallError, Client, Command, Stop, Taken},
    plan::{Adjustment, Order, OrderLine, Plan, Product, Receipt},
    progress::Progress,
    reject::Reject,
    settling::{Awaited, Settling},
};

/// Orders that may wait for their checkout at once: history must not be sent faster than it is settled.
const OPEN_ORDERS: usize = 256;
/// The most that one receipt can bring in, which is the API's own limit.
const MOST_OF_A_RECEIPT: u64 = 1_000_000;
/// How every order of the history is paid.
const PAYMENT_METHOD: &str = "pm_card_visa";

pub(super) struct Sending<'a> {
    plan: &'a Plan,
    pub(super) client: &'a Client<'a>,
    pub(super) progress: &'a Progress,
    dataset: String,
    tally: Mutex<Tally>,
}

/// What has been done so far.
#[derive(Debug, Default)]
pub struct Tally {
    pub products: usize,
    pub receipts: usize,
    pub adjustments: usize,
    pub placed: usize,
    pub confirmed: usize,
    pub shipped: usize,
    pub cancelled: usize,
    /// Commands that Daybook answered with a 4xx.
    pub refused: usize,
    /// Every command that was answered.
    pub answered: usize,
    pub rejects: Vec<Reject>,
}

pub(super) enum Shipment {
    Done,
    /// Not yet confirmed after all, or cancelled in the meantime.
    NotNow,
    Refused,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        client: &'a Client<'a>,
        progress: &'a Progress,
        dataset: String,
    ) -> Self {
        Self { plan, client, progress, dataset, tally: Mutex::default() }
    }

    pub(super) async fn run(&self) -> Result<(), Stop> {
        let products = self.plan.products.iter().map(Ok);
        let at_once = Some(OPEN_ORDERS);
        stream::iter(products).try_for_each_concurrent(at_once, |p| self.list(p)).await?;
        let receipts = self.plan.receipts.iter().map(Ok);
        stream::iter(receipts).try_for_each_concurrent(at_once, |r| self.receive(r)).await?;
        let adjustments = self.plan.adjustments.iter().map(Ok);
        stream::iter(adjustments).try_for_each_concurrent(at_once, |a| self.adjust(a)).await?;
        self.order_and_ship().await
    }

    pub(super) fn into_tally(self) -> Tally {
        self.tally.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn list(&self, product: &Product) -> Result<(), Stop> {
        let Product { line, sku, name, price } = product;
        let body = json!({ "sku": sku, "name": name, "price": price });
        let key = format!("product:{sku}");
        let command = self.command("/v1/products".to_owned(), key, body, self.opened_at());
        match self.client.command(&command).await {
            Ok(_) => self.count(|tally| tally.products += 1),
            // The shop lists it already, under a name or price of its own. That is as well.
            Err(CallError::Refused { slug }) if slug == "already-listed" => {
                self.count(|tally| tally.products += 1);
            }
            Err(error) => self.refused(error, *line, "", sku)?,
        }
        self.answered();
        Ok(())
    }

    async fn receive(&self, receipt: &Receipt) -> Result<(), Stop> {
        let Receipt { line, sku, .. } = receipt;
        for (piece, quantity) in receipt.pieces().enumerate() {
            let path = format!("/v1/stock/{sku}/receive");
            let key = format!("receive:{sku}:{}", piece + 1);
            let command =
                self.command(path, key, json!({ "quantity": quantity }), self.opened_at());
            match self.client.command(&command).await {
                Ok(_) => self.count(|tally| tally.receipts += 1),
                Err(error) => self.refused(error, *line, "", sku)?,
            }
            self.answered();
        }
        Ok(())
    }

    async fn adjust(&self, adjustment: &Adjustment) -> Result<(), Stop> {
        let Adjustment { line, invoice, sku, change, occurred_at } = adjustment;
        let reason = if *change < 0 { "written-off" } else { "found" };
        let path = format!("/v1/stock/{sku}/adjust");
        let body = json!({ "change": change, "reason": reason });
        let command = self.command(path, format!("adjust:{line}"), body, json!(occurred_at));
        match self.client.command(&command).await {
            Ok(_) => self.count(|tally| tally.adjustments += 1),
            Err(error) => self.refused(error, *line, invoice, sku)?,
        }
        self.answered();
        Ok(())
    }

    /// Places the orders, and ships each as soon as its checkout has confirmed it.
    async fn order_and_ship(&self) -> Result<(), Stop> {
        let open = Semaphore::new(OPEN_ORDERS);
        let (placed, awaited) = mpsc::unbounded_channel();
        let place_all = async {
            // The channel must close when the last order is placed, so this owns its sending end.
            let placed = placed;
            let (open, placed) = (&open, &placed);
            // Permits are taken one order after the other, and slots are given in that order too.
            stream::iter(&self.plan.orders)
                .then(|order| async move { (order, open.acquire().await) })
                .map(Ok)
                .try_for_each_concurrent(OPEN_ORDERS, |(order, permit)| async move {
                    let id = self.place(order).await?;
                    if let (Some(id), Ok(permit)) = (id, permit) {
                        // Nobody listens only if the other side has stopped, which stops this too.
                        let _ = placed.send(Awaited::new(id, order, permit));
                    }
                    Ok(())
                })
                .await
        };
        tokio::try_join!(place_all, Settling::new(self, awaited).run())?;
        Ok(())
    }

    /// The id of the order, unless it was refused.
    async fn place(&self, order: &Order) -> Result<Option<Uuid>, Stop> {
        let key = format!("order:{}", order.invoice);
        let command =
            self.command("/v1/orders".to_owned(), key, order.body(), json!(order.occurred_at));
        let id = match self.client.command(&command).await {
            Ok(taken) => {
                self.count(|tally| tally.placed += 1);
                Some(self.order_id(&taken)?)
            }
            Err(error) => {
                self.refused(error, order.line, &order.invoice, "")?;
                self.progress.spared();
                self.progress.settled();
                None
            }
        };
        self.answered();
        Ok(id)
    }

    fn order_id(&self, taken: &Taken) -> Result<Uuid, Stop> {
        let location = taken.location.as_deref().unwrap_or_default();
        let id = location.rsplit('/').next().and_then(|id| id.parse().ok());
        id.ok_or_else(|| self.client.not_daybook(format!("an order's Location is {location:?}")))
    }

    /// Ships a confirmed order: now, for the file does not say when it was.
    pub(super) async fn ship(&self, id: Uuid, order: &Order) -> Result<Shipment, Stop> {
        let command = Command {
            path: format!("/v1/orders/{id}/ship"),
            key: self.key(&format!("ship:{}", order.invoice)),
            body: json!({}),
        };
        let shipment = match self.client.command(&command).await {
            Ok(_) => Shipment::Done,
            Err(CallError::Refused { slug })
                if ["not-confirmed", "cancelled"].contains(&slug.as_str()) =>
            {
                return Ok(Shipment::NotNow);
            }
            Err(error) => {
                self.refused(error, order.line, &order.invoice, "")?;
                Shipment::Refused
            }
        };
        self.answered();
        Ok(shipment)
    }

    pub(super) fn reject(&self, order: &Order, reason: &str) {
        let (line, invoice) = (order.line, order.invoice.clone());
        let reject = Reject { line, invoice, code: String::new(), reason: reason.to_owned() };
        self.count(|tally| tally.rejects.push(reject));
    }

    fn refused(&self, error: CallError, line: u64, invoice: &str, code: &str) -> Result<(), Stop> {
        match error {
            CallError::Stop(stop) => Err(stop),
            CallError::Refused { slug: reason } => {
                let (invoice, code) = (invoice.to_owned(), code.to_owned());
                self.count(|tally| {
                    tally.refused += 1;
                    tally.rejects.push(Reject { line, invoice, code, reason });
                });
                Ok(())
            }
        }
    }

    fn answered(&self) {
        self.count(|tally| tally.answered += 1);
        self.progress.sent();
    }

    /// The file's first date: products were listed and stock was there when the history begins.
    fn opened_at(&self) -> Value {
        json!(self.plan.opened_at)
    }

    fn command(&self, path: String, key: String, mut body: Value, occurred_at: Value) -> Command {
        body["occurred_at"] = occurred_at;
        Command { path, key: self.key(&key), body }
    }

    /// The same in every run, so that a command is done once.
    fn key(&self, command: &str) -> String {
        format!("import:{}:{command}", self.dataset)
    }
}

impl Order {
    fn body(&self) -> Value {
        let line = |line: &OrderLine| {
            let OrderLine { sku, quantity, unit_price } = line;
            json!({ "sku": sku, "quantity": quantity, "unit_price": unit_price })
        };
        let mut body = json!({
            "country": self.country,
            "payment_method": PAYMENT_METHOD,
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
        });
        let optional = [
            ("customer", self.customer.as_ref().map(|customer| json!(customer))),
            ("shipping", self.shipping.map(|money| json!(money))),
            ("discount", self.discount.map(|money| json!(money))),
        ];
        for (field, value) in optional {
            if let Some(value) = value {
                body[field] = value;
            }
        }
        body
    }
}

impl Receipt {
    /// Its quantity in parts that one command may carry.
    pub(super) fn pieces(&self) -> impl Iterator<Item = u64> {
        let whole = usize::try_from(self.quantity / MOST_OF_A_RECEIPT).unwrap_or(usize::MAX);
        let rest = Some(self.quantity % MOST_OF_A_RECEIPT).filter(|rest| *rest > 0);
        iter::repeat_n(MOST_OF_A_RECEIPT, whole).chain(rest)
    }
}
