//! Which generation of a projection is live, and the followers and queries that change over to it.

mod tables;

pub use tables::{Generation, generations};
pub(crate) use tables::{add, drop_generation, live, lock};

use crate::query::chain;
use crate::{
    Check, Layout, Place, Posting, Projection, RebuildError, Rebuilt, Verified, Work, all, rebuild,
};
use event_store::StoreError;
use event_store::follow::{Follower, ReadSide, Runner, Source};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// The live generation of each projection that this process answers for. Clones share it.
#[derive(Clone)]
pub struct Generations(Arc<HashMap<&'static str, watch::Sender<Option<i32>>>>);

impl Generations {
    /// Finds the live generation of every projection whose service is among `reads`. Where there is none of any
    /// version, an empty one is made, which its followers then fill; where there are only those of other versions, one
    /// of this version has to be built beside them. Safe to call from several processes at once.
    ///
    /// # Errors
    /// If the database is out of reach.
    pub async fn open(reads: &[ReadSide]) -> Result<Self, StoreError> {
        let mut live = HashMap::new();
        for (layout, read) in served(reads) {
            live.insert(layout.name, watch::Sender::new(tables::ensure(layout, read).await?));
        }
        Ok(Generations(Arc::new(live)))
    }

    #[must_use]
    pub fn live(&self, projection: &str) -> Option<i32> {
        *self.0.get(projection)?.borrow()
    }

    /// The projections that have no live generation of this binary's version yet.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let missing = self.0.iter().filter(|(_, live)| live.borrow().is_none());
        missing.map(|(projection, _)| *projection).collect()
    }

    /// Tells when another generation becomes the live one.
    #[must_use]
    pub fn watch(&self, projection: &str) -> Option<watch::Receiver<Option<i32>>> {
        Some(self.0.get(projection)?.subscribe())
    }

    fn set(&self, projection: &str, generation: i32) {
        if let Some(live) = self.0.get(projection) {
            live.send_replace(Some(generation));
        }
    }
}

fn served(reads: &[ReadSide]) -> impl Iterator<Item = (&'static Layout, &ReadSide)> {
    let layouts = all().into_iter().map(|projection| projection.layout());
    layouts.filter_map(|layout| Some((layout, side_of(layout, reads)?)))
}

fn side_of<'a>(layout: &Layout, reads: &'a [ReadSide]) -> Option<&'a ReadSide> {
    reads.iter().find(|read| *read.service == *layout.service)
}

/// How often the table of generations is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(800);
/// How long queries stay with the old rows while the new ones catch up with them.
pub const SWITCH_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the followers of the live generations until stopped, and changes over when another becomes live; queries
/// stay with the old rows for `switch` at most.
pub async fn follow(
    generations: Generations,
    runner: Runner,
    reads: Vec<ReadSide>,
    switch: Duration,
    stop: CancellationToken,
) {
    let mut followed = Vec::new();
    for projection in all() {
        let layout = projection.layout();
        let Some(read) = side_of(layout, &reads).cloned() else { continue };
        let following = generations.live(layout.name).map(|generation| {
            (generation, start(&runner, &projection, Place::new(&read, generation), &read))
        });
        followed.push(Followed { projection, read, following });
    }
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        for read in &reads {
            if let Err(error) =
                change_over(&generations, &runner, read, (&mut followed, switch)).await
            {
                tracing::warn!(service = %read.service, %error, "the live generations are unknown");
            }
        }
    }
}

/// A projection, and the generation of it that this process follows.
struct Followed {
    projection: Arc<dyn Projection>,
    read: ReadSide,
    following: Option<(i32, CancellationToken)>,
}

fn start(
    runner: &Runner,
    projection: &Arc<dyn Projection>,
    place: Place,
    read: &ReadSide,
) -> CancellationToken {
    let generation = place.generation;
    let posting: Arc<dyn Follower> =
        Arc::new(Posting { projection: projection.clone(), place, fills: false });
    runner.follow(&posting, generation, read)
}

async fn change_over(
    generations: &Generations,
    runner: &Runner,
    read: &ReadSide,
    (followed, switch): (&mut [Followed], Duration),
) -> Result<(), StoreError> {
    let live = tables::all_live(read).await?;
    for it in followed.iter_mut() {
        if it.read.service != read.service {
            continue;
        }
        let layout = it.projection.layout();
        let Some(&generation) = live.get(&(layout.name.to_owned(), layout.version)) else {
            continue;
        };
        if it.following.as_ref().is_none_or(|(followed, _)| *followed != generation) {
            it.switch(runner, generations, generation, switch).await?;
        }
    }
    Ok(())
}

impl Followed {
    /// Follows the new generation, and lets queries read it once it has posted what the old one had: who
    /// has seen something is not shown less than that.
    async fn switch(
        &mut self,
        runner: &Runner,
        generations: &Generations,
        generation: i32,
        patience: Duration,
    ) -> Result<(), StoreError> {
        let name = self.projection.layout().name;
        let place = Place::new(&self.read, generation);
        let new = (generation, start(runner, &self.projection, place, &self.read));
        if let Some((old, following)) = self.following.replace(new) {
            following.cancel();
            let until = Instant::now() + patience;
            // Who cannot be asked may be behind.
            while Instant::now() < until
                && tables::is_behind(&self.read, name, old, generation).await.unwrap_or(true)
            {
                sleep(Duration::from_millis(10)).await;
            }
        }
        generations.set(name, generation);
        tracing::info!(projection = name, generation, "another generation is live");
        Ok(())
    }
}

/// How soon a generation is tried to be built again, and how often it is looked whether another process has done it.
const BUILD_AGAIN: Duration = Duration::from_secs(5);

/// Says what there is to say of a new generation, as `daybook rebuild` does.
fn told(version: i32, built: &Rebuilt) {
    let Rebuilt { projection, generation, events, left_out, parked, .. } = built;
    let built_s = built.took.as_secs_f64();
    tracing::info!(
        projection,
        version,
        generation,
        events,
        left_out,
        parked,
        built_s,
        "it is live"
    );
    let Verified::Replay { shows, compared, against, changes, changes_unknown } = &built.verified
    else {
        return;
    };
    let rows = compared.rows();
    tracing::info!(projection, version, rows, shows, "it was verified by a second replay");
    for stream in &compared.parked {
        tracing::warn!(projection, version, "{stream}");
    }
    if let Some((old, changes)) = against.zip(changes.as_ref()) {
        let (rows, changed) = (changes.rows(), changes.differing());
        tracing::info!(
            projection,
            version,
            old,
            rows,
            changed,
            "so many rows are not those of the old version"
        );
        for (table, row) in changes.differences() {
            // What stands in it is for who asks, and not for a log.
            tracing::info!(projection, version, table, stream = row.stream, "a row is another one");
        }
        for table in &changes.tables {
            let (table, gone, new) = (table.table, &table.only_live, &table.only_replayed);
            if !gone.is_empty() || !new.is_empty() {
                tracing::info!(projection, version, table, ?gone, ?new, "its columns are others");
            }
        }
    }
    if let Some((old, why)) = against.zip(changes_unknown.as_ref()) {
        tracing::warn!(projection, version, old, why, "what has changed is not known");
    }
}

/// Builds the generations that this binary's version lacks, one after the other, beside those of other versions.
/// `reads` must have other pools than the followers.
pub async fn build_missing(
    generations: Generations,
    reads: Vec<ReadSide>,
    logs: Vec<Source>,
    stop: CancellationToken,
) {
    let missing = generations.missing();
    for projection in all().into_iter().filter(|it| missing.contains(&it.layout().name)) {
        let layout = projection.layout();
        let Some(read) = side_of(layout, &reads) else { continue };
        let (name, version) = (layout.name, layout.version);
        tracing::info!(projection = name, version, "a generation of this version is built");
        // Whoever stops it does not wait for it; the next start clears away what it leaves.
        let (tell, never) = (Arc::new(|_| {}), CancellationToken::new());
        let work = Work { projection: &projection, read, logs: &logs, tell, stop: never };
        while generations.live(name).is_none() {
            let Some(built) = stop.run_until_cancelled(rebuild(&work, Check::Verify)).await else {
                return;
            };
            match built {
                Ok(built) => {
                    told(version, &built);
                    break;
                }
                Err(RebuildError::UnderWay(_)) => {}
                Err(error) => {
                    let why = chain(&error);
                    tracing::error!(projection = name, version, why, "it could not be built");
                }
            }
            if stop.run_until_cancelled(sleep(BUILD_AGAIN)).await.is_none() {
                return;
            }
        }
    }
}
