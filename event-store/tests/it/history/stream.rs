//! What a stream is to those who use it one at a time: the commands that it holds, in order.

use event_store::Verdict;
use uuid::Uuid;

/// A command, and the number of its events.
pub(crate) type Command = (Uuid, i64);

/// The commands of a stream that have events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stream(Vec<Command>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    Append { expected: i64, commands: Vec<Command> },
    Read,
}

/// What is known to have come back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Verdicts(Vec<Of>),
    /// Version, command and ordinal of each event.
    Events(Vec<(i64, Uuid, i32)>),
    /// An error that leaves no doubt: there is none that a right log would give.
    Refused(String),
}

/// A verdict without what does not concern the stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Of {
    /// The first version, if there are events.
    Ok(Option<i64>),
    Already {
        version: i64,
        events: i64,
    },
    Again,
    Conflict(i64),
}

impl Of {
    pub(crate) fn new(verdict: &Verdict, (_, events): Command) -> Self {
        match verdict {
            Verdict::Ok { version, .. } => Of::Ok((events > 0).then_some(*version)),
            Verdict::Already { version, events, .. } => {
                Of::Already { version: *version, events: i64::from(*events) }
            }
            Verdict::Again => Of::Again,
            Verdict::Conflict { actual } => Of::Conflict(*actual),
        }
    }
}

impl Stream {
    pub(crate) fn version(&self) -> i64 {
        self.0.iter().map(|(_, events)| events).sum()
    }

    /// The first version and the number of events of a command.
    pub(crate) fn find(&self, command: Uuid) -> Option<(i64, i64)> {
        let mut version = 1;
        for (id, events) in &self.0 {
            if *id == command {
                return Some((version, *events));
            }
            version += events;
        }
        None
    }

    pub(crate) fn append(&mut self, expected: i64, commands: &[Command]) -> Vec<Of> {
        if commands.iter().any(|(id, _)| self.find(*id).is_some()) {
            let seen = |(id, _): &Command| match self.find(*id) {
                Some((version, events)) => Of::Already { version, events },
                None => Of::Again,
            };
            return commands.iter().map(seen).collect();
        }
        let actual = self.version();
        if expected != actual {
            return commands.iter().map(|_| Of::Conflict(actual)).collect();
        }
        let mut version = actual + 1;
        let mut passed = Vec::new();
        for (id, events) in commands {
            passed.push(Of::Ok((*events > 0).then_some(version)));
            version += events;
            if *events > 0 {
                self.0.push((*id, *events));
            }
        }
        passed
    }

    pub(crate) fn read(&self) -> Vec<(i64, Uuid, i32)> {
        let events = self.0.iter().flat_map(|(id, n)| (0..).take(*n as usize).map(|o| (*id, o)));
        (1..).zip(events).map(|(version, (id, ordinal))| (version, id, ordinal)).collect()
    }

    /// The stream after an operation that was answered so; none if it cannot have been. A lane sends an append
    /// again when its answer is lost, so an append may also be answered as its own repeat is.
    pub(crate) fn after(&self, ask: &Ask, told: Option<&Told>) -> Option<Stream> {
        let mut after = self.clone();
        match (ask, told) {
            (Ask::Read, None) => Some(after),
            (Ask::Read, Some(told)) => (Told::Events(self.read()) == *told).then_some(after),
            (Ask::Append { expected, commands }, told) => {
                let first = Told::Verdicts(after.append(*expected, commands));
                let repeat = || Told::Verdicts(after.clone().append(*expected, commands));
                told.is_none_or(|told| first == *told || repeat() == *told).then_some(after)
            }
        }
    }
}
