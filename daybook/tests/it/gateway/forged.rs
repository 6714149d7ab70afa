//! Whoever says that he is somebody else, or comes from elsewhere.

use super::upstream::{Fate, Upstream};
use super::{EVERYBODY, gateway};
use crate::support::{World, binary, free_port, http};
use reqwest::{Client, Response};
use std::net::Ipv4Addr;

/// Callers at addresses of their own.
const ANN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const BOB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

fn at(address: Ipv4Addr) -> Client {
    drop(http());
    Client::builder().local_address(Some(address.into())).build().unwrap()
}

/// Asks and says in every way that somebody else does.
async fn ask_as(client: &Client, url: &str, forged: Ipv4Addr) -> Response {
    let forged = forged.to_string();
    let asking = client.get(url).header("x-forwarded-for", &forged);
    let asking = asking.header("x-forwarded-for", format!("{forged}, {forged}"));
    let asking = asking.header("x-forwarded-proto", "https").header("x-forwarded-proto", "wss");
    let asking = asking.header("forwarded", format!("for={forged};proto=https"));
    asking.header("Forwarded", format!("for=\"{forged}\"")).send().await.unwrap()
}

#[tokio::test]
async fn what_a_client_says_of_himself_the_gateway_replaces_by_what_it_sees() {
    let upstream = Upstream::new(Fate::Answered, &[]).await;
    let answer = ask_as(&at(ANN), &format!("{}/v1/stock", upstream.gateway.url), BOB).await;
    assert_eq!(answer.status(), 200);
    let asked = upstream.asked();
    let said = |line: &&String| {
        let name = line.split(':').next().unwrap().to_ascii_lowercase();
        name.contains("forwarded")
    };
    let mut said: Vec<_> = asked[0].1.iter().filter(said).cloned().collect();
    said.sort();
    assert_eq!(said, [format!("x-forwarded-for: {ANN}"), "x-forwarded-proto: http".to_owned()]);
}

#[tokio::test]
async fn behind_the_gateway_a_caller_has_his_own_share_and_no_other_whatever_he_says() {
    let world = World::new().await.without_kafka();
    let mut command = binary();
    for (key, value) in [
        ("DAYBOOK_TRUSTED_PROXIES", "127.0.0.1"),
        ("DAYBOOK_QUERIES_PER_S", "1"),
        ("DAYBOOK_QUERIES_BURST", "1000"),
    ] {
        command.env(key, value);
    }
    let daybook = world.spawn(command, free_port());
    daybook.is_ready().await;
    let gateway = gateway(&daybook, EVERYBODY, &[]).await;
    let (ann, bob) = (at(ANN), at(BOB));
    let left = async |who: &Client, forged: Ipv4Addr| {
        let answer = ask_as(who, &format!("{}/v1/stock", gateway.url), forged).await;
        assert_eq!(answer.status(), 200);
        let state = answer.headers()["ratelimit"].to_str().unwrap().to_owned();
        let (_, left) = state.split_once(";r=").unwrap();
        left.split(';').next().unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(left(&ann, ANN).await, 999);
    for host in 10..110 {
        left(&ann, Ipv4Addr::new(127, 0, 0, host)).await;
    }
    // Something comes back each second.
    let anns = left(&ann, BOB).await;
    assert_eq!(left(&bob, ANN).await, 999, "he has his whole share");
    assert!(anns < 999, "she had another share for each name: {anns} are left");
}

#[tokio::test]
async fn who_may_go_where_is_who_asks_and_not_who_he_says_that_he_is() {
    let upstream =
        Upstream::listing(Fate::Answered, &format!("{ANN}\n"), &[("GATEWAY_REQUESTS_10S", "60")])
            .await;
    let url = |path: &str| format!("{}{path}", upstream.gateway.url);
    let (ann, bob) = (at(ANN), at(BOB));
    for path in ["/metrics", "/v1/log/orders/0", "/internal/commands", "/at/inventory/v1/stock"] {
        assert_eq!(ask_as(&bob, &url(path), ANN).await.status(), 403, "{path}");
        assert!(upstream.asked().is_empty(), "{path}");
        assert_eq!(ask_as(&ann, &url(path), BOB).await.status(), 200, "{path}");
        assert_eq!(upstream.asked().len(), 1, "{path}");
    }
    // The gateway's own share is of the same address.
    let mut statuses = Vec::new();
    for host in 10..110 {
        let forged = Ipv4Addr::new(127, 0, 0, host);
        statuses.push(ask_as(&ann, &url("/v1/stock"), forged).await.status().as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(ask_as(&bob, &url("/v1/stock"), ANN).await.status(), 200);
}
