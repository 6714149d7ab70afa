//! What the shop sold, computed from the raw file in a few lines that share nothing with the importer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use daybook::import::plan::{Order, Plan};
use serde_json::Value;

pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/online-retail-10k.csv");

/// One row of `/v1/sales`; revenue in pence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) orders: i64,
    pub(crate) units: i64,
    pub(crate) revenue: i64,
}

/// By `country`, `day`, `customer` (empty where there is none) and `product`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals(pub(crate) BTreeMap<&'static str, BTreeMap<String, Sum>>);

impl Totals {
    fn add(&mut self, by: &'static str, key: &str, orders: i64, units: i64, revenue: i64) {
        let sum = self.0.entry(by).or_default().entry(key.to_owned()).or_default();
        *sum = Sum {
            orders: sum.orders + orders,
            units: sum.units + units,
            revenue: sum.revenue + revenue,
        };
    }
}

/// The totals of the raw file.
pub(crate) fn of_raw_file(file: impl AsRef<Path>) -> Totals {
    let mut invoices: BTreeMap<String, Vec<csv::StringRecord>> = BTreeMap::new();
    for row in csv::Reader::from_path(file).unwrap().into_records() {
        let row = row.unwrap();
        if !row[0].starts_with('C') {
            invoices.entry(row[0].to_owned()).or_default().push(row);
        }
    }
    let mut totals = Totals::default();
    for rows in invoices.into_values() {
        let is_product = |code: &str| code.len() >= 5 && code[..5].parse::<u32>().is_ok();
        let is_sold = |row: &&csv::StringRecord| {
            let nameless_gift = &row[5] == "0" && row[2].trim().is_empty();
            is_product(&row[1]) && number(&row[3]) > 0 && !nameless_gift
        };
        let amount = |row: &csv::StringRecord| number(&row[3]).abs() * pence(&row[5]);
        let sold: Vec<_> = rows.iter().filter(is_sold).collect();
        let Some(first) = rows.first().filter(|_| !sold.is_empty()) else { continue };

        let mut products = BTreeSet::new();
        let (mut units, mut revenue) = (0, 0);
        for row in &sold {
            let sku = row[1].to_uppercase();
            let is_new = i64::from(products.insert(sku.clone()));
            totals.add("product", &sku, is_new, number(&row[3]), amount(row));
            units += number(&row[3]);
            revenue += amount(row);
        }
        for row in &rows {
            revenue += match &row[1] {
                "POST" | "DOT" | "C2" => amount(row),
                "D" => -amount(row),
                _ => 0,
            };
        }
        totals.add("country", iso(&first[7]), 1, units, revenue);
        totals.add("day", &first[4][..10], 1, units, revenue);
        totals.add("customer", &first[6], 1, units, revenue);
    }
    totals
}

/// The rows of `GET /v1/sales?by=<by>`, to be compared with one part of [`Totals`].
pub(crate) fn of_sales(items: &[Value], by: &str) -> BTreeMap<String, Sum> {
    let sum = |item: &Value| Sum {
        orders: item["orders"].as_i64().unwrap(),
        units: item["units"].as_i64().unwrap(),
        revenue: item["revenue"]["amount"].as_i64().unwrap(),
    };
    let name = if by == "product" { "sku" } else { by };
    let key = |item: &Value| item[name].as_str().unwrap_or_default().to_owned();
    items.iter().map(|item| (key(item), sum(item))).collect()
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

/// The file writes pounds with at most two decimals, so pence are its digits padded.
fn pence(text: &str) -> i64 {
    let (pounds, rest) = text.split_once('.').unwrap_or((text, ""));
    assert!(rest.len() <= 2, "{text}");
    format!("{pounds}{rest:0<2}").parse().unwrap()
}

fn iso(country: &str) -> &'static str {
    match country {
        "Australia" => "AU",
        "Belgium" => "BE",
        "EIRE" => "IE",
        "France" => "FR",
        "Germany" => "DE",
        "Italy" => "IT",
        "Japan" => "JP",
        "Lithuania" => "LT",
        "Netherlands" => "NL",
        "Norway" => "NO",
        "Poland" => "PL",
        "Portugal" => "PT",
        "Spain" => "ES",
        "Switzerland" => "CH",
        "United Kingdom" => "GB",
        other => panic!("the first 10,000 lines do not know {other}"),
    }
}

fn of_plan(orders: &[Order]) -> Totals {
    let mut totals = Totals::default();
    for order in orders {
        let (mut units, mut revenue) = (0, 0);
        let mut products = BTreeSet::new();
        for line in &order.lines {
            let quantity = i64::try_from(line.quantity).unwrap();
            let amount = quantity * line.unit_price.0;
            let is_new = i64::from(products.insert(&line.sku));
            totals.add("product", &line.sku, is_new, quantity, amount);
            units += quantity;
            revenue += amount;
        }
        revenue += order.shipping.map_or(0, |shipping| shipping.0);
        revenue -= order.discount.map_or(0, |discount| discount.0);
        totals.add("country", order.country, 1, units, revenue);
        let day = order.occurred_at.date_naive().to_string();
        totals.add("day", &day, 1, units, revenue);
        let customer = order.customer.as_deref().unwrap_or_default();
        totals.add("customer", customer, 1, units, revenue);
    }
    totals
}

#[test]
fn the_plan_sells_what_the_raw_file_sold() {
    let plan = Plan::read(std::fs::File::open(FILE).unwrap()).unwrap();
    let raw = of_raw_file(FILE);
    assert_eq!(of_plan(&plan.orders), raw);
    let all: i64 = raw.0["country"].values().map(|sum| sum.orders).sum();
    assert_eq!(all, i64::try_from(plan.orders.len()).unwrap());
}

#[test]
fn every_line_of_the_raw_file_has_one_place_in_the_plan() {
    let plan = Plan::read(std::fs::File::open(FILE).unwrap()).unwrap();
    let lines: usize = plan.orders.iter().map(|order| order.lines.len()).sum();
    let mut charges = 0;
    for row in csv::Reader::from_path(FILE).unwrap().into_records() {
        let row = row.unwrap();
        charges +=
            usize::from(["POST", "DOT", "C2", "D"].contains(&&row[1]) && &row[0][..1] != "C");
    }
    // Some charges stand alone on their invoice and are rejects already.
    let alone = plan.rejects.iter().filter(|reject| reject.reason == "no-order-line").count();
    assert_eq!(lines + plan.adjustments.len() + charges - alone + plan.rejects.len(), 10_000);
}

#[test]
fn what_is_received_is_what_orders_and_write_offs_take() {
    let plan = Plan::read(std::fs::File::open(FILE).unwrap()).unwrap();
    let mut left: BTreeMap<&str, i64> = BTreeMap::new();
    for receipt in &plan.receipts {
        *left.entry(&receipt.sku).or_default() += i64::try_from(receipt.quantity).unwrap();
    }
    for line in plan.orders.iter().flat_map(|order| &order.lines) {
        *left.entry(&line.sku).or_default() -= i64::try_from(line.quantity).unwrap();
    }
    for adjustment in plan.adjustments.iter().filter(|adjustment| adjustment.change < 0) {
        *left.entry(&adjustment.sku).or_default() += adjustment.change;
    }
    assert!(left.values().all(|left| *left == 0));
}
