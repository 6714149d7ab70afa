use super::*;
use crate::Peer;
use axum::{Json, Router, routing::get};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// Where every name leads, until it leads elsewhere.
struct Leads(Mutex<Ipv4Addr>);

impl Resolve for Leads {
    fn resolve(&self, _: Name) -> Resolving {
        let found = SocketAddr::from((*self.0.lock().unwrap(), 0));
        let found: Addrs = Box::new(std::iter::once(found));
        Box::pin(std::future::ready(Ok(found)))
    }
}

/// Serves its own address there; the port.
async fn serves(address: Ipv4Addr, port: u16) -> u16 {
    let router = Router::new().route("/who", get(async move || Json(address)));
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

#[tokio::test]
async fn a_name_is_asked_for_again_though_whoever_had_it_before_still_answers() {
    let (first, second) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
    let port = serves(first, 0).await;
    serves(second, port).await;
    let leads = Arc::new(Leads(Mutex::new(first)));
    let limits = PeerLimits { idle: Duration::from_millis(20), ..PeerLimits::default() };
    let lines = Lines::of(Client::builder().dns_resolver(leads.clone()), &limits).unwrap();
    let url = format!("http://them.example:{port}");
    let peer = Peer::over(lines, "them", &url, limits).unwrap();
    let who = async || peer.get::<Ipv4Addr>("/who", &[]).await.unwrap();
    assert_eq!(who().await, first);
    *leads.0.lock().unwrap() = second;
    let moving = async {
        while who().await != second {
            // A connection that is used all the time stays.
            tokio::time::sleep(2 * limits.idle).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), moving).await.expect("it is asked there");
}
