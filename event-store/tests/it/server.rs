//! A Postgres of the test's own: it can be killed, replicated, restored and copied. The tests of the
//! binary have it too.

use event_store::Database;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Where the servers of one test have their data, and who runs them.
pub(crate) struct Place {
    folder: TempDir,
    user: Option<(u32, u32)>,
    bin: PathBuf,
    /// What its servers are started with in their environment.
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
}

/// A server that runs; it ends with this.
pub(crate) struct Server<'a> {
    place: &'a Place,
    pub(crate) data: PathBuf,
    pub(crate) port: u16,
    pub(crate) process: Child,
}

/// No durability: the machine does not stop. Full pages stay, a base backup needs them.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "shared_buffers=16MB",
    "max_connections=80",
    "max_wal_senders=4",
    "fsync=off",
    "jit=off",
];

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("daybook-postgres-").tempdir().unwrap();
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        Place { folder, user, bin: newest(), variables: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Runs a program to its end.
    pub(crate) async fn run(&self, program: &str, arguments: &[&str]) {
        let own = self.bin.join(program);
        let program = if own.exists() { own } else { program.into() };
        let mut command = tokio::process::Command::from(self.command(&program));
        let output = command.args(arguments).output().await.unwrap();
        assert!(
            output.status.success(),
            "{} {arguments:?}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A new server with nothing in it.
    pub(crate) async fn primary(&self, settings: &[&str]) -> Server<'_> {
        let data = self.path("primary");
        let arguments = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
        let to = ["--wal-segsize=1", "-D", text(&data)];
        self.run("initdb", &[&arguments[..], &to].concat()).await;
        self.start(data, free_port(), settings).await
    }

    /// Runs what is in a folder.
    pub(crate) async fn start(&self, data: PathBuf, port: u16, settings: &[&str]) -> Server<'_> {
        // Whoever started it may be killed: then it ends too.
        let mut command = self.command(Path::new("setpriv"));
        command.args(["--pdeathsig", "QUIT"]).arg(self.bin.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        for setting in SETTINGS.iter().chain(settings) {
            command.args(["-c", setting]);
        }
        let told = fs::File::options().create(true).append(true).open(data.with_extension("log"));
        command.stdout(Stdio::null()).stderr(told.unwrap());
        let process = command.spawn().unwrap();
        let mut server = Server { place: self, data, port, process };
        until("the server takes connections", async || {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none(), "postgres ended at once: {}", server.told());
            server.database().connect("tests").await.is_ok()
        })
        .await;
        server
    }
}

impl<'a> Server<'a> {
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn database(&self) -> Database {
        Database::parse(&self.url()).unwrap()
    }

    /// What it has written to its log.
    pub(crate) fn told(&self) -> String {
        fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let client = self.database().connect("tests").await.unwrap();
        for statement in sql.split(';') {
            client.batch_execute(statement).await.unwrap();
        }
    }

    /// The one text that a query answers.
    pub(crate) async fn tell(&self, sql: &str) -> String {
        let client = self.database().connect("tests").await.unwrap();
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn becomes(&self, what: &str, sql: &str) {
        let sql = format!("select ({sql})::text");
        until(what, async || self.tell(&sql).await == "true").await;
    }

    pub(crate) async fn is_primary(&self) {
        self.becomes("it is a primary", "not pg_is_in_recovery()").await;
    }

    /// Waits until everything that was written is in the archive.
    pub(crate) async fn archives_everything(&self) {
        let last = self.tell("select pg_walfile_name(pg_switch_wal())").await;
        let sql = format!("select '{last}' <= last_archived_wal from pg_stat_archiver");
        self.becomes("everything is archived", &sql).await;
    }

    /// A copy that was taken while this server runs.
    pub(crate) async fn base_backup(&self, name: &str, more: &[&str]) -> PathBuf {
        let (data, port) = (self.place.path(name), self.port.to_string());
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-D", text(&data)];
        let how = ["--checkpoint=fast", "--no-sync"];
        self.place.run("pg_basebackup", &[&from[..], &how, more].concat()).await;
        data
    }

    /// An asynchronous replica that streams from this server.
    pub(crate) async fn replica(&self) -> Server<'a> {
        let data = self.base_backup("replica", &["--write-recovery-conf"]).await;
        self.place.start(data, free_port(), &[]).await
    }

    /// Waits until a replica has replayed everything that this server has written.
    pub(crate) async fn is_replayed_by(&self, replica: &Server<'_>) {
        let written = self.tell("select pg_current_wal_insert_lsn()::text").await;
        let replayed = format!("pg_last_wal_replay_lsn() >= '{written}'");
        replica.becomes("the replica has everything", &replayed).await;
    }

    /// From here on a replica is told nothing more.
    pub(crate) async fn cuts_off(&self, replica: &Server<'_>) {
        replica.execute("alter system set primary_conninfo = ''; select pg_reload_conf()").await;
        let nobody = "not exists (select from pg_stat_replication)";
        self.becomes("nobody streams", nobody).await;
    }

    /// The replica becomes the primary, and takes the place of the old one.
    pub(crate) async fn promoted_at(self, port: u16) -> Server<'a> {
        let (place, data) = (self.place, self.stop().await);
        let promoted = place.start(data, port, &[]).await;
        place.run("pg_ctl", &["promote", "--wait", "-D", text(&promoted.data)]).await;
        promoted
    }

    /// Ends it in order, and leaves its data.
    pub(crate) async fn stop(self) -> PathBuf {
        self.stop_in("fast").await
    }

    /// Ends it in one of `pg_ctl`'s modes, and leaves its data.
    pub(crate) async fn stop_in(mut self, mode: &str) -> PathBuf {
        let mode = format!("--mode={mode}");
        let stop = ["stop", "--wait", &mode, "-D", text(&self.data)];
        self.place.run("pg_ctl", &stop).await;
        self.process.wait().unwrap();
        self.data.clone()
    }

    /// As if the machine had gone. Its port is free after it.
    pub(crate) async fn kill(mut self) -> u16 {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let port = self.port;
        until("its port is free", async || is_free(port)).await;
        port
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let pg_ctl = self.place.bin.join("pg_ctl");
            let mut stop = self.place.command(&pg_ctl);
            stop.args(["stop", "--wait", "--silent", "--mode=immediate", "-D", text(&self.data)]);
            let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Waits for a condition, generously; a test never depends on how fast it comes true.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Postgres refuses to run as root, so root lends it an unprivileged user.
fn unprivileged() -> Option<(u32, u32)> {
    let ours = fs::read_to_string("/proc/self/status").unwrap();
    let uid = ours.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    if uid.split_whitespace().nth(1) != Some("0") {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    };
    Some(of("postgres").or_else(|| of("nobody")).expect("a user who runs postgres"))
}

/// Of what Debian installs the newest, else what the path leads to.
fn newest() -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let bins = debian.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let installed = bins.filter(|(_, bin)| bin.join("initdb").is_file()).max();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file())
    };
    installed.map(|(_, bin)| bin).or_else(on_path).expect("`make setup` installs PostgreSQL")
}

pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Below the range that the kernel hands out for outgoing connections, so that no client sits on it while
/// the server that had it is replaced by another.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 997 * 10).unwrap();
    let tried = (0..1_000).map(|_| {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        20_000 + own.wrapping_add(next) % 10_000
    });
    tried.into_iter().find(|port| is_free(*port)).expect("a free port below 30000")
}
