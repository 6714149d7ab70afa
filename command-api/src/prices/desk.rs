//! Where prices are looked up for everybody: what was asked for while the last look lasted is one look.
//! Two hundred callers of a flash sale cost a few queries, and wait for no connection.

use super::list::{Price, PriceLimits, price};
use deadpool_postgres::Pool;
use domain::values::Sku;
use event_store::{StoreError, give_back};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

type Found = Result<Arc<HashMap<Sku, Price>>, Arc<StoreError>>;

struct Question {
    skus: Vec<String>,
    answer: oneshot::Sender<Found>,
}

/// Ends with its last clone.
#[derive(Clone)]
pub(super) struct Desk(mpsc::Sender<Question>);

impl Desk {
    pub(super) fn open(pool: Pool, limits: PriceLimits) -> Self {
        let (ask, asked) = mpsc::channel(limits.together.max(1));
        tokio::spawn(serve(pool, asked, limits));
        Desk(ask)
    }

    /// The prices of at least these products, as they are no earlier than now.
    pub(super) async fn look(&self, skus: &[&str]) -> Found {
        let (answer, found) = oneshot::channel();
        let skus = skus.iter().map(|sku| (*sku).to_owned()).collect();
        let asked = self.0.send(Question { skus, answer }).await;
        let closed = || Arc::new(StoreError::Other("prices are no longer looked up".to_owned()));
        asked.map_err(|_| closed())?;
        found.await.map_err(|_| closed())?
    }
}

async fn serve(pool: Pool, mut asked: mpsc::Receiver<Question>, limits: PriceLimits) {
    let mut questions = Vec::new();
    while asked.recv_many(&mut questions, limits.together).await > 0 {
        let skus: BTreeSet<&str> =
            questions.iter().flat_map(|question| &question.skus).map(String::as_str).collect();
        metrics::histogram!("daybook_price_look_questions").record(questions.len() as f64);
        let began = Instant::now();
        let found = find(&pool, &skus, limits.answer).await.map(Arc::new).map_err(Arc::new);
        metrics::histogram!("daybook_price_look_seconds").record(began.elapsed());
        for question in questions.drain(..) {
            // Whoever went away is not told.
            let _ = question.answer.send(found.clone());
        }
    }
}

async fn find(
    pool: &Pool,
    skus: &BTreeSet<&str>,
    answer: Duration,
) -> Result<HashMap<Sku, Price>, StoreError> {
    let client = pool.get().await?;
    let skus: Vec<&str> = skus.iter().copied().collect();
    let looking = async {
        let find = client.prepare_cached(include_str!("find.sql")).await?;
        let rows = client.query(&find, &[&skus]).await?;
        rows.iter().map(price).collect()
    };
    give_back(timeout(answer, looking).await, client)
}
