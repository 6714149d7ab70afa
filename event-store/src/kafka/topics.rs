use super::client::{self, Quiet};
use super::refusal::explained;
use super::{Brokers, KafkaFailure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// A topic that must be there.
pub(super) struct Topic {
    pub(super) name: String,
    /// Those of its log.
    pub(super) partitions: i32,
    /// Copies of each partition; −1 is what the brokers are set to.
    pub(super) replication: i32,
}

/// Who asks the brokers about topics, and how long he waits for their answer.
struct Admin {
    client: Arc<AdminClient<Quiet>>,
    /// Hears why brokers do not answer, if they may have a reason: the client above does not.
    hears: Option<(Brokers, BaseConsumer<Quiet>)>,
    answer: Duration,
}

impl Admin {
    fn open(brokers: &Brokers, answer: Duration) -> Result<Self, KafkaFailure> {
        let config = client::config(brokers, "topics");
        let client = Arc::new(config.create_with_context(Quiet::default())?);
        let hears = || config.create_with_context(Quiet::default());
        let hears = brokers.is_guarded().then(hears).transpose()?;
        Ok(Admin { client, hears: hears.map(|it| (brokers.clone(), it)), answer })
    }

    /// Its end is waited for, and no async task may wait like that.
    async fn end<T: Send + 'static>(
        self,
        asked: Result<T, KafkaFailure>,
    ) -> Result<T, KafkaFailure> {
        let ending = move || {
            let Admin { client, hears, .. } = self;
            drop(client);
            asked.map_err(|error| match &hears {
                Some((brokers, hears)) => explained(brokers, hears, error),
                None => error,
            })
        };
        spawn_blocking(ending).await?
    }
}

const APPEAR_PAUSE: Duration = Duration::from_millis(100);

/// The copy keeps what the log keeps: for ever, whole, at the time when it was written.
const SETTINGS: [(&str, &str); 5] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("compression.type", "producer"),
    ("message.timestamp.type", "CreateTime"),
];

/// Makes the topic if it is missing, else checks its number of partitions. Returns how many bytes a batch
/// of records may have, if the brokers say so.
pub(super) async fn ensure(
    brokers: &Brokers,
    topic: &Topic,
    answer: Duration,
) -> Result<Option<u32>, KafkaFailure> {
    let admin = Admin::open(brokers, answer)?;
    let ensured = match ensure_one(&admin, topic).await {
        Ok(()) => Ok(largest(&admin, &topic.name).await),
        Err(error) => Err(error),
    };
    admin.end(ensured).await
}

/// None where the brokers do not let everyone ask.
async fn largest(admin: &Admin, topic: &str) -> Option<u32> {
    let options = AdminOptions::new().request_timeout(Some(admin.answer));
    let topic = ResourceSpecifier::Topic(topic);
    let told = admin.client.describe_configs([&topic], &options).await.ok()?.pop()?.ok()?;
    told.get("max.message.bytes")?.value.as_ref()?.parse().ok()
}

async fn ensure_one(admin: &Admin, topic: &Topic) -> Result<(), KafkaFailure> {
    let found = match count(admin, &topic.name).await? {
        Some(found) => found,
        None => create(admin, topic).await?,
    };
    check(&topic.name, found, topic.partitions)
}

/// Waits until topics are there, and checks their numbers of partitions. Only the relay that owns a log
/// makes its topic: made by anyone else, while a relay still works for the one that was lost, it would
/// begin with what was under way just then, in the middle of the log.
pub(super) async fn appear(
    brokers: &Brokers,
    topics: Vec<(String, i32)>,
    answer: Duration,
) -> Result<(), KafkaFailure> {
    let admin = Admin::open(brokers, answer)?;
    let mut checked = Ok(());
    for (topic, partitions) in &topics {
        checked = match appear_one(&admin, topic).await {
            Ok(found) => check(topic, found, *partitions),
            Err(error) => Err(error),
        };
        if checked.is_err() {
            break;
        }
    }
    admin.end(checked).await
}

async fn appear_one(admin: &Admin, topic: &str) -> Result<i32, KafkaFailure> {
    loop {
        if let Some(found) = count(admin, topic).await? {
            return Ok(found);
        }
        tokio::time::sleep(APPEAR_PAUSE).await;
    }
}

fn check(topic: &str, found: i32, wanted: i32) -> Result<(), KafkaFailure> {
    if found == wanted {
        return Ok(());
    }
    Err(KafkaFailure::Partitions { topic: topic.to_owned(), found, wanted })
}

async fn create(admin: &Admin, topic: &Topic) -> Result<i32, KafkaFailure> {
    let replication = TopicReplication::Fixed(topic.replication);
    let mut new = NewTopic::new(&topic.name, topic.partitions, replication);
    for (key, value) in SETTINGS {
        new = new.set(key, value);
    }
    if topic.replication >= 3 {
        new = new.set("min.insync.replicas", "2");
    }
    let options = AdminOptions::new()
        .request_timeout(Some(admin.answer))
        .operation_timeout(Some(admin.answer));
    for created in admin.client.create_topics([&new], &options).await? {
        match created {
            Ok(_) => tracing::info!(topic = topic.name, "made the topic"),
            // Somebody else was quicker: the count below says whether it is the same.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => {
                let (topic, why) = (topic.name.clone(), code.to_string());
                return Err(KafkaFailure::NoTopic { topic, why });
            }
        }
    }
    let deadline = Instant::now() + admin.answer;
    while Instant::now() < deadline {
        if let Some(found) = count(admin, &topic.name).await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let why = "the brokers do not name it after it was made".to_owned();
    Err(KafkaFailure::NoTopic { topic: topic.name.clone(), why })
}

/// The number of partitions of a topic, if it is there.
async fn count(admin: &Admin, name: &str) -> Result<Option<i32>, KafkaFailure> {
    let (client, answer, name) = (admin.client.clone(), admin.answer, name.to_owned());
    let metadata =
        spawn_blocking(move || client.inner().fetch_metadata(Some(&name), answer)).await??;
    let Some(topic) = metadata.topics().first() else { return Ok(None) };
    match topic.error() {
        None => Ok(i32::try_from(topic.partitions().len()).ok()),
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(None),
        Some(error) => {
            let why = RDKafkaErrorCode::from(error).to_string();
            Err(KafkaFailure::NoTopic { topic: topic.name().to_owned(), why })
        }
    }
}
