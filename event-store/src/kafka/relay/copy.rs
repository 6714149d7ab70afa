//! The copying itself: pages of one partition after another go to the producer while the window has room,
//! and the delivery callback moves the watermarks.

use super::super::limits::waited;
use super::super::{Brokers, KafkaFailure};
use super::producer::{Context, Deliveries, End, Producer};
use super::reader::Reader;
use super::{RelaySettings, RelayState, RelayStatus, Relayed, note};
use crate::failpoint::failpoint;
use crate::follow::Feed;
use crate::{Log, Recorded, Rest, Stepped, kafka};
use futures_util::{FutureExt, StreamExt};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) struct Copy<'a> {
    log: &'a Log,
    settings: &'a RelaySettings,
    reader: &'a Reader,
    producer: &'a Producer,
    deliveries: &'a Arc<Deliveries>,
    /// By partition, the first offset that was not handed to the producer.
    next: Vec<i64>,
    /// By partition, how well the broker knows this producer.
    known: Vec<Known>,
    /// The partition whose turn it is.
    turn: usize,
    relayed: i64,
    in_flight: metrics::Gauge,
    /// When `relayed` last grew, or nothing was under way.
    moved: Instant,
    /// When the heads are read again, on the relay's own connection: for what other processes append, and to learn
    /// that the connection, and with it the lock, is lost.
    poll_at: Instant,
    watch: Watch,
}

/// A topic that was deleted and made again is reported by nobody, so it is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(3);
/// How soon a comparison is given up that nobody waits for any more.
const WATCH_STEP: Duration = Duration::from_secs(1);
/// After a page of so many events it does not wait for more.
const FULL: usize = 100;

/// How far a partition was acknowledged, and when this producer was acknowledged there last.
///
/// A broker takes any batch of a producer that it does not know, and only then holds the next ones to be in
/// sequence. Were the first one refused, those that are under way behind it would be taken all the same, and leave
/// a hole that nobody can see. So the first event goes alone.
struct Known {
    relayed: i64,
    at: Option<Instant>,
}

/// Brokers forget a producer that was silent for long: by default for a day.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// A page to send: its partition, where it begins, and how many events it may have.
type Turn = (i32, i64, i64);

/// What the brokers say to a comparison.
enum Answer {
    AsAcknowledged,
    Nothing,
    /// They are busy with themselves, as after a change of leaders.
    NotNow,
}

/// The comparison of the topic's ends with what was acknowledged.
struct Watch {
    at: Instant,
    running: Option<JoinHandle<Result<Answer, KafkaFailure>>>,
    given_up: CancellationToken,
    turn: usize,
}

impl<'a> Copy<'a> {
    pub(super) fn new(
        log: &'a Log,
        settings: &'a RelaySettings,
        reader: &'a Reader,
        producer: &'a Producer,
        deliveries: &'a Arc<Deliveries>,
    ) -> Self {
        let now = Instant::now();
        let next: Vec<i64> = deliveries.ends().iter().map(|end| end.relayed).collect();
        let known = next.iter().map(|relayed| Known { relayed: *relayed, at: None }).collect();
        Copy {
            log,
            settings,
            reader,
            producer,
            deliveries,
            relayed: next.iter().sum(),
            in_flight: metrics::gauge!("daybook_relay_in_flight", "service" => log.service().to_string()),
            next,
            known,
            turn: 0,
            moved: now,
            poll_at: now,
            watch: Watch {
                at: now + WATCH_EVERY,
                running: None,
                given_up: CancellationToken::new(),
                turn: 0,
            },
        }
    }

    /// Copies until stopped, or until other brokers are named.
    pub(super) async fn run(
        &mut self,
        status: &watch::Sender<RelayStatus>,
        mut brokers: watch::Receiver<Option<Brokers>>,
        stop: &CancellationToken,
    ) -> Result<(), KafkaFailure> {
        let mut heads = self.log.known_heads();
        while !stop.is_cancelled() && !brokers.has_changed().unwrap_or(false) {
            self.look()?;
            self.tell(status);
            self.refresh().await?;
            let turns = self.turns();
            if !turns.is_empty() {
                let rest = self.send_pages(turns).await?;
                // Whether it was cut short shows in a moment.
                stop.run_until_cancelled(self.settings.pace.take(rest)).await;
                continue;
            }
            let deliveries = self.deliveries.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                Ok(()) = brokers.changed() => return Ok(()),
                () = deliveries.told.notified() => {}
                Ok(()) = heads.changed() => {}
                () = self.reader.told.notified() => self.poll_at = Instant::now(),
                () = tokio::time::sleep_until(self.poll_at) => {}
            }
        }
        let asked = std::time::Instant::now();
        self.drain().await;
        waited("acknowledgements at the end", asked);
        self.tell(status);
        Ok(())
    }

    /// Looks for failures that nobody waits for.
    fn look(&mut self) -> Result<(), KafkaFailure> {
        if let Some(failure) = self.deliveries.failure() {
            return Err(failure);
        }
        let now = Instant::now();
        let waiting = self.under_way();
        self.in_flight.set(waiting as f64);
        let relayed = self.next.iter().sum::<i64>() - waiting;
        if relayed > self.relayed || waiting == 0 {
            self.moved = now;
        }
        if relayed > self.relayed {
            self.deliveries.in_reach();
            let service = self.log.service().to_string();
            let grown = u64::try_from(relayed - self.relayed).unwrap_or_default();
            metrics::counter!("daybook_relay_events_total", "service" => service).increment(grown);
            self.relayed = relayed;
        }
        let stall = self.settings.stall;
        if now - self.moved > stall {
            return Err(KafkaFailure::Unacknowledged { seconds: stall.as_secs(), waiting });
        }
        self.watch_topic(now)
    }

    /// Begins to compare the topic with what was acknowledged, or looks at how that went.
    fn watch_topic(&mut self, now: Instant) -> Result<(), KafkaFailure> {
        if let Some(running) = &mut self.watch.running {
            if !running.is_finished() {
                return Ok(());
            }
            let running = self.watch.running.take();
            self.watch.at = now + WATCH_EVERY;
            match running.and_then(FutureExt::now_or_never).transpose()?.transpose()? {
                Some(Answer::AsAcknowledged) => self.deliveries.in_reach(),
                Some(Answer::Nothing) => self.deliveries.out_of_reach(),
                Some(Answer::NotNow) | None => {}
            }
        } else if now >= self.watch.at {
            let (client, topic) = (self.producer.client(), self.settings.topic.clone());
            let given_up = self.watch.given_up.clone();
            let patience = self.settings.limits.answer;
            let end = self.watched_end();
            let comparing = move || compare(&client, topic, end, patience, &given_up);
            self.watch.running = Some(spawn_blocking(comparing));
        }
        Ok(())
    }

    /// The partition to compare next, and its end: one that has records, because a topic made again has none where
    /// it had some. They take turns.
    fn watched_end(&mut self) -> (i32, i64) {
        let ends = self.deliveries.ends();
        let after = (0..).zip(ends).map(|(partition, end)| (partition, end.kafka));
        let (mut filled, all): (Vec<_>, Vec<_>) = after.partition(|(_, end)| *end > 0);
        if filled.is_empty() {
            filled = all;
        }
        self.watch.turn += 1;
        filled[self.watch.turn % filled.len()]
    }

    /// Lets go of the producer: a comparison that is under way would keep it from its end.
    pub(super) async fn end(mut self) {
        self.watch.given_up.cancel();
        if let Some(running) = self.watch.running.take() {
            // What it found is looked at by whoever relays next.
            let _ = running.await;
        }
    }

    fn under_way(&self) -> i64 {
        let ends = self.deliveries.ends();
        self.next.iter().zip(ends).map(|(next, end)| next - end.relayed).sum()
    }

    fn tell(&self, status: &watch::Sender<RelayStatus>) {
        let state = self.deliveries.trouble().map_or(RelayState::Up, RelayState::Down);
        note(self.log, &self.settings.topic, status, state);
        let relayed = |(head, end): (i64, End)| Relayed { head, relayed: end.relayed };
        let heads = self.heads();
        let partitions: Vec<_> =
            heads.into_iter().zip(self.deliveries.ends()).map(relayed).collect();
        status.send_if_modified(|status| {
            let changed = status.partitions != partitions;
            status.partitions = partitions;
            changed
        });
    }

    async fn refresh(&mut self) -> Result<(), KafkaFailure> {
        let told = self.reader.told.notified().now_or_never().is_some();
        if told || self.poll_at <= Instant::now() {
            self.reader.refresh_heads().await?;
            self.poll_at = Instant::now() + self.settings.poll;
        }
        Ok(())
    }

    fn heads(&self) -> Vec<i64> {
        self.log.known_heads().borrow().clone()
    }

    /// The partitions that have something to send and where it begins, as many as the window has room for.
    fn turns(&mut self) -> Vec<Turn> {
        let room = (self.settings.window - self.under_way()) / self.settings.page;
        let room = usize::try_from(room).unwrap_or_default();
        let (heads, now) = (self.heads(), Instant::now());
        for (known, end) in self.known.iter_mut().zip(self.deliveries.ends()) {
            if known.relayed < end.relayed {
                *known = Known { relayed: end.relayed, at: Some(now) };
            }
        }
        let is_known = |p: usize| self.known[p].at.is_some_and(|at| now - at < FORGOTTEN);
        let count = self.next.len();
        let waits = |p: &usize| {
            let introduced = is_known(*p) || self.next[*p] == self.known[*p].relayed;
            introduced && self.next[*p] < heads[*p]
        };
        let from = self.turn;
        let turns: Vec<usize> =
            (from..from + count).map(|p| p % count).filter(waits).take(room).collect();
        self.turn = turns.last().map_or(from, |last| (last + 1) % count);
        let turn = |p: usize| {
            let partition = i32::try_from(p).expect("a log has few partitions");
            (partition, self.next[p], if is_known(p) { self.settings.page } else { 1 })
        };
        turns.into_iter().map(turn).collect()
    }

    /// While one page is handed to the producer Postgres reads the next. Returns how long to rest then.
    async fn send_pages(&mut self, turns: Vec<Turn>) -> Result<Rest, KafkaFailure> {
        let began = Instant::now();
        let (mut oldest, mut full) = (None, false);
        let reader = self.reader;
        let read = |(partition, from, limit)| reader.page(partition, from, limit);
        let mut pages = futures_util::stream::iter(turns).map(read).buffered(2);
        while let Some(page) = pages.next().await {
            let page = page?;
            oldest = oldest.into_iter().chain(page.first().map(|event| event.recorded_at)).min();
            full |= page.len() >= FULL;
            for event in page {
                if !self.send(&event)? {
                    break;
                }
                self.next[crate::append::index(event.partition)] = event.offset + 1;
            }
        }
        let took = began.elapsed();
        let Some(oldest) = oldest else { return Ok(Rest::default()) };
        let rest = self.settings.pace.rest(Stepped { oldest, took, full });
        let alone = !full && self.settings.alone.as_ref().is_some_and(Feed::is_alone);
        Ok(if alone { rest.at_least(self.settings.alone_rest) } else { rest })
    }

    /// Hands an event to the producer; false if it has no room.
    fn send(&self, event: &Recorded) -> Result<bool, KafkaFailure> {
        failpoint("relay-before-produce");
        let offset = usize::try_from(event.offset).unwrap_or(usize::MAX);
        let record = BaseRecord::with_opaque_to(&self.settings.topic, offset)
            .partition(event.partition)
            .key(event.stream.as_str())
            .payload(event.payload.as_str())
            .headers(kafka::headers(event));
        let Err(error) = self.producer.send(record) else {
            failpoint("relay-after-produce");
            return Ok(true);
        };
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
            return Ok(false);
        }
        let (topic, bytes) = (&self.settings.topic, event.payload.len());
        Err(self.deliveries.refused(&error, topic, event.partition, event.offset, bytes))
    }

    async fn drain(&self) {
        let deadline = Instant::now() + self.settings.limits.drain;
        while self.under_way() > 0 {
            let told = tokio::time::timeout_at(deadline, self.deliveries.told.notified()).await;
            if told.is_err() {
                return;
            }
        }
    }
}

/// Whether a partition of the topic still holds what was acknowledged. Blocks.
fn compare(
    client: &BaseProducer<Context>,
    topic: String,
    (partition, end): (i32, i64),
    patience: Duration,
    given_up: &CancellationToken,
) -> Result<Answer, KafkaFailure> {
    match watermarks(client, &topic, partition, patience, given_up) {
        Ok((_, found)) if found < end => Err(KafkaFailure::Replaced { topic }),
        Ok(_) => Ok(Answer::AsAcknowledged),
        Err(error) => match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            ) => Err(KafkaFailure::Replaced { topic }),
            Some(
                RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown,
            ) => Ok(Answer::Nothing),
            Some(_) | None => Ok(Answer::NotNow),
        },
    }
}

/// Asks in steps, so that it can be given up.
fn watermarks(
    client: &BaseProducer<Context>,
    topic: &str,
    partition: i32,
    patience: Duration,
    given_up: &CancellationToken,
) -> Result<(i64, i64), KafkaError> {
    let deadline = Instant::now() + patience;
    loop {
        let answered = client.client().fetch_watermarks(topic, partition, WATCH_STEP);
        let silent = |error: &KafkaError| {
            error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut)
        };
        let goes_on = !given_up.is_cancelled() && Instant::now() < deadline;
        if !(goes_on && answered.as_ref().is_err_and(silent)) {
            return answered;
        }
    }
}
