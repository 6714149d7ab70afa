//! The process is ended at every named place that stands between two effects, and its Postgres and its Kafka with
//! it, while customers go on. In the end every promise is held against the log, the provider's book, the views and
//! Kafka's copy.

#![expect(clippy::print_stdout, reason = "the seed, for whoever runs it for long")]

mod servers;
mod table;

use crate::customers::{Customers, Dice, SKUS};
use crate::rebuild_e2e::rows_are_what_the_events_say;
use crate::shop::{eventually, sell};
use crate::support::{Daybook, World, binary, free_port, variable_or};
use crate::{books, kafka_copy};
use event_store::failpoint::FAILPOINTS;
use servers::{Server, Servers};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant, UNIX_EPOCH};
use table::Table;
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

/// A shop with customers, to which everything happens.
struct Torture {
    dice: Dice,
    port: u16,
    world: World,
    servers: Option<Servers>,
    customers: Customers,
    began: Instant,
    table: Table,
}

impl Torture {
    async fn begin(mut world: World) -> Self {
        let now = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
        let seed: u64 = variable_or("TORTURE_SEED", now);
        println!("seed {seed}");
        let port = free_port();
        let daybook = world.start_on(port).await;
        let servers = world.own_servers().map(|_| Servers::of(&world));
        world.finds_its_servers().await;
        for sku in SKUS {
            sell(&world, &daybook, sku, 255, 40).await;
        }
        daybook.kill().await;
        let customers = Customers::open(seed, port);
        let (dice, table, began) = (Dice::new(seed), Table::default(), Instant::now());
        Torture { dice, port, world, servers, customers, began, table }
    }

    /// The process ends at a place when it has come by that often, or fewer times.
    async fn process_ends(&mut self, name: &str, most: u64) {
        // At the start migrations come by once for each service.
        let spared = self.dice.below(if name.starts_with("migrate") { 5 } else { most });
        let mut daybook = self.world.spawn(armed(name, spared), self.port);
        eventually(&format!("the process ends at {name}+{spared}"), async || {
            match daybook.status() {
                Some(status) if was_aborted(status) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        self.table.count(&format!("process, at {name}"));
    }

    /// A server is killed under load, and sometimes the process with it, which then finds it dead.
    async fn server_ends(&mut self, server: Server) {
        let daybook = self.world.start_on(self.port).await;
        self.customers.go_on().await;
        let servers = self.servers.as_ref().expect("servers of its own");
        servers.kill(server).await;
        self.table.count(&format!("{server:?}, killed"));
        if self.dice.below(3) > 0 {
            servers.is_back(&self.world, server).await;
            self.customers.go_on().await;
        }
        daybook.kill().await;
        self.table.count("process, killed");
    }

    async fn at_random(&mut self) {
        let places = of_serve();
        match (&self.servers, self.dice.below(12)) {
            (Some(_), 0) => self.server_ends(Server::Postgres).await,
            (Some(_), 1) => self.server_ends(Server::Kafka).await,
            (Some(_) | None, _) => {
                let place = usize::try_from(self.dice.below(places.len() as u64)).unwrap();
                self.process_ends(places[place], 200).await;
            }
        }
    }

    /// Every promise holds.
    async fn ends(self) {
        let Torture { port, world, customers, began, table, .. } = self;
        let daybook = world.start_on(port).await;
        customers.leave().await;
        customers.are_served(&daybook).await;
        table.print(&customers, began.elapsed());

        books::are_closed(&world).await;
        customers.were_told_the_truth(&daybook).await;
        rows_are_what_the_events_say(&world).await;
        kafka_copy::equals_the_logs(&world).await;
        println!("{:40} {:>6}", "violations", 0);
        daybook.stop().await;
    }
}

/// Without `TORTURE_MINUTES` every place once; with it all servers too, and then on and on at random.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_line_the_process_ends_at_every_promise_holds() {
    let minutes: u64 = variable_or("TORTURE_MINUTES", 0);
    let world = if minutes > 0 { World::with_own_servers().await } else { World::new().await };
    let mut torture = Torture::begin(world).await;
    for name in of_serve() {
        torture.process_ends(name, 12).await;
    }
    if torture.servers.is_some() {
        torture.server_ends(Server::Postgres).await;
        torture.server_ends(Server::Kafka).await;
    }
    while torture.began.elapsed() < Duration::from_secs(60 * minutes) {
        torture.at_random().await;
    }
    torture.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_server_is_killed_every_promise_holds() {
    let mut torture = Torture::begin(World::with_own_servers().await).await;
    torture.server_ends(Server::Postgres).await;
    torture.server_ends(Server::Kafka).await;
    torture.ends().await;
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

/// The new generation is whole and waits for the live one to stand still, when Postgres is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_ends_during_the_switch_leaves_one_whole_generation() {
    let mut world = World::with_own_servers().await;
    world.flags.extend(["--kafka".to_owned(), "off".to_owned()]);
    let servers = Servers::of(&world);
    let daybook = world.start().await;
    world.finds_its_postgres().await;
    sell(&world, &daybook, "85123A", 255, 100).await;
    let answers = |stock: &serde_json::Value| stock["available"] == 100;
    daybook.until("it is posted", "/v1/stock/85123A", answers).await;
    let (mut holder, watcher) = (world.sql().await, world.sql().await);
    let held = holder.transaction().await.unwrap();
    held.execute("select from inventory_read.checkpoint for update", &[]).await.unwrap();
    let mut rebuild = world.command("rebuild").args(["stock", "--no-verify"]).spawn().unwrap();
    eventually("the rebuild comes to the switch", async || {
        let sql = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%for update%'";
        let waiting: i64 = watcher.query_one(sql, &[]).await.unwrap().get(0);
        (waiting > 0).then_some(()).ok_or_else(|| "it is not there".to_owned())
    })
    .await;
    // That it began was written without waiting for the disk.
    watcher.batch_execute("checkpoint").await.unwrap();
    servers.kill(Server::Postgres).await;
    assert_eq!(rebuild.wait().await.unwrap().code(), Some(1), "it says that it failed");
    servers.is_back(&world, Server::Postgres).await;
    daybook.until("it answers", "/v1/stock/85123A", answers).await;
    let states = "select string_agg(generation || ' ' || state, ', ' order by generation) \
                  from inventory_read.generation";
    let states: String = world.sql().await.query_one(states, &[]).await.unwrap().get(0);
    assert_eq!(states, "1 live, 2 building");
    assert!(world.command("rebuild").arg("stock").status().await.unwrap().success());
    daybook.until("it answers", "/v1/stock/85123A", answers).await;
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
