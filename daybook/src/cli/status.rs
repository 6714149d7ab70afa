//! `daybook status`

mod asked;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use event_store::dues::Late;
use event_store::follow::ReadSide;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

use super::reach::{Reached, Way};
use crate::settings::ReachFlags;
use asked::{Asked, BreakerLine, SettingsLine};

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
    /// Why it does not answer, or does not show how it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    unanswered: Option<String>,
    /// When it read its settings, and what of them is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<SettingsLine>,
    /// Why Kafka has not all of the logs, or brings nothing of them, as whoever answers there says.
    kafka_troubles: BTreeSet<String>,
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
    let asked = match &reached.url {
        Some(url) => Asked::of(Way::of(&reached.settings), url).await,
        None => Asked::default(),
    };
    let Asked { ready, unanswered, settings, kafka_troubles, signals, breakers } = asked;
    let of_kind = |kind: &'static str| signals.iter().filter(move |((of, _), _)| of == kind);
    let mut report = Report {
        url: reached.url.clone(),
        ready,
        unanswered,
        settings,
        kafka_troubles,
        logs: Vec::new(),
        dues: of_kind("due")
            .map(|((_, name), (waiting, still_s))| DuesLine {
                name: name.clone(),
                waiting: *waiting,
                still_s: *still_s,
            })
            .collect(),
        breakers,
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

fn since(still_s: f64) -> String {
    if still_s >= 1.0 { format!("{still_s:.0} s") } else { String::new() }
}

fn print(report: &Report) {
    match (&report.url, &report.ready) {
        (Some(url), Some(ready)) => println!("{url}  {}", ready.trim()),
        (Some(url), None) => println!("{url}  does not answer"),
        (None, _) => println!("not running"),
    }
    if let Some(why) = &report.unanswered {
        println!("  {why}");
    }
    if let Some(settings) = &report.settings {
        settings.print();
    }
    println!("\n{:12} {:>10} {:>12} {:>10}  heads", "log", "events", "not in Kafka", "still for");
    for log in &report.logs {
        let lag = log.relay_lag.map_or("?".to_owned(), |lag| lag.to_string());
        let still = since(log.relay_still_s.unwrap_or_default());
        println!("{:12} {:>10} {lag:>12} {still:>10}  {:?}", log.service, log.events, log.heads);
    }
    for trouble in &report.kafka_troubles {
        println!("\nKafka: {trouble}");
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
