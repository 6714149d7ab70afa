//! Whose an order is, only the owner of the orders' log knows: what befalls the line to him.

use super::lines::url;
use super::proxy::{Mode, Proxy};
use super::{FAULTS, Fault, Told};
use crate::apart::owned::Guarded;
use crate::apart::street::{PARTS, port_of};
use crate::support::free_port;
use reqwest::{Client, StatusCode};
use std::time::Duration;
use tokio::time::Instant;

/// `peer_deadline_ms`, and then some for a slow machine.
const DEADLINE: Duration = Duration::from_secs(10 + 5);

/// Who shows payments.
const PAYMENTS: usize = 4;

/// A shop in which payments are asked for that nobody has asked for before: what is known is asked once.
pub(super) struct Asked {
    shop: Guarded,
    proxy: Proxy,
    ann: Client,
    bob: Client,
    /// Of Ann, one for each fault.
    payments: Vec<String>,
}

impl Asked {
    pub(super) async fn open() -> Self {
        let ports = PARTS.map(|_| free_port());
        let proxy = Proxy::before_port(port_of("orders", &ports)).await;
        let ways = [(PARTS[PAYMENTS], "orders", url(&proxy))];
        let shop = Guarded::on(ports.into(), &ways).await;
        let (ann, bob) = (shop.customer("ann", "17850"), shop.customer("bob", "13047"));
        let mut payments = Vec::new();
        for _ in FAULTS {
            let path = format!("/v1/payments/{}", shop.placed(&ann).await);
            shop.until(&shop.hand, &path, StatusCode::OK).await;
            payments.push(path);
        }
        // So that the line is open.
        let own = shop.placed(&bob).await;
        shop.until(&bob, &format!("/v1/payments/{own}"), StatusCode::OK).await;
        Asked { shop, proxy, ann, bob, payments }
    }

    pub(super) async fn befall(&self, fault: Fault, nth: usize) {
        let (shop, path) = (&self.shop, &*self.payments[nth]);
        let began = Instant::now();
        self.proxy.set(fault.mode());
        let asked = async |who: &Client| {
            let began = Instant::now();
            (shop.status(who, path).await, began.elapsed())
        };
        // Another customer is first: what he is told is not what is remembered.
        let (to_bob, first) = asked(&self.bob).await;
        let (to_ann, second) = asked(&self.ann).await;
        let waited = first.max(second);
        assert!(waited < DEADLINE, "{waited:?}");
        if fault.is_total() {
            let nobody_knows = StatusCode::SERVICE_UNAVAILABLE;
            assert_eq!((to_bob, to_ann), (nobody_knows, nobody_knows), "{fault:?}");
        } else {
            assert_eq!((to_bob, to_ann), (StatusCode::NOT_FOUND, StatusCode::OK), "{fault:?}");
        }
        // Who may see all is asked for nothing.
        assert_eq!(shop.status(&shop.hand, path).await, StatusCode::OK);
        let since = if fault.is_total() { Instant::now() } else { began };
        self.proxy.set(Mode::Pass);
        shop.until(&self.ann, path, StatusCode::OK).await;
        let settled = since.elapsed();
        shop.until(&self.bob, path, StatusCode::NOT_FOUND).await;
        let line = "payments → whose an order is";
        eprintln!("{}", Told { line, fault, left_alone: None, settled, waited });
    }
}
