use axum::{Json, Router, routing::get};
use edge::tls::{Tls, TlsFiles, client};
use edge::{Door, Peer, PeerLimits, Serving, run};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// Far more than anything here takes.
const SOON: Duration = Duration::from_secs(30);

/// Signs certificates; its own is in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), file }
    }

    /// Writes a certificate for this machine's own address, and its key.
    fn signs(&self, files: &TlsFiles) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
    }
}

fn files(folder: &Path, name: &str, callers: Option<&Authority>) -> TlsFiles {
    TlsFiles {
        certificate: folder.join(format!("{name}.cert.pem")),
        key: folder.join(format!("{name}.key.pem")),
        callers: callers.map(|it| it.file.clone()),
    }
}

async fn door(tls: Tls) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new()
        .route("/", get(async || "in secret"))
        .route("/word", get(async || Json("in secret")));
    let door = Door { listener, tls: Some(tls) };
    tokio::spawn(run(door, router, CancellationToken::new(), Serving::default()));
    port
}

/// What is answered to one who trusts an authority and shows this.
async fn ask(port: u16, trusted: &Authority, own: Option<&TlsFiles>) -> std::io::Result<String> {
    let config = Arc::new(client(&trusted.file, own).unwrap());
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let asking = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut stream = TlsConnector::from(config).connect(name, stream).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(SOON, asking).await.unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn it_speaks_tls_and_to_nobody_in_clear() {
    let folder = folder();
    let (ours, other) =
        (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
    let server = files(folder.path(), "server", None);
    ours.signs(&server);
    let port = door(Tls::read(server).unwrap()).await;
    assert!(ask(port, &ours, None).await.unwrap().ends_with("in secret"));
    ask(port, &other, None).await.unwrap_err();

    let mut clear = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    clear.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // It may be reset: what came before counts.
    let _ = timeout(SOON, clear.read_to_end(&mut answer)).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("in secret"));
}

#[tokio::test]
async fn whoever_shows_no_certificate_of_a_known_authority_stays_outside() {
    let folder = folder();
    let (ours, other) =
        (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
    let server = files(folder.path(), "server", Some(&ours));
    ours.signs(&server);
    let (friend, stranger) =
        (files(folder.path(), "friend", None), files(folder.path(), "stranger", None));
    ours.signs(&friend);
    other.signs(&stranger);
    let port = door(Tls::read(server).unwrap()).await;
    assert!(ask(port, &ours, Some(&friend)).await.unwrap().ends_with("in secret"));
    ask(port, &ours, None).await.unwrap_err();
    ask(port, &ours, Some(&stranger)).await.unwrap_err();
}

#[tokio::test]
async fn a_certificate_that_was_renewed_is_shown_and_a_broken_one_is_not() {
    let folder = folder();
    let (old, new) = (Authority::new(folder.path(), "old"), Authority::new(folder.path(), "new"));
    let server = files(folder.path(), "server", None);
    old.signs(&server);
    let tls = Tls::read(server.clone()).unwrap();
    let port = door(tls.clone()).await;
    assert!(!tls.look().unwrap(), "nothing has changed");

    std::fs::write(&server.certificate, "no certificate").unwrap();
    tls.look().unwrap_err();
    assert!(!tls.look().unwrap(), "it is complained of once");
    ask(port, &old, None).await.unwrap();

    new.signs(&server);
    assert!(tls.look().unwrap());
    ask(port, &new, None).await.unwrap();
    ask(port, &old, None).await.unwrap_err();
}

#[tokio::test]
async fn services_show_each_other_who_they_are_and_a_renewed_certificate_is_shown_with_the_next_connection()
 {
    let folder = folder();
    let (ours, other) =
        (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
    let (server, own) =
        (files(folder.path(), "server", Some(&ours)), files(folder.path(), "own", None));
    ours.signs(&server);
    other.signs(&own);
    let port = door(Tls::read(server).unwrap()).await;
    let tls = client(&ours.file, Some(&own)).unwrap();
    let limits = PeerLimits { retries: 0, ..PeerLimits::default() };
    let url = format!("https://127.0.0.1:{port}");
    let peer = Peer::secure("orders", &url, limits, Some(&tls)).unwrap();
    peer.get::<String>("/word", &[]).await.unwrap_err();
    ours.signs(&own);
    assert_eq!(peer.get::<String>("/word", &[]).await.unwrap(), "in secret");
    let stranger = client(&other.file, Some(&own)).unwrap();
    let peer = Peer::secure("orders", &url, limits, Some(&stranger)).unwrap();
    peer.get::<String>("/word", &[]).await.unwrap_err();
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = folder();
    let authority = Authority::new(folder.path(), "ours");
    let server = files(folder.path(), "server", None);
    let missing = Tls::read(server.clone()).unwrap_err();
    assert!(missing.to_string().ends_with("server.cert.pem"), "{missing}");
    authority.signs(&server);
    // The key of another certificate.
    std::fs::write(&server.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let other = Tls::read(server).unwrap_err();
    assert!(other.to_string().contains("does not go with its key"), "{other}");
}
