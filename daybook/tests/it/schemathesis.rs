//! What the document says of the endpoints, held against them by a program that makes up requests: those that are
//! allowed and those that are not.

use crate::access::{Guarded, wanted};
use crate::shop::{order, sell};
use crate::support::{Daybook, World};
use edge::{Role, clock};
use std::path::Path;
use tokio::process::Command;

/// Holds it, with so many requests for each operation and kind of test: what a run of all tests has time for.
async fn held(world: &World, daybook: &Daybook, examples: &str, more: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let here = root.join("scripts/contracts");
    let output = Command::new(root.join(".tools/contracts/venv/bin/schemathesis"))
        .arg("--config-file")
        .arg(here.join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", daybook.url)])
        .args(["--checks", "all"])
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", examples])
        .args(["--seed", "1", "--no-shrink", "--request-timeout", "60"])
        .args(["--suppress-health-check", "all"])
        .args(more)
        .env("PYTHONPATH", &here)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "lines")
        .current_dir(world.folder.path())
        .output()
        .await
        .expect("what `scripts/setup test` installs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn whatever_is_sent_the_answer_is_one_that_the_document_tells_of() {
    let world = World::new().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "A1", 250, 5).await;
    daybook.command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
    held(&world, &daybook, "4", &[]).await;
    daybook.stop().await;
}

/// Of an operator who has all the hands that a shop has: what nobody may do is refused before anything is tried. Each
/// request is also sent without the token, and with a wrong one.
#[tokio::test]
async fn whatever_a_known_caller_sends_the_same_holds_and_strangers_are_refused() {
    let shop = Guarded::told(&[("DAYBOOK_AUTH_FAILURES", "1000000")]).await;
    shop.daybook.command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
    let roles = [Role::Operator, Role::Support, Role::Warehouse, Role::Accountant, Role::Service];
    let token = shop.keys.token(&wanted("operator", &roles, None), clock::now()).unwrap();
    let shown = format!("Authorization: Bearer {token}");
    held(&shop.world, &shop.daybook, "2", &["--header", &shown]).await;
    shop.daybook.stop().await;
}
