//! The process is ended at every named place that stands between two effects, while customers go on, and in the end
//! every promise is held against the log, the provider's book, the views and Kafka's copy.

#![expect(clippy::print_stdout, reason = "a table of what was done, for whoever runs it for long")]

use crate::customers::{Customers, Dice, SKUS};
use crate::rebuild_e2e::rows_are_what_the_events_say;
use crate::shop::{eventually, sell};
use crate::support::{Daybook, World, binary, free_port, variable_or};
use crate::{books, kafka_copy};
use event_store::failpoint::FAILPOINTS;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::process::Command;

/// Where a process that serves comes by on a database that is there already.
fn of_serve() -> Vec<&'static str> {
    let serves = |name: &&str| !name.starts_with("rebuild-") && !name.starts_with("embedded-");
    FAILPOINTS.iter().copied().filter(serves).collect()
}

fn armed(name: &str, spared: u64) -> Command {
    let mut command = binary();
    command.env("FAILPOINT", format!("{name}+{spared}"));
    command
}

/// At the place, and not for a reason of its own.
fn was_aborted(status: ExitStatus) -> bool {
    status.signal() == Some(6)
}

/// What was done, and what came of it.
#[derive(Default)]
struct Table {
    faults: Vec<(String, u64)>,
}

impl Table {
    fn print(&self, customers: &Customers, took: Duration) {
        println!("{:.0} s", took.as_secs_f64());
        println!("{:32} {:>6}", "process ended at", "times");
        for (name, times) in &self.faults {
            println!("{name:32} {times:>6}");
        }
        customers.tell();
    }

    fn count(&mut self, name: &str) {
        match self.faults.iter_mut().find(|(known, _)| known == name) {
            Some((_, times)) => *times += 1,
            None => self.faults.push((name.to_owned(), 1)),
        }
    }
}

/// Without `TORTURE_MINUTES` every place once; with it, on and on at random.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_line_the_process_ends_at_every_promise_holds() {
    let now = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let seed: u64 = variable_or("TORTURE_SEED", now);
    let minutes: u64 = variable_or("TORTURE_MINUTES", 0);
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let world = World::new().await;
    let port = free_port();
    let daybook = world.start_on(port).await;
    for sku in SKUS {
        sell(&world, &daybook, sku, 255, 40).await;
    }
    daybook.stop().await;

    let (began, mut table) = (Instant::now(), Table::default());
    let customers = Customers::open(seed, port);
    for name in of_serve() {
        // At the start migrations come by once for each service.
        let spared = dice.below(if name.starts_with("migrate") { 5 } else { 12 });
        ends_at(&world, port, name, spared).await;
        table.count(name);
    }
    while began.elapsed() < Duration::from_secs(60 * minutes) {
        let places = of_serve();
        let name = places[usize::try_from(dice.below(places.len() as u64)).unwrap()];
        let spared = dice.below(if name.starts_with("migrate") { 5 } else { 200 });
        ends_at(&world, port, name, spared).await;
        table.count(name);
    }
    let daybook = world.start_on(port).await;
    customers.leave().await;
    customers.are_served(&daybook).await;
    table.print(&customers, began.elapsed());

    books::are_closed(&world).await;
    customers.were_told_the_truth(&daybook).await;
    rows_are_what_the_events_say(&world).await;
    kafka_copy::equals_the_logs(&world).await;
    daybook.stop().await;
}

async fn ends_at(world: &World, port: u16, name: &str, spared: u64) {
    let mut daybook: Daybook = world.spawn(armed(name, spared), port);
    eventually(&format!("the process ends at {name}+{spared}"), async || match daybook.status() {
        Some(status) if was_aborted(status) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_rebuild_that_ends_at_any_step_leaves_a_generation_that_answers() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let places = FAILPOINTS.iter().filter(|name| name.starts_with("rebuild-"));
    for name in places {
        let mut command = world.command("rebuild");
        let rebuild = command.arg("stock").env("FAILPOINT", name);
        assert!(was_aborted(rebuild.status().await.unwrap()), "{name}");
        let answers = |stock: &serde_json::Value| stock["available"] == 100;
        daybook.until("it answers", "/v1/stock/85123A", answers).await;
    }
    assert!(world.command("rebuild").arg("stock").status().await.unwrap().success());
    daybook.stop().await;
}

#[tokio::test]
async fn a_start_that_ends_before_it_is_known_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let serve = |mut command: Command| {
        command.args(["serve", "--kafka", "off", "--listen", &format!("127.0.0.1:{port}")]);
        command.arg("--data-dir").arg(folder.path()).kill_on_drop(true);
        command.stdout(std::process::Stdio::null());
        command
    };
    let first = serve(armed("embedded-postgres-started", 0)).status().await.unwrap();
    assert!(was_aborted(first), "{first}");
    let again = serve(binary()).spawn().unwrap();
    let daybook = Daybook::of(again, port);
    daybook.is_ready().await;
    daybook.stop().await;
}
