//! Which generation of a projection is live, and the followers and queries that change over to it.

mod tables;

pub(crate) use tables::{add, drop_generation, live, lock};

use crate::{Layout, Place, Posting, Projection, all};
use event_store::StoreError;
use event_store::follow::{Follower, ReadSide, Runner};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// The live generation of each projection that this process answers for. Clones share it.
#[derive(Clone)]
pub struct Generations(Arc<HashMap<&'static str, watch::Sender<i32>>>);

impl Generations {
    /// Finds the live generation of every projection whose service is among `reads`; where there is none
    /// of this binary's version, an empty one is made, which its followers then fill. Safe to call from
    /// several processes at once.
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
        Some(*self.0.get(projection)?.borrow())
    }

    /// Tells when another generation becomes the live one.
    #[must_use]
    pub fn watch(&self, projection: &str) -> Option<watch::Receiver<i32>> {
        Some(self.0.get(projection)?.subscribe())
    }

    fn set(&self, projection: &str, generation: i32) {
        if let Some(live) = self.0.get(projection) {
            live.send_replace(generation);
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
        let read = side_of(layout, &reads).cloned();
        if let (Some(read), Some(generation)) = (read, generations.live(layout.name)) {
            let place = Place::new(&read, generation);
            let following = start(&runner, &projection, place, &read);
            followed.push(Followed { projection, read, generation, following });
        }
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
    generation: i32,
    following: CancellationToken,
}

fn start(
    runner: &Runner,
    projection: &Arc<dyn Projection>,
    place: Place,
    read: &ReadSide,
) -> CancellationToken {
    let generation = place.generation;
    let posting: Arc<dyn Follower> = Arc::new(Posting { projection: projection.clone(), place });
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
        if generation != it.generation {
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
        let new = start(runner, &self.projection, place, &self.read);
        std::mem::replace(&mut self.following, new).cancel();
        let old = std::mem::replace(&mut self.generation, generation);
        let until = Instant::now() + patience;
        while Instant::now() < until && tables::is_behind(&self.read, name, old, generation).await?
        {
            sleep(Duration::from_millis(10)).await;
        }
        generations.set(name, generation);
        tracing::info!(projection = name, old, new = generation, "another generation is live");
        Ok(())
    }
}
