//! Histories of a log that several processes use at once, and what must be true of them: each stream behaves
//! as if its operations happened one at a time, and each partition only grows at its end.

mod linear;
mod partition;
mod record;
mod stream;
mod workload;

pub(crate) use record::{History, chain};
pub(crate) use stream::{Command, Of, Stream};

use crate::support::fresh_database;
use event_store::Database;

const HISTORIES: u64 = 4;

/// Of the first history. Another one is tried with `DAYBOOK_TEST_SEED`.
pub(crate) fn seed() -> u64 {
    std::env::var("DAYBOOK_TEST_SEED").map_or(20_231_114, |seed| seed.parse().expect("a number"))
}

#[tokio::test]
async fn appends_are_linearizable_and_partitions_only_grow_though_connections_and_processes_die() {
    for seed in seed()..seed() + HISTORIES {
        eprintln!("seed {seed}");
        let unknown = workload::run(&fresh_database().await, seed, true).await.unwrap();
        assert!(unknown > 0, "seed {seed}: no outcome was unknown, so little was shown");
    }
}

/// A bug in each of the two forms of the append.
struct Bug<F, G> {
    append: F,
    append_one: G,
}

/// Breaks the append functions of one database, and takes away the constraint that would tell, so that the
/// checker is alone with it.
async fn plant(
    database: &Database,
    bug: &Bug<impl Fn(&str) -> String, impl Fn(&str) -> String>,
    unguarded: &str,
) {
    let owner = database.connect("tests").await.unwrap();
    let right = async |name: &str| -> String {
        let sql = format!("select pg_get_functiondef('{name}'::regproc)");
        owner.query_one(&sql, &[]).await.unwrap().get(0)
    };
    let (append, append_one) = (right("shop.append").await, right("shop.append_one").await);
    for (right, wrong) in
        [(&append, (bug.append)(&append)), (&append_one, (bug.append_one)(&append_one))]
    {
        assert_ne!(*right, wrong, "nothing was planted");
        owner.batch_execute(&wrong).await.unwrap();
    }
    owner.batch_execute(unguarded).await.unwrap();
}

/// What the checker says of a log with that bug.
async fn found(
    bug: Bug<impl Fn(&str) -> String, impl Fn(&str) -> String>,
    unguarded: &str,
) -> String {
    for seed in seed()..seed() + HISTORIES {
        let database = fresh_database().await;
        plant(&database, &bug, unguarded).await;
        if let Err(why) = workload::run(&database, seed, false).await {
            return why;
        }
    }
    panic!("the planted bug was not found; seed {}", seed());
}

#[tokio::test]
async fn the_checker_finds_a_version_that_is_not_checked() {
    let seen = "(select k.version from shop.event k where k.stream = s and k.command_id = c \
         and k.ordinal = 0) is not null";
    let append = |right: &str| {
        right
            .replace("when x = 0 then", &format!("when x is not null then {seen} when x = 0 then"))
            .replace("first_value(x = actual) over w and", "true and")
    };
    let append_one = |right: &str| {
        let (from, to) =
            (right.find("where coalesce(").unwrap(), right.find("and (_expected").unwrap());
        let without = format!("{}where true {}", &right[..from], &right[to..]);
        without.replace("(_expected = 0", "(false")
    };
    let bug = Bug { append, append_one };
    let unguarded = "alter table shop.event drop constraint event_stream_version; \
         create index on shop.event (stream, version)";
    let why = found(bug, unguarded).await;
    assert!(why.contains("none of these can follow"), "{why}");
}

#[tokio::test]
async fn the_checker_finds_offsets_that_are_taken_before_the_lock() {
    let append = |right: &str| {
        let (begin, end) =
            ("  if _n > 0 then\n    select array_agg(", "limit 1) l on true;\n  end if;\n");
        let from = right.find(begin).unwrap();
        let to = from + right[from..].find(end).unwrap() + end.len();
        let without = format!("{}{}", &right[..from], &right[to..]);
        let lock = "  if _n > 0 then\n    select count(*) into _good";
        without.replace(lock, &format!("{}{lock}", &right[from..to]))
    };
    let append_one = |right: &str| {
        let lock = "  perform from shop.log_partition";
        let early = "  select coalesce((select e.log_offset + 1 from shop.event e where e.partition = _partition \
             order by e.log_offset desc limit 1), 0) into first_offset;\n";
        right
            .replace(lock, &format!("{early}{lock}"))
            .replace("coalesce(l.log_offset + 1, 0)", "first_offset")
    };
    let bug = Bug { append, append_one };
    let unguarded = "alter table shop.event drop constraint event_position; \
         create index on shop.event (partition, log_offset)";
    let why = found(bug, unguarded).await;
    assert!(why.contains("offset"), "{why}");
}

#[tokio::test]
async fn the_checker_finds_a_command_that_is_not_looked_up() {
    let append = |right: &str| {
        right.replace(
            "(select k.version from shop.event k where k.stream = s and k.command_id = c and k.ordinal = 0)",
            "null::bigint",
        )
    };
    let append_one = |right: &str| {
        let begin = "not exists (select from shop.event k";
        let (from, end) = (right.find(begin).unwrap(), "k.ordinal = 0)");
        let to = from + right[from..].find(end).unwrap() + end.len();
        format!("{}true{}", &right[..from], &right[to..])
    };
    let bug = Bug { append, append_one };
    let why = found(bug, "drop index shop.event_command").await;
    assert!(why.contains("none of these can follow"), "{why}");
}
