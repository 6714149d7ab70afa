use crate::kafka::{
    brokers, copied, create_topic, delete_topic, fill, known, logged, once, own, to,
};
use crate::support::{eventually, fresh_database, open, settings};
use event_store::kafka::{Relay, RelaySettings, RelayStart, RelayState, RelayStatus};
use event_store::{Log, migrate};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Running {
    pub(crate) status: watch::Receiver<RelayStatus>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(log: &Log, settings: RelaySettings) -> Self {
        let relay = Relay::new(log.clone(), settings);
        let stop = CancellationToken::new();
        Running { status: relay.status(), task: tokio::spawn(relay.run(stop.clone())), stop }
    }

    pub(crate) async fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&RelayStatus) -> bool,
    ) -> RelayStatus {
        let waiting = self.status.wait_for(|status| holds(status));
        let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        if let Ok(status) = waited {
            return status.unwrap().clone();
        }
        drop(waited);
        panic!("never: {what}; it is {:?}", *self.status.borrow())
    }

    /// Until everything that the log holds now is in Kafka.
    pub(crate) async fn caught_up(&mut self, log: &Log) {
        let heads = log.heads().await.unwrap();
        self.until("caught up", |status| {
            status.partitions.len() == heads.len()
                && status.partitions.iter().zip(&heads).all(|(p, head)| p.relayed >= *head)
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap();
    }
}

async fn a_log() -> Log {
    open(&fresh_database().await).await
}

#[tokio::test]
async fn the_topic_equals_the_log_event_by_event() {
    let (log, topic) = (a_log().await, own("shop-events"));
    fill(&log, 0..300).await;
    let mut relay = Running::start(&log, to(&topic));
    fill(&log, 300..600).await;
    relay.caught_up(&log).await;
    assert_eq!(copied(&topic, &log).await.unwrap(), logged(&log).await);
    relay.stop().await;
}

#[tokio::test]
async fn a_process_that_does_not_relay_tells_the_one_that_does_what_it_appends() {
    let database = fresh_database().await;
    let (here, there) = (open(&database).await, open(&database).await);
    let topic = own("shop-events");
    let never = Duration::from_secs(3_600);
    let mut relay = Running::start(&here, RelaySettings { poll: never, ..to(&topic) });
    relay.until("up", |status| status.state == RelayState::Up).await;
    let mut waits = Running::start(&there, to(&topic));
    waits.until("waiting", |status| status.state == RelayState::Elsewhere).await;
    for round in 0..5 {
        fill(&there, round * 10..round * 10 + 10).await;
        relay.caught_up(&there).await;
    }
    relay.stop().await;
    waits.stop().await;
}

#[tokio::test]
async fn the_relay_skips_nothing_when_several_processes_append_at_once() {
    let database = fresh_database().await;
    let (here, there) = (open(&database).await, open(&database).await);
    let topic = own("shop-events");
    let mut relay = Running::start(&here, to(&topic));
    tokio::join!(fill(&here, 0..400), fill(&there, 1_000..1_400));
    relay.caught_up(&here).await;
    let copied = copied(&topic, &here).await.unwrap();
    assert_eq!(copied.iter().map(Vec::len).sum::<usize>(), 800);
    assert_eq!(copied, logged(&here).await);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_was_stopped_goes_on_where_the_topic_ends() {
    let (log, topic) = (a_log().await, own("shop-events"));
    for round in 0..4 {
        let mut relay = Running::start(&log, to(&topic));
        fill(&log, round * 1_000..round * 1_000 + 200).await;
        // Sometimes in the middle of its work, sometimes after it.
        if round % 2 == 0 {
            relay.caught_up(&log).await;
        }
        relay.stop().await;
    }
    let mut relay = Running::start(&log, to(&topic));
    relay.caught_up(&log).await;
    assert_eq!(once(copied(&topic, &log).await.unwrap()), logged(&log).await);
    relay.stop().await;
}

#[tokio::test]
async fn of_two_relays_of_one_log_one_works_and_the_other_takes_over() {
    let database = fresh_database().await;
    let (log, other) = (open(&database).await, open(&database).await);
    let topic = own("shop-events");
    let mut first = Running::start(&log, to(&topic));
    first.until("the first one works", |s| s.state == RelayState::Up).await;
    let mut second = Running::start(&other, to(&topic));
    second.until("the second one waits", |s| s.state == RelayState::Elsewhere).await;
    fill(&log, 0..100).await;
    first.caught_up(&log).await;
    assert_eq!(second.status.borrow().state, RelayState::Elsewhere);
    first.stop().await;
    second.until("the second one works", |s| s.state == RelayState::Up).await;
    fill(&log, 100..200).await;
    second.caught_up(&log).await;
    assert_eq!(copied(&topic, &log).await.unwrap(), logged(&log).await);
    second.stop().await;
}

#[tokio::test]
async fn brokers_may_become_known_and_reachable_later() {
    let (log, topic) = (a_log().await, own("shop-events"));
    fill(&log, 0..50).await;
    let (tell, brokers_told) = watch::channel(None);
    let mut relay = Running::start(&log, RelaySettings { brokers: brokers_told, ..to(&topic) });
    relay.until("it waits", |s| s.state == RelayState::Waiting).await;
    // A port that nothing listens on.
    tell.send_replace(Some("127.0.0.1:1".to_owned().into()));
    relay.until("it says why", |s| matches!(s.state, RelayState::Down(_))).await;
    tell.send_replace(Some(brokers().into()));
    relay.caught_up(&log).await;
    assert_eq!(copied(&topic, &log).await.unwrap(), logged(&log).await);
    relay.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_deleted_is_made_again_and_filled_from_the_log() {
    let (log, topic) = (a_log().await, own("shop-events"));
    let mut relay = Running::start(&log, to(&topic));
    fill(&log, 0..200).await;
    relay.caught_up(&log).await;
    delete_topic(&topic).await;
    eventually("a quiet log is in the topic again", || async {
        copied(&topic, &log).await.map(once) == Some(logged(&log).await)
    })
    .await;
    delete_topic(&topic).await;
    create_topic(&topic, log.partitions()).await;
    fill(&log, 200..400).await;
    eventually("a busy log is in the topic again", || async {
        copied(&topic, &log).await.map(once) == Some(logged(&log).await)
    })
    .await;
    relay.stop().await;
}

#[tokio::test]
async fn a_topic_with_another_number_of_partitions_is_refused() {
    let (log, topic) = (a_log().await, own("shop-events"));
    create_topic(&topic, 3).await;
    let mut relay = Running::start(&log, to(&topic));
    let status = relay.until("refused", |s| matches!(s.state, RelayState::Refused(_))).await;
    let RelayState::Refused(why) = status.state else { panic!() };
    assert!(why.contains("has 3 partitions, its log has 4"), "{why}");
    relay.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_ahead_of_its_log_is_refused_with_what_to_do() {
    let (log, other, topic) = (a_log().await, a_log().await, own("shop-events"));
    let mut relay = Running::start(&other, to(&topic));
    fill(&other, 0..100).await;
    relay.caught_up(&other).await;
    relay.stop().await;
    fill(&log, 1_000..1_020).await;
    let mut relay = Running::start(&log, to(&topic));
    let status = relay.until("refused", |s| matches!(s.state, RelayState::Refused(_))).await;
    let RelayState::Refused(why) = status.state else { panic!() };
    assert!(why.contains("is ahead of its log") && why.contains("log new-epoch shop"), "{why}");
    relay.stop().await;
}

#[tokio::test]
async fn a_topic_of_another_service_is_refused() {
    let (log, topic) = (a_log().await, own("shared-events"));
    let database = fresh_database().await;
    migrate(&database, "bakery", 4).await.unwrap();
    let mut bakery = settings(&database);
    bakery.service = "bakery".into();
    bakery.database = database.of_service("bakery");
    let bakery = Log::open(bakery).await.unwrap();
    fill(&bakery, 0..20).await;
    let mut relay = Running::start(&bakery, to(&topic));
    relay.caught_up(&bakery).await;
    relay.stop().await;
    let mut relay = Running::start(&log, to(&topic));
    let status = relay.until("refused", |s| matches!(s.state, RelayState::Refused(_))).await;
    let RelayState::Refused(why) = status.state else { panic!() };
    assert!(why.contains("its ce_source is `bakery`, not `shop`"), "{why}");
    relay.stop().await;
}

#[tokio::test]
async fn a_copy_may_begin_at_the_head() {
    let (log, topic) = (a_log().await, own("shop-events"));
    fill(&log, 0..100).await;
    let heads = log.heads().await.unwrap();
    let mut relay = Running::start(&log, RelaySettings { start: RelayStart::Head, ..to(&topic) });
    relay.until("it works", |s| s.state == RelayState::Up).await;
    fill(&log, 100..200).await;
    relay.caught_up(&log).await;
    for (copied, head) in copied(&topic, &log).await.unwrap().into_iter().zip(heads) {
        assert_eq!(copied.first().map(|event| event.offset), Some(head));
    }
    relay.stop().await;
}

#[tokio::test]
async fn kcat_shows_cloudevents_keyed_by_stream() {
    let (log, topic) = (a_log().await, own("shop-events"));
    let mut relay = Running::start(&log, RelaySettings::new(known(), &topic));
    fill(&log, 0..1).await;
    relay.caught_up(&log).await;
    relay.stop().await;
    let arguments = ["-C", "-e", "-q", "-t", &topic, "-f", "%p\n%k\n%s\n%h\n"];
    let shown = tokio::process::Command::new("kcat")
        .args(["-b", &brokers()])
        .args(arguments)
        .output()
        .await
        .expect("kcat is installed by `make setup`");
    let shown = String::from_utf8(shown.stdout).unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], log.partition_of("till-0").to_string());
    assert_eq!(lines[1..3], ["till-0", r#"{"amount":1}"#]);
    let event = &log.read_stream("till-0", 0, 1).await.unwrap()[0];
    for header in [
        "ce_specversion=1.0".to_owned(),
        format!("ce_id={}", event.event_id),
        "ce_source=shop".to_owned(),
        "ce_type=till.filled".to_owned(),
        "ce_time=2023-11-14T22:13:20.000000Z".to_owned(),
        "ce_subject=till-0".to_owned(),
        "content-type=application/json".to_owned(),
        "daybook-offset=0".to_owned(),
    ] {
        assert!(
            lines[3].split(',').any(|found| found == header),
            "{header} is not in {}",
            lines[3]
        );
    }
}
