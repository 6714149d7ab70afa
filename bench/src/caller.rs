//! A caller over one HTTP/1.1 connection that costs the load generator as little as can be: it shares the machine
//! with what it measures.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

pub struct Caller {
    address: String,
    connection: SendRequest<Full<Bytes>>,
}

impl Caller {
    pub async fn connect(url: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").context("http only")?.to_owned();
        let stream = TcpStream::connect(&address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        // It ends with the connection.
        tokio::spawn(driver);
        Ok(Caller { address, connection })
    }

    /// Places an order; false if it was refused as one too many: 503 with Retry-After.
    pub async fn place(&mut self, order: String) -> Result<bool> {
        let request = Request::post("/v1/orders")
            .header("host", &self.address)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(order)))?;
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
