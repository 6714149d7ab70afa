use super::{PriceFollower, desk::Desk};
use deadpool_postgres::Pool;
use domain::values::{Money, Sku};
use event_store::follow::Source;
use event_store::{Position, StoreError, give_back};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::ToSql;

const MIN_POSITION_POLL: Duration = Duration::from_millis(10);

/// Bounds of a [`Prices`].
#[derive(Clone, Copy, Debug)]
pub struct PriceLimits {
    /// Until Postgres must have answered one look: whoever orders waits for it.
    pub answer: Duration,
    /// The most questions that one look answers, and the most that wait; who comes then waits outside.
    pub together: usize,
}

impl Default for PriceLimits {
    fn default() -> Self {
        PriceLimits { answer: Duration::from_secs(5), together: 256 }
    }
}

/// The price list, to look prices up in. Clones share it.
#[derive(Clone)]
pub struct Prices(Arc<Inner>);

struct Inner {
    pool: Pool,
    answer: Duration,
    desk: Desk,
    catalogue: Source,
    /// The catalogue's heads at this process's start, or when it could first be asked since: before the list has
    /// passed them, it may be older than what this shop has long told its customers.
    heads: OnceCell<Vec<i64>>,
    passed_heads: AtomicBool,
}

/// What the catalogue asks for a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub amount: Money,
    pub discontinued: bool,
}

/// Why no price can be given just now. All of it passes.
#[derive(Debug, thiserror::Error)]
pub enum PricesUnavailable {
    #[error("the price list has not passed the catalogue's heads of this process's start")]
    Starting,
    #[error(
        "the price list has not come to the position that was asked for, or to the catalogue's heads"
    )]
    Behind,
    #[error("the price list cannot be read")]
    Database(#[source] Arc<StoreError>),
}

impl PricesUnavailable {
    /// The whole chain, for the log.
    pub(crate) fn cause(&self) -> String {
        let sources =
            std::iter::successors(std::error::Error::source(self), |error| error.source());
        sources.fold(self.to_string(), |text, source| format!("{text}: {source}"))
    }
}

impl From<StoreError> for PricesUnavailable {
    fn from(error: StoreError) -> Self {
        PricesUnavailable::Database(Arc::new(error))
    }
}

/// Partition to epoch and next offset.
type Checkpoints = HashMap<i32, (i32, i64)>;

impl Prices {
    /// Lays the table if it is not there, and notes the catalogue's heads. Connections are the service's. Follow
    /// the catalogue with [`PriceFollower`] on the read side of `orders`, else no price is ever found. A catalogue that
    /// is elsewhere may be away: its heads are noted when it can be asked.
    ///
    /// # Errors
    /// If the database of `orders` or the log of a catalogue that is here is out of reach.
    pub async fn open(
        orders: Pool,
        catalogue: &Source,
        limits: PriceLimits,
    ) -> Result<Self, StoreError> {
        lay_table(&orders).await?;
        let (desk, heads) = (Desk::open(orders.clone(), limits), OnceCell::new());
        if let Source::Here(catalogue) = catalogue {
            heads.set(catalogue.heads().await?).expect("nobody has it yet");
        }
        let passed_heads = AtomicBool::new(false);
        let catalogue = catalogue.clone();
        Ok(Prices(Arc::new(Inner {
            pool: orders,
            answer: limits.answer,
            desk,
            catalogue,
            heads,
            passed_heads,
        })))
    }

    /// The prices of those products that have one, and perhaps of others, not older than `min`, which the
    /// list may take `wait` to come to; positions of other logs are ignored.
    ///
    /// # Errors
    /// See [`PricesUnavailable`].
    pub async fn lookup(
        &self,
        skus: &[&str],
        min: &[Position],
        wait: Duration,
    ) -> Result<Arc<HashMap<Sku, Price>>, PricesUnavailable> {
        if !self.has_passed_heads().await? {
            return Err(PricesUnavailable::Starting);
        }
        self.wait_for(min, wait).await?;
        self.0.desk.look(skus).await.map_err(PricesUnavailable::Database)
    }

    /// Whether prices can be looked up: the list has passed the heads once. To be asked again and again: this is where
    /// the heads of a catalogue elsewhere are noted, which whoever orders does not wait for.
    ///
    /// # Errors
    /// If the database is out of reach, or the catalogue.
    pub async fn is_ready(&self) -> Result<bool, PricesUnavailable> {
        self.0.heads.get_or_try_init(|| self.0.catalogue.heads()).await?;
        self.has_passed_heads().await
    }

    async fn has_passed_heads(&self) -> Result<bool, PricesUnavailable> {
        if self.0.passed_heads.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let Some(heads) = self.0.heads.get() else { return Ok(false) };
        let passed = has_passed(&self.checkpoints().await?, heads);
        self.0.passed_heads.store(passed, Ordering::Relaxed);
        Ok(passed)
    }

    /// Waits until the list has posted what the catalogue holds now. Before an order is refused for what the
    /// list says, it must say it of today's catalogue: a product that was listed a moment ago can be ordered.
    ///
    /// # Errors
    /// See [`PricesUnavailable`].
    pub async fn catch_up(&self, wait: Duration) -> Result<(), PricesUnavailable> {
        let asking = timeout(wait, self.0.catalogue.heads()).await;
        let heads = asking.map_err(|_elapsed| PricesUnavailable::Behind)??;
        self.until(wait, |checkpoints| has_passed(checkpoints, &heads)).await
    }

    /// Waits until the list has posted every one of the positions that are the catalogue's.
    async fn wait_for(&self, min: &[Position], wait: Duration) -> Result<(), PricesUnavailable> {
        let ours: Vec<_> = min.iter().filter(|it| it.service == "catalogue").collect();
        if ours.is_empty() {
            return Ok(());
        }
        self.until(wait, |checkpoints| {
            ours.iter().all(|position| {
                let checkpoint = checkpoints.get(&position.partition);
                checkpoint.is_some_and(|(epoch, next)| {
                    *epoch >= position.epoch && *next > position.offset
                })
            })
        })
        .await
    }

    async fn until(
        &self,
        wait: Duration,
        is_there: impl Fn(&Checkpoints) -> bool,
    ) -> Result<(), PricesUnavailable> {
        let deadline = Instant::now() + wait;
        while !is_there(&self.checkpoints().await?) {
            if Instant::now() >= deadline {
                return Err(PricesUnavailable::Behind);
            }
            sleep(MIN_POSITION_POLL).await;
        }
        Ok(())
    }

    async fn checkpoints(&self) -> Result<Checkpoints, PricesUnavailable> {
        // For one statement; who waits holds none.
        let client = self.0.pool.get().await.map_err(StoreError::from)?;
        let follower: [&(dyn ToSql + Sync); 2] = [&PriceFollower::NAME, &PriceFollower::GENERATION];
        let looking = async {
            let find = client.prepare_cached(include_str!("checkpoint.sql")).await?;
            let rows = client.query(&find, &follower).await?;
            Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
        };
        Ok(give_back(timeout(self.0.answer, looking).await, client)?)
    }
}

fn has_passed(checkpoints: &Checkpoints, heads: &[i64]) -> bool {
    heads.iter().zip(0..).all(|(head, partition)| {
        *head == 0 || checkpoints.get(&partition).is_some_and(|(_, next)| next >= head)
    })
}

pub(super) fn price(row: &tokio_postgres::Row) -> Result<(Sku, Price), StoreError> {
    let (sku, amount, currency) = (row.get::<_, &str>(0), row.get(1), row.get::<_, &str>(2));
    let read = || {
        let amount = Money::new(amount, currency.parse()?)?;
        Ok((sku.parse()?, Price { amount, discontinued: row.get(3) }))
    };
    read().map_err(|error: domain::values::Invalid| {
        StoreError::Other(format!("the price of {sku}: {error}"))
    })
}

async fn lay_table(pool: &Pool) -> Result<(), StoreError> {
    let mut client = pool.get().await?;
    let tx = client.transaction().await?;
    // Two processes that start together would both find it missing.
    tx.execute("select pg_advisory_xact_lock(hashtext('daybook orders_read.price'))", &[]).await?;
    tx.batch_execute(include_str!("table.sql")).await?;
    tx.commit().await?;
    Ok(())
}
