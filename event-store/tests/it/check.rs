//! Whatever is not as it must be in a log, or in its copy, is found and named; and nothing else is.

use crate::kafka::{copied, create_topic, fill, logged, own, produce, to};
use crate::relay::Running;
use crate::support::{
    PARTITIONS, Till, TillCommand, envelope, fresh_database, id, lose_the_tail, open,
};
use event_store::kafka::Brokers;
use event_store::{
    Checked, Database, Fault, Log, Recorded, TransactLimits, Transactor, event_id, partition_of,
};
use std::slice;
use uuid::Uuid;

/// What one hand does to a log that is in order, and what is found then: where, and what.
struct Corruption {
    sql: String,
    at: String,
    what: String,
}

/// The first streams of a partition.
fn streams(partition: i32) -> impl Iterator<Item = String> {
    let all = (0..).map(|number| format!("till-{number}"));
    all.filter(move |stream| partition_of(stream, PARTITIONS) == partition)
}

/// Two tills of the first partition beside a third, which has one event at `shop/0@1:1`, and one of the next partition:
/// the events of one command are at `0:2` and `0:3`, and the last of the first till is at `0:4`.
async fn a_log(database: &Database) -> Log {
    let log = open(database).await;
    let till = Transactor::<Till>::new(log.clone(), TransactLimits::default());
    let [first, other, third] = names();
    let next = streams(1).next().unwrap();
    let put = || TillCommand::Put { amount: 1 };
    let twice = TillCommand::PutTwice { amount: 1 };
    let told = [(&first, put()), (&other, put()), (&third, twice), (&first, put()), (&next, put())];
    for (number, (stream, command)) in (1..).zip(told) {
        till.transact(stream, command, envelope(id(number))).await.unwrap();
    }
    log
}

fn names() -> [String; 3] {
    let mut streams = streams(0);
    [(); 3].map(|()| streams.next().unwrap())
}

fn corruptions() -> Vec<Corruption> {
    let [first, _, third] = names();
    let (foreign, moved) = (id(99), streams(1).next().unwrap());
    let of_another = event_id(&third, foreign, 1);
    let at = |offset: i64| format!("where partition = 0 and log_offset = {offset}");
    let changed = |what: &str, offset| format!("update shop.event set {what} {}", at(offset));
    let corruption = |sql: String, at: &str, what: &str| Corruption {
        sql,
        at: at.to_owned(),
        what: what.to_owned(),
    };
    vec![
        corruption(
            format!("delete from shop.event {}", at(1)),
            "shop/0@1:2",
            "offset 1 is missing before it",
        ),
        corruption(
            changed("recorded_at = recorded_at - interval '1 day'", 4),
            "shop/0@1:4",
            "it was recorded before the event before it",
        ),
        corruption(
            "update shop.event set partition = 0, log_offset = 5, recorded_at = now() where partition = 1"
                .to_owned(),
            "shop/0@1:5",
            &format!("{moved} belongs into partition 1"),
        ),
        corruption(
            changed("event_id = gen_random_uuid()", 1),
            "shop/0@1:1",
            "its id does not follow from its stream and its command",
        ),
        corruption(
            changed(&format!("command_id = '{foreign}', event_id = '{of_another}'"), 3),
            "shop/0@1:3",
            "it does not follow the event of its command before it",
        ),
        corruption(
            changed("payload = 'null'", 1),
            "shop/0@1:1",
            "it cannot be read: it says nothing",
        ),
        corruption(
            changed("version = 4", 4),
            &first,
            "it has 2 events, of versions 1 to 4",
        ),
        corruption(
            "insert into shop.log_epoch (partition, epoch, first_offset, system_identifier, timeline) \
             values (2, 3, 0, 0, 'another'); \
             update shop.log_partition set epoch = 3 where partition = 2"
                .to_owned(),
            "shop/2@3:0",
            "the epoch before it is missing",
        ),
        corruption(
            "update shop.log_partition set epoch = 2 where partition = 2".to_owned(),
            "shop/2@1:0",
            "the partition says that it is in epoch 2",
        ),
    ]
}

fn readable(event: &Recorded) -> Result<(), String> {
    if event.payload == "null" { Err("it says nothing".to_owned()) } else { Ok(()) }
}

/// As nobody may, and a disk might.
async fn corrupt(database: &Database, sql: &str) {
    let admin = database.connect("tests").await.unwrap();
    let sql = format!("set session_replication_role = replica; {sql}");
    admin.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn whatever_is_not_as_it_must_be_in_a_log_is_named() {
    for Corruption { sql, at, what } in corruptions() {
        let database = fresh_database().await;
        let log = a_log(&database).await;
        let sound = log.check(&readable, &|_| {}).await.unwrap();
        assert_eq!((sound.read, sound.faults), (6, vec![]));
        corrupt(&database, &sql).await;
        let found = log.check(&readable, &|_| {}).await.unwrap();
        assert_eq!(found.faults, [Fault { at, what }], "{sql}");
        assert_eq!(found.faulty, 1);
    }
}

/// More events than are read at once, all of one stream.
async fn a_long_log(database: &Database) -> Log {
    let stream = streams(0).next().unwrap();
    let commands: Vec<Uuid> = (0..1_100).map(id).collect();
    let ids: Vec<Uuid> = commands.iter().map(|it| event_id(&stream, *it, 0)).collect();
    let sql = "insert into shop.event \
         select 0, n - 1, $1::text, n, event, command, 0, 'till.filled', 1, '{\"amount\": 1}', \
                '{\"correlation\": \"test\", \"actor\": \"tests\"}', now(), now() \
           from unnest($2::uuid[], $3::uuid[]) with ordinality as it (event, command, n)";
    let admin = database.connect("tests").await.unwrap();
    admin.execute(sql, &[&stream, &ids, &commands]).await.unwrap();
    open(database).await
}

/// What is lost while a log is read, between two pages of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_before_its_head_or_goes_back_to_an_older_epoch_is_named() {
    let second = "insert into shop.log_epoch (partition, epoch, first_offset, system_identifier, timeline) \
         values (0, 2, 500, 0, 'another'); update shop.log_partition set epoch = 2 where partition = 0";
    let none = "delete from shop.log_epoch where epoch = 2; \
         update shop.log_partition set epoch = 1 where partition = 0";
    for (before, between, at, what) in [
        (
            "",
            "delete from shop.event where log_offset >= 1000",
            "shop/0:1000",
            "the log ends here, and its head is behind it",
        ),
        (second, none, "shop/0@1:1000", "its epoch is older than that of the event before it"),
    ] {
        let database = fresh_database().await;
        let log = a_long_log(&database).await;
        corrupt(&database, before).await;
        let changes = |read: u64| {
            let changing = corrupt(&database, between);
            if read == 1_000 {
                let here = tokio::runtime::Handle::current();
                tokio::task::block_in_place(|| here.block_on(changing));
            }
        };
        let found = log.check(&readable, &changes).await.unwrap();
        let (at, what) = (at.to_owned(), what.to_owned());
        assert_eq!(found.faults, [Fault { at, what }]);
    }
}

async fn compared(log: &Log, topic: &str) -> Checked {
    let brokers = Brokers::from(crate::kafka::brokers());
    log.compare_copy(&brokers, topic, &|_| {}).await.unwrap()
}

/// A relay that is killed sends again what it cannot know to have arrived.
#[tokio::test]
async fn a_copy_that_says_things_twice_is_in_order_and_it_is_told_how_often() {
    let (log, topic) = (open(&fresh_database().await).await, own("shop-events"));
    fill(&log, 0..40).await;
    let mut relay = Running::start(&log, to(&topic));
    relay.caught_up(&log).await;
    relay.stop().await;
    let once = compared(&log, &topic).await;
    assert_eq!((once.read, once.repeats, once.superseded, once.faulty), (40, 0, 0, 0));
    let events: Vec<Recorded> = logged(&log).await.into_iter().flatten().take(7).collect();
    produce(&topic, &events).await;
    let twice = compared(&log, &topic).await;
    assert_eq!((twice.read, twice.repeats, twice.superseded, twice.faulty), (47, 7, 0, 0));
}

#[tokio::test]
async fn a_copy_of_what_the_log_lost_since_is_in_order_and_it_is_told_how_much() {
    let database = fresh_database().await;
    let (log, topic) = (open(&database).await, own("shop-events"));
    fill(&log, 0..40).await;
    let mut relay = Running::start(&log, to(&topic));
    relay.caught_up(&log).await;
    relay.stop().await;
    log.close().await;
    lose_the_tail(&database).await;
    // Whoever writes next sees that it is another timeline.
    let log = open(&database).await;
    fill(&log, 40..80).await;
    let mut relay = Running::start(&log, to(&topic));
    relay.caught_up(&log).await;
    relay.stop().await;
    let copy: usize = copied(&topic, &log).await.unwrap().iter().map(Vec::len).sum();
    let checked = compared(&log, &topic).await;
    let lost = u64::try_from(log.partitions()).unwrap();
    assert_eq!((checked.superseded, checked.faulty), (lost, 0), "{checked:?}");
    assert_eq!(checked.read, u64::try_from(copy).unwrap());
}

#[tokio::test]
async fn whatever_is_not_as_it_must_be_in_a_copy_is_named() {
    let database = fresh_database().await;
    let log = a_log(&database).await;
    let whole: Vec<Recorded> = logged(&log).await.into_iter().flatten().collect();
    let other = Recorded { payload: r#"{"amount":2}"#.to_owned(), ..whole[1].clone() };
    let foreign = Recorded { service: "bakery".into(), ..whole[1].clone() };
    let and = |last: &Recorded| [&whole, slice::from_ref(last)].concat();
    let not_of_this =
        |topic: &str| (format!("{topic}/0"), "is no event of this log: its ce_source".to_owned());
    type Found = (String, String);
    type Named<'a> = &'a dyn Fn(&str) -> Found;
    let told = |at: &str, what: &str| (at.to_owned(), what.to_owned());
    let cases: [(&str, Vec<Recorded>, Named<'_>); 4] = [
        ("a record with another payload", and(&other), &|_| {
            told("shop/0@1:1", "the record is not the log's event")
        }),
        ("a record of another log", and(&foreign), &not_of_this),
        ("what comes first is missing", whole[1..].to_vec(), &|_| {
            told("shop/0@1:1", "the copy lacks what comes before it, from 0 on")
        }),
        ("the last one is missing", whole[..5].to_vec(), &|_| {
            told("shop/1:0", "the copy ends here, and the log at 1")
        }),
    ];
    for (case, records, named) in cases {
        let topic = own("shop-events");
        create_topic(&topic, log.partitions()).await;
        produce(&topic, &records).await;
        let found = compared(&log, &topic).await;
        let (at, what) = named(&topic);
        assert_eq!((found.faults.len(), found.faulty), (1, 1), "{case}: {found:?}");
        assert_eq!(found.faults[0].at, at, "{case}");
        assert!(found.faults[0].what.contains(&what), "{case}: {found:?}");
    }
}
