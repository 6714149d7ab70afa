//! What a rebuild works on, and the generations that it begins and drops there.

use super::builder::Builder;
use super::{Check, Left, RebuildError, Tell};
use crate::generation::{add, drop_generation, live, lock};
use crate::query::chain;
use crate::{Place, Projection};
use deadpool_postgres::{ClientWrapper, Object, Transaction};
use event_store::StoreError;
use event_store::failpoint::failpoint;
use event_store::follow::{ReadSide, Source};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What cannot be dropped in so long is left to the next rebuild: somebody waits for the end of this one.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What a rebuild works on. `read` is used by a few tasks at once, and must have another pool than the followers of
/// this process: for a moment these wait for the rebuild, each with a connection.
pub struct Work<'a> {
    pub projection: &'a Arc<dyn Projection>,
    pub read: &'a ReadSide,
    pub logs: &'a [Source],
    pub tell: Tell,
    /// Ends it before it is done; what it has built is dropped then.
    pub stop: CancellationToken,
}

impl Work<'_> {
    /// Does something that one process at a time does with the generations of a projection.
    pub(super) async fn alone<T>(
        &self,
        act: impl AsyncFnOnce(Vec<Source>) -> Result<T, RebuildError>,
    ) -> Result<T, RebuildError> {
        let layout = self.projection.layout();
        let logs = layout.logs.iter().map(|&service| {
            let log = self.logs.iter().find(|log| **log.service() == *service).cloned();
            log.ok_or(RebuildError::NoLog { projection: layout.name, service })
        });
        let logs = logs.collect::<Result<Vec<_>, _>>()?;
        // Taken out of its pool, so that the session ends, and the lock with it, when this is given up at whatever
        // line.
        let mut session = Object::take(self.read.pool.get().await?);
        let name = format!("rebuild of {}.{}", self.read.schema, layout.name);
        let sql = "select pg_try_advisory_lock(hashtextextended($1, 0))";
        if !session.query_one(sql, &[&name]).await?.get::<_, bool>(0) {
            return Err(RebuildError::UnderWay(layout.name));
        }
        let before = live(&session.transaction().await?, layout, self.read).await?;
        let done = match self.stop.run_until_cancelled(act(logs)).await {
            Some(done) => done,
            None => Err(RebuildError::Stopped(self.leave(&mut session, before).await)),
        };
        if let Err(RebuildError::Stopped(Left::Unknown(_))) = &done {
            // The session may be in the midst of something still. It ends with this, and the lock with it.
            return done;
        }
        if let Err(error) = session.execute("select pg_advisory_unlock_all()", &[]).await {
            tracing::debug!(%error, "the session ended, and the lock of the rebuild with it");
        }
        done
    }

    /// Drops what was built until it was stopped. It may have been made live in the last moment: `before` tells.
    async fn leave(&self, session: &mut ClientWrapper, before: Option<i32>) -> Left {
        match timeout(AT_ONCE, self.drop_unfinished(session)).await {
            Ok(Ok(Some(live))) if Some(live) != before => Left::Live(live),
            Ok(Ok(_)) => Left::Nothing,
            Ok(Err(error)) => Left::Unknown(chain(&error)),
            Err(_elapsed) => {
                Left::Unknown("somebody holds its tables, or Postgres does not answer".to_owned())
            }
        }
    }

    /// By the session that holds the rebuild's lock, for the others may be in the midst of something. If there was nothing
    /// to drop, which generation is live.
    async fn drop_unfinished(
        &self,
        session: &mut ClientWrapper,
    ) -> Result<Option<i32>, StoreError> {
        let (layout, read) = (self.projection.layout(), self.read);
        let tx = session.transaction().await?;
        // Whoever was about to make it live has done so then, or never will.
        lock(&tx, layout, read).await?;
        let sql = include_str!("left_behind.sql").replace("{schema}", &read.schema);
        let unfinished = tx.query(&sql, &[&layout.name, &layout.version]).await?;
        for row in &unfinished {
            let place = Place::new(read, row.get(0));
            self.break_off(&tx, &place).await?;
            drop_generation(&tx, layout, &place).await?;
        }
        let live = if unfinished.is_empty() { live(&tx, layout, read).await? } else { None };
        tx.commit().await?;
        Ok(live)
    }

    /// A statement goes on when nobody waits for it any more, and the tables with it.
    async fn break_off(&self, tx: &Transaction<'_>, place: &Place) -> Result<(), StoreError> {
        let tables = self.projection.layout().tables.iter();
        let tables: Vec<_> = tables
            .map(|table| place.sql("{schema}.{table}_{g}").replace("{table}", table))
            .collect();
        let found = "select array(select to_regclass(t)::oid from unnest($1::text[]) t)";
        let found: Vec<Option<u32>> = tx.query_one(found, &[&tables]).await?.get(0);
        // A service's role may not end what its login has begun.
        tx.batch_execute("set local role none").await?;
        tx.execute(include_str!("break_off.sql"), &[&found]).await?;
        tx.batch_execute("reset role").await?;
        Ok(())
    }

    pub(super) async fn build(
        &self,
        logs: Vec<Source>,
        began: Instant,
        check: Check,
    ) -> Result<Arc<Builder>, RebuildError> {
        let place = self.begin().await?;
        let builder = Arc::new(self.builder(place, logs, began).await?);
        // Where nobody works the live generation it is compared with where it is.
        builder.stops_exactly(check != Check::Trust);
        failpoint("rebuild-after-begin");
        builder.fill().await?;
        failpoint("rebuild-after-fill");
        builder.index().await?;
        failpoint("rebuild-after-index");
        builder.catch_up().await?;
        failpoint("rebuild-after-catching-up");
        Ok(builder)
    }

    pub(super) async fn builder(
        &self,
        place: Place,
        logs: Vec<Source>,
        began: Instant,
    ) -> Result<Builder, RebuildError> {
        let (projection, read) = (self.projection.clone(), self.read.clone());
        Builder::new(projection, place, read, logs, (began, self.tell.clone())).await
    }

    /// Drops what a killed rebuild or verification of this version left behind.
    pub(super) async fn clear(&self) -> Result<(), RebuildError> {
        self.drop_all(include_str!("left_behind.sql")).await
    }

    /// Of the generations that were replaced drops all but the last, which is there to go back to.
    pub(super) async fn clear_old(&self) -> Result<(), RebuildError> {
        self.drop_all(include_str!("obsolete.sql")).await
    }

    async fn drop_all(&self, which: &str) -> Result<(), RebuildError> {
        let (layout, read) = (self.projection.layout(), self.read);
        let mut client = read.pool.get().await?;
        let tx = client.transaction().await?;
        lock(&tx, layout, read).await?;
        let sql = which.replace("{schema}", &read.schema);
        for row in tx.query(&sql, &[&layout.name, &layout.version]).await? {
            drop_generation(&tx, layout, &Place::new(read, row.get(0))).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn begin(&self) -> Result<Place, RebuildError> {
        let (layout, read) = (self.projection.layout(), self.read);
        let mut client = read.pool.get().await?;
        let tx = client.transaction().await?;
        lock(&tx, layout, read).await?;
        let place = add(&tx, layout, read, "building").await?;
        tx.commit().await?;
        Ok(place)
    }

    pub(super) async fn drop(&self, place: &Place) -> Result<(), RebuildError> {
        let (layout, read) = (self.projection.layout(), self.read);
        let mut client = read.pool.get().await?;
        let tx = client.transaction().await?;
        lock(&tx, layout, read).await?;
        drop_generation(&tx, layout, place).await?;
        tx.commit().await?;
        Ok(())
    }
}
