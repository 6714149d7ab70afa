//! A real shop's history, sent by the real program to a running Daybook.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::{Child, Command};
use tokio_postgres::Client;

use crate::books;
use crate::retail_totals::{FILE, Totals, of_raw_file, of_sales};
use crate::shop::{eventually, heads};
use crate::support::{Daybook, World, binary, free_port};

#[tokio::test]
async fn a_shops_history_gives_the_totals_of_the_raw_file_however_often_it_is_imported() {
    let world = World { accept_history: true, ..World::new().await };
    let daybook = world.start().await;
    succeeds(import(Path::new(FILE), &daybook.url).output().await.unwrap());
    sold_is(&daybook, &world, &of_raw_file(FILE)).await;
    let before = heads(&world.sql().await).await;

    succeeds(import(Path::new(FILE), &daybook.url).output().await.unwrap());
    sold_is(&daybook, &world, &of_raw_file(FILE)).await;
    assert_eq!(heads(&world.sql().await).await, before, "the second import changes nothing");
    daybook.stop().await;
}

/// The plug is pulled while stock is received, while orders are placed, and while they are confirmed and
/// shipped. The import lives through it twice; the third time it dies too, and is run again.
#[tokio::test]
async fn a_daybook_that_is_killed_three_times_during_an_import_ends_as_if_it_had_not_been() {
    let world = World { accept_history: true, ..World::new().await };
    let file = first_lines(2_500, &world);
    let port = free_port();
    let mut daybook = world.start_on(port).await;
    let mut importing = start(import(&file, &daybook.url));
    let sql = world.sql().await;
    for (service, kind, count) in [
        ("inventory", "stock.received", 300),
        ("orders", "order.placed", 60),
        ("orders", "order.shipped", 10),
    ] {
        until(&sql, service, kind, count).await;
        assert!(importing.try_wait().unwrap().is_none(), "commands are in flight");
        daybook.kill().await;
        daybook = world.start_on(port).await;
    }
    importing.kill().await.unwrap();
    succeeds(import(&file, &daybook.url).output().await.unwrap());
    sold_is(&daybook, &world, &of_raw_file(&file)).await;
    daybook.stop().await;
}

fn import(file: &Path, url: &str) -> Command {
    let mut command = binary();
    command.arg("import").arg(file).args(["--url", url]);
    command
}

fn start(mut import: Command) -> Child {
    import.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

fn succeeds(output: Output) {
    let (said, shown) = (String::from_utf8(output.stderr), String::from_utf8(output.stdout));
    assert!(output.status.success(), "{}\n{}", said.unwrap(), shown.unwrap());
}

/// The file without what comes after so many lines.
fn first_lines(count: usize, world: &World) -> PathBuf {
    let text = std::fs::read_to_string(FILE).unwrap();
    let lines: Vec<_> = text.lines().take(count + 1).collect();
    let file = world.folder.path().join("shop.csv");
    std::fs::write(&file, lines.join("\n")).unwrap();
    file
}

async fn until(sql: &Client, service: &str, kind: &str, count: i64) {
    let counting = format!("select count(*) from {service}.event where type = $1");
    eventually(&format!("{count} {kind}"), async || {
        let found: i64 = sql.query_one(&counting, &[&kind]).await.unwrap().get(0);
        (found >= count).then_some(()).ok_or_else(|| format!("{found} are there"))
    })
    .await;
}

/// Every order is closed and the books are right, each thing was done once, and `/v1/sales` answers with the totals.
async fn sold_is(daybook: &Daybook, world: &World, expected: &Totals) {
    books::are_closed(world).await;
    for (by, totals) in &expected.0 {
        let items = daybook.all(&format!("/v1/sales?by={by}")).await;
        assert_eq!(of_sales(&items, by), *totals, "sales by {by}");
    }
    let orders: i64 = expected.0["country"].values().map(|sum| sum.orders).sum();
    let sold: i64 = expected.0["product"].values().map(|sum| sum.orders).sum();
    let counted = counts(world).await;
    let count = |kind: &str| counted.get(kind).copied().unwrap_or_default();
    for kind in ["placed", "confirmed", "shipped", "closed"] {
        assert_eq!(count(&format!("order.{kind}")), orders, "orders {kind}: {counted:#?}");
    }
    for kind in ["stock.reserved", "stock.shipped"] {
        assert_eq!(count(kind), sold, "{kind}: {counted:#?}");
    }
    assert_eq!(count("payment.authorised"), count("payment.captured"), "{counted:#?}");
}

/// The events of every type.
async fn counts(world: &World) -> BTreeMap<String, i64> {
    let sql = world.sql().await;
    let mut counts = BTreeMap::new();
    for service in crate::shop::SERVICES {
        let query = format!("select type, count(*) from {service}.event group by type");
        let rows = sql.query(&query, &[]).await.unwrap();
        counts.extend(rows.iter().map(|row| (row.get(0), row.get(1))));
    }
    counts
}
