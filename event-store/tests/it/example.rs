use crate::support::empty_database;

#[path = "../../examples/guestbook.rs"]
#[expect(dead_code, reason = "its main is the example's own")]
mod guestbook;

#[tokio::test]
async fn the_example_goes_from_nothing_to_a_running_projection() {
    let guests = guestbook::run(&empty_database().await).await.unwrap();
    assert_eq!(guests, ["Ada", "Grace"]);
}
