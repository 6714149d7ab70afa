use super::disk::Disk;
use super::server::Server;
use crate::books;
use crate::customers::{Customers, SKUS};
use crate::kafka_copy;
use crate::rebuild_e2e::rows_are_what_the_events_say;
use crate::shop::{SERVICES, eventually, sell};
use crate::support::{Daybook, World, binary, free_port, variable_or};
use daybook::embedded::Runtime;
use std::process::Stdio;
use std::time::UNIX_EPOCH;

/// A shop on a server of its own, with customers in it.
pub(super) struct Open {
    pub(super) world: World,
    daybook: Daybook,
    customers: Customers,
}

/// What nobody can know yet is said sooner.
const SOONER: [&str; 2] = ["--request-timeout-s", "15"];

impl Open {
    pub(super) async fn on(server: &Server<'_>) -> Self {
        let mut world = World::on(&server.url()).await;
        world.flags = SOONER.map(str::to_owned).to_vec();
        let port = free_port();
        let daybook = world.start_on(port).await;
        Self::to_customers(world, daybook, port).await
    }

    /// With the Postgres that the program brings along.
    pub(super) async fn with_its_own(disk: &Disk) -> Self {
        let mut world = World::new().await.without_kafka();
        let (port, folder) = (free_port(), disk.place.path("shop"));
        let mut serve = binary();
        serve.args(["serve", "--kafka", "off", "--log", "warn", "--provider-url"]);
        serve.arg(&world.provider.url).args(["--listen", &format!("127.0.0.1:{port}")]);
        serve
            .args(SOONER)
            .arg("--data-dir")
            .arg(&folder)
            .envs(disk.place.variables.iter().cloned());
        let child = serve.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let daybook = Daybook::of(child, port);
        daybook.is_ready().await;
        world.database_url = Runtime::find(&folder).unwrap().database_url.unwrap();
        Self::to_customers(world, daybook, port).await
    }

    async fn to_customers(world: World, daybook: Daybook, port: u16) -> Self {
        for sku in SKUS {
            sell(&world, &daybook, sku, 255, 40).await;
        }
        let now = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
        let customers = Customers::open(variable_or("TORTURE_SEED", now), port);
        Open { world, daybook, customers }
    }

    /// Waits until so many more commands are acknowledged.
    pub(super) async fn serves(&mut self, more: u64) {
        let acknowledged = || u64::try_from(self.customers.counts().0).unwrap();
        let enough = acknowledged() + more;
        eventually("commands are acknowledged", async || {
            let now = acknowledged();
            if now >= enough { Ok(()) } else { Err(format!("{now} of {enough}")) }
        })
        .await;
        self.lives();
    }

    /// Waits until so many more tries are refused.
    pub(super) async fn refuses(&mut self, more: u64) {
        let refused =
            || self.customers.refused().values().map(|refused| refused.times).sum::<u64>();
        let enough = refused() + more;
        eventually("commands are refused", async || {
            let now = refused();
            if now >= enough { Ok(()) } else { Err(format!("{now} of {enough}")) }
        })
        .await;
        self.lives();
    }

    /// The problems that came of tries.
    pub(super) fn refusals(&self) -> Vec<String> {
        self.customers.refused().into_keys().collect()
    }

    pub(super) async fn misses_postgres(&self) {
        let missing = "it says that postgres is missing";
        let says = |answer: &serde_json::Value| {
            let detail = answer["detail"].as_str().unwrap_or_default();
            answer["status"] == 503 && detail.contains("postgres (")
        };
        self.daybook.until(missing, "/health/ready", says).await;
    }

    fn lives(&mut self) {
        assert_eq!(self.daybook.status(), None, "the program goes on");
    }

    /// The customers leave, everything comes to rest, and every promise is held against what is there.
    pub(super) async fn closes(mut self) {
        self.daybook.is_ready().await;
        self.customers.leave().await;
        self.customers.tell();
        self.customers.are_served(&self.daybook).await;
        books::are_closed(&self.world).await;
        self.customers.were_told_the_truth(&self.daybook).await;
        rows_are_what_the_events_say(&self.world).await;
        if self.world.brokers.is_some() {
            kafka_copy::equals_the_logs(&self.world).await;
        }
        self.nothing_was_parked().await;
        let (_, cut_off) = self.customers.counts();
        assert_eq!(cut_off, 0, "every try is answered");
        self.lives();
        self.daybook.stop().await;
    }

    async fn nothing_was_parked(&self) {
        let postgres = self.world.sql().await;
        for service in SERVICES {
            let sql = format!("select follower || ': ' || reason from {service}_read.parked");
            books::finds_nothing(&postgres, "parked", &sql).await;
        }
    }
}
