//! Filters, pages and what is refused.

use crate::stories::{Shop, authorise, cancel, declined, order_id, place};
use crate::support::{Process, all_pages, fresh_database, get, got};
use axum::Router;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::orders::order::{CancelReason, Command};
use http::StatusCode;
use serde_json::{Value, json};

async fn orders(router: &Router, query: &str) -> Vec<u128> {
    let page = got(router, &format!("/v1/orders?{query}")).await;
    numbers(page["items"].as_array().unwrap())
}

fn numbers(items: &[Value]) -> Vec<u128> {
    let number =
        |item: &Value| item["order"].as_str().unwrap().parse::<uuid::Uuid>().unwrap().as_u128();
    items.iter().map(number).collect()
}

#[tokio::test]
async fn orders_are_filtered_by_status_customer_and_the_time_they_were_placed() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    shop.placed(1, 0, vec![]).await;
    shop.placed(2, 60, vec![Command::Confirm {}]).await;
    shop.placed(3, 120, vec![Command::Confirm {}, Command::Ship {}]).await;
    shop.placed(4, 180, vec![cancel(CancelReason::PaymentDeclined)]).await;
    shop.order(5, 240, vec![place(5, &[("A1", 1, 1)], None, "FR"), Command::Confirm {}]).await;
    shop.payment(4, vec![authorise(700), declined()]).await;
    process.posted().await;

    assert_eq!(orders(&router, "").await, [5, 4, 3, 2, 1]);
    assert_eq!(orders(&router, "status=confirmed").await, [5, 2]);
    assert_eq!(orders(&router, "status=confirmed&customer=c1").await, [2]);
    assert_eq!(orders(&router, "payment_status=declined").await, [4]);
    assert_eq!(orders(&router, "fulfilment_status=fulfilled").await, [3]);
    let from = "placed_from=2011-03-13T07:07:40Z";
    assert_eq!(orders(&router, from).await, [5, 4, 3, 2]);
    let to = "placed_to=2011-03-13T08:09:40%2B01:00";
    assert_eq!(orders(&router, &format!("{from}&{to}")).await, [3, 2]);
}

#[tokio::test]
async fn every_item_of_a_list_is_on_one_page_whatever_the_size_of_a_page() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let shop = Shop::of(&process);
    for number in 1..=9 {
        // Several orders of one instant: the id decides between them.
        shop.placed(number, i64::try_from(number / 4).unwrap(), vec![]).await;
        shop.listed(&format!("P{number}"), "Heart", 100).await;
    }
    process.posted().await;
    for limit in [1, 2, 3, 9, 10, 1000] {
        let path = format!("/v1/orders?status=placed&limit={limit}");
        assert_eq!(
            numbers(&all_pages(&router, &path).await),
            [9, 8, 7, 6, 5, 4, 3, 2, 1],
            "{limit}"
        );
        let products =
            all_pages(&router, &format!("/v1/products?search=heart&limit={limit}")).await;
        assert_eq!(products.len(), 9, "{limit}");
    }
    let history = format!("/v1/orders/{}/history?limit=1", order_id(1));
    assert_eq!(all_pages(&router, &history).await.len(), 1);
}

#[tokio::test]
async fn what_a_query_does_not_know_is_refused_with_its_name() {
    let process = Process::start(&fresh_database().await).await;
    let router = process.router(&process.follow().await);
    let forged = |key: Value| BASE64_URL_SAFE_NO_PAD.encode(key.to_string());
    let nul = forged(json!("a\0"));
    let ancient = forged(json!(["-0044-03-15T00:00:00Z", order_id(1)]));
    let other_list = forged(json!("A1"));
    for (path, parameter) in [
        ("/v1/orders?state=placed".to_owned(), "state"),
        ("/v1/orders?status=lost".to_owned(), "status"),
        ("/v1/orders?customer=a%20b".to_owned(), "customer"),
        ("/v1/orders?placed_from=yesterday".to_owned(), "placed_from"),
        ("/v1/orders?limit=0".to_owned(), "limit"),
        ("/v1/orders?limit=1001".to_owned(), "limit"),
        ("/v1/orders?limit=many".to_owned(), "limit"),
        ("/v1/orders?after=zzz".to_owned(), "after"),
        (format!("/v1/orders?after={ancient}"), "after"),
        (format!("/v1/orders?after={other_list}"), "after"),
        (format!("/v1/stock?after={nul}"), "after"),
        ("/v1/stock?available_below=1e9".to_owned(), "available_below"),
        (format!("/v1/orders/{}?as_of=now", order_id(1)), "as_of"),
        ("/v1/checkouts?state=odd".to_owned(), "state"),
        ("/v1/log/orders/0?after=-1".to_owned(), "after"),
    ] {
        let (status, problem) = get(&router, &path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}: {problem}");
    }
    assert_eq!(get(&router, "/v1/orders/7").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&router, &format!("/v1/orders/{}", order_id(1))).await.0, StatusCode::NOT_FOUND);
    let latest = "/v1/log/orders/0?after=9223372036854775807";
    assert_eq!(got(&router, latest).await["items"], json!([]));
}
