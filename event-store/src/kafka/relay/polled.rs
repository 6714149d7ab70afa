use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A producer and the one thread that runs its callbacks, like rdkafka's `ThreadedProducer`, but it sleeps
/// while nothing is under way: every poll with a time-out of rdkafka 0.39 spins through its last
/// millisecond, which for five idle logs is 4 % of a core.
pub(super) struct Polled<C: ProducerContext + 'static> {
    client: Arc<BaseProducer<C>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const POLL: Duration = Duration::from_millis(100);
/// How soon an error is told that concerns no event.
const NAP: Duration = Duration::from_secs(2);

impl<C: ProducerContext + 'static> Polled<C> {
    pub(super) fn new(client: BaseProducer<C>) -> io::Result<Self> {
        let (client, stop) = (Arc::new(client), Arc::new(AtomicBool::new(false)));
        let (polled, stopped) = (client.clone(), stop.clone());
        let named = thread::Builder::new().name("relay callbacks".to_owned());
        let thread = named.spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                // What waits for its callback counts too.
                if polled.in_flight_count() > 0 {
                    polled.poll(POLL);
                } else {
                    thread::park_timeout(NAP);
                }
            }
        })?;
        Ok(Polled { client, stop, thread: Some(thread) })
    }

    pub(super) fn send(
        &self,
        record: BaseRecord<'_, str, str, C::DeliveryOpaque>,
    ) -> Result<(), KafkaError> {
        let sent = self.client.send(record).map_err(|(error, _)| error);
        self.wake();
        sent
    }

    /// For questions to the brokers. Whoever holds on to it keeps the producer from its end.
    pub(super) fn client(&self) -> Arc<BaseProducer<C>> {
        self.client.clone()
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl<C: ProducerContext + 'static> Drop for Polled<C> {
    /// Blocks until the thread has ended: no callback runs beside those of the purge.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the relay's callbacks had panicked");
        }
    }
}
