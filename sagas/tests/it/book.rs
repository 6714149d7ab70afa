use std::fs::OpenOptions;
use std::io::Write;

use sagas::sandbox::SandboxError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{Sandbox, Seen, lines};

async fn fill(sandbox: &Sandbox) -> String {
    let held = sandbox.authorise("a1", "o1", "pm_card_visa").await.id().to_owned();
    sandbox.authorise("a2", "o2", "pm_card_visa_chargeDeclined").await;
    let path = format!("/v1/payment_intents/{held}/capture");
    Seen::of(sandbox.post(&path, "c1", &[]).send().await.unwrap()).await.id();
    let form = [("payment_intent", held.as_str()), ("amount", "95")];
    Seen::of(sandbox.post("/v1/refunds", "r1", &form).send().await.unwrap()).await.id();
    held
}

#[tokio::test]
async fn the_book_outlives_the_sandbox_with_its_keys() {
    let sandbox = Sandbox::start().await;
    let held = fill(&sandbox).await;
    let before = sandbox.report().await;
    let first = sandbox.authorise("a1", "o1", "pm_card_visa").await;

    let sandbox = sandbox.restart().await;
    assert_eq!(sandbox.report().await, before);
    let again = sandbox.authorise("a1", "o1", "pm_card_visa").await;
    assert!(again.replayed);
    assert_eq!((again.id(), &again.body), (held.as_str(), &first.body));
}

#[tokio::test]
async fn a_line_that_was_torn_is_cut_off_and_the_rest_is_kept() {
    let sandbox = Sandbox::start().await;
    fill(&sandbox).await;
    let before = sandbox.report().await;
    let book = sandbox.book();
    let folder = sandbox.stop().await;
    let whole = std::fs::read(&book).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for cut in [1, (whole.len() - last) / 2, whole.len() - last - 1] {
        std::fs::write(&book, &whole).unwrap();
        let mut file = OpenOptions::new().append(true).open(&book).unwrap();
        file.write_all(&whole[last..last + cut]).unwrap();
        drop(file);

        let sandbox = Sandbox::reopen(folder.clone()).await;
        assert_eq!(sandbox.report().await, before);
        sandbox.authorise(&format!("new {cut}"), "o3", "pm_card_visa").await.id();
        sandbox.stop().await;
        assert_eq!(lines(&book), 5);
    }
}

#[tokio::test]
async fn a_damaged_book_is_refused_by_its_line() {
    let sandbox = Sandbox::start().await;
    fill(&sandbox).await;
    let book = sandbox.book();
    let folder = sandbox.stop().await;
    let damaged = std::fs::read_to_string(&book).unwrap().replacen("\"a2\"", "a2", 1);
    std::fs::write(&book, damaged).unwrap();

    let refused = start_on(&book).await.unwrap_err();
    let SandboxError::Book(cause) = refused else { panic!("{refused:?}") };
    assert!(cause.to_string().starts_with("line 2 of "), "{cause}");
    drop(folder);
}

#[tokio::test]
async fn two_sandboxes_cannot_share_a_book() {
    let sandbox = Sandbox::start().await;
    sandbox.authorise("a", "o", "pm_card_visa").await;
    let refused = start_on(&sandbox.book()).await.unwrap_err();
    let SandboxError::Book(cause) = refused else { panic!("{refused:?}") };
    assert!(cause.to_string().contains("another process"), "{cause}");
}

async fn start_on(book: &std::path::Path) -> Result<(), SandboxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    sagas::sandbox::run(listener, book, CancellationToken::new()).await
}
