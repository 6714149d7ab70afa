//! Whether all who read a partition read the same one, which only ever grows at its end.

use event_store::Recorded;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use uuid::Uuid;

/// The events of a partition from an offset to its end, as somebody read them.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) called: u64,
    pub(crate) answered: u64,
    pub(crate) partition: i32,
    pub(crate) from: i64,
    pub(crate) events: Vec<Recorded>,
}

/// Where an append was told to be.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) answered: u64,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) stream: String,
    pub(crate) version: i64,
    pub(crate) command: Uuid,
    pub(crate) events: i64,
}

type Known<'a> = BTreeMap<(i32, i64), &'a Recorded>;

/// `pages` are of streams: what they hold must be in the partitions too.
pub(crate) fn check(sights: &[Sight], pages: &[Recorded], places: &[Place]) -> Result<(), String> {
    let mut known = Known::new();
    for sight in sights {
        for (event, offset) in sight.events.iter().zip(sight.from..) {
            if (event.partition, event.offset) != (sight.partition, offset) {
                return Err(format!("at offset {offset} somebody was given {event:?}"));
            }
            agree(&mut known, event)?;
        }
    }
    let whole = known.len();
    for event in pages {
        agree(&mut known, event)?;
    }
    if known.len() > whole {
        return Err("a stream holds an event that its partition does not".into());
    }
    for place in places {
        stands(&known, place)?;
    }
    grows(sights, places)?;
    let backwards = known
        .iter()
        .zip(known.iter().skip(1))
        .find(|((before, b), (after, a))| before.0 == after.0 && a.recorded_at < b.recorded_at);
    backwards.map_or(Ok(()), |(_, (at, _))| Err(format!("recorded_at runs backwards at {at:?}")))
}

/// What one has read at an offset is what all others read there.
fn agree<'a>(known: &mut Known<'a>, event: &'a Recorded) -> Result<(), String> {
    match known.entry((event.partition, event.offset)) {
        Entry::Vacant(vacant) => {
            vacant.insert(event);
            Ok(())
        }
        Entry::Occupied(before) if *before.get() == event => Ok(()),
        Entry::Occupied(before) => {
            Err(format!("one offset was read as {:?} and as {event:?}", before.get()))
        }
    }
}

/// The events of an acknowledged command lie where its answer said.
fn stands(known: &Known<'_>, place: &Place) -> Result<(), String> {
    for (i, ordinal) in (0..place.events).zip(0..) {
        let event = known.get(&(place.partition, place.offset + i));
        let right = event.is_some_and(|event| {
            (&event.stream, event.version) == (&place.stream, place.version + i)
                && (event.command_id, event.ordinal) == (place.command, ordinal)
        });
        if !right {
            return Err(format!("{place:?} was answered, and there is {event:?}"));
        }
    }
    Ok(())
}

/// Who begins to read sees all that anybody had seen by then, and all that had been acknowledged.
fn grows(sights: &[Sight], places: &[Place]) -> Result<(), String> {
    for sight in sights {
        let end = sight.from + i64::try_from(sight.events.len()).expect("a page is short");
        let seen = sights
            .iter()
            .filter(|other| other.partition == sight.partition && other.answered < sight.called)
            .map(|other| other.from + i64::try_from(other.events.len()).expect("a page is short"));
        let acknowledged = places
            .iter()
            .filter(|place| place.partition == sight.partition && place.answered < sight.called)
            .map(|place| place.offset + place.events);
        let before = seen.chain(acknowledged).max().unwrap_or(0);
        if end < before {
            let Sight { partition, .. } = sight;
            return Err(format!("partition {partition} ended at {before}, and later at {end}"));
        }
    }
    Ok(())
}
