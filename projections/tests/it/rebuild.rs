//! A generation built from the log beside the live one.

use crate::stories::{Shop, authorise, cancel, declined, gbp, pieces, succeeded};
use crate::support::{PARTITIONS, Process, fresh_database, rebuild};
use domain::catalogue::product;
use domain::inventory::stock;
use domain::orders::order::{CancelReason, Command};
use domain::payments::payment::Operation;
use event_store::follow::{Feed, FollowLimits, Lock, LogWorker};
use projections::{Phase, Place, Posting, Progress, Projection, RebuildError, Unit, all};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;
use tokio::sync::Notify;

fn quiet() -> Arc<dyn Fn(Progress) + Send + Sync> {
    Arc::new(|_| {})
}

fn named(name: &str) -> Arc<dyn Projection> {
    all().into_iter().find(|it| it.layout().name == name).unwrap()
}

/// What some orders do, of every kind.
async fn trade(shop: &Shop, number: u128) {
    let sku = format!("S{}", number % 7);
    if number <= 7 {
        shop.listed(&sku, "White heart", 255).await;
    }
    shop.product(
        &sku,
        vec![product::Command::Reprice { price: gbp(i64::try_from(number).unwrap()) }],
    )
    .await;
    let order = crate::stories::order_id(number);
    shop.stock(
        &sku,
        vec![
            stock::Command::Receive { quantity: pieces(1) },
            stock::Command::Reserve { order, quantity: pieces(2) },
        ],
    )
    .await;
    let confirmed = vec![succeeded(Operation::Authorisation)];
    let (orders, payments, stocks) = match number % 4 {
        0 => (vec![cancel(CancelReason::PaymentDeclined)], vec![declined()], vec![]),
        1 => (vec![Command::Confirm {}], confirmed, vec![]),
        2 => (
            vec![Command::Confirm {}, cancel(CancelReason::CustomerRequest)],
            confirmed,
            vec![stock::Command::Release { order }],
        ),
        _ => (
            vec![Command::Confirm {}, Command::Ship {}],
            confirmed,
            vec![stock::Command::Ship { order }],
        ),
    };
    shop.placed(number, i64::try_from(number * 3_600).unwrap(), orders).await;
    shop.payment(number, vec![authorise(700)]).await;
    shop.payment(number, payments).await;
    shop.stock(&sku, stocks).await;
}

/// Rows of a read model beside what the events say, told by SQL that shares nothing with the folds.
const INDEPENDENT: [(&str, &str, &str); 6] = [
    (
        "orders",
        "select order_id, status, cancel_reason, customer, total, shipped_units, version, payment_status \
         from orders_read.order_{g} order by 1",
        "select substr(o.stream, 7)::uuid, (array_agg(substr(o.type, 7) order by o.version desc))[1], \
                max(o.payload ->> 'reason'), max(o.payload ->> 'customer'), \
                max((o.payload -> 'total' ->> 'amount')::bigint), \
                sum(case o.type when 'order.shipped' then 2 else 0 end)::bigint, max(o.version), \
                coalesce((select case p.type when 'payment.declined' then 'declined' \
                                 when 'payment.authorised' then 'authorised' else 'requested' end \
                            from payments.event p where p.stream = 'payment-' || substr(o.stream, 7) \
                           order by p.version desc limit 1), 'none') \
         from orders.event o group by o.stream order by 1",
    ),
    (
        "order-history",
        "select order_id, version, type, payload::text from orders_read.order_event_{g} order by 1, 2",
        "select substr(stream, 7)::uuid, version, type, payload::text from orders.event order by 1, 2",
    ),
    (
        "sales",
        "select kind, key, sum(orders), sum(units), sum(revenue) from orders_read.sales_{g} \
         where kind in ('day', 'customer', 'product') group by 1, 2 order by 1, 2",
        "with sold as (select payload, occurred_at from orders.event p where type = 'order.placed' \
           and exists (select from orders.event c where c.stream = p.stream and c.type = 'order.confirmed') \
           and not exists (select from orders.event c where c.stream = p.stream and c.type = 'order.cancelled')) \
         select 'customer', payload ->> 'customer', count(*)::numeric, 2 * count(*)::numeric, \
                sum((payload -> 'total' ->> 'amount')::numeric) from sold group by 1, 2 \
         union all select 'day', (occurred_at at time zone 'UTC')::date::text, count(*), 2 * count(*), \
                sum((payload -> 'total' ->> 'amount')::numeric) from sold group by 1, 2 \
         union all select 'product', line ->> 'sku', count(*), sum((line ->> 'quantity')::numeric), \
                sum((line ->> 'quantity')::numeric * (line -> 'unit_price' ->> 'amount')::numeric) \
                from sold, json_array_elements(payload -> 'lines') line group by 1, 2 order by 1, 2",
    ),
    (
        "stock",
        "select sku, on_hand::numeric, reserved::numeric, version from inventory_read.stock_{g} order by 1",
        "select substr(stream, 7) collate \"C\", \
                sum((payload ->> 'quantity')::bigint * case type when 'stock.received' then 1 \
                    when 'stock.shipped' then -1 else 0 end), \
                sum((payload ->> 'quantity')::bigint * case type when 'stock.reserved' then 1 \
                    when 'stock.released' then -1 when 'stock.shipped' then -1 else 0 end), max(version) \
         from inventory.event group by 1 order by 1",
    ),
    (
        "products",
        "select sku, name, price, version from catalogue_read.product_{g} order by 1",
        "select substr(stream, 9) collate \"C\", max(payload ->> 'name'), \
                (array_agg((payload -> 'price' ->> 'amount')::bigint order by version desc))[1], max(version) \
         from catalogue.event group by 1 order by 1",
    ),
    (
        "payments",
        "select order_id, status, amount, authorised, version from payments_read.payment_{g} order by 1",
        "select substr(stream, 9)::uuid, \
                case when bool_or(type = 'payment.declined') then 'declined' \
                     when bool_or(type = 'payment.authorised') then 'authorised' else 'requested' end, \
                700::bigint, sum(case type when 'payment.authorised' then 700 else 0 end)::bigint, max(version) \
         from payments.event group by 1 order by 1",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn rows_equal_what_sql_makes_of_the_events_after_a_rebuild_while_orders_flow() {
    let database = fresh_database().await;
    let serving = Arc::new(Process::start(&database).await);
    let generations = serving.follow().await;
    let shop = Shop::of(&serving);
    for number in 1..=40 {
        trade(&shop, number).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let (trading, until) = (serving.clone(), done.clone());
    let flowing = tokio::spawn(async move {
        let shop = Shop::of(&trading);
        let mut number = 41;
        while !until.load(Ordering::Relaxed) {
            trade(&shop, number).await;
            number += 1;
        }
        number
    });
    let rebuilding = Process::start(&database).await;
    for projection in all() {
        let read = rebuilding.read(projection.layout().service);
        let rebuilt = rebuild(&projection, read, &rebuilding.logs, quiet()).await.unwrap();
        assert_eq!(rebuilt.generation, 2);
    }
    done.store(true, Ordering::Relaxed);
    let traded = flowing.await.unwrap();
    assert!(traded > 41, "orders flowed");
    serving.posted().await;
    for (name, view, events) in INDEPENDENT {
        let view = view.replace("{g}", "2");
        let rows =
            async |sql: &str| serving.rows(&format!("(select t::text from ({sql}) t)")).await;
        let shown = rows(&view).await;
        assert!(!shown.is_empty(), "{name}");
        assert_eq!(shown, rows(events).await, "{name}");
        crate::support::eventually("queries changed over", || async {
            generations.live(name) == Some(2)
        })
        .await;
    }
}

#[tokio::test]
async fn where_nobody_follows_the_builder_goes_to_the_head() {
    let process = Process::start(&fresh_database().await).await;
    let shop = Shop::of(&process);
    for number in 1..=5 {
        shop.placed(number, 0, vec![Command::Confirm {}]).await;
        shop.payment(number, vec![authorise(700)]).await;
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noting = seen.clone();
    let note =
        Arc::new(move |it: Progress| noting.lock().unwrap().push((it.phase, it.done, it.total)));
    let rebuilt =
        rebuild(&named("orders"), process.read("orders"), &process.logs, note).await.unwrap();
    assert_eq!((rebuilt.generation, rebuilt.events), (1, 15));
    assert_eq!(
        process.number("select count(*) from orders_read.order_1 where status = 'confirmed'").await,
        5
    );
    let seen = seen.lock().unwrap();
    assert_eq!(seen.first(), Some(&(Phase::Filling, 0, 15)));
    assert_eq!(seen.last(), Some(&(Phase::Live, 15, 15)));
}

#[tokio::test]
async fn the_builder_never_passes_the_live_checkpoint() {
    let database = fresh_database().await;
    let serving = Process::start(&database).await;
    serving.follow().await;
    let shop = Shop::of(&serving);
    let receive = || stock::Command::Receive { quantity: pieces(1) };
    shop.stock("A1", vec![receive(), receive(), receive()]).await;
    serving.posted().await;
    serving.stop.cancel();

    // As a follower does that is alive and slow.
    let slow = Process::start(&database).await;
    let mut held: Vec<Lock> = Vec::new();
    for partition in 0..PARTITIONS {
        let name = format!("stock/inventory/{partition}#1");
        while held.len() <= usize::try_from(partition).unwrap() {
            held.extend(slow.read("inventory").locks.try_lock(&name).await.unwrap());
            tokio::task::yield_now().await;
        }
    }
    shop.stock("A1", vec![receive(), receive()]).await;
    let third = Process::start(&database).await;
    let rebuilt =
        rebuild(&named("stock"), third.read("inventory"), &third.logs, quiet()).await.unwrap();
    assert_eq!(rebuilt.events, 3);
    assert_eq!(third.number("select on_hand from inventory_read.stock_2").await, 3);

    drop(held);
    third.follow().await;
    third.posted().await;
    assert_eq!(third.number("select on_hand from inventory_read.stock_2").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rebuild_of_the_same_projection_is_refused() {
    let process = Process::start(&fresh_database().await).await;
    let shop = Shop::of(&process);
    shop.placed(1, 0, vec![]).await;
    let (go_on, wait) = mpsc::channel::<()>();
    let (wait, begun) = (Mutex::new(wait), Arc::new(Notify::new()));
    let notify = begun.clone();
    let held_up = Arc::new(move |it: Progress| {
        if it.phase == Phase::Indexing {
            notify.notify_one();
            wait.lock().unwrap().recv().unwrap();
        }
    });
    let (read, logs) = (process.read("orders").clone(), process.logs.clone());
    let first = tokio::spawn(async move { rebuild(&named("orders"), &read, &logs, held_up).await });
    begun.notified().await;
    let second = rebuild(&named("orders"), process.read("orders"), &process.logs, quiet()).await;
    assert!(matches!(second, Err(RebuildError::UnderWay("orders"))), "{second:?}");
    let other = rebuild(&named("sales"), process.read("orders"), &process.logs, quiet()).await;
    assert!(other.is_ok(), "{other:?}");
    go_on.send(()).unwrap();
    first.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_rebuild_and_replaced_generations_leave_behind_is_dropped() {
    let process = Process::start(&fresh_database().await).await;
    let shop = Shop::of(&process);
    shop.placed(1, 0, vec![]).await;
    let read = process.read("orders");
    let begun = Arc::new(Notify::new());
    let notify = begun.clone();
    let noting = Arc::new(move |it: Progress| {
        if it.phase == Phase::Indexing {
            notify.notify_one();
        }
    });
    let orders = named("orders");
    tokio::select! {
        biased;
        () = begun.notified() => {}
        _ = rebuild(&orders, read, &process.logs, noting) => panic!("it was to be killed"),
    }
    let states = async || {
        let sql = "select string_agg(generation || ' ' || state, ', ' order by generation) \
                   from orders_read.generation where projection = 'orders'";
        process.admin.query_one(sql, &[]).await.unwrap().get::<_, String>(0)
    };
    assert_eq!(states().await, "1 building");
    crate::support::eventually("the killed one has let go", || async {
        rebuild(&orders, read, &process.logs, quiet()).await.is_ok()
    })
    .await;
    assert_eq!(states().await, "1 live");
    for expected in ["1 old, 2 live", "1 old, 2 old, 3 live", "2 old, 3 old, 4 live"] {
        rebuild(&orders, read, &process.logs, quiet()).await.unwrap();
        assert_eq!(states().await, expected);
    }
    let tables = "select count(*) from pg_tables where schemaname = 'orders_read' and tablename ~ '^order_[0-9]+$'";
    assert_eq!(process.number(tables).await, 3);
    let checkpoints =
        "select count(distinct generation) from orders_read.checkpoint where follower = 'orders'";
    assert_eq!(process.number(checkpoints).await, 3);
}

/// What was told of a phase.
fn told_of(seen: &[Progress], phase: Phase) -> Vec<Progress> {
    seen.iter().filter(|it| it.phase == phase).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_tells_how_far_it_is_and_how_long_it_will_take_also_while_it_compares() {
    let database = fresh_database().await;
    let process = Process::start(&database).await;
    // More rows than are compared at once while somebody serves.
    let many = "insert into orders.event \
         select 0, i, 'order-' || lpad(i::text, 8, '0') || '-0000-4000-8000-000000000000', 1, gen_random_uuid(), \
                gen_random_uuid(), 0, 'order.closed', 1, '{}', '{\"correlation\": \"test\", \"actor\": \"tests\"}', \
                now(), now() \
           from generate_series(0, 9999) i";
    process.admin.batch_execute(many).await.unwrap();
    let history = named("order-history");
    rebuild(&history, process.read("orders"), &process.logs, quiet()).await.unwrap();
    let worked = process.read("orders").locks.try_lock("order-history/orders/0#1").await.unwrap();
    assert!(worked.is_some());
    let told = Told::new();
    told.go_on();
    let other = Process::start(&database).await;
    rebuild(&history, other.read("orders"), &other.logs, told.tell()).await.unwrap();
    let seen = told.seen.lock().unwrap();
    let filling = told_of(&seen, Phase::Filling);
    assert_eq!((filling[0].done, filling[0].total, filling[0].left_s), (0, 10_000, None));
    for it in filling.iter().filter(|it| it.done > 0) {
        let left_s = (it.total - it.done) as f64 / it.rate;
        assert!(it.of == Unit::Events && it.left_s == Some(left_s), "{it:?}");
    }
    let indexing = told_of(&seen, Phase::Indexing);
    assert!(indexing.iter().all(|it| it.left_s.is_none()), "{indexing:?}");
    let comparing = told_of(&seen, Phase::Verifying);
    assert!(comparing.iter().all(|it| it.of == Unit::Pages), "{comparing:?}");
    assert!(comparing.is_sorted_by_key(|it| it.done), "{comparing:?}");
    let (first, last) = (&comparing[0], &comparing[comparing.len() - 1]);
    assert_eq!((first.done, first.left_s), (0, None));
    assert_eq!((last.done, last.left_s), (last.total, Some(0.0)));
    let steps = last.total.div_ceil(64);
    assert!(steps > 4 && comparing.len() as u64 > steps, "{} of {steps}", comparing.len());
    let last = seen.last().unwrap();
    assert_eq!((last.phase, last.done, last.left_s), (Phase::Live, 10_000, Some(0.0)));
}

/// The follower of the live generation, step by step.
struct Live {
    worker: LogWorker,
}

impl Live {
    fn follows(process: &Process, batch: usize) -> Self {
        let (log, read) = (process.log("inventory").clone(), process.read("inventory").clone());
        let (projection, place) = (named("stock"), Place::new(&read, 1));
        let posting = Arc::new(Posting { projection, place, fills: false });
        let limits = FollowLimits { batch, ..FollowLimits::default() };
        let mut worker = LogWorker::new(posting, 1, read, Feed::new(log), limits);
        worker.hold(0);
        Live { worker }
    }

    async fn steps(&mut self, number: usize) {
        for _ in 0..number {
            let step = self.worker.try_step().await;
            assert!(step.posted > 0 && step.failed.is_empty(), "{step:?}");
        }
    }

    /// Goes on until something comes true.
    async fn steps_until(&mut self, holds: impl Fn() -> bool) {
        let steps = async {
            while !holds() {
                self.steps(1).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), steps).await.expect("it comes true");
    }
}

/// A log of so many events in its first partition.
async fn received(process: &Process, events: i64) {
    let sql = format!(
        "insert into inventory.event \
         select 0, i, 'stock-S' || i % 5, i / 5 + 1, gen_random_uuid(), gen_random_uuid(), 0, 'stock.received', 1, \
                '{{\"quantity\": 1}}', '{{\"correlation\": \"test\", \"actor\": \"tests\"}}', now(), now() \
           from generate_series(0, {events} - 1) i"
    );
    process.admin.batch_execute(&sql).await.unwrap();
}

/// What a rebuild says of its progress, which waits for its first step to be let go on.
struct Told {
    seen: Mutex<Vec<Progress>>,
    first: Mutex<bool>,
    goes_on: Condvar,
}

impl Told {
    fn new() -> Arc<Self> {
        let (seen, first, goes_on) = Default::default();
        Arc::new(Told { seen, first, goes_on })
    }

    fn tell(self: &Arc<Self>) -> Arc<dyn Fn(Progress) + Send + Sync> {
        let told = self.clone();
        Arc::new(move |it: Progress| {
            let steps = it.phase == Phase::Filling && 0 < it.done && !it.stands_back;
            told.seen.lock().unwrap().push(it);
            if steps {
                let waits = || {
                    let first = told.first.lock().unwrap();
                    drop(told.goes_on.wait_while(first, |goes_on| !*goes_on).unwrap());
                };
                tokio::task::block_in_place(waits);
            }
        })
    }

    fn go_on(&self) {
        *self.first.lock().unwrap() = true;
        self.goes_on.notify_all();
    }

    fn ever(&self, is: impl Fn(&Progress) -> bool) -> bool {
        self.seen.lock().unwrap().iter().any(is)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rebuild_stands_back_while_the_live_generation_is_behind_and_catches_up() {
    let process = Arc::new(Process::start(&fresh_database().await).await);
    projections::Generations::open(&process.reads).await.unwrap();
    // As whoever serves does.
    let worked = process.read("inventory").locks.try_lock("stock/inventory/0#1").await.unwrap();
    assert!(worked.is_some());
    received(&process, 40_000).await;
    Live::follows(&process, 1_000).steps(1).await;
    let mut live = Live::follows(&process, 5);
    let told = Told::new();
    let (rebuilding, tell) = (process.clone(), told.tell());
    let rebuilt = tokio::spawn(async move {
        rebuild(&named("stock"), rebuilding.read("inventory"), &rebuilding.logs, tell).await
    });
    // Its first step waits to be let go on, and the live generation goes on, far behind.
    live.steps_until(|| told.ever(|it| it.stands_back)).await;
    told.go_on();
    let still = |some: &[Progress]| {
        some.iter()
            .all(|it| it.stands_back && it.phase == Phase::Filling && it.done == some[0].done)
    };
    live.steps_until(|| told.seen.lock().unwrap().windows(10).any(still)).await;
    let mut quick = Live::follows(&process, 1_000);
    while quick.worker.try_step().await.posted > 0 {}
    // Then it goes on, to where that one is.
    assert!(1_000 <= rebuilt.await.unwrap().unwrap().events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rebuild_does_not_wait_for_a_live_generation_that_stands_still() {
    let process = Process::start(&fresh_database().await).await;
    projections::Generations::open(&process.reads).await.unwrap();
    let worked = process.read("inventory").locks.try_lock("stock/inventory/0#1").await.unwrap();
    assert!(worked.is_some());
    received(&process, 2_000).await;
    Live::follows(&process, 1_000).steps(1).await;
    let told = Told::new();
    told.go_on();
    let read = process.read("inventory");
    let rebuilt = rebuild(&named("stock"), read, &process.logs, told.tell()).await.unwrap();
    assert_eq!(rebuilt.events, 1_000);
    assert!(!told.ever(|it| it.stands_back));
}
