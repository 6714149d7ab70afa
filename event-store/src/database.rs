use crate::StoreError;
use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod,
};
use futures_util::{StreamExt, stream};
use rustls::ClientConfig;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How a service reaches its database.
#[derive(Clone, Debug)]
pub struct Database {
    pub config: Config,
    /// Becomes the session's role at connection, so that one login can serve several services and each
    /// session may still do no more than its service.
    pub role: Option<String>,
    pub limits: DatabaseLimits,
    /// With it every session speaks TLS or is none; without it what is said can be read on the way.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Bounds of the connections to a database.
#[derive(Clone, Debug)]
pub struct DatabaseLimits {
    /// Until a session must be there. A server that is stopped, or a proxy without one, takes the connection
    /// and says nothing: whoever holds a lane or the locks would wait for ever.
    pub session: Duration,
    /// Of a session, until its address must have taken the connection: a host may have several.
    pub connect: Duration,
    /// Until a pool must have a free connection, and a new one be made: a caller is refused while he still
    /// listens.
    pub pool_wait: Duration,
    /// A connection of a pool that nobody has taken for so long is asked whether it is still one. Its link may
    /// have died and left both ends open; whoever took it would wait for ever.
    pub idle: Duration,
    /// Until it must have said so.
    pub answer: Duration,
    /// Until a question for a lock must be answered: no other one waits for another session.
    pub lock_answer: Duration,
    /// A session that holds locks, or rows in a transaction, and says nothing for so long is ended by Postgres: its
    /// process stands still, and others wait for what it holds.
    pub lease: Duration,
}

impl Default for DatabaseLimits {
    fn default() -> Self {
        DatabaseLimits {
            session: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            pool_wait: Duration::from_secs(5),
            idle: Duration::from_secs(3),
            answer: Duration::from_secs(3),
            lock_answer: Duration::from_secs(5),
            lease: Duration::from_secs(10),
        }
    }
}

impl From<Config> for Database {
    /// As the user whom the connection string names, with the usual bounds.
    fn from(config: Config) -> Self {
        Database { config, role: None, limits: DatabaseLimits::default(), tls: None }
    }
}

async fn answers(client: &ClientWrapper, limit: Duration) -> Result<(), HookError> {
    let asked = Instant::now();
    let answer = tokio::time::timeout(limit, client.simple_query("")).await;
    metrics::histogram!("daybook_pool_check_seconds").record(asked.elapsed());
    match answer {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(HookError::Backend(error)),
        Err(_elapsed) => Err(HookError::message("no answer")),
    }
}

impl Database {
    /// # Errors
    /// If `url` is not a connection string of Postgres.
    pub fn parse(url: &str) -> Result<Self, tokio_postgres::Error> {
        Ok(Config::from_str(url)?.into())
    }

    /// The same database as the role of a service.
    #[must_use]
    pub fn of_service(&self, service: &str) -> Self {
        Database { role: Some(format!("{service}_service")), ..self.clone() }
    }

    /// The same database with one more setting for every session, `name=value`.
    #[must_use]
    pub fn with_option(&self, setting: &str) -> Self {
        let mut database = self.clone();
        let before = self.config.get_options().unwrap_or_default();
        database.config.options(format!("{before} -c {setting}").trim());
        database
    }

    /// The same database for sessions whose statements look rows up by their keys: each is planned once instead of
    /// each time it runs, and by no scan or join of whole tables, however small they are when it is planned. Nor by
    /// bitmaps: only the scan of an index marks what is dead in it, and goes through it once.
    #[must_use]
    pub fn by_keys(&self) -> Self {
        let off = ["seqscan", "bitmapscan", "hashjoin", "mergejoin"];
        let off = off.map(|kind| format!("enable_{kind}=off"));
        let generic = "plan_cache_mode=force_generic_plan".to_owned();
        off.iter().chain([&generic]).fold(self.clone(), |it, setting| it.with_option(setting))
    }

    fn session(&self, application: &str) -> Config {
        // A host that vanished must not keep its locks for the two hours of a kernel's default.
        let mut lively = self.clone();
        for setting in ["idle=30", "interval=10", "count=3"] {
            lively = lively.with_option(&format!("tcp_keepalives_{setting}"));
        }
        let mut config = match &self.role {
            Some(role) => lively.with_option(&format!("role={role}")).config,
            None => lively.config,
        };
        if self.tls.is_some() {
            config.ssl_mode(SslMode::Require);
        }
        config
            .application_name(application)
            .connect_timeout(self.limits.connect)
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(Duration::from_secs(30));
        config
    }

    /// A connection of its own; the task that drives it ends with the client.
    ///
    /// # Errors
    /// If Postgres cannot be reached or refuses the session.
    pub async fn connect(&self, application: &str) -> Result<Client, StoreError> {
        self.connect_hearing(application, || ()).await
    }

    /// The same, and `hear` is called at each notification of a channel that it listens to.
    pub(crate) async fn connect_hearing(
        &self,
        application: &str,
        hear: impl Fn() + Send + 'static,
    ) -> Result<Client, StoreError> {
        let session = self.session(application);
        let asked = Instant::now();
        let connecting = async {
            match self.connector() {
                None => open(session, NoTls, hear).await,
                Some(tls) => open(session, tls, hear).await,
            }
        };
        let client = tokio::time::timeout(self.limits.session, connecting).await;
        metrics::histogram!("daybook_session_seconds").record(asked.elapsed());
        Ok(client.map_err(|_elapsed| StoreError::Silent)??)
    }

    fn connector(&self) -> Option<MakeRustlsConnect> {
        self.tls.as_ref().map(|tls| MakeRustlsConnect::new((**tls).clone()))
    }

    /// At most `size` connections, made when needed.
    ///
    /// # Errors
    /// If the pool's settings are refused.
    pub fn pool(&self, application: &str, size: usize) -> Result<Pool, StoreError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let session = self.session(application);
        let manager = match self.connector() {
            None => Manager::from_config(session, NoTls, recycling),
            Some(tls) => Manager::from_config(session, tls, recycling),
        };
        let DatabaseLimits { idle, answer, pool_wait, .. } = self.limits;
        Pool::builder(manager)
            .max_size(size)
            // The one that was used last needs no question whether it lives, and has its statements at hand.
            .queue_mode(QueueMode::Lifo)
            .pre_recycle(Hook::async_fn(move |client, usage| {
                let is_idle = usage.last_used() > idle;
                Box::pin(
                    async move { if is_idle { answers(client, answer).await } else { Ok(()) } },
                )
            }))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(pool_wait))
            .create_timeout(Some(pool_wait))
            .build()
            .map_err(|error| StoreError::Other(format!("the pool cannot be built: {error}")))
    }
}

/// A session, and the task that drives it until its client is gone.
async fn open<T>(
    session: Config,
    tls: T,
    hear: impl Fn() + Send + 'static,
) -> Result<Client, tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, mut connection) = session.connect(tls).await?;
    tokio::spawn(async move {
        let mut told = stream::poll_fn(|cx| connection.poll_message(cx));
        while let Some(message) = told.next().await {
            match message {
                Ok(AsyncMessage::Notification(_)) => hear(),
                Ok(AsyncMessage::Notice(notice)) => tracing::debug!(%notice, "postgres says"),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a connection to postgres ended");
                    return;
                }
            }
        }
    });
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_the_connection_and_says_nothing_is_given_up() {
        // The kernel takes connections for it; it never looks.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let database = Database::parse(&format!("postgres://nobody@127.0.0.1:{port}/none"));
        let silent = database.expect("a url").connect("tests").await;
        assert!(matches!(silent, Err(StoreError::Silent)), "{:?}", silent.err());
    }
}
