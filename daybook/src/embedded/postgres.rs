//! The embedded Postgres: a private cluster that listens on 127.0.0.1 and knows one password.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio_postgres::NoTls;

use super::error::{EmbeddedError, file};
use super::launch::Launch;
use super::process::Process;
use super::user::User;
use super::{home, installation, port, secret};

/// After a crash it replays its write-ahead log before it takes connections.
const PATIENCE: Duration = Duration::from_secs(300);

/// "Fast" breaks off what runs and writes a checkpoint, "immediate" leaves that to the next start.
const FAREWELL: &[(Signal, Duration)] =
    &[(Signal::INT, Duration::from_secs(8)), (Signal::QUIT, Duration::from_secs(2))];

const USER: &str = "postgres";
const DATABASE: &str = "daybook";

#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// Data live in `postgres/` here, unless that is closed to the user who runs it.
    pub data_dir: PathBuf,
    /// 0 is the port of the last time if it is free, else any free one.
    pub port: u16,
    /// False only for tests: data are lost when the machine stops, and commits are fast.
    pub durable: bool,
    /// Ends the server when the [`Postgres`] is dropped: for tests.
    pub leashed: bool,
    /// Memory for its buffers, in MiB. On a machine of its own a server is given a quarter of it.
    pub buffers_mib: u64,
    /// WAL from one checkpoint to the next, in MiB, at most: the disk that it takes. After each checkpoint a page is
    /// written whole when it is first touched, so a large log wants more of it.
    pub wal_mib: u64,
}

impl PostgresSettings {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        let (buffers_mib, wal_mib) = (256, 2048);
        Self { data_dir, port: 0, durable: true, leashed: false, buffers_mib, wal_mib }
    }
}

/// A running Postgres.
#[derive(Debug)]
pub struct Postgres {
    cluster: Cluster,
    port: u16,
    process: Process,
}

impl Postgres {
    /// Starts it, or adopts the one that runs. Returns when it takes connections.
    pub async fn start(settings: &PostgresSettings) -> Result<Self, EmbeddedError> {
        let cluster = Cluster::prepare(settings)?;
        let noted = cluster.noted_port();
        let last = noted.filter(|last| settings.port == 0 || settings.port == *last);
        if let Some((process, same)) = cluster.launch(last.unwrap_or(0)).leftover() {
            let found = Self { cluster: cluster.clone(), port: last.unwrap_or(0), process };
            if same && found.wait_until_ready().await.is_ok() {
                tracing::info!(
                    pid = found.process.pid(),
                    port = found.port,
                    "adopted a running Postgres"
                );
                return Ok(found);
            }
            found.stop().await;
        }
        let port = port::choose("Postgres", settings.port, noted)?;
        cluster.note_port(port)?;
        // Postgres would take one that has ended for one that runs.
        Process::is_gone(&cluster.launch(port).record()).await;
        let process = cluster.launch(port).start()?;
        let started = Self { cluster, port, process };
        started.wait_until_ready().await?;
        started.create_database().await?;
        Ok(started)
    }

    /// How to reach the database `daybook` as the superuser.
    pub fn config(&self) -> tokio_postgres::Config {
        self.cluster.config(self.port, DATABASE)
    }

    /// The same as a URL, with the password.
    pub fn url(&self) -> String {
        let Self { cluster: Cluster { password, .. }, port, .. } = self;
        format!("postgres://{USER}:{password}@127.0.0.1:{port}/{DATABASE}")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its data and its log.
    pub fn home(&self) -> &Path {
        &self.cluster.home
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it in order, within ten seconds.
    pub async fn stop(self) {
        self.process.end(FAREWELL).await;
    }

    /// Ends it as a crash would.
    pub async fn kill(self) {
        self.process.kill().await;
    }

    async fn wait_until_ready(&self) -> Result<(), EmbeddedError> {
        let config = self.cluster.config(self.port, USER);
        let launch = self.cluster.launch(self.port);
        let ready = || async { config.connect(NoTls).await.is_ok() };
        launch.wait_until_ready(&self.process, PATIENCE, ready).await
    }

    async fn create_database(&self) -> Result<(), EmbeddedError> {
        let config = self.cluster.config(self.port, USER);
        let (client, connection) = config.connect(NoTls).await.map_err(EmbeddedError::Database)?;
        let connection = tokio::spawn(connection);
        let exists = "select 1 from pg_database where datname = $1";
        let exists =
            client.query_opt(exists, &[&DATABASE]).await.map_err(EmbeddedError::Database)?;
        if exists.is_none() {
            let create = format!("create database {DATABASE}");
            client.batch_execute(&create).await.map_err(EmbeddedError::Database)?;
        }
        drop(client);
        // It ends because its client is gone; how it ended is of no interest.
        let _ = connection.await;
        Ok(())
    }
}

/// A cluster's place on disk and what starts it.
#[derive(Clone, Debug)]
struct Cluster {
    settings: PostgresSettings,
    home: PathBuf,
    bin: PathBuf,
    user: Option<User>,
    password: String,
}

impl Cluster {
    /// Finds the cluster, or makes it.
    fn prepare(settings: &PostgresSettings) -> Result<Self, EmbeddedError> {
        let user = User::for_postgres()?;
        let home = home::for_postgres(&settings.data_dir, user)?;
        let data = home.join("data");
        let bin = installation::find(&data)?;
        let settings = settings.clone();
        let mut cluster = Self { settings, home, bin, user, password: String::new() };
        if data.exists() {
            let path = cluster.password_path();
            cluster.password = fs::read_to_string(&path).map_err(file("read", &path))?;
        } else {
            cluster.initialise()?;
        }
        Ok(cluster)
    }

    /// `initdb` works in a folder beside `data`, so what is called `data` was finished.
    fn initialise(&mut self) -> Result<(), EmbeddedError> {
        let (new, password) = (self.home.join("data.new"), self.password_path());
        if new.exists() {
            fs::remove_dir_all(&new).map_err(file("remove", &new))?;
        }
        self.password = secret::hex(16)?;
        write_closed(&password, &self.password)?;
        if let Some(user) = self.user {
            user.own(&password)?;
        }
        let mut command = Command::new(self.bin.join("initdb"));
        command.arg("-D").arg(&new).arg("--pwfile").arg(&password);
        command.args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8"]);
        // Bytes decide the order, as everywhere in Daybook; upper and lower case are Unicode's.
        command.args(["--locale=C", "--lc-ctype=C.UTF-8"]);
        if !self.settings.durable {
            command.arg("--no-sync");
        }
        command.current_dir(&self.home).stdin(Stdio::null());
        if let Some(user) = self.user {
            user.become_in(&mut command);
        }
        let launch = |source| EmbeddedError::Launch { program: self.bin.join("initdb"), source };
        let output = command.output().map_err(launch)?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(EmbeddedError::Failed { what: "initdb", output });
        }
        let data = self.home.join("data");
        fs::rename(&new, &data).map_err(file("rename", &new))
    }

    fn launch(&self, port: u16) -> Launch {
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.home.join("data").into()];
        arguments.extend(["-p".into(), port.to_string().into()]);
        let mut set = |setting: &str| arguments.extend(["-c".into(), setting.into()]);
        set("listen_addresses=127.0.0.1");
        // No socket file: its path may be no longer than 107 bytes, and the data folder's may.
        set("unix_socket_directories=");
        set("max_connections=300");
        set(&format!("shared_buffers={}MB", self.settings.buffers_mib));
        set(&format!("max_wal_size={}MB", self.settings.wal_mib));
        set("checkpoint_timeout=15min");
        // Until the first checkpoint there is no old file of the WAL to use again: each new one, every 16 MB, would be
        // written twice and synced, and all appends would wait for it a tenth of a second.
        set("wal_init_zero=off");
        // Dues come and go: what is dead of them is looked at until it is vacuumed.
        set("autovacuum_naptime=10s");
        // A young table is analysed at every nap. Its rows are looked up by keys, which a tenth of the sample tells.
        set("default_statistics_target=10");
        // Its statements are many and short; compiling them costs more than it saves.
        set("jit=off");
        if !self.settings.durable {
            set("fsync=off");
            set("full_page_writes=off");
        }
        Launch {
            server: "Postgres",
            program: self.bin.join("postgres"),
            arguments,
            home: self.home.clone(),
            user: self.user,
            leash: self.settings.leashed.then_some(Signal::QUIT),
        }
    }

    fn config(&self, port: u16, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user(USER).password(&self.password).dbname(database);
        config.connect_timeout(Duration::from_secs(5));
        config
    }

    fn password_path(&self) -> PathBuf {
        self.home.join("password")
    }

    fn noted_port(&self) -> Option<u16> {
        port::noted::<1>(&self.home.join("port")).map(|[port]| port)
    }

    fn note_port(&self, port: u16) -> Result<(), EmbeddedError> {
        port::note(&self.home.join("port"), &[port])
    }
}

/// Writes a file that its owner alone may read.
fn write_closed(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let open = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(path);
    open.and_then(|mut open| open.write_all(text.as_bytes())).map_err(file("write", path))
}
