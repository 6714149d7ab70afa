use crate::authority::{Authority, files};
use axum::{Json, Router, routing::get};
use edge::tls::{Tls, TlsFiles, client, client_of};
use edge::{Door, Lines, Peer, PeerLimits, Serving, run};
use rcgen::KeyPair;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
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

async fn door(files: &TlsFiles) -> (Tls, u16) {
    let tls = Tls::new(files.server().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new()
        .route("/", get(async || "in secret"))
        .route("/word", get(async || Json("in secret")));
    let door = Door { listener, tls: Some(tls.clone()) };
    tokio::spawn(run(door, router, CancellationToken::new(), Serving::default()));
    (tls, port)
}

/// What is answered to one who trusts an authority and shows this.
async fn ask(port: u16, trusted: &Authority, own: Option<&TlsFiles>) -> std::io::Result<String> {
    ask_as(client(&trusted.file, own).unwrap(), port).await
}

async fn ask_as(config: ClientConfig, port: u16) -> std::io::Result<String> {
    let config = Arc::new(config);
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
    ours.writes(&server);
    let (_, port) = door(&server).await;
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
    ours.writes(&server);
    let (friend, stranger) =
        (files(folder.path(), "friend", None), files(folder.path(), "stranger", None));
    ours.writes(&friend);
    other.writes(&stranger);
    let (_, port) = door(&server).await;
    assert!(ask(port, &ours, Some(&friend)).await.unwrap().ends_with("in secret"));
    ask(port, &ours, None).await.unwrap_err();
    ask(port, &ours, Some(&stranger)).await.unwrap_err();
}

#[tokio::test]
async fn a_certificate_that_was_renewed_is_shown_and_a_broken_one_is_not() {
    let folder = folder();
    let (old, new) = (Authority::new(folder.path(), "old"), Authority::new(folder.path(), "new"));
    let server = files(folder.path(), "server", None);
    old.writes(&server);
    let (tls, port) = door(&server).await;
    std::fs::write(&server.certificate, "no certificate").unwrap();
    server.server().unwrap_err();
    ask(port, &old, None).await.unwrap();

    new.writes(&server);
    tls.set(server.server().unwrap());
    ask(port, &new, None).await.unwrap();
    ask(port, &old, None).await.unwrap_err();
}

#[tokio::test]
async fn services_show_each_other_who_they_are_and_what_was_renewed_with_the_next_connection() {
    let folder = folder();
    let (ours, other) =
        (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
    let (server, own) =
        (files(folder.path(), "server", Some(&ours)), files(folder.path(), "own", None));
    ours.writes(&server);
    other.writes(&own);
    let (_, port) = door(&server).await;
    let limits = PeerLimits { retries: 0, ..PeerLimits::default() };
    let lines = |trusted: &Authority| {
        Lines::new(&limits, Some(client(&trusted.file, Some(&own)).unwrap())).unwrap()
    };
    let url = format!("https://127.0.0.1:{port}");
    let peer = Peer::over(lines(&ours), "orders", &url, limits).unwrap();
    peer.get::<String>("/word", &[]).await.unwrap_err();
    ours.writes(&own);
    peer.get::<String>("/word", &[]).await.unwrap_err();
    peer.set_lines(lines(&ours));
    assert_eq!(peer.get::<String>("/word", &[]).await.unwrap(), "in secret");
    // Other authorities are trusted without a new peer too.
    peer.set_lines(lines(&other));
    peer.get::<String>("/word", &[]).await.unwrap_err();
}

#[tokio::test]
async fn whoever_has_its_certificate_knows_a_service_by_any_name_and_is_not_deceived() {
    let folder = folder();
    let (ours, other) =
        (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
    let server = files(folder.path(), "server", None);
    ours.writes_for("shop.example", &server);
    let (tls, port) = door(&server).await;
    ask(port, &ours, None).await.expect_err("it is of another name");
    let by_sight = client_of(&server.certificate, None, None).unwrap();
    assert!(ask_as(by_sight.clone(), port).await.unwrap().ends_with("in secret"));

    // Of the right authority, but another one.
    ours.writes_for("shop.example", &server);
    tls.set(server.server().unwrap());
    ask_as(by_sight, port).await.unwrap_err();
    let known = files(folder.path(), "known", None);
    ours.writes(&known);
    let either = client_of(&known.certificate, Some(&ours.file), None).unwrap();
    ask_as(either.clone(), port).await.expect_err("it is of another name");
    ours.writes(&server);
    tls.set(server.server().unwrap());
    ask_as(either, port).await.unwrap();
    let deceived = client_of(&known.certificate, Some(&other.file), None).unwrap();
    ask_as(deceived, port).await.unwrap_err();
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = folder();
    let authority = Authority::new(folder.path(), "ours");
    let server = files(folder.path(), "server", None);
    let missing = server.server().unwrap_err().to_string();
    assert!(missing.contains("server.cert.pem: No such file"), "{missing}");
    authority.writes(&server);
    // The key of another certificate.
    std::fs::write(&server.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let other = server.server().unwrap_err();
    assert!(other.to_string().contains("does not go with its key"), "{other}");
    // A key whose lines were lost on the way is still a key.
    let key = std::fs::read_to_string(&server.key).unwrap().replace('\n', "");
    std::fs::write(&server.key, key).unwrap();
    let broken = format!("{:?}", server.server().unwrap_err());
    assert!(broken.contains("it is no PEM") && broken.len() < 300, "{broken}");
}
