//! Whatever is sent to the real program, the answer is a problem and 4xx, and nothing is in any log.

use crate::shop::{heads, order, pence, post, sell};
use crate::support::{Daybook, LIMIT, World};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ORDER: &str = "5f0c1b7e-0000-7000-8000-000000000000";

/// A shop that sells `A`, is at rest, and must be as it was at the end.
async fn shop() -> (World, Daybook) {
    let world = World::new().await.without_kafka();
    let daybook = world.start().await;
    sell(&world, &daybook, "A", 255, 10).await;
    (world, daybook)
}

/// Everything that the `bad` requests were answered is a problem, and the log is as it was; after it the
/// shop still works.
async fn leaves_nothing(bad: impl AsyncFn(&Daybook)) {
    let (world, daybook) = shop().await;
    let postgres = world.sql().await;
    let before = heads(&postgres).await;
    bad(&daybook).await;
    assert_eq!(heads(&postgres).await, before, "nothing is in any log");
    let url = format!("{}/v1/orders", daybook.url);
    let good = post(&daybook.http, &url, None, &order(&["A"], "pm_card_visa")).await;
    let path = format!("/v1/orders/{}", good.order());
    daybook.until("the shop still works", &path, |order| order["status"] == "confirmed").await;
}

/// The status of an answer, which must be a problem that blames the caller.
async fn problem(what: &str, request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let status = answer.status().as_u16();
    let headers = answer.headers().clone();
    let text = answer.text().await.unwrap();
    assert!((400..500).contains(&status), "{what}: {status} {text}");
    assert_eq!(headers["content-type"], "application/problem+json", "{what}: {text}");
    assert!(text.len() < 16 << 10, "{what}: an answer of {} bytes", text.len());
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["status"], status, "{what}: {text}");
    let kind = document["type"].as_str().unwrap();
    assert!(kind.starts_with("urn:daybook:problem:"), "{what}: {text}");
    assert!(document["title"].is_string(), "{what}: {text}");
    (status, document)
}

impl Daybook {
    fn raw(&self, path: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.url));
        request.header("content-type", "application/json").body(body.into())
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_leaves_nothing() {
    leaves_nothing(async |daybook| {
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        let bodies: [(&str, &[u8]); 14] = [
            ("cut off", b"{\"quantity\": "),
            ("not closed", b"{\"quantity\": 1"),
            ("garbage", b"quantity=1"),
            ("a comma too many", b"{\"quantity\": 1,}"),
            ("two documents", b"{\"quantity\": 1}{\"quantity\": 1}"),
            ("a key twice", b"{\"quantity\": 1, \"quantity\": 2}"),
            ("not UTF-8", b"{\"quantity\": \"\xc3\x28\"}"),
            ("a key that is not UTF-8", b"{\"\xff\": 1, \"quantity\": 1}"),
            ("UTF-16", b"\xff\xfe{\x00}\x00"),
            ("half a surrogate pair", b"{\"quantity\": \"\\ud800\"}"),
            ("a NUL", b"{\"quantity\": 1}\0"),
            ("a NUL in a text", b"{\"quantity\": \"\0\"}"),
            ("not a number", b"{\"quantity\": NaN}"),
            ("nested too deeply", &deep),
        ];
        for path in ["/v1/stock/A/receive", "/v1/orders", "/v1/products"] {
            for (what, body) in bodies {
                let (status, document) = problem(what, daybook.raw(path, body)).await;
                assert_eq!(status, 400, "{what}: {document}");
            }
            for body in ["[]", "1", "\"quantity\"", "null", "true"] {
                assert_eq!(problem(body, daybook.raw(path, body)).await.0, 422);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_absurdly_large_leaves_nothing() {
    leaves_nothing(async |daybook| {
        let long = |n: usize| "9".repeat(n);
        for path in ["/v1/stock/A/receive", "/v1/orders"] {
            let huge = format!("{{\"quantity\": {}}}", long(4 << 20));
            assert_eq!(problem("4 MiB", daybook.raw(path, huge)).await.0, 413);
            let large = format!("{{\"quantity\": {}}}", long(900_000));
            let (status, document) =
                problem("a number of 900,000 digits", daybook.raw(path, large)).await;
            assert!([400, 422].contains(&status), "{document}");
            let keys: Vec<_> = (0..50_000).map(|nth| format!("\"k{nth}\": 0")).collect();
            let keys = format!("{{{}}}", keys.join(","));
            assert_eq!(problem("50,000 unknown fields", daybook.raw(path, keys)).await.0, 422);
        }
        let mut many = order(&["A"; 1_001], "pm_card_visa");
        let orders = || daybook.http.post(format!("{}/v1/orders", daybook.url));
        assert_eq!(problem("1,001 lines", orders().json(&many)).await.0, 422);
        many["lines"] = json!(vec![json!({}); 20_000]);
        assert_eq!(problem("20,000 empty lines", orders().json(&many)).await.0, 422);
        let sku = long(10_000);
        let path = format!("/v1/stock/{sku}/receive");
        problem("a SKU of 10,000 characters", daybook.raw(&path, "{\"quantity\": 1}")).await;
    })
    .await;
}

#[tokio::test]
async fn fields_that_hold_nonsense_are_named_and_leave_nothing() {
    leaves_nothing(async |daybook| {
        let quantities = [
            json!(0),
            json!(-1),
            json!(-1_000_000),
            json!(1_000_001),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(1e300),
            json!(-1e300),
            json!(1.5),
            json!("6"),
            json!("\u{0}"),
            json!(true),
            json!([1]),
            json!({}),
            Value::Null,
        ];
        for bad in &quantities {
            let named = |document: &Value, pointer: &str| {
                let errors = document["errors"].as_array().cloned().unwrap_or_default();
                errors.iter().any(|error| error["pointer"] == pointer)
            };
            let what = bad.to_string();
            let body = json!({"quantity": bad}).to_string();
            let (status, document) = problem(&what, daybook.raw("/v1/stock/A/receive", body)).await;
            assert!(status == 422 && named(&document, "/quantity"), "{what}: {document}");
            let mut body = order(&["A"], "pm_card_visa");
            body["lines"][0]["quantity"] = bad.clone();
            let (status, document) =
                problem(&what, daybook.raw("/v1/orders", body.to_string())).await;
            assert!(status == 422 && named(&document, "/lines/0/quantity"), "{what}: {document}");
        }
        // Digits that no number of ours can hold, as they stand in the body.
        for digits in ["18446744073709551616", "-9223372036854775809", "1e400", "-0.5", "0x10"] {
            let body = format!("{{\"quantity\": {digits}}}");
            problem(digits, daybook.raw("/v1/stock/A/receive", body)).await;
        }
        for (pointer, bad) in [
            ("/customer", json!("a\u{0}b")),
            ("/customer", json!("two words")),
            ("/customer", json!(7)),
            ("/country", json!("UK")),
            ("/country", json!("\u{0}\u{0}")),
            ("/country", json!(["GB"])),
            ("/payment_method", json!("pm card")),
            ("/payment_method", json!("")),
            ("/lines/0/sku", json!("A\u{0}")),
            ("/lines/0/sku", json!("../A")),
            ("/lines/0/sku", json!(1)),
            ("/lines/0/tax_rate", json!(10_001)),
            ("/lines/0/tax_rate", json!(-1)),
            ("/lines/0/unit_price", json!(2.55)),
            ("/lines/0/unit_price", pence(-255)),
            ("/lines/0/unit_price", pence(i64::MAX)),
            ("/shipping", pence(i64::MAX)),
            ("/shipping", json!({"amount": 1, "currency": "£"})),
            ("/discount", pence(-1)),
            ("/lines", json!("A")),
            ("/lines", json!({})),
            ("/lines", json!([])),
            ("/occurred_at", json!("yesterday")),
            ("/coupon", json!("SALE")),
            ("/lines/0/colour", json!(1)),
        ] {
            let mut body = order(&["A"], "pm_card_visa");
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.into(), bad);
            let (status, document) =
                problem(pointer, daybook.raw("/v1/orders", body.to_string())).await;
            assert_eq!(status, 422, "{body}: {document}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_shop_does_not_know_leaves_nothing() {
    leaves_nothing(async |daybook| {
        let unknown = order(&["NEVER-LISTED"], "pm_card_visa").to_string();
        let (status, document) = problem("unknown", daybook.raw("/v1/orders", unknown)).await;
        assert_eq!(status, 422, "{document}");
        assert_eq!(document["type"], "urn:daybook:problem:unknown-sku", "{document}");
        assert_eq!(document["errors"][0]["pointer"], "/lines/0/sku", "{document}");
        let mut shown = order(&["A"], "pm_card_visa");
        shown["lines"][0]["unit_price"] = pence(254);
        let (status, document) =
            problem("price", daybook.raw("/v1/orders", shown.to_string())).await;
        assert_eq!((status, &document["type"]), (409, &json!("urn:daybook:problem:price-changed")));
        shown["lines"][0]["unit_price"] = json!({"amount": 255, "currency": "USD"});
        problem("currency", daybook.raw("/v1/orders", shown.to_string())).await;
        let history = json!({"quantity": 1, "occurred_at": "2010-12-01T08:26:00Z"}).to_string();
        assert_eq!(problem("history", daybook.raw("/v1/stock/A/receive", history)).await.0, 403);
        for (path, body) in [
            ("/v1/products/NEVER-LISTED/reprice".to_owned(), json!({"price": pence(1)})),
            ("/v1/products/NEVER-LISTED/rename".to_owned(), json!({"name": "A"})),
            ("/v1/products/NEVER-LISTED/discontinue".to_owned(), json!({})),
            (format!("/v1/orders/{ORDER}/cancel"), json!({"reason": "customer-request"})),
            (format!("/v1/orders/{ORDER}/ship"), json!({})),
            (format!("/v1/payments/{ORDER}/refund"), json!({})),
            (format!("/v1/checkouts/{ORDER}/retry"), json!({"reason": "so"})),
            (format!("/v1/checkouts/{ORDER}/settle"), json!({"reason": "so\u{0}"})),
            ("/v1/stock/NEVER-LISTED/adjust".to_owned(), json!({"change": -1, "reason": "lost"})),
            ("/v1/stock/A/adjust".to_owned(), json!({"change": -11, "reason": "lost"})),
            ("/v1/stock/A/adjust".to_owned(), json!({"change": i64::MIN, "reason": "lost"})),
            ("/v1/stock/A/adjust".to_owned(), json!({"change": 1, "reason": "lost\u{0}"})),
            ("/v1/products".to_owned(), json!({"sku": "A", "name": "Other", "price": pence(1)})),
            ("/v1/products".to_owned(), json!({"sku": "B", "name": "\u{0}", "price": pence(1)})),
            ("/v1/products".to_owned(), json!({"sku": "B\u{0}", "name": "B", "price": pence(1)})),
        ] {
            problem(&path, daybook.raw(&path, body.to_string())).await;
        }
    })
    .await;
}

#[tokio::test]
async fn paths_headers_and_parameters_that_make_no_sense_leave_nothing() {
    leaves_nothing(async |daybook| {
        let one = "{\"quantity\": 1}";
        for sku in
            ["-", "%00", "A%00", "%ff", "%c3%28", "a%20b", "%2E%2E", "A%2F..%2FB", "%F0%9F%8E%84"]
        {
            let path = format!("/v1/stock/{sku}/receive");
            problem(&path, daybook.raw(&path, one)).await;
            problem(&path, daybook.http.get(format!("{}/v1/stock/{sku}", daybook.url))).await;
        }
        let receive = || daybook.raw("/v1/stock/A/receive", one);
        let long = "k".repeat(256);
        for key in ["", "\"", "two words", "\"open", "caf\u{e9}", &*long] {
            problem(key, receive().header("idempotency-key", key.as_bytes())).await;
        }
        let twice = receive().header("idempotency-key", "a").header("idempotency-key", "b");
        problem("two keys", twice).await;
        for tag in ["1", "*", "W/\"1\"", "\"-1\"", "\"99999999999999999999\"", "\"2\"", "\u{e9}"] {
            problem(tag, receive().header("if-match", tag.as_bytes())).await;
        }
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "\u{e9}"]
        {
            let request =
                daybook.http.post(format!("{}/v1/stock/A/receive", daybook.url)).body(one);
            assert_eq!(problem(kind, request.header("content-type", kind.as_bytes())).await.0, 415);
        }
        let zipped = receive().header("content-encoding", "gzip");
        assert_eq!(problem("gzip", zipped).await.0, 415);
        let order = order(&["A"], "pm_card_visa").to_string();
        for position in ["catalogue", "catalogue/x@1:1", "\u{e9}", "catalogue/-1@1:1:1"] {
            let request = daybook.raw("/v1/orders", order.clone());
            problem(position, request.header("daybook-min-position", position.as_bytes())).await;
        }
        for (method, path) in [
            (Method::GET, "/v1/stock/A/receive"),
            (Method::PUT, "/v1/orders"),
            (Method::DELETE, "/v1/products/A"),
            (Method::POST, "/v1/nothing"),
            (Method::POST, "/"),
            (Method::PATCH, "/v1/log/orders/0"),
            (Method::from_bytes(b"BREW").unwrap(), "/v1/orders"),
        ] {
            let what = format!("{method} {path}");
            problem(&what, daybook.http.request(method, format!("{}{path}", daybook.url))).await;
        }
    })
    .await;
}

#[tokio::test]
async fn queries_that_make_no_sense_are_refused() {
    leaves_nothing(async |daybook| {
        for path in [
            "/v1/products?search=%00",
            "/v1/products?search=%ff",
            "/v1/products?limit=0",
            "/v1/products?limit=-1",
            "/v1/products?limit=99999999999999999999",
            "/v1/products?after=nonsense",
            "/v1/products?after=%00",
            "/v1/products?colour=red",
            "/v1/products?limit=1&limit=2",
            "/v1/products/%00",
            "/v1/products/%ff",
            "/v1/products/NONE",
            "/v1/stock?available_below=much",
            "/v1/stock?available_below=1e99",
            "/v1/stock/NONE",
            "/v1/orders?status=%00",
            "/v1/orders?status=gone",
            "/v1/orders?customer=%00",
            "/v1/orders?placed_from=yesterday",
            "/v1/orders?placed_to=%2B262000-01-01T00:00:00Z",
            "/v1/orders?after=e30",
            "/v1/orders/1",
            "/v1/orders/%00",
            "/v1/orders/1/history",
            "/v1/payments/x",
            "/v1/checkouts?state=lost",
            "/v1/sales",
            "/v1/sales?by=moon",
            "/v1/sales?by=day&by=day",
            "/v1/log/nobody/0",
            "/v1/log/orders/99",
            "/v1/log/orders/-1",
            "/v1/log/orders/x",
            "/v1/log/%ff/0",
            "/v1/log/%00/0",
            "/v1/log/orders/0?after=-1",
            "/v1/log/orders/0?limit=1001",
            "/v1/log/nobody/streams/order-1",
            "/v1/log/orders/streams/%00",
            "/v1/log/orders/streams/%ff",
            "/v1/log/orders/streams/none?as_of=1",
            "/v1/log/orders/streams/none?as_of=2010-12-01T08:26:00Z",
            "/v1/log/orders/streams/none?after=-1",
        ] {
            problem(path, daybook.http.get(format!("{}{path}", daybook.url))).await;
        }
        for path in [format!("/v1/orders/{ORDER}"), format!("/v1/payments/{ORDER}")] {
            assert_eq!(
                problem(&path, daybook.http.get(format!("{}{path}", daybook.url))).await.0,
                404
            );
        }
    })
    .await;
}

/// What no client library would send, byte by byte. What is no HTTP at all is answered by the protocol
/// itself, without a document, or cut off.
#[tokio::test]
async fn bytes_that_are_no_request_leave_nothing() {
    leaves_nothing(async |daybook| {
        let header = |bytes: &[u8]| {
            let more = [b"content-length: 15\r\n", bytes, b"\r\n"].concat();
            [receiving(&more), ONE.to_vec()].concat()
        };
        let sized = |length: &str| {
            [receiving(format!("content-length: {length}\r\n").as_bytes()), ONE.to_vec()].concat()
        };
        for (what, bytes) in [
            ("no HTTP at all", b"quantity 1\r\n\r\n".to_vec()),
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
            ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            ("HTTP/9", b"POST /v1/orders HTTP/9.9\r\n\r\n".to_vec()),
            (
                "a NUL in the path",
                b"POST /v1/stock/A\0/receive HTTP/1.1\r\nhost: d\r\n\r\n".to_vec(),
            ),
            (
                "a path of no UTF-8",
                b"POST /v1/stock/\xff/receive HTTP/1.1\r\nhost: d\r\n\r\n".to_vec(),
            ),
            ("a NUL in a header", header(b"idempotency-key: a\0b")),
            ("a header without a colon", header(b"idempotency-key")),
            ("a header with a space in its name", header(b"idempotency key: a")),
            ("a folded header", header(b"idempotency-key: a\r\n b")),
            ("headers without end", receiving(b"")[..60].to_vec()),
            ("a header of a megabyte", header(&[b"x: ".to_vec(), b"a".repeat(1 << 20)].concat())),
            ("ten thousand headers", header(&b"x: y\r\n".repeat(10_000)[..59_998])),
            ("a length below zero", sized("-1")),
            ("a length beyond all lengths", sized("99999999999999999999")),
            ("two lengths", sized("15\r\ncontent-length: 3")),
            ("a body shorter than said", sized("100")),
        ] {
            let answer = exchange(daybook, what, &bytes, true).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{what}: {answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn requests_whose_bytes_make_no_sense_are_told_so() {
    leaves_nothing(async |daybook| {
        let chunked =
            |body: &[u8]| [receiving(b"transfer-encoding: chunked\r\n"), body.to_vec()].concat();
        let sized = |body: &[u8]| {
            let length = format!("content-length: {}\r\n", body.len());
            [receiving(length.as_bytes()), body.to_vec()].concat()
        };
        let key = b"content-length: 15\r\nidempotency-key: \xc3\x28\r\n";
        let asking = b"content-length: 1048577\r\nexpect: 100-continue\r\n";
        let many =
            [b"10000\r\n".to_vec(), b" ".repeat(1 << 16), b"\r\n".to_vec()].concat().repeat(64);
        for (what, status, bytes) in [
            ("a key that is not UTF-8", 400, [receiving(key), ONE.to_vec()].concat()),
            ("a body that is not UTF-8", 400, sized(b"{\"quantity\": \"\xff\"}")),
            ("a body of NULs", 400, sized(&[0; 15])),
            ("a body behind a byte order mark", 400, sized(b"\xef\xbb\xbf{\"quantity\": 1}")),
            ("a chunk that is none", 400, chunked(b"quantity\r\n")),
            ("a chunk too long for a number", 400, chunked(b"fffffffffffffffff\r\n{}")),
            ("4 MiB in chunks", 413, chunked(&[many, b"0\r\n\r\n".to_vec()].concat())),
            ("a body of 4 MiB", 413, sized(&b" ".repeat(4 << 20))),
            ("a body larger than allowed, asking first", 413, receiving(asking)),
        ] {
            let answer = exchange(daybook, what, &bytes, false).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
            assert!(head.contains("content-type: application/problem+json"), "{what}: {answer}");
            let document: Value = serde_json::from_str(body).unwrap();
            assert_eq!(document["status"], status, "{what}: {answer}");
        }
    })
    .await;
}

const ONE: &[u8] = b"{\"quantity\": 1}";

/// The head of a request that would be good with `ONE` as its body.
fn receiving(more: &[u8]) -> Vec<u8> {
    let head = b"POST /v1/stock/A/receive HTTP/1.1\r\nhost: daybook\r\nconnection: close\r\n\
        content-type: application/json\r\n";
    [head, more, b"\r\n"].concat()
}

/// Sends the bytes, and says that there are no more if that is so; everything that comes back.
async fn exchange(daybook: &Daybook, what: &str, bytes: &[u8], hang_up: bool) -> String {
    let exchanging = async {
        let address = daybook.url.trim_start_matches("http://");
        let mut line = TcpStream::connect(address).await.unwrap();
        // Who is cut off for his bytes may find the line closed while he still sends.
        line.write_all(bytes).await.ok();
        if hang_up {
            line.shutdown().await.ok();
        }
        let mut answer = Vec::new();
        line.read_to_end(&mut answer).await.ok();
        String::from_utf8(answer).unwrap()
    };
    let answer = tokio::time::timeout(LIMIT, exchanging).await;
    answer.unwrap_or_else(|_| panic!("{what}: no end"))
}
