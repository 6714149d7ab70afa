//! What has to do with Kafka. The relays and the consumer wait by themselves until it is there.

use super::part::Role;
use super::services::Services;
use super::{ShopSettings, topic_of};
use event_store::Pace;
use event_store::follow::Feed;
use event_store::kafka::{FeedSettings, FeedStatus, KafkaFeeds, Relay, RelaySettings, RelayWatch};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Copies the logs that are here, if this process does that.
pub(super) fn relay(
    settings: &ShopSettings,
    services: &Services,
    feeds: &[Feed],
    pace: &Pace,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Vec<RelayWatch> {
    let mut relays = Vec::new();
    if !settings.part.has(Role::Relay) {
        return relays;
    }
    for (service, it) in &services.here {
        let Some(topic) = topic(settings, service) else { continue };
        let limits = settings.limits.relay(RelaySettings::new(settings.brokers.clone(), &topic));
        // Of a part of the shop nobody knows who else follows its logs.
        let own = feeds.iter().find(|feed| **feed.log().service() == **service);
        let alone = own.filter(|_| settings.part.is_whole()).cloned();
        let relay =
            Relay::new(it.log.clone(), RelaySettings { pace: pace.clone(), alone, ..limits });
        relays.push(relay.watch());
        tasks.spawn(relay.run(stop.clone()));
    }
    relays
}

/// Brings what others append to the followers that are here; gives how that goes, if there are any.
pub(super) fn consume(
    settings: &ShopSettings,
    feeds: &[Feed],
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Option<watch::Receiver<FeedStatus>> {
    let followed = settings.part.followed();
    let followed = feeds.iter().filter(|feed| followed.contains_key(&**feed.log().service()));
    let topic = |feed: &Feed| Some((topic(settings, feed.log().service())?, feed.clone()));
    let topics: Vec<_> = followed.filter_map(topic).collect();
    if topics.is_empty() {
        return None;
    }
    let group = format!("{}{}", settings.topic_prefix, settings.part.group());
    let brokers = settings.brokers.clone();
    let feeds =
        KafkaFeeds::new(FeedSettings { brokers, group, topics, limits: settings.limits.kafka() });
    let status = feeds.status();
    tasks.spawn(feeds.run(stop.clone()));
    Some(status)
}

fn topic(settings: &ShopSettings, service: &str) -> Option<String> {
    Some(format!("{}{}", settings.topic_prefix, topic_of(service)?))
}
