//! A till as the log should keep it, in memory, one command at a time.

use crate::history::{Command, Of, Stream};
use crate::support::{TillCommand, id};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(crate) const STREAMS: usize = 3;
/// Few command ids, so that most come again.
const COMMANDS: u128 = 12;

/// What one caller sends.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub(crate) command_id: Uuid,
    pub(crate) command: TillCommand,
    pub(crate) asked_version: Option<i64>,
}

impl Send {
    pub(crate) fn fingerprint(&self) -> Option<String> {
        Some(format!("{:?}", self.command))
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Transition {
    /// A chain for the log itself.
    Append { process: usize, stream: usize, expected: i64, commands: Vec<Command> },
    /// Commands that are sent to one process at once, and wait for each other.
    Transact { process: usize, stream: usize, sends: Vec<Send> },
    /// One command that is sent to both processes at once.
    TransactTwice { stream: usize, send: Send },
    /// The log of a process is closed and opened again.
    Restart { process: usize },
    /// Every snapshot is deleted.
    Forget,
}

/// What must be answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Done { version: i64, events: Vec<String> },
    Rejected(u64),
    OtherBody,
    WrongVersion(i64),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) stream: Stream,
    pub(crate) amount: u64,
    /// The body of each command that is in the stream, and the types of its events.
    receipts: BTreeMap<Uuid, (Option<String>, Vec<String>)>,
}

impl Kept {
    fn append(&mut self, expected: i64, commands: &[Command]) -> Vec<Of> {
        let verdicts = self.stream.append(expected, commands);
        for ((id, events), verdict) in commands.iter().zip(&verdicts) {
            if let Of::Ok(Some(_)) = verdict {
                let count = usize::try_from(*events).unwrap();
                self.receipts.insert(*id, (None, vec!["till.filled".into(); count]));
                self.amount += count as u64;
            }
        }
        verdicts
    }

    fn send(&mut self, send: &Send) -> Answer {
        let version = self.stream.version();
        if let Some((body, events)) = self.receipts.get(&send.command_id) {
            let (first, count) = self.stream.find(send.command_id).unwrap();
            if *body != send.fingerprint() {
                return Answer::OtherBody;
            }
            return Answer::Done { version: first + count - 1, events: events.clone() };
        }
        if send.asked_version.is_some_and(|asked| asked != version) {
            return Answer::WrongVersion(version);
        }
        let (event, count) = match send.command {
            TillCommand::Take { amount } if amount > self.amount => {
                return Answer::Rejected(self.amount);
            }
            TillCommand::Take { amount: 0 } | TillCommand::Receipted { .. } => {
                return Answer::Done { version, events: vec![] };
            }
            TillCommand::Take { amount } => {
                self.amount -= amount;
                ("till.drained", 1)
            }
            TillCommand::Put { amount } => {
                self.amount += amount;
                ("till.filled", 1)
            }
            TillCommand::PutTwice { amount } => {
                self.amount += 2 * amount;
                ("till.filled", 2)
            }
        };
        let events = vec![event.to_owned(); count];
        self.stream.append(version, &[(send.command_id, count as i64)]);
        self.receipts.insert(send.command_id, (send.fingerprint(), events.clone()));
        Answer::Done { version: version + count as i64, events }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) streams: [Kept; STREAMS],
    /// Of the last transition.
    pub(crate) verdicts: Vec<Of>,
    pub(crate) answers: Vec<Answer>,
}

impl Model {
    pub(crate) fn events(&self) -> i64 {
        self.streams.iter().map(|kept| kept.stream.version()).sum()
    }
}

pub(crate) struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Model;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Transition> {
        let versions: Vec<i64> = model.streams.iter().map(|kept| kept.stream.version()).collect();
        let about = move |stream: usize, beside: i64| (versions[stream] + beside).max(0);
        let beside = || prop_oneof![4 => Just(0), 1 => -2..=2_i64];
        let number = || (0..COMMANDS).prop_map(id);
        let commands = vec((number(), 0..=3_i64), 1..=4).prop_map(|all| distinct(all, |c| c.0));
        let expected = about.clone();
        let append = (0..2_usize, 0..STREAMS, beside(), commands).prop_map(
            move |(process, stream, beside, commands)| {
                let expected = expected(stream, beside);
                Transition::Append { process, stream, expected, commands }
            },
        );
        let command = prop_oneof![
            (1..=3_u64).prop_map(|amount| TillCommand::Put { amount }),
            (1..=3_u64).prop_map(|amount| TillCommand::PutTwice { amount }),
            (0..=6_u64).prop_map(|amount| TillCommand::Take { amount }),
        ];
        let send = (number(), command, proptest::option::weighted(0.2, beside()));
        let send = move |stream: usize| {
            let about = about.clone();
            send.clone().prop_map(move |(command_id, command, beside)| {
                let asked_version = beside.map(|beside| about(stream, beside));
                Send { command_id, command, asked_version }
            })
        };
        let several = send.clone();
        let transact = (0..2_usize, 0..STREAMS).prop_flat_map(move |(process, stream)| {
            vec(several(stream), 1..=5).prop_map(move |sends| {
                let sends = distinct(sends, |send| send.command_id);
                Transition::Transact { process, stream, sends }
            })
        });
        let twice = (0..STREAMS).prop_flat_map(move |stream| {
            send(stream).prop_map(move |send| Transition::TransactTwice { stream, send })
        });
        let restart = (0..2_usize).prop_map(|process| Transition::Restart { process });
        let forget = Just(Transition::Forget);
        prop_oneof![4 => append, 6 => transact, 2 => twice, 1 => restart, 1 => forget].boxed()
    }

    fn apply(mut model: Model, transition: &Transition) -> Model {
        (model.verdicts, model.answers) = (vec![], vec![]);
        match transition {
            Transition::Append { stream, expected, commands, .. } => {
                model.verdicts = model.streams[*stream].append(*expected, commands);
            }
            Transition::Transact { stream, sends, .. } => {
                let kept = &mut model.streams[*stream];
                model.answers = sends.iter().map(|send| kept.send(send)).collect();
            }
            Transition::TransactTwice { stream, send } => {
                let answer = model.streams[*stream].send(send);
                model.answers = vec![answer.clone(), answer];
            }
            Transition::Restart { .. } | Transition::Forget => {}
        }
        model
    }
}

/// The first of each command id: several with one id at once may be answered in any order.
fn distinct<T>(all: Vec<T>, of: impl Fn(&T) -> Uuid) -> Vec<T> {
    let mut met = std::collections::BTreeSet::new();
    all.into_iter().filter(|one| met.insert(of(one))).collect()
}
