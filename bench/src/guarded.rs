//! What access, rate limits and TLS cost at the door: orders accepted by one process, with each of them in turn. Nothing
//! else of it runs, neither sagas nor read models nor Kafka, so that nothing but the door differs.

use crate::bench::Bench;
use crate::caller::Caller;
use crate::door::Door;
use crate::load::{self, Round, Rounds};
use crate::peak;
use crate::process::{Daybook, free_port, program};
use crate::report::{Figure, Unit};
use crate::servers::{Login, Servers};
use crate::shop;
use anyhow::{Context, Result, ensure};
use event_store::Database;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use rustls::ClientConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::sleep;

const CALLERS: usize = 64;
const LINES: usize = 4;
/// Until the first is let in.
const PATIENCE: Duration = Duration::from_secs(60);

/// What stands at the door.
#[derive(Clone, Copy)]
struct Guard {
    name: &'static str,
    tokens: bool,
    rates: bool,
    tls: bool,
}

const OPEN: Guard = Guard { name: "open", tokens: false, rates: false, tls: false };

const GUARDS: [Guard; 5] = [
    OPEN,
    Guard { name: "with tokens", tokens: true, ..OPEN },
    Guard { name: "with rate limits", rates: true, ..OPEN },
    Guard { name: "with TLS", tls: true, ..OPEN },
    Guard { name: "with all three", tokens: true, rates: true, tls: true },
];

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mut houses = Vec::new();
    for guard in GUARDS {
        houses.push(House::lay(bench.servers, guard).await?);
    }
    let mut rounds: Vec<_> = houses.iter().map(|_| Rounds::default()).collect();
    for _ in 0..bench.pace.pick(bench.pace.rounds, 1) {
        for (house, rounds) in houses.iter_mut().zip(&mut rounds) {
            bench.servers.checkpoint().await?;
            rounds.0.push(house.turn(bench.pace.round()).await?);
        }
    }
    let section = &mut bench.section;
    for (house, rounds) in houses.iter().zip(&rounds) {
        let name = |what| format!("{}{what}", house.guard.name);
        section.add(Figure::new(name(""), Unit::PerSecond, rounds.rates()));
        section.add(Figure::new(name(", p50"), Unit::Ms, rounds.p50s()));
        section.add(Figure::new(name(", p99"), Unit::Ms, rounds.p99s()));
    }
    let open = rounds[0].rates();
    for (house, rounds) in houses.iter().zip(&rounds).skip(1) {
        let name = format!("{} / {}", house.guard.name, OPEN.name);
        section.add(Figure::ratio(name, &rounds.rates(), &open));
    }
    Ok(())
}

/// A database, and what is needed to be let in.
struct House {
    guard: Guard,
    database: Database,
    data: PathBuf,
    token: Option<String>,
    tls: Option<Arc<ClientConfig>>,
    placed: u64,
}

impl House {
    async fn lay(servers: &Servers, guard: Guard) -> Result<Self> {
        let word = guard.name.replace(' ', "_").to_lowercase();
        let database = servers.database(&format!("guarded_{word}")).await?;
        let data = servers.folder(&format!("guarded-{word}"));
        std::fs::create_dir_all(&data)?;
        let token = if guard.tokens { Some(token(&data).await?) } else { None };
        let tls = if guard.tls { Some(Arc::new(certificate(&data).await?)) } else { None };
        Ok(House { guard, database, data, token, tls, placed: 0 })
    }

    /// A process of its own for each turn.
    async fn turn(&mut self, time: Duration) -> Result<Round> {
        let port = free_port()?;
        let scheme = if self.guard.tls { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{port}");
        let daybook = Daybook::spawn(self.serve()?, &self.data, port)?;
        let http = self.client()?;
        let door = Door::of(http, |_| url.clone());
        let (first, began) = (serde_json::json!({"quantity": 1}), Instant::now());
        while let Err(error) = door.post("/v1/stock/SKU0/receive", &first).await {
            ensure!(began.elapsed() < PATIENCE, "{} nobody is let in: {error:#}", self.guard.name);
            sleep(Duration::from_millis(20)).await;
        }
        if self.placed == 0 {
            shop::prepare(&door).await?;
        }
        let mut callers = Vec::new();
        for _ in 0..CALLERS {
            let (token, tls) = (self.token.as_deref(), self.tls.clone());
            let caller = Caller::guarded(&url, token, tls).await?;
            callers.push(Mutex::new(caller));
        }
        let callers = Arc::new(callers);
        let one = move |caller: usize, i: u64| {
            let callers = callers.clone();
            async move {
                let mut caller = callers[caller].lock().await;
                while !caller.place(shop::order(usize::try_from(i)?, LINES)).await? {
                    sleep(Duration::from_millis(20)).await;
                }
                Ok(())
            }
        };
        let round = load::closed_loop(CALLERS, time, one).await?;
        daybook.stop().await?;
        self.placed += round.all;
        peak::verify_placed(&self.database, self.placed).await?;
        Ok(round)
    }

    fn serve(&self) -> Result<Command> {
        let mut command = program()?;
        command.args(["serve", "--role", "commands", "--kafka", "off"]);
        command.args(["--database-url", &Login::to(&self.database)?.url()]);
        command.env("DAYBOOK_AUTH", if self.guard.tokens { "on" } else { "off" });
        if self.guard.rates {
            // Counted, and never too many.
            command.env("DAYBOOK_COMMANDS_PER_S", "1000000");
        }
        if self.guard.tls {
            command.env("DAYBOOK_TLS_CERT", self.data.join("door.crt"));
            command.env("DAYBOOK_TLS_KEY", self.data.join("door.key"));
        }
        Ok(command)
    }

    /// For what is not measured.
    fn client(&self) -> Result<reqwest::Client> {
        let mut client = reqwest::Client::builder();
        if let Some(token) = &self.token {
            client =
                client.default_headers(HeaderMap::from_iter([(AUTHORIZATION, token.parse()?)]));
        }
        if let Some(tls) = &self.tls {
            client = client.tls_backend_preconfigured(ClientConfig::clone(tls));
        }
        Ok(client.build()?)
    }
}

/// Of the issuer inside, for one who may do what is done here.
async fn token(data: &Path) -> Result<String> {
    let mut command = program()?;
    command.arg("token").arg("--data-dir").arg(data);
    let printed =
        command.args(["operator", "warehouse", "support"].map(|role| format!("--role={role}")));
    let printed = printed.output().await?;
    ensure!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    Ok(format!("Bearer {}", String::from_utf8(printed.stdout)?.trim()))
}

/// A certificate of its own, and how those speak who trust it.
async fn certificate(data: &Path) -> Result<ClientConfig> {
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
                   -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
                   -keyout door.key -out door.crt";
    let mut openssl = Command::new("openssl");
    openssl.current_dir(data).args(request.split_whitespace());
    let made = openssl.output().await.context("scripts/setup bench installs openssl")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(edge::tls::client(&data.join("door.crt"), None)?)
}
