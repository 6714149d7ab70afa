use crate::log::{Epochs, Heads};
use crate::{Log, Recorded, StoreError};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// Where followers read a log: in its database, or from its owner in another process.
#[derive(Clone)]
pub enum Source {
    Here(Log),
    Elsewhere(Elsewhere),
}

/// Who answers for a log in another process. A trait, because this crate knows no HTTP.
#[async_trait]
pub trait Owner: Send + Sync + 'static {
    /// The end of every partition, read from the log.
    ///
    /// # Errors
    /// [`StoreError::Elsewhere`] if the owner does not say.
    async fn ends(&self) -> Result<Vec<End>, StoreError>;

    /// The events of a partition from an offset on, in order, as they are stored, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Elsewhere`] if the owner does not say.
    async fn read_partition(
        &self,
        partition: i32,
        from_offset: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError>;
}

/// Where a partition of a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub epoch: i32,
    pub next_offset: i64,
}

/// A log that another process answers for. Clones share what is known of it.
#[derive(Clone)]
pub struct Elsewhere(Arc<Inner>);

struct Inner {
    service: Arc<str>,
    partitions: u32,
    owner: Box<dyn Owner>,
    heads: Heads,
    epochs: Epochs,
}

impl Elsewhere {
    /// Nobody is asked yet: the owner may be away.
    #[must_use]
    pub fn new(service: &str, partitions: u32, owner: impl Owner) -> Self {
        Elsewhere(Arc::new(Inner {
            service: service.into(),
            partitions,
            owner: Box::new(owner),
            heads: Heads::new(partitions),
            epochs: Epochs::new(partitions),
        }))
    }

    async fn heads(&self) -> Result<Vec<i64>, StoreError> {
        let ends = self.0.owner.ends().await?;
        if u32::try_from(ends.len()) != Ok(self.0.partitions) {
            return Err(StoreError::Partitions {
                service: self.0.service.to_string(),
                stored: i64::try_from(ends.len()).unwrap_or(i64::MAX),
                configured: self.0.partitions,
            });
        }
        self.0.epochs.raise(&ends.iter().map(|end| end.epoch).collect::<Vec<_>>());
        Ok(ends.iter().map(|end| end.next_offset).collect())
    }

    async fn read_partition(
        &self,
        partition: i32,
        from_offset: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let page = self.0.owner.read_partition(partition, from_offset, limit).await?;
        if let Some(last) = page.last() {
            self.0.epochs.learn(partition, last.epoch);
        }
        Ok(page)
    }
}

impl From<Log> for Source {
    fn from(log: Log) -> Self {
        Source::Here(log)
    }
}

impl From<&Log> for Source {
    fn from(log: &Log) -> Self {
        Source::Here(log.clone())
    }
}

impl Source {
    #[must_use]
    pub fn service(&self) -> &Arc<str> {
        match self {
            Source::Here(log) => log.service(),
            Source::Elsewhere(elsewhere) => &elsewhere.0.service,
        }
    }

    #[must_use]
    pub fn partitions(&self) -> i32 {
        match self {
            Source::Here(log) => log.partitions(),
            Source::Elsewhere(elsewhere) => {
                i32::try_from(elsewhere.0.partitions).expect("a log has few partitions")
            }
        }
    }

    /// See [`Log::known_heads`]; of a log elsewhere only what was read of it is known.
    #[must_use]
    pub fn known_heads(&self) -> watch::Receiver<Vec<i64>> {
        self.kept_heads().receiver()
    }

    /// The next offset of each partition, read from the log.
    ///
    /// # Errors
    /// If the log cannot be read, or has another number of partitions.
    pub async fn heads(&self) -> Result<Vec<i64>, StoreError> {
        match self {
            Source::Here(log) => log.heads().await,
            Source::Elsewhere(elsewhere) => elsewhere.heads().await,
        }
    }

    /// Reads the heads from the log and tells those who wait for them.
    ///
    /// # Errors
    /// See [`heads`](Self::heads).
    pub async fn refresh_heads(&self) -> Result<(), StoreError> {
        let before = self.known_heads().borrow().clone();
        let heads = self.heads().await?;
        self.kept_heads().set(&heads, &before);
        Ok(())
    }

    /// The events of a partition from an offset on, in order, at most `limit`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn read_partition(
        &self,
        partition: i32,
        from_offset: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        match self {
            Source::Here(log) => log.read_partition(partition, from_offset, limit).await,
            Source::Elsewhere(elsewhere) => {
                elsewhere.read_partition(partition, from_offset, limit).await
            }
        }
    }

    /// How long ago anybody in this process read the heads.
    pub(crate) fn heads_age(&self) -> Duration {
        self.kept_heads().age()
    }

    pub(crate) fn known_epoch(&self, partition: i32) -> i32 {
        match self {
            Source::Here(log) => log.known_epoch(partition),
            Source::Elsewhere(elsewhere) => elsewhere.0.epochs.of(partition),
        }
    }

    /// Which connection of a lane told what was told last of a partition. Who tells nothing has none.
    pub(crate) fn session(&self, partition: i32) -> u32 {
        match self {
            Source::Here(log) => log.tail().session(partition),
            Source::Elsewhere(_) => 0,
        }
    }

    /// Where the lanes of this process tell what they append, if there are any.
    pub(crate) fn listen(&self, buffer: usize) -> Option<broadcast::Sender<Arc<Recorded>>> {
        match self {
            Source::Here(log) => Some(log.tail().listen(buffer)),
            Source::Elsewhere(_) => None,
        }
    }

    /// Whether the lanes of this process told an event, or one behind it.
    pub(crate) fn knows(&self, partition: i32, epoch: i32, offset: i64) -> bool {
        match self {
            Source::Here(log) => log.tail().knows(partition, epoch, offset),
            Source::Elsewhere(_) => false,
        }
    }

    fn kept_heads(&self) -> &Heads {
        match self {
            Source::Here(log) => log.kept_heads(),
            Source::Elsewhere(elsewhere) => &elsewhere.0.heads,
        }
    }
}
