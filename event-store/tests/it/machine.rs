//! Two processes on one log do, step by step, what a model in memory does.

mod model;

use crate::history::{Of, chain, seed};
use crate::support::{NotEnough, Till, envelope, fresh_database, open};
use event_store::{Database, Done, Envelope, Log, TransactError, TransactLimits, Transactor};
use model::{Answer, Machine, Model, STREAMS, Send, Transition};
use proptest::test_runner::{Config, RngSeed};
use proptest_state_machine::{StateMachineTest, prop_state_machine};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::runtime::Runtime;

/// All cases use one database; each has streams of its own.
struct Shared {
    runtime: Runtime,
    database: Database,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(fresh_database());
        Shared { runtime, database }
    })
}

struct Process {
    log: Log,
    till: Transactor<Till>,
}

impl Process {
    async fn start() -> Self {
        let log = open(&shared().database).await;
        let limits = TransactLimits { snapshot_events: 2, ..TransactLimits::default() };
        let till = Transactor::with_snapshots(log.clone(), limits);
        Process { log, till }
    }

    async fn send(&self, stream: &str, send: &Send) -> Answer {
        let envelope = Envelope {
            fingerprint: send.fingerprint(),
            expected_version: send.asked_version,
            ..envelope(send.command_id)
        };
        match self.till.transact(stream, send.command.clone(), envelope).await {
            Ok(done) => {
                self.is_where_it_says(stream, &done).await;
                Answer::Done { version: done.version, events: done.events }
            }
            Err(TransactError::Rejected { rejection: NotEnough(left), .. }) => {
                Answer::Rejected(left)
            }
            Err(TransactError::OtherBody) => Answer::OtherBody,
            Err(TransactError::WrongVersion { actual }) => Answer::WrongVersion(actual),
            Err(other) => panic!("{send:?}: {other}"),
        }
    }

    async fn is_where_it_says(&self, stream: &str, done: &Done) {
        let event = self.log.read_stream(stream, done.version - 1, 1).await.unwrap();
        let event = event.first().filter(|event| event.version == done.version);
        let position = event.map(event_store::Recorded::position);
        assert_eq!(done.position, position, "{done:?}");
    }
}

struct Processes {
    /// Of the streams of this case.
    case: u32,
    /// Events of the cases before.
    before: i64,
    processes: [Process; 2],
}

impl Processes {
    fn stream(&self, stream: usize) -> String {
        format!("till-{}-{stream}", self.case)
    }

    async fn events(&self) -> i64 {
        self.processes[0].log.heads().await.unwrap().iter().sum()
    }

    async fn step(&mut self, model: &Model, transition: &Transition) {
        match transition {
            Transition::Append { process, stream, expected, commands } => {
                let chain = chain(&self.stream(*stream), *expected, commands);
                let outcome = self.processes[*process].log.append(chain).await.unwrap();
                let told = outcome.verdicts.iter().zip(commands);
                let told: Vec<Of> = told.map(|(verdict, c)| Of::new(verdict, *c)).collect();
                assert_eq!(told, model.verdicts, "{transition:?}");
            }
            Transition::Transact { process, stream, sends } => {
                let (stream, process) = (self.stream(*stream), &self.processes[*process]);
                let all = sends.iter().map(|send| process.send(&stream, send));
                let told = futures_util::future::join_all(all).await;
                assert_eq!(told, model.answers, "{transition:?}");
            }
            Transition::TransactTwice { stream, send } => {
                let stream = self.stream(*stream);
                let [one, two] = &self.processes;
                let told = tokio::join!(one.send(&stream, send), two.send(&stream, send));
                assert_eq!([told.0, told.1], model.answers[..], "{transition:?}");
            }
            Transition::Restart { process } => {
                self.processes[*process].log.close().await;
                self.processes[*process] = Process::start().await;
            }
            Transition::Forget => {
                let admin = shared().database.connect("tests").await.unwrap();
                admin.execute("delete from shop_read.snapshot", &[]).await.unwrap();
            }
        }
    }

    /// One process reads and the other folds what the model holds, and the log holds nothing else.
    async fn hold(&self, model: &Model) {
        let [one, two] = &self.processes;
        for (kept, number) in model.streams.iter().zip(0..STREAMS) {
            let stream = self.stream(number);
            let (read, folded) =
                tokio::join!(one.log.read_stream(&stream, 0, 10_000), two.till.state(&stream));
            let read = read.unwrap();
            let read = read.iter().map(|event| (event.version, event.command_id, event.ordinal));
            assert_eq!(read.collect::<Vec<_>>(), kept.stream.read());
            let (state, version) = folded.unwrap();
            assert_eq!((state.amount, version), (kept.amount, kept.stream.version()));
        }
        assert_eq!(self.events().await, self.before + model.events());
    }
}

impl StateMachineTest for Processes {
    type SystemUnderTest = Processes;
    type Reference = Machine;

    fn init_test(_: &Model) -> Processes {
        static CASES: AtomicU32 = AtomicU32::new(0);
        let case = CASES.fetch_add(1, Ordering::Relaxed);
        shared().runtime.block_on(async {
            let processes = [Process::start().await, Process::start().await];
            let mut all = Processes { case, before: 0, processes };
            all.before = all.events().await;
            all
        })
    }

    fn apply(mut all: Processes, model: &Model, transition: Transition) -> Processes {
        shared().runtime.block_on(all.step(model, &transition));
        all
    }

    fn check_invariants(all: &Processes, model: &Model) {
        shared().runtime.block_on(all.hold(model));
    }

    fn teardown(all: Processes, _: Model) {
        let [one, two] = &all.processes;
        shared().runtime.block_on(async { tokio::join!(one.log.close(), two.log.close()) });
    }
}

prop_state_machine! {
    #![proptest_config(Config {
        cases: 16,
        max_shrink_iters: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed()),
        ..Config::default()
    })]

    #[test]
    fn two_processes_that_append_repeat_conflict_and_restart_do_what_the_model_does(
        sequential 10..30 => Processes
    );
}
