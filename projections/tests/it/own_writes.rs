//! Which positions each query heeds, of those that its caller has been told.

use crate::reading::{answer, told};
use crate::stories::{Shop, authorise, order_id, pieces, start};
use crate::support::{Process, SERVICES, fresh_database};
use decider::Owes;
use domain::checkout::checkout::Checkout;
use domain::inventory::stock;
use domain::payments::payment::Payment;
use edge::Access;
use event_store::dues::DueFollower;
use event_store::follow::{Follower, Runner};
use http::StatusCode;
use projections::Queries;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A query, as the table of routes has it and as it is asked; the logs whose read models it waits for, and those that it
/// reads as they are.
struct Asked {
    of: &'static str,
    path: String,
    waits_for: Logs,
    reads: Logs,
}

type Logs = &'static [&'static str];

fn every_query() -> Vec<Asked> {
    let order = order_id(1);
    let waits = |of, path, waits_for: Logs| Asked { of, path, waits_for, reads: &[] };
    let reads = |of, path, reads: Logs| Asked { of, path, waits_for: &[], reads };
    let both: Logs = &["orders", "payments"];
    let things: [(&str, String, Logs); 6] = [
        ("/v1/products/{sku}", "A1".to_owned(), &["catalogue"]),
        ("/v1/stock/{sku}", "A1".to_owned(), &["inventory"]),
        ("/v1/orders/{id}", order.to_string(), both),
        ("/v1/orders/{id}/history", order.to_string(), &["orders"]),
        ("/v1/payments/{id}", order.to_string(), &["payments"]),
        ("/v1/checkouts/{id}", order.to_string(), &["checkout"]),
    ];
    let mut all = Vec::new();
    for (of, id, logs) in things {
        let path = of.replace("{sku}", &id).replace("{id}", &id);
        all.push(reads(of, format!("{path}?as_of=1"), logs));
        all.push(waits(of, path, logs));
    }
    let timeline = format!("/v1/orders/{order}/timeline");
    let stream = format!("/v1/log/orders/streams/order-{order}");
    all.extend([
        waits("/v1/products", "/v1/products".to_owned(), &["catalogue"]),
        waits("/v1/stock", "/v1/stock".to_owned(), &["inventory"]),
        waits("/v1/orders", "/v1/orders".to_owned(), both),
        waits("/v1/checkouts", "/v1/checkouts".to_owned(), &["checkout"]),
        waits("/v1/sales", "/v1/sales?by=product".to_owned(), &["orders"]),
        Asked {
            reads: &["orders", "inventory"],
            ..waits("/v1/orders/{id}/timeline", timeline, &["payments", "checkout"])
        },
        reads("/v1/log/{service}", "/v1/log/orders".to_owned(), &["orders"]),
        reads("/v1/log/{service}/{partition}", "/v1/log/orders/0".to_owned(), &["orders"]),
        reads("/v1/log/{service}/streams/{stream}", stream, &["orders"]),
    ]);
    all
}

fn min(position: &str) -> [(&str, &str); 1] {
    [("daybook-min-position", position)]
}

fn posts_dues<D: Owes>(process: &Process, runner: &Runner, service: &str) {
    let read = process.read(service);
    let dues = DueFollower::<D>::new(process.log(service).clone(), read.clone());
    let dues: Arc<dyn Follower> = Arc::new(dues);
    runner.follow(&dues, DueFollower::<D>::GENERATION, read);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_heeds_the_positions_of_the_logs_that_it_is_told_by() {
    let queries = every_query();
    let heeds = "Daybook-Min-Position";
    let documented = projections::operations();
    let documented: Vec<_> = documented.iter().filter(|it| it.headers.contains(&heeds)).collect();
    let paths: BTreeSet<_> = documented.iter().map(|it| it.path).collect();
    assert_eq!(queries.iter().map(|it| it.of).collect::<BTreeSet<_>>(), paths);
    for problem in ["behind", "lost-position"] {
        assert!(documented.iter().all(|it| it.problems.contains(&problem)), "{problem}");
    }

    let process = Process::start(&fresh_database().await).await;
    let shop = Shop::of(&process);
    shop.listed("A1", "White heart", 255).await;
    shop.stock("A1", vec![stock::Command::Receive { quantity: pieces(5) }]).await;
    shop.placed(1, 0, vec![]).await;
    shop.payment(1, vec![authorise(700)]).await;
    shop.checkout(1, vec![start(1)]).await;
    let mut written = BTreeMap::new();
    for service in SERVICES {
        let sql = format!(
            "select '{service}/' || partition || '@1:' || log_offset from {service}.event limit 1"
        );
        let position: String = process.admin.query_one(&sql, &[]).await.unwrap().get(0);
        written.insert(service, position);
    }
    let generations = projections::Generations::open(&process.reads).await.unwrap();
    let runner = process.runner();
    let waiting = |most| {
        let queries =
            Queries::new(process.reads.clone(), process.logs.clone(), generations.clone());
        let queries = queries.waiting(runner.clone(), most, process.stop.clone());
        projections::routes().router(queries, &Access::off())
    };
    // Nobody posts anything yet.
    let impatient = waiting(Duration::from_millis(20));
    for Asked { path, waits_for, reads, .. } in &queries {
        for service in *waits_for {
            let position = &*written[service];
            let behind = answer(&impatient, path, &min(position)).await;
            let (status, headers, problem) = told(behind).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}, {position}: {problem}");
            assert_eq!(problem["type"], "urn:daybook:problem:behind", "{path}");
            assert_eq!(headers["daybook-min-position"], *position, "{path}");
            assert!(headers.contains_key("retry-after"), "{path}");
        }
        for service in *reads {
            let as_it_is = answer(&impatient, path, &min(&written[service])).await;
            assert_ne!(as_it_is.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}, {service}");
        }
    }

    process.follow_with(runner.clone()).await;
    posts_dues::<Payment>(&process, &runner, "payments");
    posts_dues::<Checkout>(&process, &runner, "checkout");
    let patient = waiting(Duration::from_secs(60));
    for Asked { path, waits_for, reads, .. } in &queries {
        for service in waits_for.iter().chain(*reads) {
            let position = &*written[service];
            let posted = told(answer(&patient, path, &min(position)).await).await;
            assert_eq!(posted.0, StatusCode::OK, "{path}, {position}: {}", posted.2);
            // Of an epoch that the log does not know any more.
            let lost = position.replace("@1", "@9");
            for accept in ["application/json", "text/event-stream"] {
                let headers = [("daybook-min-position", &*lost), ("accept", accept)];
                let (status, _, problem) = told(answer(&patient, path, &headers).await).await;
                assert_eq!(status, StatusCode::GONE, "{path}, {accept}, {lost}: {problem}");
                assert_eq!(problem["type"], "urn:daybook:problem:lost-position", "{path}");
            }
        }
    }
}
