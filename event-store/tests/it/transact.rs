use crate::support::{
    InTill, NotEnough, Till, TillCommand, envelope, eventually, fresh_database, id, lose_the_tail,
    open, settings, took_one,
};
use event_store::{
    Database, Envelope, Log, LogSettings, TransactError, TransactLimits, Transactor, TurnLimits,
};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;

fn till(log: &Log) -> Transactor<Till> {
    Transactor::new(log.clone(), TransactLimits::default())
}

#[tokio::test]
async fn a_command_is_decided_appended_and_answered() {
    let till = till(&open(&fresh_database().await).await);
    let done =
        till.transact("till-1", TillCommand::Put { amount: 5 }, envelope(id(1))).await.unwrap();
    assert_eq!((done.version, done.events), (1, vec!["till.filled".to_owned()]));
    let refused = till.transact("till-1", TillCommand::Take { amount: 6 }, envelope(id(2))).await;
    let Err(TransactError::Rejected { rejection, position }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((rejection, position), (NotEnough(5), done.position.clone()));
    let nothing =
        till.transact("till-1", TillCommand::Take { amount: 0 }, envelope(id(3))).await.unwrap();
    assert_eq!((nothing.version, nothing.events, nothing.position), (1, vec![], done.position));
}

#[tokio::test]
async fn a_command_sent_twice_happens_once_and_gets_the_first_answer() {
    let log = open(&fresh_database().await).await;
    let (here, elsewhere) = (till(&log), till(&log));
    let put = || TillCommand::Put { amount: 5 };
    let first = here.transact("till-1", put(), envelope(id(1))).await.unwrap();
    here.transact("till-1", put(), envelope(id(2))).await.unwrap();
    assert_eq!(here.transact("till-1", put(), envelope(id(1))).await.unwrap(), first);
    assert_eq!(elsewhere.transact("till-1", put(), envelope(id(1))).await.unwrap(), first);
    assert_eq!(here.answered("till-1", id(1), None).await.unwrap(), Some(first));
    assert_eq!(here.answered("till-1", id(9), None).await.unwrap(), None);
    let (InTill { amount, .. }, version) = here.state("till-1").await.unwrap();
    assert_eq!((amount, version), (10, 2));
}

#[tokio::test]
async fn the_same_command_with_another_body_is_refused() {
    let till = till(&open(&fresh_database().await).await);
    let with = |fingerprint: &str| {
        let mut envelope = envelope(id(1));
        envelope.fingerprint = Some(fingerprint.into());
        envelope
    };
    till.transact("till-1", TillCommand::Put { amount: 5 }, with("a")).await.unwrap();
    let other = till.transact("till-1", TillCommand::Put { amount: 6 }, with("b")).await;
    assert!(matches!(other, Err(TransactError::OtherBody)), "{other:?}");
    let answered = till.answered("till-1", id(1), Some("b")).await;
    assert!(matches!(answered, Err(TransactError::OtherBody)));
}

#[tokio::test]
async fn a_version_asked_for_is_checked() {
    let till = till(&open(&fresh_database().await).await);
    till.transact("till-1", TillCommand::Put { amount: 5 }, envelope(id(1))).await.unwrap();
    let at = |version, command| {
        let mut envelope = envelope(id(command));
        envelope.expected_version = Some(version);
        envelope
    };
    let wrong = till.transact("till-1", TillCommand::Put { amount: 5 }, at(3, 2)).await;
    assert!(matches!(wrong, Err(TransactError::WrongVersion { actual: 1 })), "{wrong:?}");
    till.transact("till-1", TillCommand::Put { amount: 5 }, at(1, 2)).await.unwrap();
    // The retry of what passed is answered as it was.
    till.transact("till-1", TillCommand::Put { amount: 5 }, at(1, 2)).await.unwrap();
}

#[tokio::test]
async fn a_hot_stream_is_decided_right_by_many_callers_in_two_processes() {
    let database = fresh_database().await;
    // Two logs and two transactors: they share nothing but the database.
    let tills = [till(&open(&database).await), till(&open(&database).await)];
    tills[0].transact("till-1", TillCommand::Put { amount: 100 }, envelope(id(1))).await.unwrap();
    let mut takers = tokio::task::JoinSet::new();
    for taker in 0..200_u128 {
        let till = tills[usize::try_from(taker % 2).unwrap()].clone();
        takers.spawn(async move { took_one(&till, taker).await });
    }
    let mut taken = 0;
    while let Some(ended) = takers.join_next().await {
        taken += i32::from(ended.unwrap());
    }
    assert_eq!(taken, 100);
    assert_eq!(tills[0].state("till-1").await.unwrap().0.amount, 0);
}

/// Both take one again and again until somebody's turn is seen; how many they took.
async fn contend(database: &Database, tills: &[Transactor<Till>; 2]) -> u64 {
    let admin = database.connect("tests").await.unwrap();
    let turns = "select count(*) from pg_stat_activity \
         where datname = current_database() and application_name = 'daybook turn'";
    let mut taken = 0;
    eventually("they take turns", async || {
        let of = |taker: u64| &tills[usize::try_from(taker % 2).unwrap()];
        let take = |taker| took_one(of(taker), taker.into());
        assert!(join_all((taken..taken + 20).map(take)).await.into_iter().all(|took| took));
        taken += 20;
        admin.query_one(turns, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    taken
}

#[tokio::test]
async fn two_processes_take_turns_on_a_stream_that_they_share_and_give_them_back() {
    let database = fresh_database().await;
    let tills = [till(&open(&database).await), till(&open(&database).await)];
    let put = TillCommand::Put { amount: 1_000_000 };
    tills[0].transact("till-1", put, envelope(id(1))).await.unwrap();
    contend(&database, &tills).await;
    let admin = database.connect("tests").await.unwrap();
    eventually("no turn is held", || async {
        let held = "select count(*) from pg_locks where locktype = 'advisory' \
             and database = (select oid from pg_database where datname = current_database())";
        admin.query_one(held, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test]
async fn a_turn_that_is_never_given_holds_nobody_up() {
    let database = fresh_database().await;
    let open = async || {
        let turns = TurnLimits { wait: Duration::from_millis(20), ..TurnLimits::default() };
        Log::open(LogSettings { turns, ..settings(&database) }).await.unwrap()
    };
    let tills = [till(&open().await), till(&open().await)];
    let put = TillCommand::Put { amount: 1_000_000 };
    tills[0].transact("till-1", put, envelope(id(1))).await.unwrap();
    let hung = database.connect("tests").await.unwrap();
    hung.execute("select pg_advisory_lock(hashtextextended('shop/turn/till-1', 0))", &[])
        .await
        .unwrap();
    let taken = contend(&database, &tills).await;
    let left = tills[1].state("till-1").await.unwrap().0.amount;
    assert_eq!(left, 1_000_000 - taken);
}

#[tokio::test]
async fn one_command_sent_by_many_at_once_is_one_command() {
    let database = fresh_database().await;
    let tills = [till(&open(&database).await), till(&open(&database).await)];
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..50 {
        let till = tills[caller % 2].clone();
        callers.spawn(async move {
            till.transact("till-1", TillCommand::Put { amount: 7 }, envelope(id(1))).await.unwrap()
        });
    }
    let mut answers = Vec::new();
    while let Some(ended) = callers.join_next().await {
        answers.push(ended.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(tills[0].state("till-1").await.unwrap().1, 1);
}

/// Whoever sends a wrong body first must not spoil the answer of who repeats the right one.
#[tokio::test]
async fn of_two_bodies_that_wait_under_one_id_each_gets_its_own_answer() {
    let till = till(&open(&fresh_database().await).await);
    let send = async |command: u128, body: TillCommand| {
        let fingerprint = Some(format!("{body:?}"));
        let envelope = Envelope { fingerprint, ..envelope(id(command)) };
        till.transact("till-1", body, envelope).await
    };
    let (right, wrong) = (TillCommand::Put { amount: 7 }, TillCommand::Put { amount: 8 });
    let first = send(1, right.clone()).await.unwrap();
    let (second, third, fourth) =
        tokio::join!(send(1, wrong.clone()), send(1, right), send(1, wrong));
    assert!(matches!(second, Err(TransactError::OtherBody)), "{second:?}");
    assert_eq!(third.unwrap(), first);
    assert!(matches!(fourth, Err(TransactError::OtherBody)), "{fourth:?}");

    // What is rejected leaves no receipt, so it is in nobody's way.
    let (too_much, enough) = (TillCommand::Take { amount: 9 }, TillCommand::Take { amount: 5 });
    let (refused, done) = tokio::join!(send(2, too_much), send(2, enough));
    assert!(matches!(refused, Err(TransactError::Rejected { .. })), "{refused:?}");
    assert_eq!(done.unwrap().events, ["till.drained"]);
}

#[tokio::test]
async fn a_rejection_is_never_decided_on_a_state_that_another_process_has_changed() {
    let database = fresh_database().await;
    let [here, elsewhere] = [till(&open(&database).await), till(&open(&database).await)];
    let take = || TillCommand::Take { amount: 1 };
    let put = || TillCommand::Put { amount: 1 };
    here.transact("till-1", put(), envelope(id(1))).await.unwrap();
    here.transact("till-1", take(), envelope(id(2))).await.unwrap();
    // `here` has an empty till in its cache; money comes in behind its back.
    elsewhere.transact("till-1", put(), envelope(id(3))).await.unwrap();
    here.transact("till-1", take(), envelope(id(4))).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_is_refused_at_once() {
    let log = open(&fresh_database().await).await;
    let limits = TransactLimits { stream_queue: 3, ..TransactLimits::default() };
    let till: Arc<Transactor<Till>> = Arc::new(Transactor::new(log, limits));
    let all = (0..50_u128).map(|i| {
        let till = till.clone();
        async move { till.transact("till-1", TillCommand::Put { amount: 1 }, envelope(id(i))).await }
    });
    let answers = futures_util::future::join_all(all).await;
    let accepted = i64::try_from(answers.iter().filter(|answer| answer.is_ok()).count()).unwrap();
    let busy = answers.iter().filter(|a| matches!(a, Err(TransactError::Busy))).count();
    assert!(busy > 0 && accepted > 0);
    assert_eq!(till.state("till-1").await.unwrap().1, accepted);
}

#[tokio::test]
async fn a_decider_that_panics_leaves_its_stream_to_the_next_command() {
    let limits = TransactLimits { queue: 1, ..TransactLimits::default() };
    let till = Transactor::<Till>::new(open(&fresh_database().await).await, limits);
    let put = |amount| TillCommand::Put { amount };
    till.transact("till-1", put(1), envelope(id(1))).await.unwrap();
    let burst = till.transact("till-1", put(u64::MAX), envelope(id(2))).await;
    assert!(matches!(burst, Err(TransactError::OutcomeUnknown)), "{burst:?}");
    till.transact("till-1", put(1), envelope(id(3))).await.unwrap();
}

#[tokio::test]
async fn nothing_is_decided_on_a_state_whose_events_were_lost_in_a_failover() {
    let database = fresh_database().await;
    let [here, elsewhere] = [till(&open(&database).await), till(&open(&database).await)];
    let put = |amount| TillCommand::Put { amount };
    here.transact("till-1", put(1), envelope(id(1))).await.unwrap();
    here.transact("till-1", put(9), envelope(id(2))).await.unwrap();
    // `here` remembers ten at version 2; at the same version there will be two.
    lose_the_tail(&database).await;
    elsewhere.transact("till-1", put(1), envelope(id(3))).await.unwrap();
    let take = here.transact("till-1", TillCommand::Take { amount: 5 }, envelope(id(4))).await;
    let Err(TransactError::Rejected { rejection, .. }) = take else { panic!("{take:?}") };
    assert_eq!(rejection, NotEnough(2));
}

#[tokio::test]
async fn a_command_that_usually_begins_a_stream_is_decided_on_what_is_there() {
    let database = fresh_database().await;
    let put = async |log: &Log, command| {
        let put = TillCommand::PutTwice { amount: 1 };
        till(log).transact("till-1", put, envelope(id(command))).await.unwrap()
    };
    // Each by a process that knows nothing of the stream.
    let first = put(&open(&database).await, 1).await;
    assert_eq!((first.version, first.events.len()), (2, 2));
    assert_eq!(put(&open(&database).await, 2).await.version, 4);
    assert_eq!(put(&open(&database).await, 1).await, first, "it is in the log already");
    let (state, version) = till(&open(&database).await).state("till-1").await.unwrap();
    assert_eq!((state.amount, version), (4, 4));
}
