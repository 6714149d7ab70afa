//! What runs on a log while its server fails: a relay, and followers whose rows lie beside the log or elsewhere.

use crate::kafka::{copied, fill, logged, once, own, to};
use crate::relay::Running;
use crate::server::Server;
use crate::support::{PARTITIONS, eventually, fresh_database, open};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use event_store::follow::{ApplyError, Feed, Follower, ReadSide, Runner, has_posted};
use event_store::{Database, Log, Recorded, migrate};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(super) struct Shop {
    pub(super) database: Database,
    pub(super) log: Log,
    pub(super) relay: Option<Running>,
    topic: String,
    feed: Feed,
    runner: Runner,
    stop: CancellationToken,
    sold: u128,
    /// Its rows lie beside the log, and are lost with the log's tail.
    pub(super) beside: Follows,
    /// Its rows lie on a server that does not fail.
    pub(super) elsewhere: Follows,
    /// Another one there, which can be paused.
    pub(super) late: Follows,
}

/// A follower that posts which event was where.
pub(super) struct Follows {
    name: &'static str,
    read: ReadSide,
    generation: i32,
    stop: CancellationToken,
}

struct Ledger(&'static str);

const INSERT: &str = "insert into shop_read.ledger (follower, partition, log_offset, event_id) \
     select $1, unnest($2::int[]), unnest($3::bigint[]), unnest($4::uuid[])";

#[async_trait]
impl Follower for Ledger {
    fn name(&self) -> &str {
        self.0
    }

    fn logs(&self) -> Vec<String> {
        vec!["shop".into()]
    }

    async fn apply(&self, tx: &Transaction<'_>, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        let partitions: Vec<i32> = batch.iter().map(|event| event.partition).collect();
        let offsets: Vec<i64> = batch.iter().map(|event| event.offset).collect();
        let ids: Vec<Uuid> = batch.iter().map(|event| event.event_id).collect();
        tx.execute(INSERT, &[&self.0, &partitions, &offsets, &ids]).await?;
        Ok(())
    }
}

type Entry = (i32, i64, Uuid);

fn entries(events: &[Vec<Recorded>]) -> Vec<Entry> {
    events.iter().flatten().map(|e| (e.partition, e.offset, e.event_id)).collect()
}

impl Follows {
    /// The table has no key, so that what is posted twice shows.
    async fn new(name: &'static str, database: &Database) -> Self {
        let database = database.of_service("shop");
        let table = "create table if not exists shop_read.ledger (follower text not null, \
             partition int not null, log_offset bigint not null, event_id uuid not null)";
        database.connect("tests").await.unwrap().batch_execute(table).await.unwrap();
        let read = ReadSide::open(&database, "shop", 8).unwrap();
        Follows { name, read, generation: 0, stop: CancellationToken::new() }
    }

    fn start(&mut self, runner: &Runner) {
        self.stop = runner.follow(&(Arc::new(Ledger(self.name)) as _), self.generation, &self.read);
    }

    async fn posted(&self) -> Vec<Entry> {
        let client = self.read.pool.get().await.unwrap();
        let sql = "select partition, log_offset, event_id from shop_read.ledger \
             where follower = $1 order by 1, 2";
        let rows = client.query(sql, &[&self.name]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }

    /// Waits until everything that the log holds now was posted, and checks that it was posted once.
    pub(super) async fn has_posted_all(&self, log: &Log) {
        let expected = entries(&logged(log).await);
        let what = format!("{} has posted everything", self.name);
        eventually(&what, async || self.posted().await.len() >= expected.len()).await;
        assert_eq!(self.posted().await, expected, "{}", self.name);
    }
}

impl Shop {
    pub(super) async fn open_on(server: &Server<'_>) -> Self {
        let database = server.database();
        migrate(&database, "shop", PARTITIONS).await.unwrap();
        let (log, topic, stop) =
            (open(&database).await, own("shop-events"), CancellationToken::new());
        let (feed, safe) = (Feed::new(log.clone()), fresh_database().await);
        let mut shop = Shop {
            relay: Some(Running::start(&log, to(&topic))),
            runner: Runner::new(vec![feed.clone()], stop.clone()),
            beside: Follows::new("beside", &database).await,
            elsewhere: Follows::new("elsewhere", &safe).await,
            late: Follows::new("late", &safe).await,
            sold: 0,
            database,
            log,
            topic,
            feed,
            stop,
        };
        for follows in [&mut shop.beside, &mut shop.elsewhere, &mut shop.late] {
            follows.start(&shop.runner);
        }
        shop
    }

    /// Appends, and waits until it is posted and copied; what the paused one does not post is left out.
    pub(super) async fn sell(&mut self, events: u128) {
        fill(&self.log, self.sold..self.sold + events).await;
        self.sold += events;
        for follows in [&self.beside, &self.elsewhere, &self.late] {
            if !follows.stop.is_cancelled() {
                follows.has_posted_all(&self.log).await;
            }
        }
        if let Some(relay) = &mut self.relay {
            relay.caught_up(&self.log).await;
        }
    }

    pub(super) async fn stop_relay(&mut self) {
        self.relay.take().unwrap().stop().await;
    }

    /// Appends what will be lost; everyone but the paused one has it.
    pub(super) async fn sell_in_vain(&mut self) -> Vec<Recorded> {
        self.late.stop.cancel();
        let kept = self.log.heads().await.unwrap();
        self.sell(100).await;
        let new = logged(&self.log).await.into_iter().zip(kept);
        new.flat_map(|(events, head)| events.into_iter().filter(move |e| e.offset >= head))
            .collect()
    }

    /// The epochs of each partition, with the first offset of each.
    pub(super) async fn epochs(&self) -> Vec<(i32, i32, i64)> {
        let client = self.database.connect("tests").await.unwrap();
        let sql = "select partition, epoch, first_offset from shop.log_epoch order by 1, 2";
        let rows = client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }

    /// After a server with the same log, or less of it, has taken the place of the one that had it: whoever comes
    /// first, the relay or a writer, opens a new epoch in every partition, behind what is left.
    async fn begins_an_epoch(&mut self) {
        let heads = self.log.heads().await.unwrap();
        if self.relay.is_some() {
            let all = 2 * heads.len();
            eventually("the relay opens an epoch", async || self.epochs().await.len() == all).await;
        }
        fill(&self.log, self.sold..self.sold + 1).await;
        self.sold += 1;
        let epochs = (0..).zip(heads).flat_map(|(p, head)| [(p, 1, 0), (p, 2, head)]);
        assert_eq!(self.epochs().await, epochs.collect::<Vec<_>>());
        self.relay.get_or_insert_with(|| Running::start(&self.log, to(&self.topic)));
    }

    /// The log has lost its tail: whoever posted it stops and says what to do, the others go on, and one
    /// rebuild later all is as if the tail had never been.
    pub(super) async fn goes_on_without(mut self, lost: Vec<Recorded>) {
        let lost_ids: Vec<Entry> =
            lost.iter().map(|e| (e.partition, e.offset, e.event_id)).collect();
        self.begins_an_epoch().await;
        eventually("whoever posted what is lost stops", async || {
            self.runner.stopped().len() == self.log.heads().await.unwrap().len()
        })
        .await;
        for (stopped, partition) in self.runner.stopped().iter().zip(0..) {
            assert_eq!(stopped.name, format!("elsewhere/shop/{partition}"));
            assert!(stopped.why.contains("lost its tail"), "{}", stopped.why);
            assert!(stopped.why.contains("daybook rebuild elsewhere"), "{}", stopped.why);
        }
        let stood = self.elsewhere.posted().await;
        assert!(lost_ids.iter().all(|entry| stood.contains(entry)));
        self.late.start(&self.runner);
        self.late.has_posted_all(&self.log).await;
        let reborn = logged(&self.log).await.into_iter().flatten().find(|e| e.epoch == 2).unwrap();
        assert!(!has_posted(&self.elsewhere.read, &reborn.position()).await.unwrap());
        // Three partitions hold nothing new yet, and await the very offsets of what was lost.
        lost.into_iter().for_each(|event| self.feed.deliver(Arc::new(event)));
        fill(&self.log, self.sold..self.sold + 200).await;
        self.sold += 200;
        self.beside.has_posted_all(&self.log).await;
        self.late.has_posted_all(&self.log).await;
        assert_eq!(self.elsewhere.posted().await, stood);
        assert_eq!(self.runner.stopped().len(), self.log.heads().await.unwrap().len());
        let superseded = self.copy_equals_the_log().await;
        assert_eq!(superseded, lost_ids);
        self.rebuild_elsewhere().await;
        self.sell(20).await;
        assert_eq!(self.runner.stopped(), []);
        self.close().await;
    }

    /// Waits until the topic equals the log once repeats and superseded records are dropped; returns these.
    pub(super) async fn copy_equals_the_log(&self) -> Vec<Entry> {
        let epochs = self.epochs().await;
        let is_superseded = |event: &Recorded| {
            epochs.iter().any(|(partition, epoch, first)| {
                *partition == event.partition && *epoch > event.epoch && *first <= event.offset
            })
        };
        let expected = logged(&self.log).await;
        let mut superseded = Vec::new();
        eventually("the copy equals the log", async || {
            let Some(copied) = copied(&self.topic, &self.log).await else { return false };
            let parted = copied.into_iter().map(|e| e.into_iter().partition(is_superseded));
            let (dropped, left): (Vec<Vec<_>>, Vec<Vec<_>>) = parted.unzip();
            superseded = entries(&once_each(dropped));
            once(left) == expected
        })
        .await;
        superseded
    }

    /// What a rebuild does: a new generation, which begins with no rows and no checkpoint.
    async fn rebuild_elsewhere(&mut self) {
        let follows = &mut self.elsewhere;
        follows.stop.cancel();
        let client = follows.read.pool.get().await.unwrap();
        let empty = "delete from shop_read.ledger where follower = $1";
        client.execute(empty, &[&follows.name]).await.unwrap();
        follows.generation += 1;
        follows.start(&self.runner);
        follows.has_posted_all(&self.log).await;
    }

    pub(super) async fn close(self) {
        if let Some(relay) = self.relay {
            relay.stop().await;
        }
        self.stop.cancel();
        self.runner.wait().await;
    }

    /// Nobody stands still, and everything is posted and copied once.
    pub(super) async fn goes_on_with_everything(mut self) {
        self.begins_an_epoch().await;
        self.sell(100).await;
        assert_eq!(self.runner.stopped(), []);
        assert_eq!(self.copy_equals_the_log().await, []);
        self.close().await;
    }
}

/// A relay that is interrupted sends some again.
fn once_each(events: Vec<Vec<Recorded>>) -> Vec<Vec<Recorded>> {
    let each = |mut events: Vec<Recorded>| {
        events.sort_by_key(|event| event.offset);
        events.dedup_by_key(|event| event.event_id);
        events
    };
    events.into_iter().map(each).collect()
}
