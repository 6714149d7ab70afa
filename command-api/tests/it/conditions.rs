use crate::shop::Shop;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn if_match_holds_a_command_to_the_version_that_was_seen() {
    let shop = Shop::new().await;
    let receive = |tag: &'static str| {
        shop.post("/v1/stock/A/receive").header("if-match", tag).send(json!({"quantity": 1}))
    };
    assert_eq!(receive("\"0\"").await.status, StatusCode::OK);
    let stale = receive("\"0\"").await;
    stale.is_problem(412, "wrong-version", &[]);
    assert_eq!(stale.header("etag"), "\"1\"");
    assert_eq!(receive("\"1\"").await.status, StatusCode::OK);
    receive("\"abc\"").await.is_problem(412, "wrong-version", &[]);
    receive("*").await.is_problem(400, "invalid-if-match", &[]);
}

#[tokio::test]
async fn a_repeated_command_is_answered_though_the_version_has_moved_on() {
    let shop = Shop::new().await;
    let receive = || {
        let call = shop.post("/v1/stock/A/receive").key("k").header("if-match", "\"0\"");
        call.send(json!({"quantity": 1}))
    };
    let first = receive().await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(receive().await, first);
}
