use super::gate::Gate;
use command_api::prices::Prices;
use decider::Decider;
use edge::{Component, Health};
use event_store::dues::DueWatch;
use event_store::follow::{Feed, ReadSide, Runner};
use event_store::kafka::{FeedStatus, RelayWatch};
use event_store::{Database, Log, Progress, StoreError, Transactor};
use futures_util::future::join_all;
use projections::{Generations, Queries, needing_attention};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::watch::Receiver;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

pub(super) struct Watched {
    pub(super) health: Health,
    /// With the orders' commands.
    pub(super) prices: Option<Prices>,
    pub(super) runner: Runner,
    /// The services that other processes answer for.
    pub(super) elsewhere: Vec<&'static str>,
    pub(super) generations: Generations,
    pub(super) dues: Vec<DueWatch>,
    pub(super) relays: Vec<RelayWatch>,
    /// With a consumer.
    pub(super) fed: Option<Receiver<FeedStatus>>,
    /// Each sets gauges to what is there now.
    pub(super) gauges: Vec<Gauge>,
    pub(super) databases: Vec<Database>,
    pub(super) gate: Gate,
    /// Who watches must not hang himself.
    pub(super) answer: Duration,
    pub(super) stop: CancellationToken,
}

pub(super) type Gauge = Box<dyn Fn() + Send + Sync>;

const EVERY: Duration = Duration::from_millis(500);
/// Of so many looks one counts what is due: it asks Postgres.
const DUES_EVERY: usize = 4;
/// Nobody comes sooner for it.
const ATTENTION_EVERY: Duration = Duration::from_secs(5);
/// What has stood still for so long though there was work is said to hang.
const HANGS: Duration = Duration::from_secs(8);

/// Keeps the answer of `/health/ready` true. What others do is watched from here, because what hangs does not
/// say so.
pub(super) fn watch(watched: Watched) -> impl Future<Output = ()> {
    let postgres = watched.health.component("postgres");
    let prices = watched.prices.as_ref().map(|_| watched.health.component("price-list"));
    let followers = watched.health.component("followers");
    let dues = watched.health.component("dues");
    let read_models = watched.health.component("read-models");
    let components = Components { prices, followers, dues, read_models };
    let feeling = feel(
        watched.databases.clone(),
        watched.answer,
        (watched.gate.clone(), postgres),
        watched.stop.clone(),
    );
    async move {
        tokio::join!(feeling, keep_true(watched, components));
    }
}

/// What must be ready. It is there before anybody can ask: who has no component yet would seem to be ready.
struct Components {
    prices: Option<Component>,
    followers: Component,
    dues: Component,
    read_models: Component,
}

/// Whether Postgres is there is asked by itself: whatever else is looked at hangs with a Postgres that stands still, and
/// callers are to be told in time.
async fn feel(
    databases: Vec<Database>,
    answer: Duration,
    (gate, postgres): (Gate, Component),
    stop: CancellationToken,
) {
    let mut pulses: Vec<_> = databases.iter().map(|_| Pulse::default()).collect();
    loop {
        let began = Instant::now();
        let feeling = pulses.iter_mut().zip(&databases);
        let feeling = feeling.map(|(pulse, database)| pulse.feel(database, answer));
        let felt = join_all(feeling).await.into_iter().collect::<Result<Vec<()>, _>>();
        gate.set(felt.as_ref().is_err_and(is_away));
        match felt {
            Ok(_) => postgres.ready(),
            Err(StoreError::Silent) => postgres.missing("it takes the question and says nothing"),
            Err(error) => {
                tracing::debug!(%error, "postgres cannot be asked");
                postgres.missing("it is out of reach");
            }
        }
        metrics::histogram!("daybook_watch_seconds", "of" => "postgres").record(began.elapsed());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn keep_true(mut watched: Watched, components: Components) {
    let Components { prices, followers, dues, read_models } = components;
    let mut of_dues = Vec::new();
    for look in 0.. {
        let began = Instant::now();
        if let Some((prices, component)) = watched.prices.as_ref().zip(prices.as_ref()) {
            look_at_prices(prices, component, watched.answer).await;
        }
        let of_followers = watched.runner.progress();
        let stopped = watched.runner.stopped();
        let stopped = stopped.iter().map(|it| format!("{} stands still", it.name));
        let ours = of_followers.iter().filter(|it| !is_of(it, &watched.elsewhere));
        tell(&followers, stopped.chain(hanging(ours)).collect());
        let missing = watched.generations.missing();
        let missing = missing.iter().map(|it| format!("{it} is being built for this version"));
        tell(&read_models, missing.collect());
        if look % DUES_EVERY == 0 {
            of_dues = join_all(watched.dues.iter_mut().map(DueWatch::look)).await;
        }
        tell(&dues, hanging(of_dues.iter()).collect());
        // Without Kafka followers read the log: a relay that hangs is told of, and costs nobody his answer.
        let of_relays: Vec<_> = watched.relays.iter_mut().filter_map(RelayWatch::look).collect();
        let troubles = watched.relays.iter().filter_map(RelayWatch::trouble);
        let progress = json!({
            "followers": shown("follower", &of_followers),
            "dues": shown("due", &of_dues),
            "relays": shown("relay", &of_relays),
            "relay_troubles": troubles.collect::<Vec<_>>(),
            "feed_troubles": watched.fed.as_ref().and_then(trouble).into_iter().collect::<Vec<_>>(),
        });
        watched.health.report("progress", progress);
        watched.gauges.iter().for_each(|gauge| gauge());
        metrics::histogram!("daybook_watch_seconds", "of" => "work").record(began.elapsed());
        tokio::select! {
            () = watched.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// What waits in a write path, and what it keeps.
pub(super) fn of_transactor<D: Decider>(transactor: &Transactor<D>) -> Gauge {
    let transactor = transactor.clone();
    Box::new(move || {
        let (queued, kept) = transactor.load();
        metrics::gauge!("daybook_transact_queued", "category" => D::CATEGORY).set(queued as f64);
        metrics::gauge!("daybook_transact_cache_bytes", "category" => D::CATEGORY).set(kept as f64);
    })
}

/// What Kafka brought and the slowest follower has not taken over yet.
pub(super) fn of_feed(feed: &Feed) -> Gauge {
    let feed = feed.clone();
    Box::new(move || {
        let service = feed.log().service().to_string();
        metrics::gauge!("daybook_feed_queued", "service" => service).set(feed.queued() as f64);
    })
}

/// What waits for a log, to write and to read.
pub(super) fn of_log(log: &Log) -> Gauge {
    let log = log.clone();
    Box::new(move || {
        let service = log.service().to_string();
        metrics::gauge!("daybook_lane_queued", "service" => service).set(log.queued() as f64);
        let status = log.readers().status();
        show_pool(format!("{}/readers", log.service()), status.size, status.waiting);
    })
}

pub(super) fn of_queries(queries: &Queries) -> Gauge {
    let queries = queries.clone();
    Box::new(move || {
        let (listeners, past) = queries.room();
        metrics::gauge!("daybook_listeners_left").set(listeners as f64);
        metrics::gauge!("daybook_past_left").set(past as f64);
    })
}

pub(super) fn of_read_side(whose: &'static str, read: &ReadSide) -> Gauge {
    let read = read.clone();
    Box::new(move || {
        for (pool, use_of) in [(&read.pool, ""), (&read.posts, "/posts")] {
            let status = pool.status();
            show_pool(format!("{}/{whose}{use_of}", read.service), status.size, status.waiting);
        }
    })
}

fn show_pool(pool: String, connections: usize, waiting: usize) {
    let labels = [("pool", pool)];
    metrics::gauge!("daybook_pool_connections", &labels).set(connections as f64);
    metrics::gauge!("daybook_pool_waiting", &labels).set(waiting as f64);
}

/// Counts the checkouts that wait for a person. They are no fault of this process, which is ready all the same;
/// and what hangs here holds up nothing else.
pub(super) async fn count_attention(read: ReadSide, answer: Duration, stop: CancellationToken) {
    loop {
        // An old number is better than none: a database that cannot be asked is told of elsewhere.
        if let Ok(Ok(Some((_, needing)))) = timeout(answer, needing_attention(&read, 1)).await {
            metrics::gauge!("daybook_checkouts_needing_attention").set(needing as f64);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ATTENTION_EVERY) => {}
        }
    }
}

/// Why Kafka brings nothing.
fn trouble(fed: &Receiver<FeedStatus>) -> Option<String> {
    match &*fed.borrow() {
        FeedStatus::Waiting | FeedStatus::Kafka => None,
        FeedStatus::Log(why) => Some(why.clone()),
    }
}

fn tell(component: &Component, wrong: Vec<String>) {
    if wrong.is_empty() {
        component.ready();
    } else {
        component.missing(wrong.join(", "));
    }
}

/// Who follows the log of a service elsewhere waits for that one when it is away. This process is ready all the same,
/// and what it follows is late: `daybook_still_seconds` says so.
fn is_of(progress: &Progress, services: &[&str]) -> bool {
    let log = progress.name.rsplit('/').next();
    log.is_some_and(|log| services.contains(&log))
}

async fn look_at_prices(prices: &Prices, component: &Component, answer: Duration) {
    match timeout(answer, prices.is_ready()).await {
        Ok(Ok(true)) => component.ready(),
        Ok(Ok(false)) => {
            component.missing("it has not passed the catalogue's heads of this start");
        }
        Ok(Err(_)) | Err(_) => component.missing("it cannot be read, or the catalogue"),
    }
}

fn hanging<'a>(all: impl Iterator<Item = &'a Progress>) -> impl Iterator<Item = String> {
    all.filter(|it| it.still >= HANGS).map(|it| {
        format!("{} hangs: {} behind, still for {} s", it.name, it.behind, it.still.as_secs())
    })
}

/// As JSON, and as metrics.
fn shown(kind: &'static str, all: &[Progress]) -> Vec<Value> {
    let show = |it: &Progress| {
        let still_s = it.still.as_secs_f64();
        let labels = [("kind", kind.to_owned()), ("name", it.name.clone())];
        metrics::gauge!("daybook_behind", &labels).set(it.behind as f64);
        metrics::gauge!("daybook_still_seconds", &labels).set(still_s);
        json!({"name": it.name, "behind": it.behind, "still_s": still_s.round()})
    };
    all.iter().map(show).collect()
}

/// Not if it has no room for one more connection: others may still have theirs.
fn is_away(error: &StoreError) -> bool {
    let StoreError::Postgres(error) = error else { return true };
    error.code() != Some(&SqlState::TOO_MANY_CONNECTIONS)
}

/// A connection to ask whether Postgres is there. It is of no pool: a rush for one must not look like a Postgres
/// that is away.
#[derive(Default)]
struct Pulse(Option<Client>);

impl Pulse {
    async fn feel(&mut self, database: &Database, answer: Duration) -> Result<(), StoreError> {
        if let Some(client) = self.0.take()
            && timeout(answer, client.simple_query(""))
                .await
                .map_err(|_| StoreError::Silent)?
                .is_ok()
        {
            self.0 = Some(client);
            return Ok(());
        }
        // One connection that was cut off says nothing about Postgres.
        let connecting = database.connect("daybook watch");
        self.0 = Some(timeout(answer, connecting).await.unwrap_or(Err(StoreError::Silent))?);
        Ok(())
    }
}
