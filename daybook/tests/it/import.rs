//! `daybook import` against a stand-in for the API: what it sends, in which order, and what it survives.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod fake_daybook;

use std::{collections::BTreeMap, fs, future::Future, path::PathBuf};

use daybook::import::{Import, report::Report};
use tempfile::TempDir;

use self::fake_daybook::{FakeDaybook, Faults, Taken};
use crate::retail_totals;

fn import(file: impl Into<PathBuf>, fake: &FakeDaybook) -> Import {
    Import {
        tls: None,
        token: None,
        file: file.into(),
        url: fake.url(),
        dataset: None,
        concurrency: 16.try_into().unwrap(),
        give_up_after: 30,
        rejects: None,
    }
}

/// A file `shop.csv` of lines without their header.
fn shop_csv(folder: &TempDir, lines: &[String]) -> PathBuf {
    let header =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
    let file = folder.path().join("shop.csv");
    fs::write(&file, format!("{header}\n{}\n", lines.join("\n"))).unwrap();
    file
}

/// So many invoices of one line, each a minute after the other, by customers 0, 1, 2, …
fn invoices(count: usize) -> Vec<String> {
    let line = |at: usize| {
        let (sku, hour, minute) = (10_000 + at % 10, 8 + at / 60, at % 60);
        format!("{at},{sku},THING,2,2010-12-01T{hour:02}:{minute:02}:00,1.25,{at},France")
    };
    (0..count).map(line).collect()
}

fn of_kind(taken: &[Taken], kind: &str) -> Vec<usize> {
    let key = format!(":{kind}:");
    (0..taken.len()).filter(|at| taken[*at].key.contains(&key)).collect()
}

fn invoices_of(taken: &[Taken]) -> Vec<String> {
    let orders = of_kind(taken, "order").into_iter();
    orders.map(|at| taken[at].key.rsplit(':').next().unwrap().to_owned()).collect()
}

/// How many orders there are, if every one of them is shipped.
fn all_shipped(fake: &FakeDaybook) -> Option<usize> {
    let shop = fake.shop();
    let all = shop.orders.values().all(|order| order.status == "shipped");
    all.then_some(shop.orders.len())
}

/// Runs an import until something else is true, then drops it where it stands.
async fn interrupted_by(import: &Import, something: impl Future<Output = ()>) {
    tokio::select! {
        report = import.run() => panic!("not interrupted: {report:?}"),
        () = something => {}
    }
}

async fn until(fake: &FakeDaybook, orders: usize) {
    while fake.shop().orders.len() < orders {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

fn settled(report: &Report) {
    assert!(report.is_settled(), "{report}");
}

#[tokio::test]
async fn the_whole_file_is_sent_and_every_order_is_shipped() {
    let fake = FakeDaybook::start(Faults::default());
    let import = import(retail_totals::FILE, &fake);
    let plan = import.plan().unwrap();
    let report = import.run().await.unwrap();
    settled(&report);
    assert_eq!((report.tally.shipped, report.tally.cancelled), (plan.orders.len(), 0));
    assert_eq!(all_shipped(&fake), Some(plan.orders.len()));

    // Whatever is left of the stock is what was found.
    let mut found: BTreeMap<String, i64> = BTreeMap::new();
    for adjustment in plan.adjustments.iter().filter(|adjustment| adjustment.change > 0) {
        *found.entry(adjustment.sku.clone()).or_default() += adjustment.change;
    }
    let mut on_hand = fake.shop().on_hand.clone();
    on_hand.retain(|_, quantity| *quantity != 0);
    assert_eq!(on_hand, found);

    let taken = fake.shop().taken.clone();
    let [products, receipts, adjustments, orders] =
        ["product", "receive", "adjust", "order"].map(|kind| of_kind(&taken, kind));
    assert!(products.last() < receipts.first() && receipts.last() < adjustments.first());
    assert!(adjustments.last() < orders.first());
    // Orders are sent in their order, 16 at once: what arrives overtakes the 15 others at most. How
    // many overtake an order whose own request is slow, nothing bounds: the others go on.
    for (arrived, invoice) in invoices_of(&taken).iter().enumerate() {
        let at = plan.orders.iter().position(|order| order.invoice == *invoice).unwrap();
        assert!(at < arrived + 16, "{invoice} is number {at}, but came as {arrived}");
    }
}

#[tokio::test]
async fn one_at_a_time_the_orders_arrive_exactly_in_their_order() {
    let fake = FakeDaybook::start(Faults::default());
    let import =
        Import { concurrency: 1.try_into().unwrap(), ..import(retail_totals::FILE, &fake) };
    let plan = import.plan().unwrap();
    settled(&import.run().await.unwrap());
    let expected: Vec<_> = plan.orders.iter().map(|order| order.invoice.clone()).collect();
    assert_eq!(invoices_of(&fake.shop().taken), expected);
}

#[tokio::test]
async fn an_order_carries_its_own_prices_charges_and_date() {
    let fake = FakeDaybook::start(Faults::default());
    let folder = TempDir::new().unwrap();
    let lines = [
        "7,71053,LANTERN,6,2010-12-01T08:26:00,3.39,17850,EIRE",
        "7,POST,POSTAGE,2,2010-12-01T08:26:00,18,17850,EIRE",
        "7,D,Discount,-1,2010-12-01T08:26:00,1.5,17850,EIRE",
    ];
    let file = shop_csv(&folder, &lines.map(str::to_owned));
    settled(&import(file, &fake).run().await.unwrap());
    let shop = fake.shop();
    let keys: Vec<_> = shop.taken.iter().map(|taken| taken.key.as_str()).collect();
    let expected = ["product:71053", "receive:71053:1", "order:7", "ship:7"];
    assert_eq!(keys, expected.map(|key| format!("import:shop.csv:{key}")));
    assert_eq!(
        shop.taken[2].body,
        serde_json::json!({
            "occurred_at": "2010-12-01T08:26:00Z",
            "customer": "17850",
            "country": "IE",
            "payment_method": "pm_card_visa",
            "lines": [{
                "sku": "71053", "quantity": 6, "unit_price": {"amount": 339, "currency": "GBP"}
            }],
            "shipping": {"amount": 3600, "currency": "GBP"},
            "discount": {"amount": 150, "currency": "GBP"},
        })
    );
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let fake = FakeDaybook::start(Faults::default());
    let folder = TempDir::new().unwrap();
    let import = import(shop_csv(&folder, &invoices(40)), &fake);
    settled(&import.run().await.unwrap());
    let first = fake.shop().taken.clone();
    settled(&import.run().await.unwrap());
    assert_eq!(fake.shop().taken, first);
    assert!(fake.shop().repeats > 0);
}

#[tokio::test]
async fn an_import_that_was_interrupted_goes_on_where_it_stopped() {
    let fake = FakeDaybook::start(Faults::default());
    let folder = TempDir::new().unwrap();
    let import = import(shop_csv(&folder, &invoices(300)), &fake);
    for orders in [5, 100, 200] {
        interrupted_by(&import, until(&fake, orders)).await;
    }
    settled(&import.run().await.unwrap());
    assert_eq!(all_shipped(&fake), Some(300));
    assert!(fake.shop().on_hand.values().all(|quantity| *quantity == 0));
}

#[tokio::test]
async fn daybook_may_be_killed_and_restarted_in_the_middle() {
    let mut fake = FakeDaybook::start(Faults::default());
    let folder = TempDir::new().unwrap();
    let import = import(shop_csv(&folder, &invoices(200)), &fake);
    let kills = async {
        // While products are listed, stock is received, orders are placed, and orders are shipped.
        for commands in [5, 10, 50, 150] {
            fake.die_after(commands).await;
        }
    };
    let (report, ()) = tokio::join!(import.run(), kills);
    settled(&report.unwrap());
    assert_eq!(all_shipped(&fake), Some(200));
    assert!(fake.shop().on_hand.values().all(|quantity| *quantity == 0));
    assert!(fake.shop().repeats > 0, "what was not answered is asked again with the same key");
}

#[tokio::test]
async fn a_busy_daybook_is_asked_again() {
    let faults = Faults { busy_every: Some(3), ..Faults::default() };
    let fake = FakeDaybook::start(faults);
    let folder = TempDir::new().unwrap();
    let report = import(shop_csv(&folder, &invoices(60)), &fake).run().await.unwrap();
    settled(&report);
    assert!(report.rejects.is_empty());
    assert_eq!(all_shipped(&fake), Some(60));
}

#[tokio::test]
async fn cancelled_and_refused_orders_are_in_the_reject_report() {
    let faults =
        Faults { declined_customer: Some("3"), refused_customer: Some("5"), ..Faults::default() };
    let fake = FakeDaybook::start(faults);
    let folder = TempDir::new().unwrap();
    let mut lines = invoices(8);
    lines.push("C9,10001,THING,-1,2010-12-02T08:00:00,1.25,7,France".to_owned());
    lines.push("7,M,Manual,1,2010-12-02T08:00:00,1.25,7,France".to_owned());
    let rejects = folder.path().join("rejects.csv");
    let file = shop_csv(&folder, &lines);
    let import = Import { rejects: Some(rejects.clone()), ..import(file, &fake) };
    let report = import.run().await.unwrap();
    assert_eq!(
        fs::read_to_string(rejects).unwrap(),
        "line,invoice,code,reason\n\
         5,3,,payment-declined\n\
         7,5,,discount-exceeds-total\n\
         10,C9,10001,return-not-supported\n\
         11,7,M,manual-entry\n"
    );
    let tally = &report.tally;
    assert_eq!((tally.placed, tally.shipped, tally.cancelled, tally.refused), (7, 6, 1, 1));
    assert!(!report.is_settled(), "an order that was refused is not settled");
}

#[tokio::test]
async fn an_order_that_the_checkout_cancelled_is_settled() {
    let faults = Faults { declined_customer: Some("3"), ..Faults::default() };
    let fake = FakeDaybook::start(faults);
    let folder = TempDir::new().unwrap();
    let report = import(shop_csv(&folder, &invoices(8)), &fake).run().await.unwrap();
    settled(&report);
    assert!(report.to_string().contains("1 payment-declined"), "{report}");
}

#[tokio::test]
async fn a_receipt_is_split_at_a_million() {
    let fake = FakeDaybook::start(Faults::default());
    let folder = TempDir::new().unwrap();
    let line = |at| format!("{at},71053,LANTERN,900000,2010-12-01T08:26:00,0.01,,France");
    let report = import(shop_csv(&folder, &[line(1), line(2), line(3)]), &fake).run().await;
    settled(&report.unwrap());
    assert_eq!(of_kind(&fake.shop().taken, "receive").len(), 3);
}

#[tokio::test]
async fn without_accept_history_it_says_what_to_do() {
    let fake = FakeDaybook::start(Faults { no_history: true, ..Faults::default() });
    let report = import(retail_totals::FILE, &fake).run().await.unwrap();
    assert!(!report.is_settled());
    assert!(report.to_string().contains("daybook serve --accept-history"), "{report}");
    assert!(fake.shop().requests <= 16, "it stops at the first answer");
}

#[tokio::test]
async fn it_gives_up_when_nobody_answers() {
    let fake = FakeDaybook::start(Faults::default());
    let import = Import { give_up_after: 1, ..import(retail_totals::FILE, &fake) };
    drop(fake);
    let report = import.run().await.unwrap();
    assert!(!report.is_settled());
    assert!(report.to_string().contains("no progress for 1 s"), "{report}");
}

#[tokio::test]
async fn it_gives_up_when_no_order_settles() {
    let fake = FakeDaybook::start(Faults { no_checkout: true, ..Faults::default() });
    let folder = TempDir::new().unwrap();
    let file = shop_csv(&folder, &invoices(3));
    let report = Import { give_up_after: 1, ..import(file, &fake) }.run().await.unwrap();
    assert!(!report.is_settled());
    assert!(report.to_string().contains("3 orders wait for their checkout"), "{report}");
}

#[tokio::test]
async fn a_file_that_cannot_be_imported_is_refused_before_anything_is_sent() {
    let fake = FakeDaybook::start(Faults::default());
    let folder = TempDir::new().unwrap();
    let missing = import(folder.path().join("nowhere.csv"), &fake).run().await.unwrap_err();
    assert!(missing.to_string().contains("nowhere.csv cannot be opened"), "{missing}");

    let file = folder.path().join("other.csv");
    fs::write(&file, "a,b,c\n1,2,3\n").unwrap();
    let header = import(file, &fake).run().await.unwrap_err();
    let cause = std::error::Error::source(&header).unwrap().to_string();
    assert!(cause.contains("is `a,b,c`"), "{cause}");

    let url = "nonsense".to_owned();
    let address = Import { url, ..import(retail_totals::FILE, &fake) }.run().await.unwrap_err();
    assert!(address.to_string().contains("nonsense is not an address"), "{address}");

    let rejects = Some(folder.path().join("no/such/folder.csv"));
    let unwritable = Import { rejects, ..import(retail_totals::FILE, &fake) }.run().await;
    assert!(unwritable.unwrap_err().to_string().contains("cannot be written"));
    assert_eq!(fake.shop().requests, 0);
}
