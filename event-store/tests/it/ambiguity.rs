//! A connection to Postgres that fails in every way between the sending of an append and its answer.

use crate::proxy::{Mode, Proxy, Toward};
use crate::support::{
    NotEnough, Till, TillCommand, envelope, eventually, fresh_database, id, settings,
};
use event_store::{Database, Done, Log, TransactError, TransactLimits, Transactor};
use std::time::Duration;

/// What is awaited at most; no test rests on how long it took.
const PATIENCE: Duration = Duration::from_secs(60);

const READERS: usize = 2;

type Answer = Result<Done, TransactError<NotEnough>>;

/// One process behind a proxy of its own. A call is given up after `call_timeout_ms`.
async fn process(database: &Database, call_timeout_ms: u64) -> (Proxy, Transactor<Till>) {
    let proxy = Proxy::before(database).await;
    let mut settings = settings(&proxy.of(database));
    settings.lanes = 1;
    settings.readers = READERS;
    settings.call_timeout = Duration::from_millis(call_timeout_ms);
    let log = Log::open(settings).await.unwrap();
    (proxy, Transactor::new(log, TransactLimits::default()))
}

/// In such a stream the second command has two events: its append has the long form, and that of a lone event the
/// short one.
const LONG: &str = "till-long";

fn events_of(stream: &str, command: u128) -> usize {
    if command == 2 && stream.starts_with(LONG) { 2 } else { 1 }
}

async fn try_put(till: &Transactor<Till>, stream: &str, command: u128) -> Answer {
    let put = match events_of(stream, command) {
        1 => TillCommand::Put { amount: 1 },
        _ => TillCommand::PutTwice { amount: 1 },
    };
    let put = till.transact(stream, put, envelope(id(command)));
    tokio::time::timeout(PATIENCE, put).await.expect("a caller is held for ever")
}

/// Sends a command again while its outcome is unknown or its stream cannot be read: at most once for each
/// connection that may have died unnoticed, and once more.
async fn put(till: &Transactor<Till>, stream: &str, command: u128) -> Done {
    for _ in 0..READERS {
        match try_put(till, stream, command).await {
            Ok(done) => return done,
            Err(TransactError::OutcomeUnknown | TransactError::Store(_)) => {}
            Err(other) => panic!("{stream}: {other}"),
        }
    }
    try_put(till, stream, command).await.unwrap()
}

/// The stream has both commands once, and whoever asks again for the second gets its first answer.
async fn acted_once(till: &Transactor<Till>, stream: &str, answer: Answer) {
    let again = put(till, stream, 2).await;
    match answer {
        Ok(first) => assert_eq!(first, again, "{stream}"),
        Err(TransactError::OutcomeUnknown) => {}
        Err(other) => panic!("{stream}: {other}"),
    }
    let count = events_of(stream, 2);
    let events = vec!["till.filled".to_owned(); count];
    assert_eq!((again.version, again.events), (1 + count as i64, events), "{stream}");
    let stored = till.log().read_stream(stream, 0, 10).await.unwrap();
    let commands: Vec<_> = stored.iter().map(|event| event.command_id).collect();
    assert_eq!(commands[0], id(1), "{stream}");
    assert_eq!(commands[1..], vec![id(2); count], "{stream}");
    assert_eq!(again.position.unwrap(), stored[count].position(), "{stream}");
}

/// The bytes of one append toward the server and of its answer.
/// The names are as long as those of the streams that are cut.
async fn measure(database: &Database, form: &str) -> [usize; 2] {
    let (proxy, till) = process(database, 20_000).await;
    let stream = format!("{form}-measure-000");
    put(&till, &stream, 1).await;
    let before = proxy.carried();
    put(&till, &stream, 2).await;
    let after = proxy.carried();
    [after[0] - before[0], after[1] - before[1]]
}

/// The answer is cut before each of its bytes and after its last one, the request before every third.
#[tokio::test]
async fn an_append_whose_connection_is_cut_at_any_byte_acts_once_and_is_answered_as_the_first_time()
{
    const WORKERS: usize = 8;
    let database = fresh_database().await;
    let mut cuts = Vec::new();
    for form in ["till-short", LONG] {
        let [request, answer] = measure(&database, form).await;
        assert!(request > 200 && answer > 20, "{request} and {answer} bytes are no append");
        let of =
            |toward, step, bytes| (0..=bytes).step_by(step).map(move |after| (form, toward, after));
        cuts.extend(of(Toward::Server, 3, request).chain(of(Toward::Client, 1, answer)));
    }
    let worker = async |first: usize| {
        let (proxy, till) = process(&database, 20_000).await;
        for (form, toward, after) in cuts.iter().skip(first).step_by(WORKERS) {
            let stream = format!("{form}-{toward:?}-{after:04}");
            put(&till, &stream, 1).await;
            proxy.set(Mode::Cut { toward: *toward, after: *after });
            let answer = try_put(&till, &stream, 2).await;
            assert_eq!(proxy.mode(), Mode::Pass, "{stream}: nothing was cut");
            acted_once(&till, &stream, answer).await;
        }
    };
    futures_util::future::join_all((0..WORKERS).map(worker)).await;
}

#[tokio::test]
async fn an_answer_that_comes_in_small_pieces_is_read_all_the_same() {
    let database = fresh_database().await;
    let (proxy, till) = process(&database, 20_000).await;
    put(&till, "till-1", 1).await;
    proxy.set(Mode::Throttle { bytes: 7, pause: Duration::from_millis(1) });
    let answer = try_put(&till, "till-1", 2).await;
    acted_once(&till, "till-1", answer).await;
}

/// Sends a command over a link that fails, and mends the link when the lane has given up its session.
async fn resumes_after(mode: Mode) {
    let database = fresh_database().await;
    let (proxy, till) = process(&database, 200).await;
    put(&till, "till-1", 1).await;
    proxy.set(mode);
    let taken = proxy.taken();
    let sending = tokio::spawn({
        let till = till.clone();
        async move { try_put(&till, "till-1", 2).await }
    });
    eventually("the lane opens another session", async || proxy.taken() > taken).await;
    proxy.set(Mode::Pass);
    let answer = sending.await.unwrap();
    acted_once(&till, "till-1", answer).await;
    // Other streams, whose states must be read, go on too.
    put(&till, "till-2", 1).await;
}

#[tokio::test]
async fn everything_resumes_after_a_delay_longer_than_the_patience_of_a_call() {
    resumes_after(Mode::Delay(Duration::from_millis(700))).await;
}

#[tokio::test]
async fn everything_resumes_after_a_link_that_swallowed_all_it_was_given() {
    resumes_after(Mode::BlackHole).await;
}

#[tokio::test]
async fn everything_resumes_after_the_server_closed_and_nobody_told_the_client() {
    resumes_after(Mode::HalfOpen { closed: Toward::Server }).await;
}

#[tokio::test]
async fn everything_resumes_after_the_client_closed_and_nobody_told_the_server() {
    resumes_after(Mode::HalfOpen { closed: Toward::Client }).await;
}

/// The partition is locked by another, so the append waits in Postgres while the link dies. When the lock is
/// gone the append that nobody waits for commits, beside those that were sent again.
async fn acts_once_though_it_commits_late(mode: Mode) {
    let database = fresh_database().await;
    let (proxy, till) = process(&database, 200).await;
    put(&till, "till-1", 1).await;
    let admin = database.connect("tests").await.unwrap();
    let mut holder = database.connect("tests").await.unwrap();
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("select from shop.log_partition for update").await.unwrap();
    let sending = tokio::spawn({
        let till = till.clone();
        async move { try_put(&till, "till-1", 2).await }
    });
    let waiting = async |calls: i64| {
        let sql = "select count(*) >= $1 from pg_stat_activity where datname = current_database() \
             and application_name like 'daybook lane%' and wait_event_type = 'Lock'";
        admin.query_one(sql, &[&calls]).await.unwrap().get(0)
    };
    eventually("the append waits for the lock", async || waiting(1).await).await;
    proxy.set(mode);
    eventually("the same append waits beside it", async || waiting(2).await).await;
    lock.commit().await.unwrap();
    let answer = sending.await.unwrap();
    acted_once(&till, "till-1", answer).await;
}

#[tokio::test]
async fn an_append_acts_once_though_the_server_commits_it_after_the_client_lost_the_link() {
    acts_once_though_it_commits_late(Mode::HalfOpen { closed: Toward::Client }).await;
}

#[tokio::test]
async fn an_append_acts_once_though_the_client_gave_it_up_before_the_server_committed_it() {
    acts_once_though_it_commits_late(Mode::HalfOpen { closed: Toward::Server }).await;
}
