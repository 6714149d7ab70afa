//! `daybook status`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use event_store::dues::Late;
use event_store::follow::ReadSide;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

use super::reach::{self, Reached};
use crate::settings::ReachFlags;

/// Show how Daybook is: its logs, the relay, the followers and their lag, what is due and late
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Status {
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ReachFlags,
}

const EXAMPLES: &str = "\
Examples:
  daybook status
  watch daybook status";

/// How everything is, at one moment.
#[derive(Serialize)]
struct Report {
    url: Option<String>,
    /// What is missing for this Daybook to be ready; absent if nothing answers there.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<String>,
    logs: Vec<LogLine>,
    followers: Vec<FollowerLine>,
    dues: Vec<DuesLine>,
    /// Whom it calls, and whether he is left alone for a while because he has been failing.
    breakers: Vec<BreakerLine>,
    late: Vec<LateLine>,
    /// Events that a follower cannot post: `daybook parked list`.
    parked: usize,
    /// Checkouts that no rule can settle: `daybook checkout list`.
    attention: i64,
}

#[derive(Serialize)]
struct LogLine {
    service: String,
    events: i64,
    heads: Vec<i64>,
    /// Events that are not in Kafka; unknown if the process that relays does not answer.
    relay_lag: Option<i64>,
    /// Since when none was copied though some are not.
    relay_still_s: Option<f64>,
}

#[derive(Serialize)]
struct DuesLine {
    name: String,
    /// What has come due and nobody has taken on.
    waiting: i64,
    still_s: f64,
}

#[derive(Serialize)]
struct BreakerLine {
    target: String,
    open: bool,
}

#[derive(Serialize)]
struct FollowerLine {
    follower: String,
    generation: i32,
    service: String,
    /// Unknown, if the owner of a log elsewhere does not answer, or his address is not known.
    lag: Option<i64>,
    /// Since when the checkpoint of its slowest partition has stood still, in seconds.
    still_s: f64,
}

#[derive(Serialize)]
struct LateLine {
    service: String,
    stream: String,
    key: String,
    due_at: String,
    tries: i32,
    last_error: Option<String>,
}

/// What should have been settled so long ago is late.
const GRACE_S: f64 = 10.0;
const LATE_SHOWN: i64 = 20;
const PARKED_SHOWN: i64 = 1_000;

impl Status {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let reached = Reached::find(&self.flags).await?;
        let report = report(&reached).await;
        reached.leave().await;
        let report = report?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print(&report);
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn report(reached: &Reached) -> Result<Report> {
    let (ready, metrics) = match &reached.url {
        Some(url) => {
            let token = reach::token(&reached.settings)?;
            let ready = ask(url, "/health/ready", token.as_deref()).await;
            (ready, ask(url, "/metrics", token.as_deref()).await)
        }
        None => (None, None),
    };
    let metrics = metrics.unwrap_or_default();
    let signals = signals(&metrics);
    let of_kind = |kind: &'static str| signals.iter().filter(move |((of, _), _)| of == kind);
    let mut report = Report {
        url: reached.url.clone(),
        ready: ready.as_deref().map(readiness),
        logs: Vec::new(),
        dues: of_kind("due")
            .map(|((_, name), (waiting, still_s))| DuesLine {
                name: name.clone(),
                waiting: *waiting,
                still_s: *still_s,
            })
            .collect(),
        breakers: breakers(&metrics),
        followers: Vec::new(),
        late: Vec::new(),
        parked: 0,
        attention: 0,
    };
    let mut heads = BTreeMap::new();
    for log in reached.logs(&[]).await? {
        let service = log.service().to_string();
        let of_log = log.heads().await?;
        let relay = of_kind("relay").find(|((_, name), _)| *name == service).map(|(_, it)| *it);
        let (relay_lag, relay_still_s) = (relay.map(|it| it.0), relay.map(|it| it.1));
        let events = of_log.iter().sum();
        heads.insert(service.clone(), of_log.clone());
        report.logs.push(LogLine { service, events, heads: of_log, relay_lag, relay_still_s });
    }
    for source in reached.elsewhere()? {
        if let Ok(of_log) = source.heads().await {
            heads.insert(source.service().to_string(), of_log);
        }
    }
    for read in reached.reads()? {
        report.followers.extend(followers(&read, &heads).await?);
        report.parked += event_store::follow::parked(&read, PARKED_SHOWN).await?.len();
        if &*read.service == "checkout" {
            let needing = projections::needing_attention(&read, 1).await?;
            report.attention = needing.map_or(0, |(_, all)| all);
        }
        let late = event_store::dues::late(&read, GRACE_S, LATE_SHOWN).await?;
        report.late.extend(late.into_iter().map(|due| late_line(&read, due)));
    }
    Ok(report)
}

async fn followers(
    read: &ReadSide,
    heads: &BTreeMap<String, Vec<i64>>,
) -> Result<Vec<FollowerLine>> {
    let client = read.pool.get().await?;
    let sql = format!(
        "select c.follower, c.generation, c.service, c.partition, c.next_offset, \
                extract(epoch from clock_timestamp() - c.updated_at)::float8 \
           from {0}.checkpoint c \
          where not exists (select from {0}.generation g where g.projection = c.follower \
                             and g.generation = c.generation and g.state <> 'live') \
          order by 1, 2, 3, 4",
        read.schema
    );
    let mut lines: Vec<FollowerLine> = Vec::new();
    for row in client.query(&sql, &[]).await? {
        let (follower, generation, service): (String, i32, String) =
            (row.get(0), row.get(1), row.get(2));
        let partition = usize::try_from(row.get::<_, i32>(3))?;
        let head = heads.get(&service).and_then(|of| of.get(partition)).copied();
        let lag = head.map(|head| (head - row.get::<_, i64>(4)).max(0));
        let still_s = if lag.is_some_and(|lag| lag > 0) { row.get(5) } else { 0.0 };
        match lines.last_mut() {
            Some(l)
                if (&l.follower, l.generation, &l.service) == (&follower, generation, &service) =>
            {
                l.lag = l.lag.zip(lag).map(|(all, lag)| all + lag);
                l.still_s = l.still_s.max(still_s);
            }
            Some(_) | None => {
                lines.push(FollowerLine { follower, generation, service, lag, still_s });
            }
        }
    }
    Ok(lines)
}

fn late_line(read: &ReadSide, due: Late) -> LateLine {
    LateLine {
        service: read.service.to_string(),
        stream: due.stream,
        key: due.key,
        due_at: due.due_at.to_rfc3339(),
        tries: due.tries,
        last_error: due.last_error,
    }
}

async fn ask(url: &str, path: &str, token: Option<&str>) -> Option<String> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).build().ok()?;
    let request = client.get(format!("{url}{path}"));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.ok()?.text().await.ok()
}

/// How far what runs is behind and since when it has stood still, by kind and name, as the process that answers
/// there sees it.
fn signals(metrics: &str) -> BTreeMap<(String, String), (i64, f64)> {
    let mut signals: BTreeMap<(String, String), (i64, f64)> = BTreeMap::new();
    for Sample { name, labels, value } in metrics.lines().filter_map(Sample::read) {
        let (Some(kind), Some(of)) = (label(labels, "kind"), label(labels, "name")) else {
            continue;
        };
        match name {
            "daybook_behind" => signals.entry((kind, of)).or_default().0 = value as i64,
            "daybook_still_seconds" => signals.entry((kind, of)).or_default().1 = value,
            _ => {}
        }
    }
    signals
}

/// Whom the process that answers there calls, and whether he is left alone just now.
fn breakers(metrics: &str) -> Vec<BreakerLine> {
    let samples = metrics.lines().filter_map(Sample::read);
    let breakers = samples.filter(|it| it.name == "daybook_breaker_open");
    let breaker = |Sample { labels, value, .. }| {
        Some(BreakerLine { target: label(labels, "target")?, open: value > 0.0 })
    };
    breakers.filter_map(breaker).collect()
}

/// One line of what Prometheus is told.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_once('{')?;
        let (labels, value) = rest.split_once("} ")?;
        Some(Sample { name, labels, value: value.trim().parse().ok()? })
    }
}

fn label(labels: &str, name: &str) -> Option<String> {
    let value = labels.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
    Some(value.to_owned())
}

/// `ready`, or what is missing.
fn readiness(answer: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    text("detail").or_else(|| text("status")).unwrap_or_else(|| "?".to_owned())
}

fn since(still_s: f64) -> String {
    if still_s >= 1.0 { format!("{still_s:.0} s") } else { String::new() }
}

fn print(report: &Report) {
    match (&report.url, &report.ready) {
        (Some(url), Some(ready)) => println!("{url}  {}", ready.trim()),
        (Some(url), None) => println!("{url}  does not answer"),
        (None, _) => println!("not running"),
    }
    println!("\n{:12} {:>10} {:>12} {:>10}  heads", "log", "events", "not in Kafka", "still for");
    for log in &report.logs {
        let lag = log.relay_lag.map_or("?".to_owned(), |lag| lag.to_string());
        let still = since(log.relay_still_s.unwrap_or_default());
        println!("{:12} {:>10} {lag:>12} {still:>10}  {:?}", log.service, log.events, log.heads);
    }
    println!(
        "\n{:24} {:12} {:>10} {:>10}  still for",
        "follower", "of log", "generation", "behind"
    );
    for f in &report.followers {
        let still = since(f.still_s);
        let lag = f.lag.map_or("?".to_owned(), |lag| lag.to_string());
        println!("{:24} {:12} {:>10} {lag:>10}  {still}", f.follower, f.service, f.generation);
    }
    if !report.dues.is_empty() {
        println!("\n{:24} {:>10} {:>10}", "dues", "waiting", "still for");
    }
    for dues in &report.dues {
        println!("{:24} {:>10} {:>10}", dues.name, dues.waiting, since(dues.still_s));
    }
    for breaker in report.breakers.iter().filter(|it| it.open) {
        println!("\n{} has been failing, and is left alone for a moment", breaker.target);
    }
    if report.parked > 0 {
        println!("\n{} events are parked: see `daybook parked list`", report.parked);
    }
    let needing = match report.attention {
        0 => None,
        1 => Some("1 checkout needs attention".to_owned()),
        many => Some(format!("{many} checkouts need attention")),
    };
    if let Some(needing) = needing {
        println!("\n{needing}: see `daybook checkout list`");
    }
    if report.late.is_empty() {
        println!("\nnothing is late");
        return;
    }
    println!("\n{:48} {:28} {:>5}  due since", "late", "what", "tries");
    for due in &report.late {
        let why = due.last_error.as_deref().unwrap_or_default();
        println!("{:48} {:28} {:>5}  {}  {why}", due.stream, due.key, due.tries, due.due_at);
    }
}
