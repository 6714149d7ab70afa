//! What the document says of the endpoints, held against them by a program that makes up requests: those that are
//! allowed and those that are not.

use crate::shop::{order, sell};
use crate::support::World;
use std::path::Path;
use tokio::process::Command;

/// Requests for each operation and kind of test: what a run of all tests has time for.
const EXAMPLES: &str = "5";

#[tokio::test]
async fn whatever_is_sent_the_answer_is_one_that_the_document_tells_of() {
    let world = World::new().await;
    let daybook = world.start().await;
    sell(&world, &daybook, "A1", 250, 5).await;
    daybook.command("/v1/orders", &order(&["A1"], "pm_card_visa")).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join(".tools/contracts/venv/bin/schemathesis"))
        .arg("--config-file")
        .arg(root.join("scripts/contracts/schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", daybook.url)])
        .args(["--checks", "all"])
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES])
        .args(["--seed", "1", "--no-shrink", "--request-timeout", "60"])
        .args(["--suppress-health-check", "all"])
        .current_dir(world.folder.path())
        .output()
        .await
        .expect("what `scripts/setup test` installs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    daybook.stop().await;
}
