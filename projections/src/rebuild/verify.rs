//! What speaks for the rows of a generation before anybody sees them.

use super::builder::{Builder, Targets};
use super::{Phase, RebuildError, Verified, Work, cutover};
use crate::Place;
use crate::compare::{Compared, Snapshot};
use std::sync::Arc;
use std::time::Instant;

pub(super) enum Verdict {
    Verified(Verified),
    /// From the live rows.
    Differs(Compared),
}

/// Compares the new generation with the live one, which stands still only until both are at the same place. Where
/// there is none of this version, or it stands elsewhere, a second replay has to do.
pub(super) async fn verify(
    work: &Work<'_>,
    builder: &Arc<Builder>,
) -> Result<Verdict, RebuildError> {
    let met = cutover::meet(builder).await?;
    let layout = builder.layout();
    let live = builder
        .live()
        .map(|(generation, version)| (Place::new(&builder.read, generation), version));
    let (mut changes, mut unknown) = (None, None);
    if let Some((live, version)) = &live {
        if met.vector(layout, live).await? == met.vector(layout, &builder.place).await? {
            let compared = met.compare(layout, (live, &builder.place), &builder.comparing()).await;
            if *version == layout.version {
                let compared = compared?;
                return Ok(if compared.is_same() {
                    Verdict::Verified(Verified::Live { compared })
                } else {
                    Verdict::Differs(compared)
                });
            }
            // What another version may have is good to know, and no more.
            match compared {
                Ok(compared) => changes = Some(compared),
                Err(error) => unknown = Some(error.to_string()),
            }
        } else {
            unknown = Some("the live rows are not at the same place".to_owned());
        }
    }
    drop(met);
    let compared = replay(work, builder).await?;
    let against = live.map(|(_, version)| version).filter(|version| *version != layout.version);
    let changes_unknown = unknown.filter(|_| against.is_some());
    let shows = "its rows come out the same each time";
    Ok(Verdict::Verified(Verified::Replay { shows, compared, against, changes, changes_unknown }))
}

/// Builds once more what the new generation holds, compares the two, and drops the second one.
async fn replay(work: &Work<'_>, first: &Arc<Builder>) -> Result<Compared, RebuildError> {
    let place = work.begin().await?;
    let compared = async {
        let second = work.builder(place.clone(), first.logs(), Instant::now()).await?;
        let second = Arc::new(second.counting_as(first));
        let targets = first.checkpoints(first.place.generation).await?;
        let targets = targets.into_iter().map(|(part, at)| (part, at.next_offset));
        second.advance(targets.collect::<Targets>(), Phase::Replaying).await?;
        let layout = first.layout();
        let both = Snapshot::open(&first.read, first.is_served().await?).await?;
        Ok(both.compare(layout, (&first.place, &place), &first.comparing()).await?)
    };
    let compared: Result<Compared, RebuildError> = compared.await;
    work.drop(&place).await?;
    let compared = compared?;
    if compared.is_same() {
        return Ok(compared);
    }
    work.drop(&first.place).await?;
    Err(RebuildError::Unsteady(Box::new(compared)))
}

/// Compares the live rows with those of a replay.
pub(super) async fn against_live(builder: &Arc<Builder>) -> Result<Compared, RebuildError> {
    let layout = builder.layout();
    let not_live = RebuildError::NotLive(layout.name);
    let live = builder.live().filter(|(_, version)| *version == layout.version);
    let live = Place::new(&builder.read, live.ok_or(not_live)?.0);
    let met = cutover::meet(builder).await?;
    if met.vector(layout, &live).await? != met.vector(layout, &builder.place).await? {
        return Err(RebuildError::NowhereNear(layout.name));
    }
    Ok(met.compare(layout, (&live, &builder.place), &builder.comparing()).await?)
}
