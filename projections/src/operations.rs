use crate::query::{Items, as_of};
use crate::{
    checkouts, log, order_history, orders, parked, payments, products, sales, stock, timeline,
};
use edge::{Operation, ParamFields};
use event_store::follow::Parked;
use http::{Method, StatusCode};
use schemars::JsonSchema;

/// What may be wrong with any of them.
const REFUSES: [&str; 10] = [
    "behind",
    "busy",
    "invalid-min-position",
    "invalid-parameters",
    "lost-position",
    "not-served",
    "parked",
    "postgres-away",
    "too-slow",
    "unavailable",
];
const READS_A_BODY: [&str; 5] = [
    "body-too-large",
    "incomplete-body",
    "invalid-fields",
    "malformed-body",
    "unsupported-media-type",
];

/// Every query endpoint, told to those who call it.
pub fn operations() -> Vec<Operation> {
    [of_things(), of_orders(), of_lists(), of_logs()].into_iter().flatten().collect()
}

/// One thing each, as it is or as it was.
fn of_things() -> Vec<Operation> {
    vec![
        thing::<products::ProductView>("/v1/products/{sku}", "getProduct", "A product."),
        thing::<stock::Level>("/v1/stock/{sku}", "getStock", "The stock of a SKU."),
        thing::<orders::OrderView>(
            "/v1/orders/{id}",
            "getOrder",
            "An order; who would rather wait is answered once it is confirmed or cancelled.",
        )
        .heeds(&["Prefer"]),
        thing::<payments::PaymentView>("/v1/payments/{id}", "getPayment", "An order's payment."),
        thing::<checkouts::CheckoutView>(
            "/v1/checkouts/{id}",
            "getCheckout",
            "An order's checkout.",
        ),
    ]
}

fn of_orders() -> Vec<Operation> {
    vec![
        list::<orders::OrderView, _>(
            "/v1/orders",
            "listOrders",
            "Orders, the latest first.",
            orders::asked,
        ),
        list_of_then::<order_history::Entry, _>(
            "/v1/orders/{id}/history",
            "listOrderEvents",
            "What happened to an order; as server-sent events it goes on.",
            order_history::asked,
        )
        .heeds(&["Last-Event-ID"])
        .answers_as::<String>(StatusCode::OK, "text/event-stream", &[])
        .refuses(&["future", "invalid-last-event-id", "invalid-path", "not-found"]),
        query(
            "/v1/orders/{id}/timeline",
            "getOrderTimeline",
            "Everything that happened to an order, in whichever stream, and what is still due.",
        )
        .answers::<timeline::Timeline>(StatusCode::OK, &[])
        .refuses(&["invalid-path", "not-found"]),
    ]
}

fn of_lists() -> Vec<Operation> {
    vec![
        list::<products::ProductView, _>(
            "/v1/products",
            "listProducts",
            "Products by SKU.",
            products::asked,
        ),
        list::<stock::Level, _>("/v1/stock", "listStock", "Stock by SKU.", stock::asked),
        list::<checkouts::CheckoutView, _>(
            "/v1/checkouts",
            "listCheckouts",
            "Checkouts, the latest first.",
            checkouts::asked,
        ),
        list::<sales::SalesView, _>(
            "/v1/sales",
            "listSales",
            "Orders, units and revenue by a key, one item for each currency.",
            sales::asked,
        ),
    ]
}

fn of_logs() -> Vec<Operation> {
    vec![
        query("/v1/log/{service}", "getLogEnds", "Where each partition of a log ends.")
            .answers::<log::Ends>(StatusCode::OK, &[])
            .refuses(&["bad-request", "not-found"]),
        list::<log::LoggedEvent, _>(
            "/v1/log/{service}/{partition}",
            "readLog",
            "A partition of a log; as server-sent events it goes on.",
            log::asked,
        )
        .heeds(&["Last-Event-ID"])
        .answers_as::<String>(StatusCode::OK, "text/event-stream", &[])
        .refuses(&["bad-request", "invalid-last-event-id", "not-found"]),
        list_of_then::<log::LoggedEvent, _>(
            "/v1/log/{service}/streams/{stream}",
            "readStream",
            "One stream of a log, as it is or as it was.",
            log::stream::asked,
        )
        .refuses(&["bad-request", "future", "not-found"]),
        Operation::new(
            Method::GET,
            "/v1/parked",
            "listParked",
            "Events that followers could not post, the oldest first.",
        )
        .asks(parked::asked)
        .refuses(&["busy", "invalid-parameters", "postgres-away", "too-slow", "unavailable"])
        .answers::<Items<Parked>>(StatusCode::OK, &[]),
        act("/v1/parked/retry", "retryParked", "Has parked events posted again.")
            .reads(parked::which),
        act("/v1/parked/discard", "discardParked", "Has a parked event left out for good.")
            .reads(parked::left_out),
    ]
}

fn query(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::GET, path, id, summary)
        .heeds(&["Daybook-Min-Position"])
        .refuses(&REFUSES)
}

fn thing<T: JsonSchema>(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    query(path, id, summary)
        .asks(as_of)
        .answers::<T>(StatusCode::OK, &["ETag", "Daybook-As-Of"])
        .refuses(&["future", "invalid-path", "not-found"])
}

fn list<T: JsonSchema, A: 'static>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    asked: fn(&mut ParamFields<'_>) -> Option<A>,
) -> Operation {
    query(path, id, summary).asks(asked).answers::<Items<T>>(StatusCode::OK, &[])
}

/// One of which the past is shown too.
fn list_of_then<T: JsonSchema, A: 'static>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    asked: fn(&mut ParamFields<'_>) -> Option<A>,
) -> Operation {
    query(path, id, summary)
        .asks(asked)
        .answers::<Items<T>>(StatusCode::OK, &["ETag", "Daybook-As-Of"])
}

fn act(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::POST, path, id, summary)
        .answers::<parked::Asked>(StatusCode::ACCEPTED, &[])
        .refuses(&READS_A_BODY)
        .refuses(&["busy", "not-found", "outcome-unknown", "postgres-away", "unavailable"])
}
