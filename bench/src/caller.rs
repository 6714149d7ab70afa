//! A caller over one HTTP/1.1 connection that costs the load generator as little as can be: it shares the machine
//! with what it measures.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub struct Caller {
    address: String,
    token: Option<String>,
    connection: SendRequest<Full<Bytes>>,
}

impl Caller {
    pub async fn connect(url: &str) -> Result<Self> {
        Self::guarded(url, None, None).await
    }

    /// One who shows a token, or speaks TLS.
    pub async fn guarded(
        url: &str,
        token: Option<&str>,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self> {
        let (_, address) = url.split_once("://").context("no address")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let connection = match tls {
            None => spoken(stream).await?,
            Some(tls) => {
                let name = ServerName::try_from("localhost")?;
                spoken(TlsConnector::from(tls).connect(name, stream).await?).await?
            }
        };
        Ok(Caller { address: address.to_owned(), token: token.map(str::to_owned), connection })
    }

    /// Places an order; false if it was refused as one too many: 503 with Retry-After.
    pub async fn place(&mut self, order: String) -> Result<bool> {
        let mut request = Request::post("/v1/orders")
            .header("host", &self.address)
            .header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let request = request.body(Full::new(Bytes::from(order)))?;
        self.connection.ready().await?;
        let answer = self.connection.send_request(request).await?;
        let (head, body) = answer.into_parts();
        body.collect().await?;
        let accepted = head.status == StatusCode::CREATED;
        let refused = head.status == StatusCode::SERVICE_UNAVAILABLE
            && head.headers.contains_key("retry-after");
        ensure!(accepted || refused, "an order got {}", head.status);
        Ok(accepted)
    }
}

async fn spoken(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>> {
    let (connection, driver) = handshake(TokioIo::new(stream)).await?;
    // It ends with the connection.
    tokio::spawn(driver);
    Ok(connection)
}
