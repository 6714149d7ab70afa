//! What several clients asked of a log, what they were told, and when.

use super::linear::Operation;
use super::partition::{Place, Sight};
use super::stream::{Ask, Command, Of, Told};
use super::{linear, partition};
use crate::support::at;
use event_store::{
    AppendError, Chain, ChainOutcome, Entry, EventEntry, Log, Metadata, Recorded, StoredMetadata,
    Verdict, event_id,
};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// A history: who holds a reference records in it.
#[derive(Default)]
pub(crate) struct History {
    clock: AtomicU64,
    operations: Mutex<BTreeMap<String, Vec<Operation>>>,
    sights: Mutex<Vec<Sight>>,
    pages: Mutex<Vec<Recorded>>,
    places: Mutex<Vec<Place>>,
}

impl History {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, stream: &str, operation: Operation) {
        self.operations.lock().unwrap().entry(stream.to_owned()).or_default().push(operation);
    }

    /// Asks for an append. None, if its outcome is unknown: the log was closed, or `goes_away` came first.
    pub(crate) async fn append(
        &self,
        log: &Log,
        stream: &str,
        (expected, commands): (i64, Vec<Command>),
        goes_away: impl Future<Output = ()>,
    ) -> Option<Vec<Verdict>> {
        let called = self.now();
        let appending = log.append(chain(stream, expected, &commands));
        let outcome = tokio::select! {
            biased;
            outcome = appending => outcome,
            () = goes_away => Err(AppendError::Closed),
        };
        let answered = self.now();
        let told = match &outcome {
            Ok(outcome) => {
                self.place(answered, stream, &commands, outcome);
                let of = outcome.verdicts.iter().zip(&commands).map(|(v, c)| Of::new(v, *c));
                Some(Told::Verdicts(of.collect()))
            }
            Err(AppendError::Closed) => None,
            Err(
                error @ (AppendError::Full
                | AppendError::TooLarge { .. }
                | AppendError::Data(_)
                | AppendError::Epoch
                | AppendError::Statement(_)
                | AppendError::Away(_)),
            ) => Some(Told::Refused(error.to_string())),
        };
        let ask = Ask::Append { expected, commands };
        let answered = told.map(|told| (answered, told));
        self.note(stream, Operation { called, ask, answered });
        outcome.ok().map(|outcome| outcome.verdicts)
    }

    /// Notes an append that is not made here: it may happen from now on, or never.
    pub(crate) fn asked_elsewhere(&self, stream: &str, (expected, commands): (i64, Vec<Command>)) {
        let (called, ask) = (self.now(), Ask::Append { expected, commands });
        self.note(stream, Operation { called, ask, answered: None });
    }

    fn place(&self, answered: u64, stream: &str, commands: &[Command], outcome: &ChainOutcome) {
        for (verdict, (command, asked)) in outcome.verdicts.iter().zip(commands) {
            let (version, offset, events) = match verdict {
                Verdict::Ok { version, offset } => (*version, *offset, *asked),
                Verdict::Already { version, offset, events, .. } => {
                    (*version, *offset, i64::from(*events))
                }
                Verdict::Again | Verdict::Conflict { .. } => continue,
            };
            if events > 0 {
                let (partition, stream, command) = (outcome.partition, stream.to_owned(), *command);
                let place = Place { answered, partition, offset, stream, version, command, events };
                self.places.lock().unwrap().push(place);
            }
        }
    }

    /// Reads a stream. None, if the connection failed: nothing was learned.
    pub(crate) async fn read_stream(&self, log: &Log, stream: &str) -> Option<i64> {
        let called = self.now();
        let events = log.read_stream(stream, 0, 10_000).await.ok()?;
        let answered = self.now();
        let of = |event: &Recorded| (event.version, event.command_id, event.ordinal);
        let told = Told::Events(events.iter().map(of).collect());
        let answered = Some((answered, told));
        self.note(stream, Operation { called, ask: Ask::Read, answered });
        let version = events.last().map_or(0, |event| event.version);
        self.pages.lock().unwrap().extend(events);
        Some(version)
    }

    /// Reads a partition from an offset to its end, and returns the end. None, if the connection failed.
    pub(crate) async fn read_partition(&self, log: &Log, number: i32, from: i64) -> Option<i64> {
        let called = self.now();
        let events = log.read_partition(number, from, 10_000).await.ok()?;
        let answered = self.now();
        let end = from + i64::try_from(events.len()).unwrap();
        self.sights.lock().unwrap().push(Sight {
            called,
            answered,
            partition: number,
            from,
            events,
        });
        Some(end)
    }

    /// Reads everything once more, and says what is wrong with it all; else how many outcomes are unknown.
    pub(crate) async fn check(self, log: &Log) -> Result<usize, String> {
        let streams: Vec<String> = self.operations.lock().unwrap().keys().cloned().collect();
        for stream in streams {
            self.read_stream(log, &stream).await.expect("the last read");
        }
        for partition in 0..log.partitions() {
            self.read_partition(log, partition, 0).await.expect("the last read");
        }
        let sights = self.sights.into_inner().unwrap();
        let places = self.places.into_inner().unwrap();
        let mut unknown = 0;
        for (stream, mut operations) in self.operations.into_inner().unwrap() {
            unknown += operations.iter().filter(|one| one.answered.is_none()).count();
            operations.sort_by_key(|operation| operation.called);
            linear::check(&operations).map_err(|why| format!("{stream}: {why}"))?;
        }
        partition::check(&sights, &self.pages.into_inner().unwrap(), &places)?;
        Ok(unknown)
    }
}

pub(crate) fn chain(stream: &str, expected: i64, commands: &[Command]) -> Chain {
    let entry = |(command_id, events): &Command| Entry {
        command_id: *command_id,
        events: (0..).take(*events as usize).map(|o| event(stream, *command_id, o)).collect(),
    };
    Chain { stream: stream.to_owned(), expected, entries: commands.iter().map(entry).collect() }
}

fn event(stream: &str, command_id: Uuid, ordinal: i32) -> EventEntry {
    let metadata = StoredMetadata { metadata: Metadata::default(), fingerprint: None };
    EventEntry {
        event_id: event_id(stream, command_id, ordinal),
        event_type: "till.filled",
        schema_version: 1,
        payload: r#"{"amount": 1}"#.into(),
        metadata,
        occurred_at: at(0),
    }
}
