//! What a file of invoices asks of Daybook, decided before anything is sent.
//!
//! The rules:
//! - An invoice with a leading `C` is a return: its lines are rejected, before every other rule.
//! - A product is listed once, with its first description that is not empty (else its code) and its
//!   first price above zero (else 0), from any line of the file, returns included.
//! - Any other invoice is one order, dated by its first line. Its lines with a product code and a
//!   quantity above zero are order lines at their own price, except those with price 0 and no
//!   description, which are stock that was found. A negative quantity is stock written off.
//! - `POST`, `DOT` and `C2` add to the order's shipping charge, `D` to its discount, each by
//!   |quantity| × price. Every other code is rejected with its reason.
//! - An invoice left with no order line makes no order: its charges are rejected, its adjustments
//!   are not.
//! - Every SKU first receives what the order lines and write-offs take from it.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use chrono::{DateTime, NaiveDateTime, Utc};

use super::{
    code::Code,
    country,
    pence::Pence,
    reader::{self, ReadError, Row},
    reject::{Reason, Reject},
};

/// Everything to send, in the order in which it is to be started, and what is not sent.
#[derive(Debug, Default)]
pub struct Plan {
    pub products: Vec<Product>,
    pub receipts: Vec<Receipt>,
    pub adjustments: Vec<Adjustment>,
    pub orders: Vec<Order>,
    /// In the order of the file.
    pub rejects: Vec<Reject>,
    /// The earliest date of the file: when its products were listed and its stock came in.
    pub opened_at: DateTime<Utc>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Product {
    /// The first line with this code.
    pub line: u64,
    pub sku: String,
    pub name: String,
    pub price: Pence,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The first line with this code.
    pub line: u64,
    pub sku: String,
    pub quantity: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Adjustment {
    pub line: u64,
    pub invoice: String,
    pub sku: String,
    /// Above zero what was found, below zero what was written off.
    pub change: i64,
    pub occurred_at: DateTime<Utc>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    /// The first line of the invoice.
    pub line: u64,
    pub invoice: String,
    pub occurred_at: DateTime<Utc>,
    pub customer: Option<String>,
    pub country: &'static str,
    pub lines: Vec<OrderLine>,
    pub shipping: Option<Pence>,
    pub discount: Option<Pence>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct OrderLine {
    pub sku: String,
    pub quantity: u64,
    pub unit_price: Pence,
}

impl Plan {
    /// Reads a file and applies the rules to it.
    pub fn read<R: io::Read>(file: R) -> Result<Self, ReadError> {
        let mut draft = Draft::default();
        for row in reader::rows(file)? {
            draft.take(row?);
        }
        Ok(draft.finish())
    }
}

/// The plan while lines still come.
#[derive(Default)]
struct Draft {
    plan: Plan,
    /// Where each SKU stands in `plan.products`, and which of these have a name of their own.
    products: HashMap<String, usize>,
    named: HashSet<usize>,
    /// What order lines and write-offs take from each SKU.
    taken: HashMap<String, u64>,
    /// Where each invoice stands in `invoices`.
    numbers: HashMap<String, usize>,
    invoices: Vec<Invoice>,
    earliest: Option<DateTime<Utc>>,
}

/// An order in the making, and its charges should it not become one.
struct Invoice {
    order: Order,
    charges: Vec<Reject>,
}

/// A row whose every field was understood.
struct Entry {
    quantity: i64,
    price: Pence,
    at: DateTime<Utc>,
}

impl Draft {
    fn take(&mut self, row: Row) {
        let code = Code::of(&row.code);
        if let (Code::Product(sku), None) = (&code, row.damage) {
            self.notice_product(&row, sku);
        }
        if let Err(reason) = self.sort(&row, code) {
            self.plan.rejects.push(row.rejected(reason));
        }
    }

    /// Any line of the file may name a product and its price, whatever becomes of the line.
    fn notice_product(&mut self, row: &Row, sku: &str) {
        let at = *self.products.entry(sku.to_owned()).or_insert_with(|| {
            let (line, sku, name) = (row.line, sku.to_owned(), sku.to_owned());
            self.plan.products.push(Product { line, sku, name, price: Pence::ZERO });
            self.plan.products.len() - 1
        });
        let product = &mut self.plan.products[at];
        if !row.description.is_empty() && self.named.insert(at) {
            product.name.clone_from(&row.description);
        }
        if product.price == Pence::ZERO {
            product.price = row.price.parse::<Pence>().unwrap_or_default().max(Pence::ZERO);
        }
    }

    /// Finds the place of one line, or the reason why it has none.
    fn sort(&mut self, row: &Row, code: Code) -> Result<(), Reason> {
        if row.invoice.starts_with('C') {
            return Err(Reason::ReturnNotSupported);
        }
        let entry = Entry::of(row)?;
        self.earliest = Some(self.earliest.map_or(entry.at, |earliest| earliest.min(entry.at)));
        let invoice = self.invoice(row, &entry);
        match code {
            Code::Product(sku) => self.product_line(row, &entry, invoice, sku),
            Code::Shipping => self.invoices[invoice].charge(row, &entry, |o| &mut o.shipping),
            Code::Discount => self.invoices[invoice].charge(row, &entry, |o| &mut o.discount),
            Code::Other(reason) => Err(reason),
        }
    }

    fn invoice(&mut self, row: &Row, entry: &Entry) -> usize {
        *self.numbers.entry(row.invoice.clone()).or_insert_with(|| {
            let order = Order {
                line: row.line,
                invoice: row.invoice.clone(),
                occurred_at: entry.at,
                customer: Some(row.customer.clone()).filter(|customer| !customer.is_empty()),
                country: country::code(&row.country),
                lines: Vec::new(),
                shipping: None,
                discount: None,
            };
            self.invoices.push(Invoice { order, charges: Vec::new() });
            self.invoices.len() - 1
        })
    }

    fn product_line(
        &mut self,
        row: &Row,
        entry: &Entry,
        invoice: usize,
        sku: String,
    ) -> Result<(), Reason> {
        let quantity = entry.quantity.unsigned_abs();
        let found = entry.price == Pence::ZERO && row.description.is_empty();
        if entry.quantity == 0 {
            return Err(Reason::ZeroQuantity);
        }
        if entry.quantity < 0 {
            self.take_from(&sku, quantity);
        }
        if entry.quantity < 0 || found {
            self.plan.adjustments.push(Adjustment {
                line: row.line,
                invoice: row.invoice.clone(),
                sku,
                change: entry.quantity,
                occurred_at: entry.at,
            });
            return Ok(());
        }
        if entry.price < Pence::ZERO {
            return Err(Reason::NegativePrice);
        }
        if quantity > MOST_OF_A_LINE {
            return Err(Reason::QuantityTooLarge);
        }
        self.take_from(&sku, quantity);
        let line = OrderLine { sku, quantity, unit_price: entry.price };
        self.invoices[invoice].order.lines.push(line);
        Ok(())
    }

    fn take_from(&mut self, sku: &str, quantity: u64) {
        *self.taken.entry(sku.to_owned()).or_default() += quantity;
    }

    fn finish(self) -> Plan {
        let Self { mut plan, taken, invoices, earliest, .. } = self;
        for Product { line, sku, .. } in &plan.products {
            if let Some(&quantity) = taken.get(sku) {
                plan.receipts.push(Receipt { line: *line, sku: sku.clone(), quantity });
            }
        }
        for invoice in invoices {
            if invoice.order.lines.is_empty() {
                plan.rejects.extend(invoice.charges);
            } else {
                plan.orders.push(invoice.order);
            }
        }
        // A stable sort: what has the same date stays in the order of the file.
        plan.orders.sort_by_key(|order| order.occurred_at);
        plan.rejects.sort_by_key(|reject| reject.line);
        plan.opened_at = earliest.unwrap_or_default();
        plan
    }
}

impl Invoice {
    /// Adds |quantity| × price to one of the order's charges.
    fn charge(
        &mut self,
        row: &Row,
        entry: &Entry,
        which: impl FnOnce(&mut Order) -> &mut Option<Pence>,
    ) -> Result<(), Reason> {
        if entry.price < Pence::ZERO {
            return Err(Reason::NegativePrice);
        }
        let sum = which(&mut self.order);
        let amount = entry.price.times(entry.quantity.unsigned_abs());
        let total = amount.and_then(|amount| sum.unwrap_or_default().plus(amount));
        *sum = Some(total.ok_or(Reason::ChargeTooLarge)?);
        self.charges.push(row.rejected(Reason::NoOrderLine));
        Ok(())
    }
}

/// The most an order line can ask for, which is the API's own limit.
const MOST_OF_A_LINE: u64 = 1_000_000;
/// The most a stock adjustment can change, which is the API's own limit.
const MOST_OF_ANYTHING: u64 = 1_000_000_000;

impl Entry {
    fn of(row: &Row) -> Result<Self, Reason> {
        if let Some(damage) = row.damage {
            return Err(damage);
        }
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !(1..=32).contains(&row.invoice.len()) || !is_number(&row.invoice) {
            return Err(Reason::BadInvoice);
        }
        let quantity: i64 = row.quantity.parse().map_err(|_| Reason::BadQuantity)?;
        if quantity.unsigned_abs() > MOST_OF_ANYTHING {
            return Err(Reason::QuantityTooLarge);
        }
        let at = NaiveDateTime::parse_from_str(&row.date, "%Y-%m-%dT%H:%M:%S")
            .map_err(|_| Reason::BadDate)?
            .and_utc();
        let price = row.price.parse().map_err(|_| Reason::BadPrice)?;
        Ok(Self { quantity, price, at })
    }
}

impl Row {
    fn rejected(&self, reason: Reason) -> Reject {
        Reject {
            line: self.line,
            invoice: self.invoice.clone(),
            code: self.code.clone(),
            reason: reason.slug().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
