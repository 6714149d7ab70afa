use crate::lease::keep;
use crate::{Database, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio_postgres::Client;

/// Advisory locks of one process, all held by one session: they go with it, and it with its process, also if that
/// stands still.
#[derive(Clone)]
pub struct Locks(Arc<Inner>);

struct Inner {
    database: Database,
    /// Before every name: advisory locks belong to the whole database, names to one schema.
    schema: Arc<str>,
    session: Mutex<Option<Arc<Session>>>,
}

struct Session {
    client: Client,
    answer: Duration,
    /// It has left a question without an answer: its link died and left this end open.
    silent: AtomicBool,
}

/// A lock that is held while its session lives. Dropped, it is given back in the background.
pub struct Lock {
    session: Arc<Session>,
    name: String,
    released: bool,
}

const KEY: &str = "hashtextextended($1, 0)";

impl Locks {
    #[must_use]
    pub fn new(database: Database, schema: Arc<str>) -> Self {
        Locks(Arc::new(Inner { database, schema, session: Mutex::default() }))
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.0.schema)
    }

    /// Takes the lock if nobody else's session holds it. In one process a name is asked for by one task
    /// only: the session would be given it twice.
    ///
    /// # Errors
    /// If the database is out of reach.
    pub async fn try_lock(&self, name: &str) -> Result<Option<Lock>, StoreError> {
        let (session, name) = (self.session().await?, self.full(name));
        let sql = format!("select pg_try_advisory_lock({KEY})");
        let held = session.ask(&sql, &name).await?;
        Ok(held.then(|| Lock { session, name, released: false }))
    }

    /// Whether any session holds the lock, this one included.
    ///
    /// # Errors
    /// If the database is out of reach.
    pub async fn is_held(&self, name: &str) -> Result<bool, StoreError> {
        let session = self.session().await?;
        let sql = format!(
            "select exists (select from pg_locks \
             where locktype = 'advisory' and objsubid = 1 and granted \
               and database = (select oid from pg_database where datname = current_database()) \
               and classid::bigint << 32 | objid::bigint = {KEY})"
        );
        session.ask(&sql, &self.full(name)).await
    }

    async fn session(&self) -> Result<Arc<Session>, StoreError> {
        let mut session = self.0.session.lock().await;
        if let Some(session) = session.as_ref().filter(|session| session.lives()) {
            return Ok(session.clone());
        }
        let client = self.0.database.leased().connect("daybook locks").await?;
        let limits = &self.0.database.limits;
        let (answer, silent) = (limits.lock_answer, AtomicBool::new(false));
        let new = Arc::new(Session { client, answer, silent });
        let kept = Arc::downgrade(&new);
        tokio::spawn(keep(limits.lease, move || {
            let session = kept.upgrade();
            async move {
                match session {
                    Some(session) => session.says_something().await,
                    None => false,
                }
            }
        }));
        *session = Some(new.clone());
        Ok(new)
    }
}

impl Session {
    fn lives(&self) -> bool {
        !self.client.is_closed() && !self.silent.load(Ordering::SeqCst)
    }

    async fn ask(&self, sql: &str, name: &str) -> Result<bool, StoreError> {
        Ok(self.in_time(self.client.query_one(sql, &[&name])).await?.get(0))
    }

    /// Says that its process is at work; false if nobody hears it.
    async fn says_something(&self) -> bool {
        self.lives() && self.in_time(self.client.simple_query("")).await.is_ok()
    }

    async fn in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let asked = Instant::now();
        let answer = tokio::time::timeout(self.answer, asking).await;
        metrics::histogram!("daybook_lock_seconds", "who" => "followers").record(asked.elapsed());
        let answer = answer.map_err(|_elapsed| {
            self.silent.store(true, Ordering::SeqCst);
            StoreError::Silent
        })?;
        Ok(answer?)
    }
}

impl Lock {
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.session.lives()
    }

    /// Gives the lock back, and returns when that is done.
    pub async fn release(mut self) {
        self.released = true;
        if self.session.lives() {
            unlock(&self.session, &self.name).await;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.released || !self.session.lives() {
            return;
        }
        let (session, name) = (self.session.clone(), std::mem::take(&mut self.name));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { unlock(&session, &name).await });
        }
    }
}

async fn unlock(session: &Session, name: &str) {
    let sql = format!("select pg_advisory_unlock({KEY})");
    if let Err(error) = session.ask(&sql, name).await {
        // The session is gone, and the lock with it.
        tracing::debug!(%error, name, "a lock was not given back");
    }
}
