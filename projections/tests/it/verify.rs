//! Rows that are not what the log says are found, whoever made them wrong.

use crate::stories::{Shop, authorise, gbp, order_id, pieces, succeeded};
use crate::support::{PARTITIONS, Process, eventually, fresh_database, rebuild};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use domain::catalogue::product;
use domain::inventory::stock;
use domain::orders::order::Command;
use domain::payments::payment::Operation;
use event_store::Recorded;
use event_store::follow::{ApplyError, is_worked};
use projections::{
    Check, Columns, Compared, Layout, ParkedBy, Place, Projection, RebuildError, Tell, Verified,
    Work, all, drop_one, generations, roll_back, verify,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(crate) fn quiet() -> Tell {
    Arc::new(|_| {})
}

pub(crate) fn named(name: &str) -> Arc<dyn Projection> {
    all().into_iter().find(|it| it.layout().name == name).unwrap()
}

/// A fold with a bug: it does not see some events. Perhaps it is another version of itself.
struct Blind {
    inner: Arc<dyn Projection>,
    to: &'static str,
    layout: &'static Layout,
}

#[async_trait]
impl Projection for Blind {
    fn layout(&self) -> &'static Layout {
        self.layout
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        let seen: Vec<_> = batch.iter().filter(|it| it.event_type != self.to).cloned().collect();
        self.inner.post(place, tx, &seen).await
    }
}

fn blind(name: &str, to: &'static str) -> Arc<dyn Projection> {
    let inner = named(name);
    let layout = inner.layout();
    Arc::new(Blind { inner, to, layout })
}

/// A bug where a generation is filled, and nowhere else.
struct BlindFilling(Arc<dyn Projection>, &'static str);

#[async_trait]
impl Projection for BlindFilling {
    fn layout(&self) -> &'static Layout {
        self.0.layout()
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        self.0.post(place, tx, batch).await
    }

    async fn fill(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        let seen: Vec<_> = batch.iter().filter(|it| it.event_type != self.1).cloned().collect();
        self.0.fill(place, tx, &seen).await
    }
}

/// The same fold as the next version of it.
fn next_version(name: &str, blind_to: &'static str) -> Arc<dyn Projection> {
    let inner = named(name);
    let Layout { name, version, service, logs, tables, key, of_others, create, index } =
        inner.layout();
    let version = version + 1;
    let layout =
        Layout { name, version, service, logs, tables, key: *key, of_others, create, index };
    Arc::new(Blind { inner, to: blind_to, layout: Box::leak(Box::new(layout)) })
}

pub(crate) struct Beside(pub(crate) Process, pub(crate) Arc<dyn Projection>);

impl Beside {
    pub(crate) async fn verify(&self) -> Result<Compared, RebuildError> {
        verify(&self.work()).await
    }

    pub(crate) fn work(&self) -> Work<'_> {
        let read = self.0.read(self.1.layout().service);
        let stop = CancellationToken::new();
        Work { projection: &self.1, read, logs: &self.0.sources, tell: quiet(), stop }
    }
}

/// A shop with ten orders of every kind, whose rows are posted; and a process beside it, for one read model.
pub(crate) async fn beside(name: &str) -> (Process, Beside) {
    let database = fresh_database().await;
    let serving = Process::start(&database).await;
    serving.follow().await;
    let shop = Shop::of(&serving);
    for number in 1..=10 {
        let ship = if number % 2 == 0 { vec![Command::Ship {}] } else { vec![] };
        shop.placed(number, 0, [vec![Command::Confirm {}], ship].concat()).await;
        shop.payment(number, vec![authorise(700), succeeded(Operation::Authorisation)]).await;
        let name = format!("S{number}");
        shop.listed(&name, "White heart", 255).await;
        shop.product(&name, vec![product::Command::Reprice { price: gbp(300) }]).await;
        shop.stock(&name, vec![stock::Command::Receive { quantity: pieces(7) }]).await;
    }
    serving.posted().await;
    let other = Process::start(&database).await;
    (serving, Beside(other, named(name)))
}

/// Tables, generations and checkpoints beside the live ones.
pub(crate) async fn left_behind(process: &Process) -> i64 {
    process
        .number(
            "select (select count(*) from pg_tables where schemaname like '%\\_read' and tablename ~ '_[2-9][0-9]*$') \
                  + (select count(*) from orders_read.generation where generation > 1) \
                  + (select count(*) from orders_read.checkpoint where generation > 1)",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_what_the_log_says_verify_and_nothing_is_left_behind() {
    let (serving, mut beside) = beside("orders").await;
    for projection in all() {
        let name = projection.layout().name;
        beside.1 = projection;
        let compared = beside.verify().await.unwrap();
        assert_eq!(compared.differing(), 0, "{name}: {compared:?}");
        assert!(compared.rows() > 0 || name == "checkouts", "{name}");
    }
    assert_eq!(left_behind(&serving).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_somebody_changed_by_hand_are_named() {
    let (serving, beside) = beside("orders").await;
    let (wrong, gone, new) = (order_id(3), order_id(4), order_id(999));
    serving
        .admin
        .batch_execute(&format!(
            "update orders_read.order_1 set total = total + 1, status = 'closed' where order_id = '{wrong}'; \
             delete from orders_read.order_1 where order_id = '{gone}'; \
             insert into orders_read.order_1 (order_id, status) values ('{new}', 'placed')"
        ))
        .await
        .unwrap();
    let compared = beside.verify().await.unwrap();
    assert_eq!(compared.differing(), 3);
    let differences: Vec<_> = compared.differences().map(|(_, row)| row).collect();
    let streams: Vec<_> = differences.iter().map(|row| row.stream.clone().unwrap()).collect();
    assert_eq!(streams, [wrong, gone, new].map(|id| format!("order-{id}")));
    let Columns::Differ(columns) = &differences[0].columns else { panic!("{differences:?}") };
    let columns: Vec<_> = columns.iter().map(|it| (&*it.column, &it.live, &it.replayed)).collect();
    assert_eq!(columns.len(), 2, "{columns:?}");
    assert!(columns.contains(&("status", &"closed".into(), &"confirmed".into())));
    for (column, live, replayed) in columns {
        let (old, new): (Value, Value) = match column {
            "status" => ("closed".into(), "confirmed".into()),
            "total" => (replayed.as_i64().unwrap().saturating_add(1).into(), replayed.clone()),
            _ => panic!("{differences:?}"),
        };
        assert_eq!((live, replayed), (&old, &new));
    }
    assert!(matches!(differences[1].columns, Columns::OnlyReplayed));
    assert!(matches!(differences[2].columns, Columns::OnlyLive));
    for (row, id) in differences.iter().zip([wrong, gone, new]) {
        assert_eq!(Value::Object(row.key.clone()), json!({"order_id": id}));
    }

    // What payments tell of an order is to be looked for there.
    let mend = format!(
        "delete from orders_read.order_1 where order_id in ('{wrong}', '{gone}', '{new}'); \
                        update orders_read.order_1 set payment_status = 'refunded' where order_id = '{}'",
        order_id(5)
    );
    serving.admin.batch_execute(&mend).await.unwrap();
    let compared = beside.verify().await.unwrap();
    let of_payment = compared
        .differences()
        .map(|(_, row)| row)
        .find(|row| matches!(row.columns, Columns::Differ(_)));
    assert_eq!(of_payment.unwrap().stream, Some(format!("payment-{}", order_id(5))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_has_a_bug_now_is_caught_by_the_rows_that_it_posted_before() {
    let (serving, mut beside) = beside("orders").await;
    beside.1 = blind("orders", "order.shipped");
    let compared = beside.verify().await.unwrap();
    let streams: Vec<_> =
        compared.differences().map(|(_, row)| row.stream.clone().unwrap()).collect();
    assert_eq!(streams, [2, 4, 6, 8, 10].map(|number| format!("order-{}", order_id(number))));

    // Neither does a rebuild by it become the live one, unless somebody says so.
    let refused = projections::rebuild(&beside.work(), Check::Verify).await;
    let Err(RebuildError::Differs(compared)) = refused else { panic!("{refused:?}") };
    assert_eq!(compared.differing(), 5);
    assert_eq!(left_behind(&serving).await, 0);
    let accepted = projections::rebuild(&beside.work(), Check::Accept).await.unwrap();
    let Verified::Accepted { compared } = &accepted.verified else { panic!("{accepted:?}") };
    assert_eq!((accepted.generation, compared.differing()), (2, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_of_the_rebuild_alone_is_caught_by_the_rows_that_were_posted_one_by_one() {
    let (serving, mut beside) = beside("orders").await;
    for (name, to, rows) in
        [("orders", "order.shipped", 5), ("order-history", "order.confirmed", 10)]
    {
        beside.1 = Arc::new(BlindFilling(named(name), to));
        assert_eq!(beside.verify().await.unwrap().differing(), rows, "{name}");
        let refused = projections::rebuild(&beside.work(), Check::Verify).await;
        let Err(RebuildError::Differs(compared)) = refused else { panic!("{refused:?}") };
        assert_eq!(compared.differing(), rows, "{name}");
    }
    assert_eq!(left_behind(&serving).await, 0);
    beside.1 = named("orders");
    assert_eq!(beside.verify().await.unwrap().differing(), 0, "the live rows are as they were");
}

/// A fold that cannot take some event of one stream.
struct Choking {
    inner: Arc<dyn Projection>,
    on: (String, &'static str),
    error: fn(String) -> ApplyError,
}

impl Choking {
    fn swallow(&self, batch: &[Arc<Recorded>]) -> Result<(), ApplyError> {
        let chokes =
            |it: &Arc<Recorded>| (&*it.stream, &*it.event_type) == (&*self.on.0, self.on.1);
        if batch.iter().any(chokes) {
            return Err((self.error)("it sticks in the throat".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Projection for Choking {
    fn layout(&self) -> &'static Layout {
        self.inner.layout()
    }

    async fn post(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        self.swallow(batch)?;
        self.inner.post(place, tx, batch).await
    }

    async fn fill(
        &self,
        place: &Place,
        tx: &Transaction<'_>,
        batch: &[Arc<Recorded>],
    ) -> Result<(), ApplyError> {
        self.swallow(batch)?;
        self.inner.fill(place, tx, batch).await
    }
}

/// One event that a rebuild cannot post holds up nothing but its stream, and is named.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_posted_again_is_named_and_left_out() {
    let (serving, mut beside) = beside("orders").await;
    let stream = format!("order-{}", order_id(4));
    let on = (stream.clone(), "order.confirmed");
    let sql = format!(
        "select 'orders/' || partition || '@1:' || log_offset from orders.event \
          where stream = '{stream}' and type = 'order.confirmed'"
    );
    let position: String = serving.admin.query_one(&sql, &[]).await.unwrap().get(0);
    let choking = |error| Choking { inner: named("orders"), on: on.clone(), error };
    beside.1 = Arc::new(choking(ApplyError::Poison));

    let compared = beside.verify().await.unwrap();
    assert_eq!((compared.differing(), compared.is_same()), (0, false), "{compared:?}");
    assert_eq!(compared.rows(), 9, "all but that one: {compared:?}");
    let [parked] = &compared.parked[..] else { panic!("{compared:?}") };
    assert_eq!((&parked.stream, parked.position.to_string()), (&stream, position.clone()));
    assert_eq!((&*parked.reason, parked.by), ("it sticks in the throat", ParkedBy::Replay));
    let told = parked.to_string();
    assert!(told.contains(&position) && told.contains("sticks"), "{told}");

    // The live rows have it, so the new ones would be worse, unless somebody says that this may be.
    let refused = projections::rebuild(&beside.work(), Check::Verify).await;
    let Err(RebuildError::Differs(compared)) = refused else { panic!("{refused:?}") };
    assert_eq!(compared.parked.len(), 1);
    assert_eq!(left_behind(&serving).await, 0);
    assert_eq!(serving.number("select count(*) from orders_read.parked").await, 0);
    let accepted = projections::rebuild(&beside.work(), Check::Accept).await.unwrap();
    assert_eq!((accepted.generation, accepted.parked), (2, 2), "it, and the parcel behind it");
    let status = format!(
        "select status = 'placed' from orders_read.order_2 where order_id = '{}'",
        order_id(4)
    );
    assert!(serving.admin.query_one(&status, &[]).await.unwrap().get::<_, bool>(0));
    // Now neither side is past it.
    let compared = beside.verify().await.unwrap();
    assert_eq!((compared.is_same(), compared.is_whole()), (true, false), "{compared:?}");
    assert_eq!(compared.parked[0].by, ParkedBy::Both);

    // Whoever can post it does, once he is asked to.
    let ask = "update orders_read.parked set asked = 'retry' where reason is not null";
    serving.admin.batch_execute(ask).await.unwrap();
    eventually("it is posted", || async {
        let sql = "select count(*) from orders_read.order_2 where status = 'shipped'";
        serving.number(sql).await == 5
    })
    .await;
    beside.1 = named("orders");
    let compared = beside.verify().await.unwrap();
    assert!(compared.is_same() && compared.is_whole(), "{compared:?}");

    // What a newer binary wrote waits for that one.
    beside.1 = Arc::new(choking(ApplyError::Unknown));
    let waits = beside.verify().await;
    let Err(RebuildError::Event { position: at, stream: of, .. }) = &waits else {
        panic!("{waits:?}")
    };
    assert_eq!((at.to_string(), of), (position, &stream));
    let told = waits.unwrap_err().to_string();
    assert!(told.contains(&stream), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_somebody_added_or_dropped_are_named() {
    let (serving, beside) = beside("stock").await;
    let added = "alter table inventory_read.stock_1 add column shelf text";
    serving.admin.batch_execute(added).await.unwrap();
    let compared = beside.verify().await.unwrap();
    assert_eq!((compared.differing(), compared.is_same()), (0, false), "{compared:?}");
    assert_eq!(compared.tables[0].only_live, ["shelf"]);
    let refused = projections::rebuild(&beside.work(), Check::Verify).await;
    let Err(error @ RebuildError::Differs(_)) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("columns"), "{error}");

    let dropped = "alter table inventory_read.stock_1 drop column shelf, drop column available";
    serving.admin.batch_execute(dropped).await.unwrap();
    let compared = beside.verify().await.unwrap();
    assert_eq!((compared.differing(), compared.is_same()), (0, false), "{compared:?}");
    assert_eq!(compared.tables[0].only_replayed, ["available"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_replaces_rows_that_were_changed_can_be_taken_back() {
    let (serving, beside) = beside("stock").await;
    let changed = "update inventory_read.stock_1 set on_hand = on_hand - 1 where sku = 'S3'";
    serving.admin.batch_execute(changed).await.unwrap();
    let refused = projections::rebuild(&beside.work(), Check::Verify).await;
    assert!(matches!(refused, Err(RebuildError::Differs(_))), "{refused:?}");
    projections::rebuild(&beside.work(), Check::Accept).await.unwrap();
    assert_eq!(beside.verify().await.unwrap().differing(), 0);

    // What came since is posted before the old one is live again.
    let shop = Shop::of(&serving);
    shop.stock("S3", vec![stock::Command::Receive { quantity: pieces(10) }]).await;
    eventually("the new one has it", || async {
        serving.number("select on_hand from inventory_read.stock_2 where sku = 'S3'").await == 17
    })
    .await;
    assert_eq!(roll_back(&beside.work()).await.unwrap(), 1);
    assert_eq!(
        serving.number("select on_hand from inventory_read.stock_1 where sku = 'S3'").await,
        16
    );
    let states = async || {
        let states = generations(beside.1.layout(), beside.0.read("inventory")).await.unwrap();
        states
            .iter()
            .map(|it| format!("{} {}", it.generation, it.state))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(states().await, "1 live, 2 old");
    // The one to go back to is the one that was live, and not the one that was taken back.
    projections::rebuild(&beside.work(), Check::Accept).await.unwrap();
    assert_eq!(states().await, "1 old, 2 old, 3 live");
    assert_eq!(roll_back(&beside.work()).await.unwrap(), 1);
    projections::rebuild(&beside.work(), Check::Accept).await.unwrap();
    assert_eq!(states().await, "1 old, 3 old, 4 live");
    let park = "insert into inventory_read.parked (follower, generation, service, partition, log_offset, epoch, \
                  event_id, stream, event_type, reason) \
                values ('stock', 1, 'inventory', 0, 0, 1, gen_random_uuid(), 'stock-S3', 'stock.received', 'a test')";
    serving.admin.batch_execute(park).await.unwrap();
    let parked = roll_back(&beside.work()).await;
    assert!(matches!(parked, Err(RebuildError::OldParked("stock"))), "{parked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_verified_by_a_second_replay_and_says_what_it_changes() {
    let (serving, mut beside) = beside("orders").await;
    beside.1 = next_version("orders", "order.shipped");
    let unsaid = beside.verify().await;
    assert!(matches!(unsaid, Err(RebuildError::NotLive("orders"))), "{unsaid:?}");
    let rebuilt = projections::rebuild(&beside.work(), Check::Verify).await.unwrap();
    let Verified::Replay { compared, against, changes, .. } = &rebuilt.verified else {
        panic!("{rebuilt:?}")
    };
    let old = named("orders").layout().version;
    assert_eq!((compared.rows(), compared.differing(), *against), (10, 0, Some(old)));
    assert_eq!(
        changes.as_ref().unwrap().differing(),
        5,
        "what the old version saw and this does not"
    );
    // Both versions are live, each for its own binaries.
    let live = "select count(*) from orders_read.generation where projection = 'orders' and state = 'live'";
    assert_eq!(serving.number(live).await, 2);
    let shop = Shop::of(&serving);
    shop.placed(11, 0, vec![]).await;
    eventually("the old version goes on", || async {
        serving.number("select count(*) from orders_read.order_1").await == 11
    })
    .await;
    // And the old one's is still compared with its own.
    beside.1 = named("orders");
    assert_eq!(beside.verify().await.unwrap().differing(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_version_changes_is_not_known_where_the_old_one_stands_elsewhere() {
    let (serving, mut beside) = beside("orders").await;
    serving.stop.cancel();
    let read = beside.0.read("orders").clone();
    for partition in 0..PARTITIONS {
        let partition = i32::try_from(partition).unwrap();
        eventually("nobody follows any more", || async {
            !is_worked(&read, "orders", 1, "orders", partition).await.unwrap()
        })
        .await;
    }
    let forget =
        "delete from orders_read.checkpoint where follower = 'orders' and service = 'orders'";
    serving.admin.batch_execute(forget).await.unwrap();
    beside.1 = next_version("orders", "order.shipped");
    let rebuilt = projections::rebuild(&beside.work(), Check::Verify).await.unwrap();
    let Verified::Replay { changes, changes_unknown, against, .. } = &rebuilt.verified else {
        panic!("{rebuilt:?}")
    };
    assert!(changes.is_none() && against.is_some(), "{rebuilt:?}");
    assert_eq!(changes_unknown.as_deref(), Some("the live rows are not at the same place"));
}

/// The next version of the fold with a table more.
fn with_a_table_more(name: &str) -> Arc<dyn Projection> {
    let inner = named(name);
    let Layout { name, version, service, logs, tables, key, of_others, create, index } =
        inner.layout();
    let tables = Box::leak([*tables, &["more"]].concat().into_boxed_slice());
    let create =
        format!("{create}; create table {{schema}}.more_{{g}} (sku text primary key)").leak();
    let (version, key) = (version + 1, *key);
    let layout = Layout { name, version, service, logs, tables, key, of_others, create, index };
    Arc::new(Blind { inner, to: "nothing", layout: Box::leak(Box::new(layout)) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_may_have_a_table_that_the_old_one_lacks() {
    let (serving, mut beside) = beside("stock").await;
    beside.1 = with_a_table_more("stock");
    let rebuilt = projections::rebuild(&beside.work(), Check::Verify).await.unwrap();
    let Verified::Replay { compared, changes, .. } = &rebuilt.verified else {
        panic!("{rebuilt:?}")
    };
    assert!(compared.is_whole() && compared.differing() == 0, "{compared:?}");
    let changes = changes.as_ref().unwrap();
    assert_eq!((changes.differing(), changes.is_whole()), (0, false), "{changes:?}");
    // The older version does not know all of its tables, and leaves it alone.
    let newer = beside.1.layout().version;
    beside.1 = named("stock");
    let refused = drop_one(&beside.work(), rebuilt.generation).await;
    assert!(matches!(refused, Err(RebuildError::Newer("stock", _))), "{refused:?}");
    let sql = format!("select count(*) from inventory_read.generation where version = {newer}");
    assert_eq!(serving.number(&sql).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_generations_that_nobody_needs_are_dropped() {
    let (serving, beside) = beside("orders").await;
    let drop = async |generation| drop_one(&beside.work(), generation).await;
    assert!(matches!(drop(1).await, Err(RebuildError::IsLive("orders", 1))));
    assert!(matches!(drop(7).await, Err(RebuildError::NoSuch("orders", 7))));
    rebuild(&beside.1, beside.0.read("orders"), &beside.0.logs, quiet()).await.unwrap();
    // The followers change over, and let the old one go.
    eventually("the old one is dropped", || async { drop(1).await.is_ok() }).await;
    assert_eq!(
        serving
            .number("select count(*) from orders_read.generation where projection = 'orders'")
            .await,
        1
    );
    let nothing = roll_back(&beside.work()).await;
    assert!(matches!(nothing, Err(RebuildError::NothingOld("orders"))), "{nothing:?}");
}
