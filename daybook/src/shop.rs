//! The shop in one process: every role of every service, on one database.

mod gate;
mod plan;
mod watch;

pub use plan::{SERVICES, ShopSettings, topic_of};

use crate::{contracts, problems};
use anyhow::{Context, Result};
use axum::Router;
use command_api::prices::{PriceFollower, Prices};
use command_api::{CommandApi, Settings};
use domain::checkout::checkout::Checkout;
use domain::payments::payment::Payment;
use edge::{Access, Health};
use event_store::dues::{DueLimits, DueWatch};
use event_store::follow::{Feed, FollowLimits, Follower, ReadSide, Runner};
use event_store::kafka::{FeedSettings, KafkaFeeds, Relay, RelaySettings, RelayWatch};
use event_store::{Log, Pace, Transactor, migrate};
use gate::Gate;
use projections::{Generations, Queries};
use sagas::provider::Provider;
use sagas::{Saga, checkout, payment};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A running shop. [`router`](Self::router) answers; [`stop`](Self::stop) ends it in order.
pub struct Shop {
    pub health: Health,
    router: Router,
    logs: BTreeMap<&'static str, Log>,
    runner: Runner,
    /// Who acts and follows; ended before the logs are closed.
    acting: CancellationToken,
    tasks: TaskTracker,
}

/// What one service has in this process.
struct Service {
    log: Log,
    read: ReadSide,
}

/// Connections that build generations of read models which this version of the program lacks.
const BUILDERS: usize = 8;

type Services = BTreeMap<&'static str, Service>;

impl Shop {
    /// Lays what is missing in the database and starts everything but the HTTP server.
    ///
    /// # Errors
    /// If the database is out of reach, refuses, or does not fit the settings.
    pub async fn open(settings: ShopSettings) -> Result<Shop> {
        plan::check_connections(&settings).await?;
        let mut services = Services::new();
        for (service, _) in SERVICES {
            migrate(&settings.database, service, settings.partitions).await?;
            let log = Log::open(settings.log(service)).await?;
            let sizes = (settings.readers, settings.followers);
            let read = ReadSide::sized(log.database(), service, sizes)?;
            services.insert(service, Service { log, read });
        }
        let acting = CancellationToken::new();
        let tasks = TaskTracker::new();
        let waiting = Arc::<AtomicUsize>::default();
        let pace = Pace::new(edge::clock::now, waiting.clone(), settings.limits.pace());
        let following = FollowLimits {
            pace: pace.clone(),
            shortcut: settings.shortcut,
            ..settings.limits.follow()
        };
        let feeds: Vec<Feed> =
            services.values().map(|s| Feed::limited(s.log.clone(), &following)).collect();
        let runner = Runner::limited(feeds.clone(), acting.clone(), following);
        let (health, gate) = (Health::default(), Gate::default());

        let api = command_api(&services, &settings).await?;
        runner.follow(
            &(Arc::new(PriceFollower) as Arc<dyn Follower>),
            PriceFollower::GENERATION,
            &services["orders"].read,
        );
        let (checkout, payment) = sagas(&services, &api, &settings, &pace)?;
        let dues = vec![
            start(checkout, &services["checkout"].read, &runner, &tasks, &acting),
            start(payment, &services["payments"].read, &runner, &tasks, &acting),
        ];

        let reads: Vec<ReadSide> = services.values().map(|s| s.read.clone()).collect();
        let generations = Generations::open(&reads).await?;
        let following = projections::follow(
            generations.clone(),
            runner.clone(),
            reads.clone(),
            settings.limits.switch(),
            acting.clone(),
        );
        tasks.spawn(following);
        if !generations.missing().is_empty() {
            let read = |(service, s): (&&str, &Service)| {
                ReadSide::open(s.log.database(), service, BUILDERS)
            };
            let reads = services.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let logs = services.values().map(|s| s.log.clone()).collect();
            let stop = acting.clone();
            tasks.spawn(projections::build_missing(generations.clone(), reads, logs, stop));
        }

        // Pools of their own: a rush of queries must not hold up the followers.
        let asked = services
            .iter()
            .map(|(service, s)| ReadSide::open(s.log.database(), service, settings.readers));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        let logs: BTreeMap<_, _> = services.iter().map(|(n, s)| (*n, s.log.clone())).collect();
        let mut gauges = gauges(&services, &api, &asked, &runner);
        let queries = Queries::new(asked, logs.values().cloned().collect(), generations.clone())
            .waiting(runner.clone(), settings.limits.min_position_wait(), settings.leaving.clone())
            .bounded(settings.limits.room());
        gauges.push(watch::of_queries(&queries));
        let relays = start_kafka(&settings, &services, feeds, &pace, &tasks, &acting);
        tasks.spawn(watch::watch(watch::Watched {
            health: health.clone(),
            prices: api.prices.clone(),
            runner: runner.clone(),
            generations: generations.clone(),
            dues,
            relays,
            gauges,
            database: settings.database.clone(),
            gate: gate.clone(),
            answer: settings.limits.watch_answer(),
            stop: acting.clone(),
        }));
        tasks.spawn(watch::count_attention(
            services["checkout"].read.clone(),
            settings.limits.watch_answer(),
            acting.clone(),
        ));
        let limits = &settings.limits;
        let access = Access::off();
        let commands = command_api::routes().router(api, &access);
        let queries = projections::routes().router(queries, &access);
        let commands = edge::admitted(commands, "commands", limits.of_commands(), waiting);
        let queries = edge::admitted(queries, "queries", limits.of_queries(), Arc::default());
        let router = gate.before(commands.merge(queries));
        let router = router.merge(edge::health::routes().router(health.clone(), &access));
        let router = router.merge(problems::routes().router((), &access));
        let router = router.merge(contracts::routes().router((), &access));
        Ok(Shop { health, router, logs, runner, acting, tasks })
    }

    /// Every endpoint, without the limits and the request log around them.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Stops acting and following, appends what is queued, and gives the locks back. What is not done
    /// by then is done by the next process, or by this one at its next start.
    pub async fn stop(self, limit: Duration) {
        self.acting.cancel();
        self.tasks.close();
        let all = async {
            self.tasks.wait().await;
            self.runner.wait().await;
            for log in self.logs.values() {
                log.close().await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!(
                "not all was finished in time; what is left is done after the next start"
            );
        }
    }
}

/// What shows how near each queue and pool is to its bound.
fn gauges(
    services: &Services,
    api: &CommandApi,
    asked: &[ReadSide],
    runner: &Runner,
) -> Vec<watch::Gauge> {
    let feeds = services.keys().filter_map(|service| runner.feed(service)).map(watch::of_feed);
    let logs = services.values().map(|service| watch::of_log(&service.log));
    let followers = services.values().map(|it| watch::of_read_side("followers", &it.read));
    let queries = asked.iter().map(|read| watch::of_read_side("queries", read));
    let transactors = [
        watch::of_transactor(&api.products),
        watch::of_transactor(&api.stock),
        watch::of_transactor(&api.orders),
        watch::of_transactor(&api.payments),
        watch::of_transactor(&api.checkouts),
    ];
    feeds.chain(logs).chain(followers).chain(queries).chain(transactors).collect()
}

async fn command_api(services: &Services, settings: &ShopSettings) -> Result<CommandApi> {
    let orders = &services["orders"];
    let pool = orders.log.database().by_keys().pool("daybook prices", settings.readers)?;
    let prices = Prices::open(pool, &services["catalogue"].log, settings.limits.prices()).await?;
    let limits = || settings.limits.transact();
    Ok(CommandApi {
        settings: Settings {
            accept_history: settings.accept_history,
            min_position_wait: settings.limits.min_position_wait(),
        },
        products: Transactor::with_snapshots(services["catalogue"].log.clone(), limits()),
        stock: Transactor::with_snapshots(services["inventory"].log.clone(), limits()),
        orders: Transactor::new(orders.log.clone(), limits()),
        payments: Transactor::new(services["payments"].log.clone(), limits()),
        checkouts: Transactor::new(services["checkout"].log.clone(), limits()),
        prices,
    })
}

fn sagas(
    services: &Services,
    api: &CommandApi,
    settings: &ShopSettings,
    pace: &Pace,
) -> Result<(Saga<Checkout>, Saga<Payment>)> {
    let others = checkout::Services {
        stock: api.stock.clone(),
        order: api.orders.clone(),
        payment: api.payments.clone(),
    };
    let limits = &settings.limits;
    let paced = |limits| DueLimits { pace: pace.clone(), ..limits };
    let mut bounds = limits.checkout(checkout::Settings {
        patience: settings.patience,
        ..checkout::Settings::default()
    });
    bounds.limits = paced(bounds.limits);
    let read = &services["checkout"].read;
    let checkout = checkout::saga(api.checkouts.clone(), others, read, bounds);
    let (url, key) = (&settings.provider_url, &settings.provider_key);
    let provider = Provider::new(url, key, limits.provider_timeouts(), limits.breaker())
        .context("the payment provider's client")?;
    let read = &services["payments"].read;
    let payment = payment::saga(api.payments.clone(), read, provider, paced(limits.calls()));
    Ok((checkout, payment))
}

fn start<D: decider::Owes>(
    saga: Saga<D>,
    read: &ReadSide,
    runner: &Runner,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> DueWatch {
    for follower in &saga.followers {
        runner.follow(follower, 0, read);
    }
    let watch = saga.worker.watch();
    tasks.spawn(saga.worker.run(stop.clone()));
    watch
}

/// The relays and the consumer wait by themselves until Kafka is there.
fn start_kafka(
    settings: &ShopSettings,
    services: &Services,
    feeds: Vec<Feed>,
    pace: &Pace,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Vec<RelayWatch> {
    let (mut topics, mut relays) = (Vec::new(), Vec::new());
    for feed in feeds {
        let service = feed.log().service().to_string();
        let Some(topic) = topic_of(&service) else { continue };
        let topic = format!("{}{topic}", settings.topic_prefix);
        let limits = settings.limits.relay(RelaySettings::new(settings.brokers.clone(), &topic));
        let relay = Relay::new(
            services[service.as_str()].log.clone(),
            RelaySettings { pace: pace.clone(), alone: Some(feed.clone()), ..limits },
        );
        relays.push(relay.watch());
        tasks.spawn(relay.run(stop.clone()));
        topics.push((topic, feed));
    }
    let group = format!("{}daybook", settings.topic_prefix);
    let brokers = settings.brokers.clone();
    let feeds =
        KafkaFeeds::new(FeedSettings { brokers, group, topics, limits: settings.limits.kafka() });
    tasks.spawn(feeds.run(stop.clone()));
    relays
}
