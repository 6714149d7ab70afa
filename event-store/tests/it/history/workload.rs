//! Clients of several processes that append to few streams and read them, while connections are cut and
//! processes die.

use super::record::History;
use super::stream::Command;
use crate::proxy::{Mode, Proxy, Toward};
use crate::support::{id, settings};
use event_store::{Database, Log, Verdict};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::runtime::{Builder, Runtime};

const PROCESSES: usize = 3;
const CLIENTS: usize = 9;
const READERS: usize = 3;
const STREAMS: u64 = 6;
const ASKS: u64 = 40;

/// SplitMix64: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// Less than `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// One process: a log whose lanes live in a runtime of their own, so that they can die at any line.
struct Process {
    /// None only while it is replaced.
    runtime: Option<Runtime>,
    log: Log,
}

impl Process {
    async fn start(database: &Database) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let log = runtime.spawn(Log::open(settings(database))).await.unwrap().unwrap();
        Process { runtime: Some(runtime), log }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

struct World {
    database: Database,
    proxy: Proxy,
    processes: Mutex<Vec<Process>>,
    history: History,
    next_command: AtomicU64,
    done: AtomicBool,
}

impl World {
    /// The log of a process as it is now; the first one reaches Postgres through the proxy.
    fn log(&self, process: usize) -> Log {
        self.processes.lock().unwrap()[process % PROCESSES].log.clone()
    }

    fn way(&self, process: usize) -> Database {
        if process == 0 { self.proxy.of(&self.database) } else { self.database.clone() }
    }

    async fn fail(&self, dice: &mut Dice) {
        match dice.roll(4) {
            0 => {
                let cut = "select pg_terminate_backend(pid) from pg_stat_activity \
                     where datname = current_database() and application_name like 'daybook%'";
                self.database.connect("tests").await.unwrap().execute(cut, &[]).await.unwrap();
            }
            1 => {
                let process = usize::try_from(dice.roll(PROCESSES as u64)).unwrap();
                let new = Process::start(&self.way(process)).await;
                let killed = std::mem::replace(&mut self.processes.lock().unwrap()[process], new);
                drop(killed);
            }
            toward => {
                let toward = if toward == 2 { Toward::Server } else { Toward::Client };
                let after = usize::try_from(dice.roll(3_000)).unwrap();
                self.proxy.set(Mode::Cut { toward, after });
            }
        }
    }

    fn commands(&self, dice: &mut Dice, sent: &[Command]) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        for _ in 0..=dice.roll(3) {
            let known = usize::try_from(dice.roll(1 + 8 * sent.len() as u64)).unwrap();
            let command = sent.get(known).copied().unwrap_or_else(|| {
                let number = self.next_command.fetch_add(1, Ordering::Relaxed);
                (id(u128::from(number) + 1), i64::try_from(dice.roll(3)).unwrap())
            });
            if commands.iter().all(|(id, _)| *id != command.0) {
                commands.push(command);
            }
        }
        commands
    }

    /// A client that appends: new commands and old ones, on the version that it knows, which others may have passed.
    async fn write(&self, client: usize, mut dice: Dice, faults: bool) {
        let mut known: BTreeMap<String, (i64, Vec<Command>)> = BTreeMap::new();
        let mut lost = None;
        for turn in 0..ASKS {
            if faults && client == 0 && turn % 4 == 3 {
                self.fail(&mut dice).await;
            }
            let stream = format!("till-{}", dice.roll(STREAMS));
            let (version, sent) = known.entry(stream.clone()).or_default();
            let fresh = (*version, self.commands(&mut dice, sent));
            // Of an append of unknown outcome often the same is sent again.
            let (stream, ask) = match lost.take() {
                Some(lost) if dice.roll(3) > 0 => lost,
                Some(_) | None => (stream, fresh),
            };
            let patient = dice.roll(12) > 0 || !faults;
            let goes_away = async {
                if patient { std::future::pending().await } else { tokio::task::yield_now().await }
            };
            let log = self.log(client);
            let verdicts = self.history.append(&log, &stream, ask.clone(), goes_away).await;
            let (version, sent) = known.entry(stream.clone()).or_default();
            sent.extend(&ask.1);
            match verdicts.as_deref().and_then(<[_]>::last) {
                Some(Verdict::Ok { .. }) => {
                    *version = ask.0 + ask.1.iter().map(|c| c.1).sum::<i64>()
                }
                Some(Verdict::Conflict { actual }) => *version = *actual,
                Some(Verdict::Already { .. } | Verdict::Again) => {
                    if let Some(read) = self.history.read_stream(&log, &stream).await {
                        *version = read;
                    }
                }
                None => lost = Some((stream, ask)),
            }
        }
    }

    /// A client that reads partitions and streams, as long as the others append.
    async fn read(&self, reader: usize, mut dice: Dice) {
        let mut ends = BTreeMap::new();
        while !self.done.load(Ordering::SeqCst) {
            let log = self.log(reader);
            let partition = i32::try_from(dice.roll(4)).unwrap();
            let from = if dice.roll(4) > 0 { ends.get(&partition).copied() } else { None };
            let read = self.history.read_partition(&log, partition, from.unwrap_or(0)).await;
            ends.extend(read.map(|end| (partition, end)));
            if dice.roll(3) == 0 {
                self.history.read_stream(&log, &format!("till-{}", dice.roll(STREAMS))).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

/// Runs all clients to their end, and checks what they recorded. The number of outcomes that stayed unknown.
pub(crate) async fn run(database: &Database, seed: u64, faults: bool) -> Result<usize, String> {
    let proxy = Proxy::before(database).await;
    let mut processes = Vec::new();
    for process in 0..PROCESSES {
        let way = if process == 0 { proxy.of(database) } else { database.clone() };
        processes.push(Process::start(&way).await);
    }
    let world = World {
        database: database.clone(),
        proxy,
        processes: Mutex::new(processes),
        history: History::default(),
        next_command: AtomicU64::new(0),
        done: AtomicBool::new(false),
    };
    let dice = |client: usize| Dice::new(seed ^ ((client as u64) << 32));
    let writing = async {
        let writers = (0..CLIENTS).map(|client| world.write(client, dice(client), faults));
        futures_util::future::join_all(writers).await;
        world.done.store(true, Ordering::SeqCst);
    };
    let reading = (0..READERS).map(|reader| world.read(reader, dice(CLIENTS + reader)));
    tokio::join!(writing, futures_util::future::join_all(reading));
    drop(world.processes);
    let log = crate::support::open(database).await;
    world.history.check(&log).await.map_err(|why| format!("seed {seed}: {why}"))
}
