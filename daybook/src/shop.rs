//! The shop, or a part of it, in one process: some roles of some services, on their databases.

mod acting;
mod called;
mod gate;
mod kafka;
mod owners;
mod part;
mod plan;
mod rates;
mod services;
mod watch;

pub use called::Called;
pub use part::{Part, Role};
pub use plan::{SERVICES, ShopSettings, topic_of};
pub use rates::Rates;
pub(crate) use rates::limited;

use crate::table::Table;
use acting::{Acting, Writers};
use anyhow::Result;
use axum::Router;
use command_api::CommandApi;
use edge::{Access, Health, Routes, Row};
use event_store::follow::{FollowLimits, ReadSide, Runner, Source};
use event_store::{Log, Pace};
use gate::Gate;
use owners::Owners;
use projections::{Generations, Queries};
use rates::{is_internal, is_of_log};
use services::Services;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A running shop. [`router`](Self::router) answers; [`stop`](Self::stop) ends it in order.
pub struct Shop {
    pub health: Health,
    pub called: Called,
    router: Router,
    commands: Router,
    logs: Vec<Log>,
    runner: Runner,
    /// Who acts and follows; ended before the logs are closed.
    acting: CancellationToken,
    tasks: TaskTracker,
}

/// Connections that build generations of read models which this version of the program lacks.
const BUILDERS: usize = 8;

impl Shop {
    /// Lays what is missing in the databases and starts everything but the HTTP server.
    ///
    /// # Errors
    /// If a database is out of reach, refuses, or does not fit the settings; if a service elsewhere is needed, and its
    /// address is not known. That nobody answers there is no error: what needs him waits.
    pub async fn open(settings: ShopSettings) -> Result<Shop> {
        settings.part.elsewhere(&settings.urls)?;
        plan::check_connections(&settings).await?;
        let services = Services::open(&settings).await?;
        let acting = CancellationToken::new();
        let tasks = TaskTracker::new();
        let waiting = Arc::<AtomicUsize>::default();
        let pace = Pace::new(edge::clock::now, waiting.clone(), settings.limits.pace());
        let following = FollowLimits {
            pace: pace.clone(),
            shortcut: settings.shortcut,
            ..settings.limits.follow()
        };
        let sources = services.sources();
        let feeds = Services::feeds(&sources, &following);
        let runner = Runner::limited(feeds.clone(), acting.clone(), following);
        let (health, gate) = (Health::default(), Gate::default());

        let writers = Writers::open(&services, &settings);
        let api = writers.api(&services, &sources, &runner, &settings).await?;
        let by = Acting { runner: &runner, tasks: &tasks, stop: &acting, pace: &pace };
        let (dues, provider) = writers.act(&services, &by, &settings)?;
        let peers = services.peers().map(|(_, peer)| peer.clone()).collect();
        let called = Called { peers, provider };

        let (queries, generations) = remember(&services, &sources, &settings, &by).await?;
        let mut gauges = gauges(&services, &runner);
        gauges.extend(writers.gauges());
        gauges.push(watch::of_queries(&queries));
        gauges.extend(queries.reads().map(|read| watch::of_read_side("queries", read)));
        let relays = kafka::relay(&settings, &services, &feeds, &pace, (&tasks, &acting));
        let fed = kafka::consume(&settings, &feeds, (&tasks, &acting));
        let databases = settings.by_database().into_iter().map(|(database, _)| database.clone());
        tasks.spawn(watch::watch(watch::Watched {
            health: health.clone(),
            prices: api.as_ref().and_then(|api| api.prices.clone()),
            runner: runner.clone(),
            elsewhere: services.elsewhere.keys().copied().collect(),
            generations,
            dues,
            relays,
            fed,
            gauges,
            databases: databases.collect(),
            gate: gate.clone(),
            answer: settings.limits.watch_answer(),
            stop: acting.clone(),
        }));
        let owners = Owners::new(&services);
        let access = settings.access.clone().owned(Arc::new(owners));
        let Table {
            commands,
            queries: reads,
            health: own,
            access: keys,
            problems,
            contracts,
            many: _,
        } = Table::new(!access.is_off());
        let (endpoints, commands) =
            endpoints((commands, api), (reads, queries), &settings, &access, waiting);
        let commands = access.identified(gate.clone().before(commands));
        let router = gate
            .before(endpoints)
            .merge(own.router(health.clone(), &access))
            .merge(keys.router(access.clone(), &access))
            .merge(problems.router((), &access))
            .merge(contracts.router((), &access));
        let router = access.identified(router);
        let logs = services.logs().cloned().collect();
        Ok(Shop { health, called, router, commands, logs, runner, acting, tasks })
    }

    /// Every endpoint, without the limits and the request log around them.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Of these the commands of callers: what a line of many may ask for, with the same bounds.
    pub fn commands(&self) -> Router {
        self.commands.clone()
    }

    /// Stops acting and following, appends what is queued, and gives the locks back. What is not done
    /// by then is done by the next process, or by this one at its next start.
    pub async fn stop(self, limit: Duration) {
        self.acting.cancel();
        self.tasks.close();
        let all = async {
            self.tasks.wait().await;
            self.runner.wait().await;
            for log in &self.logs {
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

/// The read models, if this process posts them; the logs are asked by way of the queries too.
async fn remember(
    services: &Services,
    sources: &[Source],
    settings: &ShopSettings,
    by: &Acting<'_>,
) -> Result<(Queries, Generations)> {
    let remembers = settings.part.has(Role::Queries);
    let reads = if remembers { services.reads() } else { Vec::new() };
    let generations = Generations::open(&reads).await?;
    let (limits, stop) = (&settings.limits, by.stop);
    if remembers {
        by.tasks.spawn(projections::follow(
            generations.clone(),
            by.runner.clone(),
            reads,
            limits.switch(),
            stop.clone(),
        ));
        if let Some(checkouts) = services.read("checkout") {
            let answer = limits.watch_answer();
            by.tasks.spawn(watch::count_attention(checkouts.clone(), answer, stop.clone()));
        }
    }
    if !generations.missing().is_empty() {
        let (reads, sources) = (other_pools(services, BUILDERS)?, sources.to_vec());
        let building =
            projections::build_missing(generations.clone(), reads, sources, stop.clone());
        by.tasks.spawn(building);
    }
    // Pools of their own: a rush of queries must not hold up the followers.
    let asked = if remembers { other_pools(services, settings.readers)? } else { Vec::new() };
    let logs = services.logs().cloned().collect();
    let queries = Queries::new(asked, logs, generations.clone())
        .waiting(by.runner.clone(), limits.min_position_wait(), settings.leaving.clone())
        .asking(services.peers().map(|(s, owner)| (s.to_owned(), owner.clone())).collect())
        .bounded(limits.room());
    Ok((queries, generations))
}

fn other_pools(services: &Services, size: usize) -> Result<Vec<ReadSide>> {
    let open = |log: &Log| ReadSide::open(log.database(), log.service(), size);
    Ok(services.logs().map(open).collect::<Result<_, _>>()?)
}

/// The endpoints of the roles of this process; and of them, once more, the commands of callers.
fn endpoints(
    (commands, api): (Routes<CommandApi>, Option<CommandApi>),
    (reads, queries): (Routes<Queries>, Queries),
    settings: &ShopSettings,
    access: &Access,
    waiting: Arc<AtomicUsize>,
) -> (Router, Router) {
    let limits = &settings.limits;
    let (takes, shows) = (api.is_some(), settings.part.has(Role::Queries));
    let (mut router, mut of_callers) = (Router::new(), Router::new());
    if let Some(api) = api {
        let internal = commands.clone().keeping(is_internal).router(api.clone(), access);
        let internal = edge::admitted(internal, "services", limits.of_services(), Arc::default());
        let commands = commands.keeping(|row| !is_internal(row)).router(api, access);
        let commands = edge::admitted(commands, "commands", limits.of_commands(), waiting);
        of_callers = settings.rates.of_commands(commands);
        router = of_callers.clone().merge(internal);
    }
    // Whoever writes a log shows it.
    let reads = |reading: &dyn Fn(&Row) -> bool| {
        reads.clone().keeping(reading).router(queries.clone(), access)
    };
    let logs = settings.rates.of_logs(reads(&|row| takes && is_of_log(row)));
    let views = settings.rates.of_queries(reads(&|row| shows && !is_of_log(row)));
    let queries = edge::queried(views.merge(logs), settings.compress_from_bytes);
    let queries = edge::admitted(queries, "queries", limits.of_queries(), Arc::default());
    (router.merge(queries), of_callers)
}

/// What shows how near each queue and pool is to its bound.
fn gauges(services: &Services, runner: &Runner) -> Vec<watch::Gauge> {
    let known = services.here.keys().chain(services.elsewhere.keys());
    let feeds = known.filter_map(|service| runner.feed(service)).map(watch::of_feed);
    let logs = services.logs().map(watch::of_log);
    let followers = services.here.values().map(|it| watch::of_read_side("followers", &it.read));
    feeds.chain(logs).chain(followers).collect()
}
