//! Everything is rebuilt, over and over, while a hundred orders are placed each second: what those who ask, and the live
//! followers, notice of it.

use crate::bench::Bench;
use crate::load::{Latencies, open_loop};
use crate::process::Daybook;
use crate::report::{Figure, Unit, median};
use crate::shop::{SKUS, order, prepare};
use anyhow::{Context, Result, ensure};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

const ORDERS: f64 = 100.0;
const QUESTIONS: f64 = 50.0;
const MOST: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let data = bench.servers.folder("beside");
    let (daybook, _) = Daybook::start(&data, &[]).await?;
    prepare(&daybook.door()).await?;
    let time = bench.pace.pick(Duration::from_secs(20), Duration::from_millis(1_500));
    // So that there is something to rebuild, and nobody pays for cold caches.
    for _ in 0..2 {
        loaded(&daybook, time).await?;
    }
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..bench.pace.rounds {
        without.push(loaded(&daybook, time).await?);
        // Broken off when its time is over: the next one clears away what it leaves.
        let mut rebuilding = all(&data).spawn()?;
        with.push(loaded(&daybook, time).await?);
        let ended = rebuilding.try_wait()?;
        ensure!(ended.is_none_or(|ended| ended.success()), "nothing was rebuilt meanwhile");
    }
    let whole = whole(&daybook, &data, time).await?;
    let section = &mut bench.section;
    let queries = |rounds: &[Noticed]| rounds.iter().map(|it| it.query).collect::<Vec<_>>();
    let lags = |rounds: &[Noticed]| rounds.iter().map(|it| it.lag).collect::<Vec<_>>();
    let ms = |name: &str, values| Figure::new(name, Unit::Ms, values);
    section.add(ms("queries at 50/s, p99, without", queries(&without)));
    section.add(ms("queries at 50/s, p99, beside a rebuild", queries(&with)));
    let name = "queries, p99, beside it / without";
    section.add(Figure::ratio(name, &queries(&with), &queries(&without)).at_most(1.5));
    section.add(ms("one's own order is shown, p99, without", lags(&without)));
    section
        .add(ms("one's own order is shown, p99, beside a rebuild", lags(&with)).at_most(2_000.0));
    let still = |rounds: &[Noticed]| rounds.iter().map(|it| it.still).collect::<Vec<_>>();
    let behind = |rounds: &[Noticed]| rounds.iter().map(|it| it.behind).collect::<Vec<_>>();
    let (events, since) =
        ("the worst follower, p99: events behind", "the same, seconds since it posted one");
    let named = |what: &str, when: &str| format!("{what}, {when}");
    section.add(Figure::new(named(events, "without"), Unit::Count, behind(&without)));
    section.add(Figure::new(named(events, "beside a rebuild"), Unit::Count, behind(&with)));
    section.add(Figure::new(named(since, "without"), Unit::Seconds, still(&without)));
    let since_beside = Figure::new(named(since, "beside a rebuild"), Unit::Seconds, still(&with));
    section.add(since_beside.at_most(2.0));
    let took = whole.len() as f64 * time.as_secs_f64();
    let name = "everything rebuilt beside the load, to the next twenty seconds";
    section.add(Figure::new(name, Unit::Seconds, vec![took]));
    section.add(ms("until it was: queries, p99 of each twenty seconds", queries(&whole)));
    let calm = vec![median(&queries(&without)); whole.len()];
    let name = "until it was: queries, p99 of each twenty seconds / without";
    section.add(Figure::ratio(name, &queries(&whole), &calm).at_most(1.5));
    let name = "until it was: one's own order is shown, p99 of each twenty seconds";
    section.add(ms(name, lags(&whole)).at_most(2_000.0));
    section.add(Figure::new(named("until it was", events), Unit::Count, behind(&whole)));
    let since = Figure::new(named("until it was", since), Unit::Seconds, still(&whole));
    section.add(since.at_most(2.0));
    daybook.stop().await
}

struct Noticed {
    /// The 99th percentile of a query's time, in milliseconds.
    query: f64,
    /// The same of the time from an order's answer until a query shows it.
    lag: f64,
    /// The same of what the follower that was worst was behind at a look: events, and seconds since it posted one.
    behind: f64,
    still: f64,
}

/// One rebuild of everything, to its end.
async fn whole(daybook: &Daybook, data: &Path, time: Duration) -> Result<Vec<Noticed>> {
    let mut rebuilding = all(data).spawn()?;
    let mut meanwhile = Vec::new();
    loop {
        meanwhile.push(loaded(daybook, time).await?);
        if let Some(ended) = rebuilding.try_wait()? {
            ensure!(ended.success(), "a rebuild failed");
            return Ok(meanwhile);
        }
        let so_far = time * u32::try_from(meanwhile.len())?;
        ensure!(so_far < MOST, "a rebuild of everything took longer than {MOST:?}");
    }
}

async fn loaded(daybook: &Daybook, time: Duration) -> Result<Noticed> {
    let lags = Arc::new(Mutex::new(Latencies::new()));
    let placing = {
        let (http, url, lags) = (daybook.http.clone(), daybook.url.clone(), lags.clone());
        let one = move |_, number| {
            let (http, url, lags) = (http.clone(), url.clone(), lags.clone());
            async move {
                let lag = place(&http, &url, number as usize).await?;
                lags.lock().unwrap_or_else(PoisonError::into_inner).record(lag);
                Ok(())
            }
        };
        open_loop(64, ORDERS, time, one)
    };
    let asking = {
        let (http, url) = (daybook.http.clone(), daybook.url.clone());
        let one = move |_, number: u64| {
            let paths =
                ["/v1/orders?limit=20", "/v1/stock/SKU7", "/v1/sales?by=day", "/v1/products/SKU9"];
            let url = format!("{url}{}", paths[number as usize % paths.len()]);
            let asked = http.get(url).send();
            async move {
                asked.await?.error_for_status()?.bytes().await?;
                Ok(())
            }
        };
        open_loop(16, QUESTIONS, time, one)
    };
    let mut followers = Followers::default();
    let load = async { tokio::join!(placing, asking) };
    let (placed, asked) = tokio::select! {
        load = load => load,
        never = followers.watch(daybook) => match never? {},
    };
    let ((_, placed_all), (asked, _)) = (placed?, asked?);
    ensure!(placed_all, "the orders were not kept up with");
    let lag = lags.lock().unwrap_or_else(PoisonError::into_inner).quantile_ms(0.99);
    let (behind, still) = (quantile(&followers.behind), quantile(&followers.still));
    Ok(Noticed { query: asked.p99, lag, behind, still })
}

/// At each look, of the follower that was worst: events behind its log, and seconds that it posted none of them.
#[derive(Default)]
struct Followers {
    behind: Vec<f64>,
    still: Vec<f64>,
}

impl Followers {
    async fn watch(&mut self, daybook: &Daybook) -> Result<Infallible> {
        loop {
            let metrics = daybook.http.get(format!("{}/metrics", daybook.url)).send().await?;
            let metrics = metrics.error_for_status()?.text().await?;
            let worst = |name: &str| {
                let of = metrics.lines().filter(|line| line.starts_with(name));
                let values = of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
                values.fold(0.0, f64::max)
            };
            self.behind.push(worst("daybook_behind{"));
            self.still.push(worst("daybook_still_seconds{"));
            sleep(LOOK_EVERY).await;
        }
    }
}

/// The 99th percentile.
fn quantile(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() * 99 / 100).copied().unwrap_or_default()
}

/// Places an order and asks for it; how long it took from the answer until it was shown.
async fn place(http: &reqwest::Client, url: &str, number: usize) -> Result<Duration> {
    let request = http.post(format!("{url}/v1/orders")).header("content-type", "application/json");
    let answer = request.body(order(number % SKUS, 2)).send().await?.error_for_status()?;
    let position = answer.headers().get("daybook-position").cloned().context("no position")?;
    let location = answer.headers().get("location").cloned().context("no location")?;
    let (began, location) = (Instant::now(), format!("{url}{}", location.to_str()?));
    loop {
        let asked = http.get(&location).header("daybook-min-position", position.clone());
        let answer = asked.send().await?;
        if answer.status() != 503 {
            answer.error_for_status()?.bytes().await?;
            return Ok(began.elapsed());
        }
    }
}

fn all(data: &Path) -> Command {
    let binary = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/daybook");
    let mut command = Command::new(binary);
    command.args(["rebuild", "--all", "--data-dir"]).arg(data).kill_on_drop(true);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}
