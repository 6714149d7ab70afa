//! Kafka's configuration, which differs from one start to the next in its ports alone.

use std::path::Path;

use crate::embedded::error::EmbeddedError;
use crate::embedded::port;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) broker: u16,
    controller: u16,
}

impl Ports {
    pub(super) fn noted(home: &Path) -> Option<Self> {
        port::noted::<2>(&home.join("ports"))
            .map(|[broker, controller]| Self { broker, controller })
    }

    pub(super) fn note(self, home: &Path) -> Result<(), EmbeddedError> {
        port::note(&home.join("ports"), &[self.broker, self.controller])
    }

    pub(super) fn choose(asked: u16, last: Option<Self>) -> Result<Self, EmbeddedError> {
        let broker = port::choose("Kafka", asked, last.map(|ports| ports.broker))?;
        let last = last.map(|ports| ports.controller).filter(|port| *port != broker);
        loop {
            let controller = port::choose("Kafka's controller", 0, last)?;
            if controller != broker {
                return Ok(Self { broker, controller });
            }
        }
    }

    /// Topics are made by the relay, with the log's number of partitions, and never by a client's
    /// typing error. The two `broker.` times let a restart after a crash take 5 s instead of 13. The log cleaner's
    /// buffer is for what Kafka keeps for itself alone: at its default it takes half of the heap, and the other half is
    /// collected as a whole each second, in a pause of 80 ms.
    pub(super) fn properties(self, data: &Path) -> String {
        let Self { broker, controller } = self;
        format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{broker}\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\n\
             log.dirs={}\n\
             auto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=8\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             log.cleaner.dedupe.buffer.size=4194304\n\
             broker.session.timeout.ms=3000\n\
             broker.heartbeat.interval.ms=500\n",
            data.display()
        )
    }
}
