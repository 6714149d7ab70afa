//! Whether a log is what every reader takes it to be.

use crate::append::index;
use crate::{Log, Recorded, StoreError, event_id};
use serde::Serialize;

/// What was found in a log, or in its copy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// Events of the log, or records of the copy.
    pub read: u64,
    /// Records that say once more what an earlier one said: a relay that was killed sends what it cannot know to have
    /// arrived.
    pub repeats: u64,
    /// Records of what the log lost in a failover; every reader passes over them.
    pub superseded: u64,
    /// The first of them.
    pub faults: Vec<Fault>,
    /// How many there are.
    pub faulty: u64,
}

/// What is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A position, or a stream.
    pub at: String,
    pub what: String,
}

/// So many faults are named.
const NAMED: u64 = 100;
const PAGE: i64 = 1_000;

impl Checked {
    pub(crate) fn note(&mut self, at: impl ToString, what: impl Into<String>) {
        if self.faulty < NAMED {
            self.faults.push(Fault { at: at.to_string(), what: what.into() });
        }
        self.faulty += 1;
    }
}

impl Log {
    /// Reads the whole log and checks it: offsets without a hole, instants that never run backwards, ids that follow
    /// from the commands, the events of a command together, streams in the partition of their name and their versions
    /// without a hole, epochs in order, and every payload `readable`. `tell` is told how many events were read.
    ///
    /// # Errors
    /// If the log cannot be read; what is wrong with it is the answer.
    pub async fn check(
        &self,
        readable: &(dyn Fn(&Recorded) -> Result<(), String> + Sync),
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<Checked, StoreError> {
        let mut checked = Checked::default();
        let heads = self.heads().await?;
        for partition in 0..self.partitions() {
            let mut before: Option<Recorded> = None;
            loop {
                let next = before.as_ref().map_or(0, |event| event.offset + 1);
                // What is appended meanwhile is for the next check.
                let limit = PAGE.min(heads[index(partition)] - next);
                if limit <= 0 {
                    break;
                }
                let page = self.read_partition(partition, next, limit).await?;
                if page.is_empty() {
                    let place = format!("{}/{partition}:{next}", self.service());
                    checked.note(place, "the log ends here, and its head is behind it");
                    break;
                }
                for event in page {
                    self.check_event(&event, before.as_ref(), &mut checked);
                    if let Err(why) = readable(&event) {
                        checked.note(event.position(), format!("it cannot be read: {why}"));
                    }
                    checked.read += 1;
                    before = Some(event);
                }
                tell(checked.read);
            }
        }
        self.check_streams(&mut checked).await?;
        self.check_epochs(&mut checked).await?;
        Ok(checked)
    }

    fn check_event(&self, event: &Recorded, before: Option<&Recorded>, checked: &mut Checked) {
        let at = event.position();
        let awaited = before.map_or(0, |before| before.offset + 1);
        if event.offset != awaited {
            checked.note(&at, format!("offset {awaited} is missing before it"));
        }
        if before.is_some_and(|before| event.recorded_at < before.recorded_at) {
            checked.note(&at, "it was recorded before the event before it");
        }
        if before.is_some_and(|before| event.epoch < before.epoch) {
            checked.note(&at, "its epoch is older than that of the event before it");
        }
        let partition = self.partition_of(&event.stream);
        if event.partition != partition {
            checked.note(&at, format!("{} belongs into partition {partition}", event.stream));
        }
        if event.event_id != event_id(&event.stream, event.command_id, event.ordinal) {
            checked.note(&at, "its id does not follow from its stream and its command");
        }
        let goes_on = before.is_some_and(|before| {
            before.stream == event.stream
                && before.command_id == event.command_id
                && before.ordinal + 1 == event.ordinal
                && before.version + 1 == event.version
        });
        if event.ordinal != 0 && !goes_on {
            checked.note(&at, "it does not follow the event of its command before it");
        }
    }

    /// By the database, which can sort more streams than fit in here.
    async fn check_streams(&self, checked: &mut Checked) -> Result<(), StoreError> {
        let sql = format!(
            "select stream, count(*), min(version), max(version), count(distinct version), \
                    count(distinct partition) \
               from {}.event group by stream \
             having count(*) <> max(version) or min(version) <> 1 \
                 or count(distinct version) <> count(*) or count(distinct partition) <> 1 \
              order by stream limit 100",
            self.service()
        );
        let client = self.database().connect("daybook check").await?;
        for row in client.query(&sql, &[]).await? {
            let (stream, count, first, last): (&str, i64, i64, i64) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            let what = format!("it has {count} events, of versions {first} to {last}");
            checked.note(stream, what);
        }
        Ok(())
    }

    async fn check_epochs(&self, checked: &mut Checked) -> Result<(), StoreError> {
        let sql = format!(
            "select e.partition, e.epoch, e.first_offset, p.epoch, \
                    lag(e.epoch) over parts, \
                    max(e.epoch) over (partition by e.partition) \
               from {0}.log_epoch e join {0}.log_partition p using (partition) \
             window parts as (partition by e.partition order by e.epoch)",
            self.service()
        );
        let client = self.database().connect("daybook check").await?;
        for row in client.query(&sql, &[]).await? {
            let (partition, epoch, first): (i32, i32, i64) = (row.get(0), row.get(1), row.get(2));
            let at = format!("{}/{partition}@{epoch}:{first}", self.service());
            let (known, before): (i32, Option<i32>) = (row.get(3), row.get(4));
            let newest: i32 = row.get(5);
            if before.map_or(epoch != 1, |before| epoch != before + 1) {
                checked.note(&at, "the epoch before it is missing");
            }
            if known != newest {
                checked.note(&at, format!("the partition says that it is in epoch {known}"));
            }
        }
        Ok(())
    }
}
