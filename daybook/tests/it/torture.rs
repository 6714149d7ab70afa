//! The process is ended at every named place that stands between two effects, and its Postgres and its Kafka with
//! it, while customers go on. In the end every promise is held against the log, the provider's book, the views and
//! Kafka's copy.

#![expect(clippy::print_stdout, reason = "the seed, for whoever runs it for long")]

mod lists;
mod servers;
mod table;

use crate::customers::{Customers, Dice, SKUS};
use crate::rebuild_e2e::{is_nearly_live, live, rows_are_what_the_events_say};
use crate::shop::{eventually, sell};
use crate::support::{Daybook, World, binary, free_port, variable_or};
use crate::{books, kafka_copy};
use event_store::failpoint::FAILPOINTS;
use lists::{Asking, LISTS, List};
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
        let mut verify = world.command("verify");
        verify.args(["--log", "--kafka", "--topic-prefix", &world.topic_prefix]);
        verify.args(["--kafka-brokers", world.brokers.as_ref().expect("a world with Kafka")]);
        let verified = verify.output().await.unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_ends_at_any_step_leaves_a_generation_that_answers() {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    lists::fill(&world, &daybook).await;
    let (asking, sql) = (Asking::begin(&daybook), world.sql().await);
    for list in LISTS {
        list.mark(&world).await;
        for name in FAILPOINTS.iter().filter(|name| name.starts_with("rebuild-")) {
            let mut command = world.command("rebuild");
            let rebuild = command.args([list.projection, "--accept-differences"]);
            let ended = rebuild.env("FAILPOINT", name).status().await.unwrap();
            assert!(was_aborted(ended), "{name}: {ended}");
            let has_changed_over = *name == "rebuild-after-cutover";
            let live = live(&sql, list.projection, list.read).await;
            assert_eq!(live, if has_changed_over { 2 } else { 1 }, "{}, {name}", list.projection);
            list.shows(&daybook, !has_changed_over).await;
        }
        let mut command = world.command("rebuild");
        assert!(command.arg(list.projection).status().await.unwrap().success());
        list.shows(&daybook, false).await;
    }
    let (answered, refused) = asking.end().await;
    assert!(answered > 0 && refused == 0, "{answered} were answered, {refused} were not");
    daybook.stop().await;
}

/// A shop with Postgres of its own, which is killed while somebody asks for lists.
struct Switch {
    world: World,
    servers: Servers,
    daybook: Daybook,
    asking: Asking,
}

impl Switch {
    async fn begin() -> Self {
        let mut world = World::with_own_servers().await;
        world.flags.extend(["--kafka".to_owned(), "off".to_owned()]);
        let servers = Servers::of(&world);
        let daybook = world.start().await;
        world.finds_its_postgres().await;
        lists::fill(&world, &daybook).await;
        let asking = Asking::begin(&daybook);
        Switch { world, servers, daybook, asking }
    }

    fn rebuild(&self, list: &List) -> Command {
        let mut command = self.world.command("rebuild");
        command.args([list.projection, "--accept-differences"]);
        command
    }

    /// Every generation of it.
    async fn generations(&self, list: &List) -> String {
        let states = format!(
            "select string_agg(generation || ' ' || state, ', ' order by generation) \
               from {}.generation where projection = $1",
            list.read
        );
        self.world.sql().await.query_one(&states, &[&list.projection]).await.unwrap().get(0)
    }

    async fn ends(self) {
        let (answered, refused) = self.asking.end().await;
        assert!(answered > 0 && refused > 0, "{answered} were answered, {refused} were not");
        self.daybook.stop().await;
    }
}

/// The new generation is whole and waits for the live one to stand still, when Postgres is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_ends_during_the_switch_leaves_one_whole_generation() {
    let switch = Switch::begin().await;
    for list in LISTS {
        list.mark(&switch.world).await;
        let (mut holder, watcher) = (switch.world.sql().await, switch.world.sql().await);
        let held = holder.transaction().await.unwrap();
        let hold = format!("select from {}.checkpoint where follower = $1 for update", list.read);
        held.execute(&hold, &[&list.projection]).await.unwrap();
        let mut rebuild = switch.world.command("rebuild");
        let mut rebuild = rebuild.args([list.projection, "--no-verify"]).spawn().unwrap();
        is_nearly_live(&watcher, list.projection, list.read).await;
        // That it began was written without waiting for the disk.
        watcher.batch_execute("checkpoint").await.unwrap();
        switch.servers.kill(Server::Postgres).await;
        assert_eq!(rebuild.wait().await.unwrap().code(), Some(1), "it says that it failed");
        switch.servers.is_back(&switch.world, Server::Postgres).await;
        list.shows(&switch.daybook, true).await;
        assert_eq!(switch.generations(&list).await, "1 live, 2 building");
        assert_eq!(switch.rebuild(&list).status().await.unwrap().code(), Some(3));
        list.shows(&switch.daybook, false).await;
    }
    switch.ends().await;
}

/// The new generation has just become the live one, when the rebuild is killed and Postgres with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_ends_right_after_the_switch_has_all_of_the_new_generation() {
    let switch = Switch::begin().await;
    for list in LISTS {
        list.mark(&switch.world).await;
        let ended = switch.rebuild(&list).env("FAILPOINT", "rebuild-after-cutover").status().await;
        switch.servers.kill(Server::Postgres).await;
        assert!(was_aborted(ended.unwrap()), "it came as far as that");
        switch.servers.is_back(&switch.world, Server::Postgres).await;
        list.shows(&switch.daybook, false).await;
        assert_eq!(switch.generations(&list).await, "1 old, 2 live");
        let mut verify = switch.world.command("verify");
        assert!(verify.arg(list.projection).status().await.unwrap().success());
    }
    switch.ends().await;
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
