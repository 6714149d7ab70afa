//! `daybook serve`

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use command_api::Batch;
use domain::checkout::checkout::Patience;
use edge::telemetry::LogFilter;
use edge::tls::Tls;
use edge::{Access, Door, Health, Limits};
use event_store::Database;
use event_store::kafka::Brokers;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access;
use crate::brokers;
use crate::embedded::Embedded;
use crate::reload::{Parts, Reloader};
use crate::settings::{ServeFlags, Settings};
use crate::shop::{Part, Rates, Role, SERVICES, Shop, ShopSettings};
use crate::table::Table;

/// Start Daybook: take commands, settle orders, post read models, answer queries
///
/// Without DATABASE_URL a private Postgres runs in the data folder, and without KAFKA_BROKERS a private
/// Apache Kafka, if there is a Java. Commands are accepted before Kafka is up, and while it is down. A
/// second process on the same DATABASE_URL shares the work. Ctrl-C or SIGTERM stops it in order.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Serve {
    #[command(flatten)]
    flags: ServeFlags,
}

const EXAMPLES: &str = "\
Examples:
  daybook serve
  daybook serve --listen 0.0.0.0:80 --data-dir /var/lib/daybook --log-format json
  daybook serve --kafka off
  daybook serve --role commands,relay --service orders --catalogue-url http://catalogue:7400
  DATABASE_URL=postgres://shop:secret@db/shop KAFKA_BROKERS=kafka:9092 daybook serve";

impl Serve {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let reloader = Reloader::begin(self.flags)?;
        let settings = reloader.settings().clone();
        let log = edge::telemetry::init(settings.log_format, &settings.log)?;
        edge::metrics::install();
        access::check(&settings)?;
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        tokio::spawn(async move {
            told_to_stop().await;
            stopping.cancel();
            say("stopping: finishing what is under way …");
        });
        // First, so that a port that is taken is known before anything was started.
        let listener = listen(settings.listen).await?;
        let embedded = Embedded::start(settings.embedded()).await?;
        let served = serve(&settings, listener, &embedded, (reloader, log), stop).await;
        embedded.stop().await;
        served?;
        say("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

async fn serve(
    settings: &Settings,
    listener: TcpListener,
    embedded: &Embedded,
    (mut reloader, log): (Reloader, LogFilter),
    stop: CancellationToken,
) -> Result<()> {
    let provider = Provider::of(settings).await?;
    access::first_key(settings)?;
    reloader.watch_named();
    let tls = settings.door()?.map(Tls::new);
    let (origins, proxies) = (settings.origins(), settings.proxies());
    let access = access::open(settings, &proxies)?;
    let rates = Rates::of(settings, &proxies);
    let brokers = brokers::tell(settings, embedded.kafka.clone(), stop.clone())?;
    let told = brokers.subscribe();
    let settings_of_shop =
        shop_settings(settings, &access, embedded, told, &provider, &rates, &stop)?;
    let opening = Shop::open(settings_of_shop);
    let shop = tokio::select! {
        shop = opening => shop?,
        () = stop.cancelled() => return Ok(()),
    };
    let url = settings.url(listener.local_addr()?);
    embedded.announce(&url);
    say(&format!("Daybook {} on {url}", env!("CARGO_PKG_VERSION")));
    let part = said_part(&settings.part());
    let access_line = access::line(&access, listener.local_addr()?);
    let lines = embedded.lines();
    for line in lines.iter().chain([&provider.line, &access_line]).chain(&part) {
        say(&format!("  {line}"));
    }
    tokio::spawn(stop.clone().run_until_cancelled_owned(say_when_ready(shop.health.clone())));
    let parts = Parts {
        log,
        door: tls.clone(),
        origins: origins.clone(),
        proxies,
        rates,
        access: access.clone(),
        called: shop.called.clone(),
        brokers,
    };
    tokio::spawn(reloader.run(parts, shop.health.clone(), stop.clone()));
    let limits = settings.limits.request(Limits {
        body_bytes: settings.body_limit_bytes,
        time: settings.request_timeout(),
        ..Limits::default()
    });
    // A line of many is what the request by itself is. Nothing but callers' commands are found there: whoever guards
    // the rest by its path, as a gateway does, does not see the lines.
    let commands = edge::layered(shop.commands(), limits);
    let many = Batch::new(commands, settings.limits.batch(), stop.clone());
    let many = access.identified(Table::new(!access.is_off()).many.router(many, &access));
    let router = shop.router().merge(many);
    let router = if access.is_off() { edge::for_this_machine(router, &origins) } else { router };
    let router = edge::layered_for(router, limits, &origins);
    // Half of the time for what callers wait for, the rest for what goes on behind.
    let half = settings.shutdown() / 2;
    let serving = settings.limits.serving(half);
    if let Err(cut) = edge::run(Door { listener, tls }, router, stop, serving).await {
        tracing::warn!(%cut, "not every request was finished");
    }
    shop.stop(half).await;
    provider.stop().await;
    Ok(())
}

fn shop_settings(
    settings: &Settings,
    access: &Access,
    embedded: &Embedded,
    brokers: watch::Receiver<Option<Brokers>>,
    provider: &Provider,
    rates: &Rates,
    leaving: &CancellationToken,
) -> Result<ShopSettings> {
    let databases = settings.databases(&Database::from(embedded.database.clone()))?;
    let url =
        |(service, _): &(&'static str, _)| Some((*service, settings.url_of(service)?.to_owned()));
    let urls = SERVICES.iter().filter_map(url).collect();
    Ok(ShopSettings {
        part: settings.part(),
        databases,
        urls,
        lines: settings.lines()?,
        partitions: settings.partitions,
        lanes: settings.lanes,
        readers: settings.readers,
        followers: settings.followers,
        topic_prefix: settings.topic_prefix.clone(),
        brokers,
        shortcut: settings.shortcut,
        accept_history: settings.accept_history,
        access: access.clone(),
        provider_url: provider.url.clone(),
        provider_key: provider.key.clone(),
        patience: Patience {
            settle_s: settings.settle_deadline_s,
            finish_s: settings.finish_deadline_s,
        },
        rates: rates.clone(),
        compress_from_bytes: settings.compress_from_bytes,
        limits: settings.limits.clone(),
        leaving: leaving.clone(),
    })
}

/// Which part of the shop this is, if it is not the whole.
fn said_part(part: &Part) -> Option<String> {
    let roles: Vec<_> = part.roles.iter().map(|role| role.name()).collect();
    let (roles, services) = (roles.join(", "), part.services.join(", "));
    (!part.is_whole()).then(|| format!("A part    {roles} of {services}"))
}

/// The payment provider: yours, or a sandbox inside.
struct Provider {
    url: String,
    key: String,
    line: String,
    sandbox: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Provider {
    async fn of(settings: &Settings) -> Result<Self> {
        if !settings.part().runs(Role::Sagas, "payments") {
            let line = "Payments  none are made by this process".to_owned();
            let (url, key) = ("http://127.0.0.1".to_owned(), String::new());
            return Ok(Provider { url, key, line, sandbox: None });
        }
        let key = settings.provider_key()?.unwrap_or_else(|| "sk_test_daybook".to_owned());
        if let Some(url) = settings.provider_url.clone() {
            let line = format!("Payments  {url}");
            return Ok(Provider { url, key, line, sandbox: None });
        }
        if settings.database_url.is_some() {
            tracing::warn!(
                "the payment sandbox inside belongs to this process alone: if another one shares the \
                 database, give both the same provider_url (`daybook sandbox-provider`)"
            );
        }
        std::fs::create_dir_all(&settings.data_dir)
            .with_context(|| format!("cannot make {}", settings.data_dir.display()))?;
        let book = settings.data_dir.join("sandbox.book");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let line = format!("Payments  sandbox, no money moves (book: {})", book.display());
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let running = tokio::spawn(async move {
            if let Err(error) = sagas::sandbox::run(listener, &book, stopping).await {
                tracing::error!(
                    error = format!("{:#}", anyhow::Error::new(error)),
                    "the sandbox ended"
                );
            }
        });
        Ok(Provider { url, key, line, sandbox: Some((stop, running)) })
    }

    async fn stop(self) {
        if let Some((stop, running)) = self.sandbox {
            stop.cancel();
            // Whatever became of it was logged.
            let _ = running.await;
        }
    }
}

/// Tells whoever started us. That nobody hears it, because the output is closed, is no reason to end.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// When `/health/ready` first says so.
async fn say_when_ready(health: Health) {
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if health.missing().is_empty() {
            return say("ready");
        }
    }
}

/// A port that is taken is mostly taken by a Daybook that was forgotten.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| {
        let mut what = format!("cannot listen on {address}");
        if error.kind() == io::ErrorKind::AddrInUse {
            let text = address.to_string();
            let host = text.trim_end_matches(|c: char| c.is_ascii_digit());
            what += " (another daybook may be running there: ";
            what += &format!("stop it, or choose a free port with --listen {host}PORT)");
        }
        anyhow::Error::new(error).context(what)
    })
}

/// Ctrl-C of a terminal, or the SIGTERM of whoever started us. Without signals nothing stops us in order.
pub(super) async fn told_to_stop() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
