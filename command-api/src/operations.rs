use crate::{answer::Answer, checkouts, internal, orders, payments, products, stock};
use edge::{Fields, Operation};
use http::{Method, StatusCode};

/// What every command heeds and answers with.
const HEEDS: [&str; 2] = ["Idempotency-Key", "If-Match"];
const TELLS: [&str; 2] = ["ETag", "Daybook-Position"];
const CREATES: [&str; 3] = ["Location", "ETag", "Daybook-Position"];

/// What may be wrong with any of them.
const REFUSES: [&str; 18] = [
    "body-too-large",
    "busy",
    "event-too-large",
    "history-not-accepted",
    "idempotency-key-reused",
    "incomplete-body",
    "invalid-fields",
    "invalid-idempotency-key",
    "invalid-if-match",
    "malformed-body",
    "newer-version-about",
    "not-served",
    "outcome-unknown",
    "postgres-away",
    "unacceptable-data",
    "unavailable",
    "unsupported-media-type",
    "wrong-version",
];

/// Every command endpoint, told to those who call it.
pub fn operations() -> Vec<Operation> {
    [
        of_products(),
        of_stock(),
        of_orders(),
        of_payments(),
        of_checkouts(),
        of_services(),
        of_many(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_products() -> Vec<Operation> {
    vec![
        creates("/v1/products", "listProduct", "Lists a product.", products::list_body)
            .refuses(&["already-listed", "discontinued"]),
        command(
            "/v1/products/{sku}/reprice",
            "repriceProduct",
            "Gives a product another price.",
            products::reprice_body,
        )
        .refuses(&["not-listed", "discontinued", "other-currency", "invalid-path"]),
        command(
            "/v1/products/{sku}/rename",
            "renameProduct",
            "Gives a product another name.",
            products::rename_body,
        )
        .refuses(&["not-listed", "discontinued", "invalid-path"]),
        command(
            "/v1/products/{sku}/discontinue",
            "discontinueProduct",
            "Sells a product no longer.",
            products::discontinue_body,
        )
        .refuses(&["not-listed", "invalid-path"]),
    ]
}

fn of_stock() -> Vec<Operation> {
    vec![
        command("/v1/stock/{sku}/receive", "receiveStock", "Takes in pieces.", stock::receive_body)
            .refuses(&["too-much-stock", "invalid-path"]),
        command("/v1/stock/{sku}/adjust", "adjustStock", "Corrects a count.", stock::adjust_body)
            .refuses(&["below-reserved", "too-much-stock", "invalid-path"]),
    ]
}

fn of_orders() -> Vec<Operation> {
    vec![
        creates(
            "/v1/orders",
            "placeOrder",
            "Places an order. Prices are those of the catalogue; who names the price that was shown is refused if it \
             is another one now.",
            orders::place_body,
        )
        .heeds(&["Daybook-Min-Position"])
        .refuses(&[
            "invalid-min-position",
            "unknown-sku",
            "discontinued",
            "price-changed",
            "prices-unavailable",
            "no-lines",
            "too-many-lines",
            "too-many-units",
            "mixed-currencies",
            "total-too-large",
            "discount-exceeds-total",
        ]),
        command(
            "/v1/orders/{id}/cancel",
            "cancelOrder",
            "Cancels an order that is not shipped yet.",
            orders::cancel_body,
        )
        .refuses(&["not-placed", "already-shipped", "invalid-path"]),
        command("/v1/orders/{id}/ship", "shipOrder", "Ships all of an order.", orders::ship_body)
            .refuses(&["not-placed", "not-confirmed", "cancelled", "invalid-path"]),
    ]
}

fn of_payments() -> Vec<Operation> {
    vec![
        command(
            "/v1/payments/{id}/refund",
            "refundPayment",
            "Gives back what was taken for an order.",
            payments::refund_body,
        )
        .refuses(&["not-captured", "nothing-left", "partial-not-supported", "other-amount"])
        .refuses(&["other-currency", "in-progress", "invalid-path"]),
    ]
}

fn of_checkouts() -> Vec<Operation> {
    let acts = [
        (
            "/v1/checkouts/{id}/retry",
            "retryCheckout",
            "Asks again for what failed.",
            &["not-started", "completed", "no-attention", "invalid-path"][..],
        ),
        (
            "/v1/checkouts/{id}/cancel",
            "cancelCheckout",
            "Gives an order up that needs a person's attention.",
            &[
                "not-started",
                "completed",
                "no-attention",
                "already-shipped",
                "cancelled",
                "invalid-path",
            ],
        ),
        (
            "/v1/checkouts/{id}/settle",
            "settleCheckout",
            "Takes what failed or is late off what is owed: it was seen to elsewhere.",
            &["not-started", "completed", "no-attention", "not-ended", "invalid-path"],
        ),
    ];
    let act =
        |(path, id, summary, refuses)| command(path, id, summary, checkouts::body).refuses(refuses);
    acts.map(act).into()
}

/// Many at once, each line its own verdict.
fn of_many() -> Vec<Operation> {
    vec![
        Operation::new(
            Method::POST,
            "/v1/commands",
            "sendCommands",
            "Takes commands as lines of JSON (application/x-ndjson), and answers each with a line of its own.",
        )
        .reads_text("application/x-ndjson")
        .answers_as::<String>(StatusCode::OK, "application/x-ndjson", &[])
        .refuses(&REFUSES),
    ]
}

/// A rejection is 409 here, whichever it is.
fn of_services() -> Vec<Operation> {
    let refuses = REFUSES.into_iter().filter(|slug| {
        !["history-not-accepted", "invalid-if-match", "invalid-idempotency-key", "wrong-version"]
            .contains(slug)
    });
    vec![
        Operation::new(
            Method::POST,
            "/internal/commands",
            "askOwner",
            "Has the owner of a stream decide another service's request.",
        )
        .reads(internal::body)
        .heeds(&["Daybook-Deadline"])
        .answers::<Answer<'_>>(StatusCode::OK, &TELLS)
        .refuses(&refuses.collect::<Vec<_>>())
        .refuses(&["invalid-deadline", "deadline-passed"])
        .refuses(&["cancelled", "not-confirmed", "not-shipped", "not-authorised", "voided"])
        .refuses(&["already-captured", "in-progress", "other-amount", "other-method"]),
    ]
}

fn command<T: 'static>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    body: fn(&mut Fields<'_>) -> Option<T>,
) -> Operation {
    Operation::new(Method::POST, path, id, summary)
        .reads(body)
        .heeds(&HEEDS)
        .answers::<Answer<'_>>(StatusCode::OK, &TELLS)
        .refuses(&REFUSES)
}

/// 201 where something is made, 200 where it was there already.
fn creates<T: 'static>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    body: fn(&mut Fields<'_>) -> Option<T>,
) -> Operation {
    let mut creates = command(path, id, summary, body);
    creates.answers.clear();
    creates
        .answers::<Answer<'_>>(StatusCode::CREATED, &CREATES)
        .answers::<Answer<'_>>(StatusCode::OK, &CREATES)
}
